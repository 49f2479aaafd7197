// Package mutants plants defects and demands that they are caught: a test that cannot fail proves nothing.
//
// Each *.patch here is one defect as a programmer could make it, with a head that says which promise it
// breaks and which command catches it:
//
//	Promise: what users rely on
//	Defect:  what the patch does
//	Caught:  go test ./tests/… -run ^TestX$
//
// TestPatchesApplyAndBuild applies each to copies of the files it changes and compiles the tree with these
// laid over it, so that none rots. TestMutantsAreCaught runs the command against a binary built in this way
// (RKTEST_BINARY), and it must fail; a test of a package of the house is compiled with the defect in it.
// The product's code stays clean: no switch for a defect is in it.
//
// Types to know: mutant (a parsed patch), workshop (the patched copies, and the compiled tests).
//
// Goroutines and locks: none. The package refuses to count a broken harness as a catch: the named test must
// have run and failed, and without a defect it must pass, which is what the named package's own run shows.
package mutants
