package faults

import (
	"fmt"
	"strings"
	"time"
)

// Fault is one kind of misfortune. Each has a line in a file of its own, fault_*.go, and is in faults.
type Fault struct {
	Name string
	// Least and Spread say how long the fault lasts before it is healed.
	Least, Spread time.Duration
	// MayFail tells that other faults can prevent it. It counts as injected when it says that it was done, by
	// world.achieve, and not when it strikes.
	MayFail bool
	// Touches tells that the fault shows in the network's count of packets dropped or held back.
	Touches bool
	// Strike begins the fault and returns what ends it; nil if there was no victim, which is no fault.
	// The end may start processes but must not wait for a majority: another fault may not have ended yet.
	Strike func(w *world) (heal func())
}

// faults is every kind, in groups by file.
var faults = concat(killFaults, pauseFaults, restartFaults, cutFaults, linkFaults, diskFaults, clockFaults,
	compactFaults, lagFaults, memberFaults, backupFaults)

func concat(groups ...[]*Fault) (out []*Fault) {
	for _, g := range groups {
		out = append(out, g...)
	}
	return out
}

// faultsNamed looks up a profile's list, "kill leader, isolate leader"; "all" names every fault.
func faultsNamed(list string) (out []*Fault, err error) {
	if list == "all" {
		return faults, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.Join(strings.Fields(name), " ")
		found := false
		for _, f := range faults {
			if f.Name == name {
				out, found = append(out, f), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no fault is named %q", name)
		}
	}
	return out, nil
}

// nothing ends a fault that has ended by itself.
func nothing() {}
