package linear

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// Options sets the size of a run.
type Options struct {
	Seed           uint64
	Duration       time.Duration // of the faults
	ClientsPerNode int
	Pace           time.Duration // between two operations of one client
	Epoch          time.Duration // after which fresh partitions are used
	Partitions     int           // in use at the same time
}

// Result is what a run did and saw.
type Result struct {
	Counts   Counts
	Injected map[string]int
	WorstGap time.Duration
	History  []porcupine.Operation
	Problems []error // answers that no operation may get
}

type run struct {
	o        Options
	start    time.Time
	progress atomic.Int64
	stop     chan struct{}
	clients  []*Client
	nextID   int
}

// Run drives clients at every node of the cluster while a nemesis injects faults, then reads all once more.
func Run(t testing.TB, cluster *node.Cluster, o Options) *Result {
	r := &run{o: o, start: time.Now(), stop: make(chan struct{})}
	var wg sync.WaitGroup
	for _, n := range cluster.Nodes {
		for range o.ClientsPerNode {
			c := r.newClient(n.ClientAddr)
			wg.Go(func() { r.drive(c) })
		}
	}
	var ended sync.Once
	endClients := func() { ended.Do(func() { close(r.stop); wg.Wait() }) }
	defer endClients() // a fatal failure of the nemesis must not leave clients behind
	nem := &Nemesis{
		t: t, cluster: cluster, rng: rand.New(rand.NewPCG(o.Seed, 1)), progress: &r.progress, probe: r.probe,
	}
	nem.waitProgress()
	nem.Rounds(o.Duration)
	endClients()
	r.readAll(cluster.Follower().ClientAddr)
	return r.result(nem)
}

func (r *run) newClient(addr string) *Client {
	c := &Client{
		Recorder: Recorder{id: r.nextID, start: r.start, okTotal: &r.progress},
		addr:     addr, timeout: 6 * time.Second, rng: rand.New(rand.NewPCG(r.o.Seed, uint64(100+r.nextID))),
	}
	r.nextID++
	r.clients = append(r.clients, c)
	return c
}

// drive sends operations at the pace until the run ends.
func (r *run) drive(c *Client) {
	defer c.Close()
	tick := time.NewTicker(r.o.Pace)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-tick.C:
			c.Do(c.next(r.partition(c.rng)))
		}
	}
}

// partition draws one of the partitions of the epoch.
func (r *run) partition(rng *rand.Rand) int {
	epoch := int(time.Since(r.start) / r.o.Epoch)
	return epoch*r.o.Partitions + rng.IntN(r.o.Partitions)
}

// probe sends reads to a node that cannot answer yet, calls resume, and records the answers. The reads begin
// after writes that other nodes have acknowledged, so an old answer is a violation and not a matter of order.
func (r *run) probe(n *node.Node, resume func()) {
	var wg, sent sync.WaitGroup
	epoch := int(time.Since(r.start) / r.o.Epoch)
	for i := range 2 * r.o.Partitions {
		c := r.newClient(n.ClientAddr)
		in := Input{Kind: []Kind{KVRange, Get}[i/r.o.Partitions],
			Partition: epoch*r.o.Partitions + i%r.o.Partitions}
		sent.Add(1)
		wg.Go(func() {
			defer c.Close()
			c.ask(in, sent.Done)
		})
	}
	sent.Wait()
	resume()
	wg.Wait()
}

// readAll reads every partition that was ever used, after all faults are mended.
func (r *run) readAll(addr string) {
	c := r.newClient(addr)
	defer c.Close()
	epochs := int(time.Since(r.start)/r.o.Epoch) + 1
	for p := range epochs * r.o.Partitions {
		c.Do(Input{Kind: KVRange, Partition: p})
	}
}

func (r *run) result(nem *Nemesis) *Result {
	res := &Result{Injected: nem.Injected, WorstGap: nem.WorstGap}
	for _, c := range r.clients {
		res.Counts.add(c.counts)
		res.History = append(res.History, c.ops...)
		if c.problem != nil {
			res.Problems = append(res.Problems, c.problem)
		}
	}
	return res
}
