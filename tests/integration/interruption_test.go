package integration

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// interruption writes through n without a pause, and returns the longest time between two acknowledged writes
// while lose runs and for a while after it.
func interruption(t *testing.T, n *node.Node, lose func()) (worst time.Duration) {
	t.Helper()
	const before, after = 100, 200
	c := client(t, n, func(o *redis.Options) { o.ContextTimeoutEnabled = true })
	warm, done := make(chan struct{}), make(chan time.Duration, 1)
	var lost atomic.Bool
	go func() {
		last, longest := time.Now(), time.Duration(0)
		for written, tail := 0, 0; tail < after; {
			if !writeWithin(c, 100*time.Millisecond) {
				continue
			}
			if written++; written == before {
				close(warm)
			}
			now := time.Now()
			if written > before {
				longest = max(longest, now.Sub(last))
			}
			if last = now; lost.Load() {
				tail++
			}
		}
		done <- longest
	}()
	<-warm
	lose()
	lost.Store(true)
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	select {
	case worst = <-done:
	case <-limit.C:
		t.Fatal("writes have not come back in 30 s")
	}
	return worst
}

func writeWithin(c *redis.Client, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(bg, limit)
	defer cancel()
	return c.Set(ctx, "probe", "v", 0).Err() == nil
}

// A graceful stop of the leader is hardly felt: less than half of what it takes to notice that a leader is
// gone. The bench measures it (at most 200 ms); here the machine may be busy.
func TestGracefulStopInterruptsBriefly(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	leader := c.Leader()
	took := interruption(t, c.Follower(), leader.Stop)
	t.Logf("no write was taken for %v", took.Round(time.Millisecond))
	if took > 500*time.Millisecond {
		t.Error("that is as long as an election takes")
	}
}

// A killed leader is missed after ten heartbeats; then others lead.
func TestKilledLeaderInterruptsShortly(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	leader := c.Leader()
	took := interruption(t, c.Follower(), leader.Kill9)
	t.Logf("no write was taken for %v", took.Round(time.Millisecond))
	if took > recovery {
		t.Errorf("allowed %v", recovery)
	}
}
