package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	valueBytes = 128
	keySpace   = 100_000 // keys that SET and GET draw from; all are there before a GET
)

// scenario is one workload; op does one step of one client and returns how many operations that was.
type scenario struct {
	name    string
	clients int
	redis   bool // Redis takes part: only for orientation, it is not replicated
	etcd    bool
	form    int // how the clients come
	op      func(c conn, rng *rand.Rand) (int, error)
}

func setOne(c conn, rng *rand.Rand) (int, error) { return 1, c.set(randomKey(rng), randomValue(rng)) }
func getOne(c conn, rng *rand.Rand) (int, error) { return 1, c.get(randomKey(rng)) }

func setSixteen(c conn, rng *rand.Rand) (int, error) {
	keys, values := make([]string, 16), make([]string, 16)
	for i := range keys {
		keys[i], values[i] = randomKey(rng), randomValue(rng)
	}
	return 16, c.setMany(keys, values)
}

func scenarios(c config) []scenario {
	all := []scenario{
		{"SET, 1 client", 1, true, true, usual, setOne},
		{"SET, 64 clients", 64, true, true, usual, setOne},
		{"GET, 1 client", 1, true, true, usual, getOne},
		{"GET, 64 clients", 64, true, true, usual, getOne},
		{"SET, 64 clients × 16 pipelined", 64, true, false, usual, setSixteen},
	}
	all = append(all, txnScenarios...)
	all = append(all, leaseScenarios...)
	all = append(all, callerScenarios...)
	if c.wide {
		all = append(all, scenario{"SET, 512 clients", 512, true, true, usual, setOne},
			scenario{"GET, 512 clients", 512, true, true, usual, getOne})
	}
	return slices.DeleteFunc(all, func(s scenario) bool { return !strings.Contains(s.name, c.only) })
}

func randomKey(rng *rand.Rand) string { return keyName(rng.IntN(keySpace)) }
func keyName(i int) string            { return fmt.Sprintf("key:%012d", i) }

// randomValue cannot be compressed by anybody.
func randomValue(rng *rand.Rand) string {
	b := make([]byte, valueBytes)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rng.Uint64())
	}
	return string(b)
}

// measureThroughput runs every scenario against the clusters and Redis.
func measureThroughput(c config, ps *processes, t *table) error {
	if len(scenarios(c)) == 0 {
		return nil
	}
	redkeep, err := startRedkeep(c, ps, "redkeep", 3)
	if err != nil {
		return err
	}
	etcd, err := startEtcd(c, ps, "etcd", 3)
	if err != nil {
		return err
	}
	redis, err := startRedis(c, ps)
	if err != nil {
		return err
	}
	systems := []*system{redkeep, etcd, redis}
	for _, s := range systems {
		fmt.Printf("loading %d keys into %s\n", keySpace, s.name)
		if err := load(s, 0, keySpace); err != nil {
			return fmt.Errorf("load %s: %w", s.name, err)
		}
	}
	for _, sc := range scenarios(c) {
		if err := alternate(c, sc, systems, t); err != nil {
			return err
		}
	}
	ps.killAll()
	return nil
}

// alternate runs the rounds of one scenario, one system after the other and around again.
func alternate(c config, sc scenario, systems []*system, t *table) error {
	rates := map[string][]float64{}
	for _, s := range systems {
		if err := s.settle(); err != nil { // leadership may have moved since the last scenario
			return err
		}
	}
	for r := range c.rounds {
		for _, s := range systems {
			if s.name == "etcd" && !sc.etcd || s.name == "redis" && !sc.redis {
				continue
			}
			rate, err := round(s, sc, c.round, c.spread, uint64(r))
			if err != nil {
				return fmt.Errorf("%s on %s: %w", sc.name, s.name, err)
			}
			fmt.Printf("%-42s %-8s round %d  %9.0f/s\n", sc.name, s.name, r+1, rate)
			rates[s.name] = append(rates[s.name], rate)
		}
	}
	for name, all := range rates {
		t.rate(sc.name, name, median(all))
	}
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// round runs one scenario against one system and returns operations per second after the warm-up.
func round(s *system, sc scenario, d time.Duration, spread bool, seed uint64) (float64, error) {
	conns, hangUp, err := s.connect(sc.clients, sc.form, spread)
	if err != nil {
		return 0, err
	}
	defer hangUp()
	var wg sync.WaitGroup
	var counting, stop atomic.Bool
	var total atomic.Int64
	errs := make(chan error, sc.clients)
	for i, c := range conns {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			for !stop.Load() {
				n, err := sc.op(c, rng)
				if err != nil {
					errs <- err
					return
				}
				if counting.Load() {
					total.Add(int64(n))
				}
			}
		})
	}
	wait(d / 3)
	from := time.Now()
	counting.Store(true)
	wait(d)
	counting.Store(false)
	took := time.Since(from)
	stop.Store(true)
	wg.Wait()
	select {
	case err := <-errs:
		return 0, err
	default:
		return float64(total.Load()) / took.Seconds(), nil
	}
}

func wait(d time.Duration) { <-time.NewTimer(d).C }

// connect returns n clients of the leader, or of all nodes in turn.
func (s *system) connect(n, form int, spread bool) (clients []conn, hangUp func(), err error) {
	dial, share := s.dial, s.share
	switch {
	case form == separate:
		share = ownConnection
	case form == callers && s.dialShared != nil:
		dial, share = s.dialShared, 1
	}
	var open []conn
	hangUp = func() {
		for _, c := range open {
			c.close()
		}
	}
	for i := range min(n, share) {
		addr := s.leader()
		if spread {
			addr = s.addrs[i%len(s.addrs)]
		}
		c, err := dial(addr)
		if err != nil {
			hangUp()
			return nil, nil, err
		}
		open = append(open, c)
	}
	for i := range n {
		clients = append(clients, open[i%len(open)])
	}
	return clients, hangUp, nil
}

// load writes keys from…to with batches over several connections to the leader.
func load(s *system, from, to int) error {
	const batch, workers = 100, 8
	var next atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	for w := range workers {
		c, err := s.dial(s.leader())
		if err != nil {
			return err
		}
		wg.Go(func() {
			defer c.close()
			rng := rand.New(rand.NewPCG(99, uint64(w)))
			for {
				first := int(next.Add(batch)) - batch
				if first >= to {
					return
				}
				keys, values := make([]string, 0, batch), make([]string, 0, batch)
				for i := first; i < min(first+batch, to); i++ {
					keys, values = append(keys, keyName(i)), append(values, randomValue(rng))
				}
				if err := c.setMany(keys, values); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}
