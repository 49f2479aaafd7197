package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/network"
	"github.com/redkeep/redkeep/tests/internal/node"
)

// diskBytes is the size of each node's own file system.
const diskBytes = 192 << 20

// world is everything that a fault can touch. It belongs to the goroutine that injects.
type world struct {
	t        testing.TB
	cluster  *node.Cluster
	net      *network.Network
	run      *run
	say      func(format string, args ...any) // one line per round
	rng      *rand.Rand                       // of the fault that strikes now; drawn from the seed alone
	held     map[*node.Node]bool
	doomed   []*node.Node          // nodes whose syncs fail
	filled   []*node.Node          // whose disk was full in this round
	spare    *node.Node            // not one of the cluster's, on a machine of its own; nil without
	installs map[*node.Process]int // snapshots that each process has taken from a leader
	fell     map[*node.Process]int // times that a watch of it fell behind
	notes    []string              // what the faults of this round did, for its line in the log
	achieved []string              // faults of this round that may fail and have not
	vault    vault                 // backups of this segment
}

// newWorld starts a cluster with a machine and a disk of its own for each node.
func newWorld(t testing.TB, p *Profile) *world {
	net, err := network.New(p.Nodes + p.Spares)
	if err != nil {
		t.Fatalf("a network of %d machines: %v", p.Nodes+p.Spares, err)
	}
	t.Cleanup(net.Close)
	w := &world{t: t, net: net, say: t.Logf, held: map[*node.Node]bool{}, installs: map[*node.Process]int{},
		fell: map[*node.Process]int{}}
	o := node.Options{
		Nodes: p.Nodes, Flags: append(shortTimes(), strings.Fields(p.Flags)...), Faults: true, TLS: p.TLS,
		Users: p.TLS, Place: w.place,
	}
	w.cluster = node.New(t, o)
	if p.Spares > 0 {
		w.spare = w.cluster.Prepare("spare", o, func(n *node.Node) { w.place(p.Nodes, n) })
	}
	w.cluster.StartAll()
	return w
}

// shortTimes makes more rounds fit into the time, and lets requests run into their timeout; the protocol is
// the same. History goes only when a fault compacts it, which archives it first. Watchers overflow soon.
func shortTimes() []string {
	return []string{"--heartbeat-interval", "30ms", "--election-timeout", "300ms", "--request-timeout", "700ms",
		"--disk-reserve-bytes", "8MiB", "--history-bytes", "1TiB", "--history-age", "10000h",
		"--watch-buffer-bytes", "16KiB"}
}

// place moves a node to its machine and its disk.
func (w *world) place(i int, n *node.Node) {
	m := w.net.Machines[i]
	host := m.Addr.String()
	n.ClientAddr, n.PeerAddr, n.HTTPAddr = host+":6379", host+":16379", host+":8379"
	n.On = m.On
	n.Env = append(n.Env, "REDKEEP_FAULT_LOG_BYTES=262144")
	disk := filepath.Join(w.t.TempDir(), "disk")
	if err := network.MountTmpfs(disk, diskBytes); err != nil {
		w.t.Fatalf("mount a disk for %s: %v", n.Name, err)
	}
	w.t.Cleanup(func() {
		if err := network.Unmount(disk); err != nil {
			w.t.Error(err)
		}
	})
	n.Dir = filepath.Join(disk, "data")
}

// diskOf returns the mount point that a node's data is on.
func diskOf(n *node.Node) string { return filepath.Dir(n.Dir) }

// note adds to the round's line in the log.
func (w *world) note(format string, args ...any) {
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

// achieve counts a fault that MayFail.
func (w *world) achieve(name string) { w.achieved = append(w.achieved, name) }

// free returns the nodes that run and that no other fault of this round has taken.
func (w *world) free() (out []*node.Node) {
	for _, n := range w.cluster.Nodes {
		if !w.held[n] && n.Proc.Running() {
			out = append(out, n)
		}
	}
	return out
}

// take marks nodes as taken until the round ends.
func (w *world) take(nodes ...*node.Node) []*node.Node {
	for _, n := range nodes {
		w.held[n] = true
	}
	return nodes
}

// leader takes the leader if it is free, and any free node if none shows itself within a while; nil if no
// node is free.
func (w *world) leader() *node.Node {
	free := w.free()
	var found *node.Node
	node.Poll(3*time.Second, func() error {
		for _, n := range free {
			if st, err := n.Status(); err == nil && st["is_leader"] == "1" {
				found = n
				return nil
			}
		}
		return errors.New("no leader yet")
	})
	if found == nil && len(free) > 0 {
		found = free[w.rng.IntN(len(free))]
	}
	if found != nil {
		w.take(found)
	}
	return found
}

// follower takes a free node that does not say that it leads; nil if there is none.
func (w *world) follower() *node.Node {
	free := w.free()
	w.rng.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	for _, n := range free {
		if st, err := n.Status(); err != nil || st["is_leader"] != "1" {
			w.take(n)
			return n
		}
	}
	return nil
}

// anyNode takes a free node; nil if there is none.
func (w *world) anyNode() *node.Node {
	free := w.free()
	if len(free) == 0 {
		return nil
	}
	return w.take(free[w.rng.IntN(len(free))])[0]
}

// index returns the number of a node, which is that of its machine.
func (w *world) index(n *node.Node) int {
	for i, m := range w.cluster.Nodes {
		if m == n {
			return i
		}
	}
	panic("a node of another cluster")
}

// links calls fn for the link from each node to each other node.
func (w *world) links(fn func(from, to int, l *network.Link)) {
	for from := range w.cluster.Nodes {
		for to := range w.cluster.Nodes {
			if from != to {
				fn(from, to, w.net.Link(from, to))
			}
		}
	}
}

// launch starts what does not run. It does not wait: a majority may still be missing.
func (w *world) launch(nodes ...*node.Node) {
	for _, n := range nodes {
		if !n.Proc.Running() {
			n.Launch()
		}
	}
}

// awaitAll waits until each node has its ready line, and clients get writes acknowledged again.
func (w *world) awaitAll() (recovered time.Duration) {
	w.t.Helper()
	for _, n := range w.cluster.Nodes {
		n.WaitReady()
	}
	from := time.Now()
	w.awaitWrites(50, 30*time.Second)
	return time.Since(from)
}

// awaitWrites waits until this many more writes are acknowledged.
func (w *world) awaitWrites(count int64, d time.Duration) {
	w.t.Helper()
	want := w.run.acked.Load() + count
	node.Eventually(w.t, d, "writes are acknowledged", func() error {
		if have := w.run.acked.Load(); have < want {
			return fmt.Errorf("%d more are missing", want-have)
		}
		return nil
	})
}

// tryWrites is awaitWrites that may end without them, where a majority may be missing.
func (w *world) tryWrites(count int64, d time.Duration) {
	want := w.run.acked.Load() + count
	node.Poll(d, func() error {
		if w.run.acked.Load() < want {
			return os.ErrDeadlineExceeded
		}
		return nil
	})
}
