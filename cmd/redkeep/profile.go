//go:build profile

package main

import (
	"os"
	"runtime/pprof"
)

// startProfile writes a profile of processor time to the file that CPUPROFILE names, in binaries built
// with the tag "profile" alone; default.pgo is made of such: see .ci/pgo.
func startProfile() (end func(), err error) {
	f, err := os.Create(os.Getenv("CPUPROFILE"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}
