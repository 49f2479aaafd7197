// Command summary reads `go test -json` from standard input and prints what a person wants to see: a line per
// package, all output of what failed, and at the end how many tests passed, failed and were skipped.
//
// It exits 1 when a test, a package or a build failed, and when there was no test at all. It runs no tests
// itself.
package main
