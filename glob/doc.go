// Package glob matches Redis's patterns. It has two functions, Match and Prefix, no state, no goroutine
// and no
// lock; what uses a pattern as a permission (acl) and what uses it as a filter (commands) must agree on what
// it matches, so there is one of it.
//
// Types to know: none.
//
// The folder refuses to: backtrack. A match takes at most len(pattern) * len(text) steps, whoever wrote the
// pattern.
package glob
