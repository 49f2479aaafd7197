package main

import (
	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
)

// guardReadings is what the guards of a node know at one moment, for the metrics.
type guardReadings struct {
	alarms           []raftfsm.Alarm
	fenced           bool
	agreed           cluster.Index
	differing, jumps uint64
}

func readGuards(e *raftfsm.Engine) guardReadings {
	g := guardReadings{alarms: e.Alarms(), fenced: e.Fenced() != nil, jumps: e.ClockJumps()}
	g.agreed, g.differing = e.Compared()
	return g
}
