package faults

import (
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// pauseFaults stop processes in their tracks (SIGSTOP) until the others have gone on without them. Reads
// are waiting in the sockets when a node wakes up: one that answers these from what it knew before is
// caught.
var pauseFaults = []*Fault{
	pause("pause leader", (*world).leader),
	pause("pause follower", (*world).follower),
	{Name: "pause leader and kill the next", Least: 50 * time.Millisecond, Spread: 300 * time.Millisecond,
		Strike: pauseThenKill},
}

func pause(name string, victim func(*world) *node.Node) *Fault {
	return &Fault{Name: name, Least: 500 * time.Millisecond, Spread: 1500 * time.Millisecond,
		Strike: func(w *world) func() {
			n := victim(w)
			if n == nil {
				return nil
			}
			w.note("paused %s", n.Name)
			n.Pause()
			return func() {
				w.tryWrites(50, 3*time.Second)
				w.run.probe(n, n.Resume)
			}
		}}
}

// pauseThenKill makes a deposed leader part of the majority that its successor leaves behind.
func pauseThenKill(w *world) func() {
	old := w.leader()
	if old == nil {
		return nil
	}
	old.Pause()
	w.tryWrites(50, 3*time.Second)
	next := w.leader() // the paused node does not answer, so this is another
	if next != nil {
		next.Kill9()
	}
	w.note("paused %s, killed%s", old.Name, names(some(next)))
	return func() {
		w.run.probe(old, old.Resume)
		w.launch(some(next)...)
	}
}
