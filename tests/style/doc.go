// Package style turns the project's written rules of layering and style into tests, so that no reviewer has
// to remember them. It reads the tree as text and syntax (go/ast, go list) and changes nothing.
//
// The types to know: sourceFile is one parsed file, finding one violation with rule, place and text. Each
// rule is a function from a sourceFile (or another small input) to findings; each has a table test that feeds
// it a snippet which breaks the rule and one which does not, since a lint that cannot fail is worth nothing.
//
// exceptions.go holds the places where a rule is broken on purpose, each with its reason. The list may only
// shrink: TestExceptionsOnlyShrink compares it with a constant and refuses entries that excuse nothing any
// more.
//
// There are no goroutines and no locks. The package refuses to judge taste: a rule is here only if a machine
// can decide it the same way every time.
package style
