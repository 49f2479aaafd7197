package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// measureSingle fills one node of Redkeep and one of etcd with a million keys and measures memory, restart,
// and how long writes stall while a snapshot is taken and while a million revisions are compacted.
func measureSingle(c config, ps *processes, t *table) error {
	redkeep, err := startRedkeep(c, ps, "single", 1)
	if err != nil {
		return err
	}
	if err := memoryAndRestart(c, redkeep, t); err != nil {
		return err
	}
	if err := walkRedkeep(c, redkeep, t); err != nil {
		return err
	}
	if err := redkeepStalls(c, redkeep, t); err != nil {
		return err
	}
	redkeep.procs[0].kill()
	etcd, err := startEtcd(c, ps, "esingle", 1)
	if err != nil {
		return err
	}
	if err := memoryAndRestart(c, etcd, t); err != nil {
		return err
	}
	return etcdStalls(c, etcd, t)
}

func memoryAndRestart(c config, s *system, t *table) error {
	fmt.Printf("loading %d keys into one node of %s\n", c.keys, s.name)
	from := time.Now()
	if err := load(s, 0, c.keys); err != nil {
		return fmt.Errorf("load %s: %w", s.name, err)
	}
	fmt.Printf("  loaded in %v\n", time.Since(from).Round(time.Millisecond))
	busy, err := s.procs[0].resident()
	if err != nil {
		return err
	}
	wait(30 * time.Second) // let it finish what it does behind, and give back what an idle node needs no more
	idle, err := s.procs[0].resident()
	if err != nil {
		return err
	}
	t.memoryBusy[s.name], t.memory[s.name] = busy, idle
	s.procs[0].kill()
	from = time.Now()
	if err := s.procs[0].launch(); err != nil {
		return err
	}
	if err := poll(2*time.Minute, 5*time.Millisecond, func() error {
		return readOnce(s,
			keyName(c.keys-1))
	}); err != nil {
		return fmt.Errorf("restart of %s: %w", s.name, err)
	}
	t.restart[s.name] = time.Since(from)
	after, err := s.procs[0].resident()
	t.memoryAfter[s.name] = after
	fmt.Printf("  %s: resident %v right after the load; %v; after the restart, which took %v, %v\n",
		s.name, busy, idle, t.restart[s.name].Round(time.Millisecond), after)
	return err
}

// readOnce makes one linearizable read on a fresh connection; it fails while the node is not back.
func readOnce(s *system, key string) error {
	if s.name == "etcd" {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		c, err := clientv3.New(etcdConfig(s.addrs...))
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Get(ctx, key)
		return err
	}
	c := redis.NewClient(&redis.Options{Addr: s.leader(), MaxRetries: -1, DialTimeout: time.Second})
	defer c.Close()
	return c.Get(context.Background(), key).Err()
}

// stalls is the worst write of a few clients that write without pause while something goes on.
type stalls struct {
	worst  atomic.Int64
	stop   atomic.Bool
	wg     sync.WaitGroup
	errs   chan error
	hangUp func()

	mu struct {
		sync.Mutex
		all []time.Duration
	}
}

func startWriters(s *system, clients, keys int) (*stalls, error) {
	conns, hangUp, err := s.connect(clients, usual, false)
	if err != nil {
		return nil, err
	}
	st := &stalls{errs: make(chan error, clients), hangUp: hangUp}
	for i, c := range conns {
		st.wg.Go(func() {
			rng := rand.New(rand.NewPCG(5, uint64(i)))
			var took []time.Duration
			defer func() {
				st.mu.Lock()
				st.mu.all = append(st.mu.all, took...)
				st.mu.Unlock()
			}()
			for !st.stop.Load() {
				from := time.Now()
				if err := c.set(keyName(rng.IntN(keys)), randomValue(rng)); err != nil {
					st.errs <- err
					return
				}
				took = append(took, time.Since(from))
				st.note(took[len(took)-1])
			}
		})
	}
	return st, nil
}

func (st *stalls) note(d time.Duration) {
	for {
		old := st.worst.Load()
		if int64(d) <= old || st.worst.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

func (st *stalls) end() (time.Duration, error) {
	st.stop.Store(true)
	st.wg.Wait()
	st.hangUp()
	select {
	case err := <-st.errs:
		return 0, err
	default:
		return time.Duration(st.worst.Load()), nil
	}
}

// during runs what while four clients write, and files the worst write under name.
func during(s *system, t *table, name string, keys int, what func() error) error {
	st, err := startWriters(s, 4, keys)
	if err != nil {
		return err
	}
	err = what()
	worst, err2 := st.end()
	if err == nil {
		err = err2
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", name, s.name, err)
	}
	fmt.Printf("  %s: worst SET while %s: %v\n", s.name, name, worst.Round(100*time.Microsecond))
	t.stall(name, s.name, worst)
	return nil
}

// redkeepStalls restarts the node so that a snapshot is due soon, then compacts a million revisions by hand.
func redkeepStalls(c config, s *system, t *table) error {
	quiet := func() error { wait(3 * time.Second); return nil }
	if err := during(s, t, "nothing else", c.keys, quiet); err != nil {
		return err
	}
	p := s.procs[0]
	p.kill()
	p.argv = append(p.argv, "--snapshot-bytes", "4MiB")
	if err := p.launch(); err != nil {
		return err
	}
	if err := s.settle(); err != nil {
		return err
	}
	if err := during(s, t, "a snapshot", c.keys, func() error { return nextSnapshot(c) }); err != nil {
		return err
	}
	p.kill()
	p.argv = append(p.argv, "--snapshot-bytes", "64GiB", "--history-bytes", "64GiB")
	if err := p.launch(); err != nil {
		return err
	}
	if err := s.settle(); err != nil {
		return err
	}
	if err := load(s, 0, c.keys); err != nil {
		return err
	}
	return during(s, t, "compaction", c.keys, func() error { return compactRedkeep(s) })
}

// nextSnapshot waits until a snapshot that is not there yet has been finished.
func nextSnapshot(c config) error {
	pattern := filepath.Join(c.dir, "single0", "snapshots", "*[0-9]", "state.bin")
	before, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	old := map[string]bool{}
	for _, f := range before {
		old[f] = true
	}
	return poll(2*time.Minute, 20*time.Millisecond, func() error {
		now, err := filepath.Glob(pattern)
		for _, f := range now {
			if !old[f] {
				return nil
			}
		}
		return fmt.Errorf("no new snapshot, %v", err)
	})
}

// compactRedkeep compacts to the present and waits until the history is gone.
func compactRedkeep(s *system) error {
	ctx := context.Background()
	c := redis.NewClient(&redis.Options{Addr: s.leader(), MaxRetries: -1, Protocol: 2, ReadTimeout: time.Minute})
	defer c.Close()
	revision, err := statusField(c, "revision")
	if err != nil {
		return err
	}
	if err := c.Do(ctx, "KV.COMPACT", revision).Err(); err != nil {
		return err
	}
	return poll(3*time.Minute, 50*time.Millisecond, func() error {
		n, err := statusField(c, "history_bytes")
		if err == nil && n > 32<<20 {
			err = fmt.Errorf("%d bytes of history are left", n)
		}
		return err
	})
}

func statusField(c *redis.Client, name string) (int64, error) {
	fields, err := c.Do(context.Background(), "CLUSTER.STATUS").Slice()
	if err != nil {
		return 0, err
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if n, ok := fields[i+1].(int64); ok && fields[i] == name {
			return n, nil
		}
	}
	return 0, fmt.Errorf("CLUSTER.STATUS has no number %s", name)
}

// etcdStalls compacts a million revisions physically while clients write.
func etcdStalls(c config, s *system, t *table) error {
	quiet := func() error { wait(3 * time.Second); return nil }
	if err := during(s, t, "nothing else", c.keys, quiet); err != nil {
		return err
	}
	if err := load(s, 0, c.keys); err != nil {
		return err
	}
	return during(s, t, "compaction", c.keys, func() error {
		cl, err := clientv3.New(etcdConfig(s.addrs...))
		if err != nil {
			return err
		}
		defer cl.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		r, err := cl.Get(ctx, "settled")
		if err != nil {
			return err
		}
		_, err = cl.Compact(ctx, r.Header.Revision, clientv3.WithCompactPhysical())
		return err
	})
}
