// Package directed holds the tests that make one narrow schedule on purpose, on real processes: for each
// promise whose breach chance would find too late, the messages, the order and the moment that show it. Each
// of them has been seen to fail with the defect it is for (tests/faults/mutants).
//
// The types to know: puppet.Stage (a real node among played members), node.Cluster (all members real),
// wire.Pending (a command whose reply is looked at later).
//
// Goroutines and locks: none of its own; what the harness starts ends with each test. The package refuses
// chance: no seed, no load, no fault at a random moment. That is what the fault suite is for.
package directed
