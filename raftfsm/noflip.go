//go:build !faults

package raftfsm

// offerFlip lets a test damage the state, in binaries that inject faults: see flip.go.
func offerFlip(*machine) {}
