package faults

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// epoch is how long partitions are used before fresh ones take their place, and perEpoch how many are
// used at a time. Short epochs keep the maybes in a partition few, so that the search for a linear order
// ends; all partitions are read once more at the end, so that a write lost later is still seen.
const (
	epoch    = 1500 * time.Millisecond
	perEpoch = 3
)

// run is the load on a cluster and what it has recorded. Each segment of a run ends with a complete check.
type run struct {
	seed    uint64
	profile *Profile
	start   time.Time
	acked   atomic.Int64 // acknowledged writes
	probed  atomic.Int64 // reads that a node found waiting when it woke up, and answered
	stop    chan struct{}
	clients []*client
	locals  []*localReader
	first   int // partition from which on this segment's data is unchecked
	archive *archive
	meter   *meter

	watchers  []*watcher
	hurry     chan struct{} // closed when slow watchers are to catch up
	facts     *facts        // what watchers must have been told, once the archive is complete
	lockers   []*locker
	lessees   []*lessee
	borrowers []*borrower
	journal   *journal
	ended     *ended // leases
}

func newRun(seed uint64, p *Profile) *run {
	now := time.Now()
	return &run{seed: seed, profile: p, start: now, archive: &archive{}, meter: &meter{start: now},
		journal: &journal{}, ended: &ended{}}
}

func (r *run) now() int64 { return int64(time.Since(r.start)) }

// partitions is the number of partitions used so far, from 0.
func (r *run) partitions() int { return (int(time.Since(r.start)/epoch) + 1) * perEpoch }

// partition draws one of the partitions of the epoch.
func (r *run) partition(rng *rand.Rand) int { return r.partitions() - 1 - rng.IntN(perEpoch) }

// fresh forgets what an earlier segment has recorded, and waits for partitions that it did not use.
func (r *run) fresh() {
	r.clients, r.locals, r.archive = nil, nil, &archive{}
	r.probed.Store(0)
	r.watchers, r.facts = nil, nil
	r.lockers, r.lessees, r.borrowers = nil, nil, nil
	r.journal = &journal{through: r.journal.through}
	if r.meter.total().answered == 0 {
		return
	}
	r.first = r.partitions()
	hold(time.Duration(r.first/perEpoch)*epoch - time.Since(r.start))
}

// load drives clients at every node until the returned function is called, which waits for them.
func (r *run) load(nodes []*node.Node) (end func()) {
	r.stop = make(chan struct{})
	var wg sync.WaitGroup
	for _, n := range nodes {
		for range r.profile.Clients {
			c := r.newClient(n.ClientAddr)
			wg.Go(c.drive)
		}
		l := r.newLocalReader(n.ClientAddr)
		wg.Go(l.drive)
		r.loadLocks(n.ClientAddr, &wg)
	}
	var once sync.Once
	return func() { once.Do(func() { close(r.stop); wg.Wait() }) }
}

// probe sends reads to a node that cannot answer yet, calls resume, and records the answers. The reads
// begin after writes that other nodes have acknowledged, so an old answer is a violation and not a matter
// of order.
func (r *run) probe(n *node.Node, resume func()) {
	var wg, sent sync.WaitGroup
	last := r.partitions() - 1
	before := len(r.clients)
	for i := range 2 * perEpoch {
		c := r.newClient(n.ClientAddr)
		op := &Op{Kind: []*Kind{kvRangeKind, getKind}[i/perEpoch], Partition: last - i%perEpoch, Client: c.client}
		sent.Add(1)
		wg.Go(func() {
			defer c.close()
			c.do([]*Op{op}, sent.Done)
		})
	}
	r.askEnded(n, &wg, &sent)
	sent.Wait()
	resume()
	wg.Wait()
	for _, c := range r.clients[before:] {
		r.probed.Add(int64(len(c.ops) + len(c.refused)))
	}
}

// readAll reads every partition of the segment once more, after all faults have ended.
func (r *run) readAll(n *node.Node) {
	c := r.newClient(n.ClientAddr)
	defer c.close()
	for p := r.first; p < r.partitions(); p++ {
		c.do([]*Op{{Kind: kvRangeKind, Partition: p, Client: c.client}}, nothing)
	}
}

// segment is a stretch of faults under load, followed by every check.
func segment(t testing.TB, w *world, r *run, plan []round) *result {
	t.Helper()
	w.run = r
	r.fresh()
	w.vault.clear()
	from := time.Now()
	unfollow := r.follow(t, w.cluster.Nodes)
	defer unfollow()
	end := r.load(w.cluster.Nodes)
	defer end() // a fatal failure must not leave clients behind
	w.awaitWrites(50, 30*time.Second)
	res := &result{injected: map[string]int{}}
	for i := range plan {
		w.play(i, &plan[i], res)
	}
	w.insist(plan, res)
	end()
	res.probed = int(r.probed.Load())
	res.took = time.Since(from)
	w.withdraw()
	r.settle(t, w, res)
	res.behind = r.awaitWatchers(t)
	unfollow()
	r.check(t, w, res)
	return res
}

// settle reads everything once more and completes the archive.
func (r *run) settle(t testing.TB, w *world, res *result) {
	t.Helper()
	if r.profile.Lockers > 0 {
		r.settleLocks(w)
	}
	w.cluster.WaitSame()
	w.countInstalls()
	for _, count := range w.installs {
		res.snapshots += count
	}
	for _, count := range w.fell {
		res.fell += count
	}
	clear(w.installs)
	clear(w.fell)
	for _, n := range w.cluster.Nodes {
		r.readAll(n)
	}
	node.Eventually(t, 20*time.Second, "the history of all keys", func() error {
		through, err := r.archive.collect(w.cluster.Nodes[0].ClientAddr, r.first, r.partitions)
		if err == nil {
			err = r.setFacts(w.cluster.Nodes[0], through)
		}
		return err
	})
	res.versions = r.archive.size()
}
