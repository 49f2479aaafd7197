//go:build !profile

package main

// startProfile: a normal binary writes no profile; see profile.go.
func startProfile() (end func(), err error) { return func() {}, nil }
