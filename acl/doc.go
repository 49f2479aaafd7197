// Package acl is Redis's access control language: what a user may do, how that is written, and whether a
// command is within it. It is pure: rules and questions go in, answers come out.
//
// Types to know:
//
//	Catalog  the commands and categories that rules may name
//	User     one user: whether on, passwords, and selectors; a value that is replaced, not changed
//	Query    one command as the rules see it: its number, the keys and channels it uses
//	Reach    keys that are used: one key, a bounded range or an open one, and how
//	Denial   what a user lacks for a query
//	Secrets  seals and checks passwords; the caller has it, because it is slow and draws random salts
//
// A key, a range and a range without an end are three different things here (Kind): a pattern for one key
// never lets a range pass, and a bounded pattern never an open range.
//
// Goroutines: none. Locks: none; a User that others can see is never changed (Clone first).
//
// The folder refuses to: know a connection, hash a password, look at a clock, or guess: a rule it cannot read
// is an error, and what no rule allows is denied.
package acl
