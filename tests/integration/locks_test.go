package integration

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	rk "github.com/redkeep/redkeep/client"
	"github.com/redkeep/redkeep/tests/internal/node"
)

// await polls until ok, at most 30 s.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not in time", what)
		}
	}
}

// A lease granted through a follower, with a key on it, lives through the kill of the leader: its key goes
// neither before its time, nor much later.
func TestLeaseAcrossLeaderKill(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	via := client(t, c.Follower())
	const ttl = 5 * time.Second
	asked := time.Now()
	id, err := via.Do(bg, "LEASE.GRANT", ttl.Milliseconds()).Text()
	must(t, err)
	must(t, via.Do(bg, "SET", "k", "v", "LEASE", id).Err())
	renewed, err := rk.Grant(bg, via, 2*time.Second)
	must(t, err)
	must(t, via.Do(bg, "SET", "kept", "v", "LEASE", renewed.ID()).Err())
	await(t, "two seconds", func() bool { return time.Since(asked) > 2500*time.Millisecond })
	c.Leader().Kill9()
	await(t, "the key to go", func() bool {
		n, err := via.Exists(bg, "k").Result()
		return err == nil && n == 0
	})
	took := time.Since(asked)
	t.Logf("TTL %v, leader killed after 2.5 s: gone after %v", ttl, took)
	if took < ttl || took > ttl+4*time.Second {
		t.Errorf("a lease of %v ended after %v", ttl, took)
	}
	if n, err := via.Exists(bg, "kept").Result(); err != nil || n != 1 || renewed.Context().Err() != nil {
		t.Errorf("a lease that was renewed all the time ended: %d, %v, %v", n, err, renewed.Context().Err())
	}
	must(t, renewed.Close(bg))
	if n, err := via.Exists(bg, "kept").Result(); err != nil || n != 0 {
		t.Errorf("its key outlives it: %d, %v", n, err)
	}
}

// counter is what the contenders of a lock increase: read, then write one more, fenced.
func increase(ctx context.Context, c *redis.Client, m *rk.Mutex) error {
	now, err := c.Get(ctx, "counter").Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	return c.Do(ctx, "SET", "counter", now+1, "FENCE", "mutex", m.Token()).Err()
}

// contend takes the lock again and again, until it has increased the counter so often.
func contend(ctx context.Context, c *redis.Client, times int, tokens *sync.Map) error {
	for done := 0; done < times; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m := rk.NewMutex(c, "mutex", 3*time.Second)
		if m.Lock(ctx) != nil {
			continue
		}
		if _, twice := tokens.LoadOrStore(m.Token(), true); twice {
			return fmt.Errorf("two holders have token %d", m.Token())
		}
		if increase(ctx, c, m) == nil {
			done++
		}
		_ = m.Unlock(ctx)
	}
	return nil
}

// Eight contenders on all nodes, the leader killed and brought back twice: no two fenced writes interleave.
func TestMutexExcludes(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	ctx, cancel := context.WithTimeout(bg, 90*time.Second)
	defer cancel()
	const each = 40
	var contenders sync.WaitGroup
	var tokens sync.Map
	for i := range 8 {
		one := client(t, c.Nodes[i%3], func(o *redis.Options) { o.PoolSize = 10 })
		contenders.Go(func() {
			if err := contend(ctx, one, each, &tokens); err != nil {
				t.Error(err)
			}
		})
	}
	first := client(t, c.Nodes[0])
	for _, mark := range []int{60, 160} {
		await(t, "increments", func() bool {
			n, _ := first.Get(bg, "counter").Int()
			return n >= mark || ctx.Err() != nil
		})
		leader := c.Leader()
		leader.Kill9()
		leader.Start()
	}
	contenders.Wait()
	checkCounter(t, first, 8*each)
	sameState(t, c)
}

// checkCounter: each write of the counter is one more than the write before.
func checkCounter(t *testing.T, c *redis.Client, atLeast int) {
	history, err := c.Do(bg, "KV.HISTORY", "counter").Slice()
	must(t, err)
	if len(history) < atLeast {
		t.Errorf("%d writes, %d were acknowledged", len(history), atLeast)
	}
	for i, one := range history {
		value := -1
		switch f := one.(type) {
		case map[any]any:
			value, _ = strconv.Atoi(fmt.Sprint(f["value"]))
		case []any:
			value, _ = strconv.Atoi(fmt.Sprint(f[3]))
		}
		if want := len(history) - i; value != want {
			t.Fatalf("write %d of the counter is %d: two holders interleaved", want, value)
		}
	}
}

// A holder that is paused for longer than its TTL learns of it, and its late write is refused.
func TestPausedHolderIsFenced(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	c := client(t, n, func(o *redis.Options) { o.PoolSize = 10 })
	m := rk.NewMutex(c, "m", 300*time.Millisecond)
	must(t, m.Lock(bg))
	token := m.Token()
	must(t, c.Do(bg, "LEASE.REVOKE", m.Key()[len("m/"):]).Err()) // what a pause of the process comes to
	await(t, "the holder to be told", func() bool { return m.Context().Err() != nil })
	if !errors.Is(context.Cause(m.Context()), rk.ErrLost) {
		t.Errorf("cause %v", context.Cause(m.Context()))
	}
	if err := c.Do(bg, "SET", "k", "late", "FENCE", "m", token).Err(); !isPrefix(err, "LOCKLOST") {
		t.Errorf("a late write: %v", err)
	}
	if err := m.Unlock(bg); !errors.Is(err, rk.ErrLost) {
		t.Errorf("unlock: %v", err)
	}
}

// A connection of go-redis's pool that rests is pushed the loss of what was acquired on it: what is asked on
// it next gets its own answer.
func TestALossIsNoAnswer(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	c := client(t, n, func(o *redis.Options) { o.PoolSize, o.Protocol = 1, 3 })
	for i := range 20 {
		place, err := c.Do(bg, "LOCK.ACQUIRE", "m").Slice()
		must(t, err)
		if r := n.Do("DEL", place[0].(string)); r.Int() != 1 {
			t.Fatalf("DEL: %s", r)
		}
		if got, err := c.Incr(bg, "n").Result(); err != nil || got != int64(i+1) {
			t.Errorf("behind the push of a loss: %d, %v", got, err)
		}
	}
}

// A holder whose key somebody deletes, or a leader, has lost it, although the lease lives on: the context
// says so, and the next in line has a greater token.
func TestAForcedReleaseIsTold(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	c := client(t, n, func(o *redis.Options) { o.PoolSize = 10 })
	const ttl = 600 * time.Millisecond
	m, r, e := rk.NewMutex(c, "m", ttl), rk.NewRWMutex(c, "rw", ttl), rk.NewElection(c, "one", ttl)
	must(t, m.Lock(bg))
	must(t, r.RLock(bg))
	must(t, e.Campaign(bg, "p1"))
	leader, err := e.Leader(bg)
	must(t, err)
	renewed := time.Now().Add(2 * ttl)
	await(t, "some renewals", func() bool { return time.Now().After(renewed) })
	for what, ctx := range map[string]context.Context{"mutex": m.Context(), "reader": r.Reader().Context(),
		"leader": e.Context()} {
		if ctx.Err() != nil {
			t.Errorf("%s: lost without a reason: %v", what, context.Cause(ctx))
		}
	}
	must(t, c.Del(bg, m.Key(), r.Reader().Key(), leader.Key).Err())
	for what, ctx := range map[string]context.Context{"mutex": m.Context(), "reader": r.Reader().Context(),
		"leader": e.Context()} {
		await(t, what+" to be told", func() bool { return ctx.Err() != nil })
		if !errors.Is(context.Cause(ctx), rk.ErrLost) {
			t.Errorf("%s: cause %v", what, context.Cause(ctx))
		}
	}
	if err := m.Unlock(bg); !errors.Is(err, rk.ErrLost) {
		t.Errorf("unlock: %v", err)
	}
	if err := e.Resign(bg); !errors.Is(err, rk.ErrLost) {
		t.Errorf("resign: %v", err)
	}
}

// Readers together, writers alone, permits as many as there are, a candidate at a time.
func TestClientPackage(t *testing.T) {
	eachSize(t, func(t *testing.T, _ *node.Cluster, via *node.Node) {
		c := client(t, via, func(o *redis.Options) { o.PoolSize = 30 })
		r1, r2, w := rk.NewRWMutex(c, "rw", 0), rk.NewRWMutex(c, "rw", 0), rk.NewRWMutex(c, "rw", 0)
		must(t, r1.RLock(bg))
		must(t, r2.RLock(bg))
		if err := w.Writer().TryLock(bg); !errors.Is(err, rk.ErrHeld) {
			t.Errorf("a writer beside readers: %v", err)
		}
		soon, cancel := context.WithTimeout(bg, 100*time.Millisecond)
		defer cancel()
		if err := w.Lock(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waited in vain: %v", err)
		}
		must(t, r1.RUnlock(bg))
		must(t, r2.RUnlock(bg))
		must(t, w.Lock(bg))
		must(t, w.Unlock(bg))
		t.Run("semaphore", func(t *testing.T) { trySemaphore(t, c) })
		t.Run("election", func(t *testing.T) { tryElection(t, c) })
	})
}

// trySemaphore: one permit is not given back while others want one, and the others only when all want one.
func trySemaphore(t *testing.T, c *redis.Client) {
	const contenders = 9
	var inside, most atomic.Int64
	var all sync.WaitGroup
	everybody := make(chan struct{}) // closed when all stand in a queue, or hold
	long := rk.NewSemaphore(c, "sem", 3, 0)
	must(t, long.Acquire(bg))
	for range contenders {
		all.Go(func() {
			s := rk.NewSemaphore(c, "sem", 3, 0)
			if err := s.Acquire(bg); err != nil {
				t.Error(err)
				return
			}
			now := inside.Add(1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			}
			<-everybody // whoever gets a permit before all want one has it until then
			inside.Add(-1)
			if err := s.Release(bg); err != nil {
				t.Error(err)
			}
		})
	}
	await(t, "all to want a permit", func() bool {
		return len(c.Keys(bg, "sem#*").Val()) == contenders+1
	})
	close(everybody)
	all.Wait()
	if most.Load() > 2 {
		t.Errorf("%d inside at a time, beside the one that holds all the time", most.Load())
	}
	must(t, long.Release(bg))
}

func tryElection(t *testing.T, c *redis.Client) {
	a, b := rk.NewElection(c, "one", 0), rk.NewElection(c, "one", 0)
	if _, err := a.Leader(bg); !errors.Is(err, rk.ErrNoLeader) {
		t.Errorf("nobody has run: %v", err)
	}
	must(t, a.Campaign(bg, "p1"))
	won := make(chan error, 1)
	go func() { won <- b.Campaign(bg, "p2") }()
	must(t, a.Proclaim(bg, "p1b"))
	if l, err := b.Leader(bg); err != nil || l.Value != "p1b" || l.Token != a.Token() {
		t.Errorf("%+v, %v", l, err)
	}
	must(t, a.Resign(bg))
	must(t, <-won)
	if err := a.Proclaim(bg, "x"); !errors.Is(err, rk.ErrNotHeld) {
		t.Errorf("proclaimed after resigning: %v", err)
	}
	if l, err := a.Leader(bg); err != nil || l.Value != "p2" {
		t.Errorf("%+v, %v", l, err)
	}
	must(t, b.Resign(bg))
}
