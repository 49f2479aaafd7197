// Package seam tests the faults that a binary built with the tag "faults" injects into itself: a fault that
// does not bite would let every test that relies on it pass.
//
// The types to know are those of tests/internal/node: Node.Fault gives one command, Node.LosePower ends a
// node as a power cut would. Goroutines: one reader per write that hangs, which ends with its connection.
// Locks: none. The package refuses to test the product: what must survive these faults is tested elsewhere.
package seam
