package faults

import (
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// killFaults end processes with SIGKILL, leave them dead for a while and start them again.
var killFaults = []*Fault{
	kill("kill leader", func(w *world) []*node.Node { return some(w.leader()) }),
	kill("kill follower", func(w *world) []*node.Node { return some(w.follower()) }),
	kill("kill majority", func(w *world) []*node.Node {
		out := some(w.leader())
		for len(out) <= len(w.cluster.Nodes)/2 && len(w.free()) > 0 {
			out = append(out, w.anyNode())
		}
		return out
	}),
	kill("kill all", func(w *world) []*node.Node { return w.take(w.free()...) }),
	losePower("power loss", func(w *world) []*node.Node { return some(w.anyNode()) }),
	losePower("power loss of all", func(w *world) []*node.Node { return w.take(w.free()...) }),
}

// some is a list of one node, or of none.
func some(n *node.Node) []*node.Node {
	if n == nil {
		return nil
	}
	return []*node.Node{n}
}

func names(nodes []*node.Node) string {
	text := ""
	for _, n := range nodes {
		text += " " + n.Name
	}
	return text
}

func kill(name string, victims func(*world) []*node.Node) *Fault {
	return &Fault{Name: name, Least: 50 * time.Millisecond, Spread: 1500 * time.Millisecond,
		Strike: func(w *world) func() {
			nodes := victims(w)
			if len(nodes) == 0 {
				return nil
			}
			w.note("killed%s", names(nodes))
			for _, n := range nodes {
				n.Kill9()
			}
			return func() { w.launch(nodes...) }
		}}
}

// losePower is kill, and what the nodes had not synced is gone; one write may be torn in half.
func losePower(name string, victims func(*world) []*node.Node) *Fault {
	return &Fault{Name: name, Least: 50 * time.Millisecond, Spread: time.Second,
		Strike: func(w *world) func() {
			nodes := victims(w)
			if len(nodes) == 0 {
				return nil
			}
			torn := w.rng.IntN(2) == 0
			w.note("power lost at%s (torn %v)", names(nodes), torn)
			for _, n := range nodes {
				n.LosePower(torn)
			}
			return func() { w.launch(nodes...) }
		}}
}
