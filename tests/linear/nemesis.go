package linear

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// Nemesis injects one fault after the other. It runs in the goroutine of the test, which owns the cluster.
type Nemesis struct {
	t        testing.TB
	cluster  *node.Cluster
	rng      *rand.Rand
	progress *atomic.Int64                  // acknowledged writes of all clients
	probe    func(n *node.Node, go1 func()) // sends reads to a paused node, calls go1, collects the answers
	Injected map[string]int
	WorstGap time.Duration // longest wait for an acknowledged write after a fault was mended
}

// fault is one kind of misfortune, from its start until the cluster is whole again.
type fault struct {
	name string
	run  func(n *Nemesis)
}

var faults = []fault{
	{"kill leader", func(n *Nemesis) { n.killFor(n.cluster.Leader()) }},
	{"kill follower", func(n *Nemesis) { n.killFor(n.anyFollower()) }},
	{"kill leader and a follower", func(n *Nemesis) { n.killFor(n.cluster.Leader(), n.anyFollower()) }},
	{"kill all", func(n *Nemesis) { n.killFor(n.cluster.Nodes...) }},
	{"pause leader", func(n *Nemesis) { n.pauseFor(n.cluster.Leader()) }},
	{"pause follower", func(n *Nemesis) { n.pauseFor(n.anyFollower()) }},
	{"pause leader, kill the next", func(n *Nemesis) { n.pauseThenKill() }},
}

// Rounds injects faults until the time is over, each kind at least once before any comes twice.
func (n *Nemesis) Rounds(d time.Duration) {
	n.Injected = map[string]int{}
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		for _, i := range n.rng.Perm(len(faults)) {
			if !time.Now().Before(end) {
				return
			}
			n.t.Logf("fault: %s", faults[i].name)
			faults[i].run(n)
			n.Injected[faults[i].name]++
			n.waitProgress()
		}
	}
}

// waitProgress waits until clients get writes acknowledged again.
func (n *Nemesis) waitProgress() {
	n.t.Helper()
	from := time.Now()
	want := n.progress.Load() + 50
	node.Eventually(n.t, 30*time.Second, "writes are acknowledged again", func() error {
		if n.progress.Load() < want {
			return errors.New("no progress")
		}
		return nil
	})
	n.WorstGap = max(n.WorstGap, time.Since(from))
}

// hold lets the fault last for a random while.
func (n *Nemesis) hold(lowest, spread time.Duration) {
	timer := time.NewTimer(lowest + time.Duration(n.rng.Int64N(int64(spread))))
	defer timer.Stop()
	<-timer.C
}

func (n *Nemesis) anyFollower() *node.Node {
	f := n.cluster.Followers()
	return f[n.rng.IntN(len(f))]
}

// killFor kills nodes, leaves them dead for a while and starts them again.
func (n *Nemesis) killFor(nodes ...*node.Node) {
	for _, x := range nodes {
		x.Kill9()
	}
	n.hold(50*time.Millisecond, 2*time.Second)
	for _, x := range nodes {
		x.Launch()
	}
	for _, x := range nodes {
		x.WaitReady()
	}
}

// pauseFor stops a node until the others have a leader that acknowledges writes, then lets it go on with
// reads waiting in its sockets: a node that answers these from what it knew before is caught.
func (n *Nemesis) pauseFor(x *node.Node) {
	x.Pause()
	n.hold(500*time.Millisecond, 2*time.Second)
	n.waitProgress()
	n.probe(x, x.Resume)
}

// pauseThenKill makes a deposed leader part of the quorum that the next leader leaves behind.
func (n *Nemesis) pauseThenKill() {
	old := n.cluster.Leader()
	old.Pause()
	n.waitProgress()
	next := n.cluster.Leader() // the paused node does not answer, so this is another
	next.Kill9()
	n.probe(old, old.Resume)
	next.Start()
}
