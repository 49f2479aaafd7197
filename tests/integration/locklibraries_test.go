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

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// The lock libraries of Go, as they are, against one node and, through all of three, a cluster.

// eachCluster runs a test with a client for each node of a cluster of one and of three.
func eachCluster(t *testing.T, run func(t *testing.T, clients []*redis.Client)) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			c := node.Start(t, node.Options{Nodes: nodes})
			var clients []*redis.Client
			for _, n := range c.Nodes {
				clients = append(clients, client(t, n))
			}
			run(t, clients)
			if nodes > 1 {
				sameState(t, c)
			}
		})
	}
}

func TestRedsync(t *testing.T) {
	eachCluster(t, func(t *testing.T, clients []*redis.Client) {
		rs := redsync.New(goredis.NewPool(clients[0]))
		other := redsync.New(goredis.NewPool(clients[len(clients)-1]))
		mine := rs.NewMutex("lock", redsync.WithExpiry(20*time.Second), redsync.WithTries(1))
		yours := other.NewMutex("lock", redsync.WithExpiry(20*time.Second), redsync.WithTries(1))
		must(t, mine.Lock())
		if err := yours.Lock(); err == nil {
			t.Error("two hold the lock")
		}
		if ok, err := mine.Extend(); !ok || err != nil {
			t.Errorf("Extend: %v, %v", ok, err)
		}
		if ok, err := mine.Valid(); !ok || err != nil {
			t.Errorf("Valid: %v, %v", ok, err)
		}
		if ok, _ := yours.Unlock(); ok {
			t.Error("a lock was released by somebody who does not hold it")
		}
		if ok, err := mine.Unlock(); !ok || err != nil {
			t.Errorf("Unlock: %v, %v", ok, err)
		}
		must(t, yours.Lock())
		if ok, err := yours.Unlock(); !ok || err != nil {
			t.Errorf("Unlock: %v, %v", ok, err)
		}
		excludes(t, clients, func(c *redis.Client) (release func() error, err error) {
			m := redsync.New(goredis.NewPool(c)).NewMutex("contended", redsync.WithTries(500),
				redsync.WithRetryDelay(5*time.Millisecond))
			return func() error { _, err := m.Unlock(); return err }, m.Lock()
		})
	})
}

func TestRedislock(t *testing.T) {
	eachCluster(t, func(t *testing.T, clients []*redis.Client) {
		mine, yours := redislock.New(clients[0]), redislock.New(clients[len(clients)-1])
		lock, err := mine.Obtain(bg, "lock", 20*time.Second, &redislock.Options{Metadata: "who"})
		must(t, err)
		if _, err := yours.Obtain(bg, "lock", 20*time.Second, nil); !errors.Is(err, redislock.ErrNotObtained) {
			t.Errorf("two hold the lock: %v", err)
		}
		if ttl, err := lock.TTL(bg); err != nil || ttl < 15*time.Second || ttl > 20*time.Second {
			t.Errorf("TTL %v, %v", ttl, err)
		}
		must(t, lock.Refresh(bg, 60*time.Second, nil))
		if ttl, err := lock.TTL(bg); err != nil || ttl < 55*time.Second {
			t.Errorf("TTL after Refresh %v, %v", ttl, err)
		}
		if lock.Metadata() != "who" {
			t.Errorf("metadata %q", lock.Metadata())
		}
		must(t, lock.Release(bg))
		if err := lock.Release(bg); !errors.Is(err, redislock.ErrLockNotHeld) {
			t.Errorf("second release: %v", err)
		}
		excludes(t, clients, func(c *redis.Client) (release func() error, err error) {
			l, err := redislock.New(c).Obtain(bg, "contended", 10*time.Second, &redislock.Options{
				RetryStrategy: redislock.LinearBackoff(5 * time.Millisecond)})
			return func() error { return l.Release(bg) }, err
		})
	})
}

// excludes lets many take a lock in turn, over all nodes, and demands that no two ever hold it. Under the
// lock they read a number and write the next one, so that who holds it beside another is there long enough.
func excludes(t *testing.T, clients []*redis.Client, obtain func(*redis.Client) (func() error, error)) {
	t.Helper()
	var holders, turns atomic.Int64
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for range 5 {
				release, err := obtain(clients[i%len(clients)])
				if err != nil {
					t.Errorf("obtain: %v", err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				number, err := clients[i%len(clients)].Get(bg, "number").Int()
				if err != nil && !errors.Is(err, redis.Nil) {
					t.Errorf("read under the lock: %v", err)
				}
				if err := clients[i%len(clients)].Set(bg, "number", number+1, 0).Err(); err != nil {
					t.Errorf("write under the lock: %v", err)
				}
				turns.Add(1)
				holders.Add(-1)
				if err := release(); err != nil {
					t.Errorf("release: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if number, err := clients[0].Get(bg, "number").Int(); turns.Load() != 30 || number != 30 || err != nil {
		t.Errorf("%d turns, counted as %d, %v", turns.Load(), number, err)
	}
}

// A counter that many clients increment by a script through all nodes counts the calls that succeeded.
func TestScriptCounter(t *testing.T) {
	eachCluster(t, func(t *testing.T, clients []*redis.Client) {
		increment := redis.NewScript(`local n = tonumber(redis.call('GET', KEYS[1]) or '0') + 1
			redis.call('SET', KEYS[1], n) redis.call('SET', KEYS[2] .. n, 'taken', 'NX') return n`)
		var done atomic.Int64
		var wg sync.WaitGroup
		var seen sync.Map
		ctx, cancel := context.WithTimeout(bg, 60*time.Second)
		defer cancel()
		for i := range 24 {
			wg.Go(func() {
				for range 10 {
					n, err := increment.Run(ctx, clients[i%len(clients)], []string{"n", "mark:"}).Int64()
					if err != nil {
						t.Errorf("increment: %v", err)
						continue
					}
					if _, again := seen.LoadOrStore(n, true); again {
						t.Errorf("two were told %d", n)
					}
					done.Add(1)
				}
			})
		}
		wg.Wait()
		got, err := clients[0].Get(bg, "n").Result()
		if err != nil || got != strconv.FormatInt(done.Load(), 10) {
			t.Errorf("the counter is %s (%v) after %d increments", got, err, done.Load())
		}
		marks, err := clients[len(clients)-1].Keys(bg, "mark:*").Result()
		if err != nil || int64(len(marks)) != done.Load() {
			t.Errorf("%d marks (%v) after %d increments", len(marks), err, done.Load())
		}
	})
}
