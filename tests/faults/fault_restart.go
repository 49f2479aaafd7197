package faults

import (
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// restartFaults stop nodes as an operator would (SIGTERM): a leader hands over first.
var restartFaults = []*Fault{
	restart("restart leader", (*world).leader),
	restart("restart follower", (*world).follower),
}

func restart(name string, victim func(*world) *node.Node) *Fault {
	return &Fault{Name: name, Least: 50 * time.Millisecond, Spread: 500 * time.Millisecond,
		Strike: func(w *world) func() {
			n := victim(w)
			if n == nil {
				return nil
			}
			w.note("restarted %s", n.Name)
			n.Stop()
			return func() { w.launch(n) }
		}}
}
