package faults

import (
	"fmt"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// maxJump is the furthest that a wall clock is set off.
const maxJump = 5 * time.Second

// clockFaults set the wall clocks of nodes forward or back.
var clockFaults = []*Fault{
	{Name: "clock of the leader jumps", Least: 500 * time.Millisecond, Spread: 1500 * time.Millisecond,
		Strike: func(w *world) func() { return jump(w, some(w.leader())) }},
	{Name: "all clocks jump", Least: 500 * time.Millisecond, Spread: 1500 * time.Millisecond,
		Strike: func(w *world) func() { return jump(w, w.take(w.free()...)) }},
}

func jump(w *world, nodes []*node.Node) func() {
	if len(nodes) == 0 {
		return nil
	}
	for _, n := range nodes {
		offset := time.Duration(w.rng.Int64N(int64(2*maxJump))) - maxJump
		w.note("clock of %s off by %v", n.Name, offset.Truncate(time.Millisecond))
		n.Fault(fmt.Sprintf("clock %+dms", offset.Milliseconds()))
	}
	return func() {
		for _, n := range nodes {
			if n.Proc.Running() {
				n.Fault("clock 0")
			}
		}
	}
}
