package integration

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// ledger remembers which writes were acknowledged while clients write unique keys through every node.
type ledger struct {
	stop  chan struct{}
	wg    sync.WaitGroup
	acked [][]string // per writer, in order
	count atomic.Int64
}

// writers starts clients that write for as long as stop is open; errors are expected and mean nothing here.
func writers(t *testing.T, c *node.Cluster, perNode int) *ledger {
	l := &ledger{stop: make(chan struct{}), acked: make([][]string, perNode*len(c.Nodes))}
	for w := range l.acked {
		rc := client(t, c.Nodes[w%len(c.Nodes)], func(o *redis.Options) { o.DialTimeout = 200 * time.Millisecond })
		l.wg.Go(func() { l.write(rc, w) })
	}
	t.Cleanup(l.end)
	return l
}

func (l *ledger) write(rc *redis.Client, w int) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		k := fmt.Sprintf("w%d:%d", w, i)
		if rc.Set(bg, k, k, 0).Err() == nil {
			l.acked[w] = append(l.acked[w], k)
			l.count.Add(1)
		}
	}
}

func (l *ledger) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
}

// grow waits until n more writes are acknowledged.
func (l *ledger) grow(t *testing.T, n int64) {
	t.Helper()
	want := l.count.Load() + n
	node.Eventually(t, 30*time.Second, fmt.Sprintf("%d more writes", n), func() error {
		if have := l.count.Load(); have < want {
			return fmt.Errorf("%d of %d", have, want)
		}
		return nil
	})
}

// missing reads every acknowledged key through a node and counts those that are gone.
func (l *ledger) missing(t *testing.T, via *node.Node) (total, gone int) {
	t.Helper()
	c := client(t, via)
	for _, keys := range l.acked {
		for len(keys) > 0 {
			part := keys[:min(len(keys), 500)]
			keys = keys[len(part):]
			vals, err := c.MGet(bg, part...).Result()
			must(t, err)
			for i, v := range vals {
				total++
				if v != part[i] {
					gone++
				}
			}
		}
	}
	return total, gone
}

func (l *ledger) checkNothingMissing(t *testing.T, c *node.Cluster) {
	t.Helper()
	l.end()
	for _, n := range c.Nodes {
		if !n.Proc.Running() {
			continue
		}
		total, gone := l.missing(t, n)
		if gone > 0 || total == 0 {
			t.Errorf("%d of %d acknowledged writes are missing on %s", gone, total, n.Name)
		}
	}
}

// recovery is the bound of the issue: the first write after the leader is killed.
const recovery = 3 * time.Second

func TestLeaderKilled(t *testing.T) {
	eachStore(t, func(t *testing.T, flags []string) {
		c := node.Start(t, node.Options{Nodes: 3, Flags: flags})
		l := writers(t, c, 2)
		l.grow(t, 200)
		for range 3 {
			leader := c.Leader()
			via := client(t, c.Follower())
			leader.Kill9()
			from := time.Now()
			must(t, node.Poll(20*time.Second, func() error { return via.Set(bg, "first", "write", 0).Err() }))
			took := time.Since(from)
			t.Logf("first write %v after kill -9 of the leader", took.Round(time.Millisecond))
			if took > recovery {
				t.Errorf("first write after %v, allowed %v", took, recovery)
			}
			if got, err := client(t, c.Follower()).Get(bg, "first").Result(); got != "write" || err != nil {
				t.Errorf("read back: %q, %v", got, err)
			}
			leader.Start()
			l.grow(t, 100)
		}
		l.checkNothingMissing(t, c)
		sameState(t, c)
	})
}

func TestAllKilledAtOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, flags []string) {
		for _, nodes := range []int{1, 3} {
			t.Run(fmt.Sprint(nodes), func(t *testing.T) {
				c := node.Start(t, node.Options{Nodes: nodes, Flags: flags})
				l := writers(t, c, 3)
				for range 3 {
					l.grow(t, 300)
					c.KillAll()
					c.StartAll()
				}
				l.grow(t, 100)
				l.checkNothingMissing(t, c)
				sameState(t, c)
			})
		}
	})
}

// A graceful stop hands leadership over, so that the others hardly notice.
func TestGracefulStopHandsOver(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	must(t, client(t, c.Nodes[0]).Set(bg, "k", "v", 0).Err())
	leader := c.Leader()
	via := client(t, c.Follower())
	leader.Stop()
	from := time.Now()
	must(t, node.Poll(10*time.Second, func() error { return via.Set(bg, "k", "w", 0).Err() }))
	if took := time.Since(from); took > 500*time.Millisecond {
		t.Errorf("first write %v after a graceful stop of the leader", took)
	}
	leader.Start()
	sameState(t, c)
}

// With retries off, a counter under kill -9 of leaders ends between what was acknowledged and that plus the
// calls of unknown outcome; a call refused as not done must not count.
func TestIncrementsUnderLeaderChange(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	var acked, unknown, refused atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 9 {
		rc := client(t, c.Nodes[w%3])
		wg.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				countIncrement(rc.Incr(bg, "n").Err(), &acked, &unknown, &refused)
			}
		})
	}
	for range 3 {
		before := acked.Load()
		node.Eventually(t, 30*time.Second, "increments go on", func() error {
			if acked.Load() < before+300 {
				return errors.New("too few")
			}
			return nil
		})
		leader := c.Leader()
		leader.Kill9()
		leader.Start()
	}
	close(stop)
	wg.Wait()
	n, err := client(t, c.Follower()).Get(bg, "n").Int64()
	must(t, err)
	a, u := acked.Load(), unknown.Load()
	t.Logf("counter %d: %d acknowledged, %d unknown, %d refused", n, a, u, refused.Load())
	if n < a || n > a+u {
		t.Errorf("counter is %d, want %d to %d", n, a, a+u)
	}
	if u+refused.Load() == 0 {
		t.Error("no call failed: the kills did not hit")
	}
}

func countIncrement(err error, acked, unknown, refused *atomic.Int64) {
	switch {
	case err == nil:
		acked.Add(1)
	case isPrefix(err, "CLUSTERDOWN", "BUSY", "TRYAGAIN", "OOM"):
		refused.Add(1)
	default:
		unknown.Add(1)
	}
}

// installed is how many snapshots the process of a node was given by a leader.
func installed(t *testing.T, n *node.Node) (count int) {
	t.Helper()
	body, err := fetch(http.DefaultClient, "http://"+n.HTTPAddr+"/metrics")
	http.DefaultClient.CloseIdleConnections()
	must(t, err)
	_, rest, _ := strings.Cut(body, "\nredkeep_snapshots_installed_total ")
	if _, err := fmt.Sscan(rest, &count); err != nil {
		t.Fatalf("the metric of snapshots installed: %v", err)
	}
	return count
}

// A follower that was down while the log went on beyond what the leader keeps gets a snapshot, then the rest.
func TestSnapshotInstall(t *testing.T) {
	eachStore(t, func(t *testing.T, flags []string) {
		c := node.Start(t, node.Options{Nodes: 3, Flags: append(flags, "--snapshot-bytes", "256KiB",
			"--history-bytes", "16MiB")})
		rc := client(t, c.Leader())
		must(t, rc.Set(bg, "before", "1", 0).Err())
		lagging := c.Follower()
		lagging.Kill9()
		big := string(make([]byte, 1<<20))
		for i := range 180 {
			must(t, rc.Set(bg, key(i%8), big, 0).Err())
			must(t, rc.Set(bg, "count", i, 0).Err())
		}
		lagging.Start()
		sameState(t, c)
		local := raw(t, lagging)
		expect(t, local, "+OK\r\n", "READONLY")
		expect(t, local, "$3\r\n179\r\n", "GET", "count")
		expect(t, local, "$1\r\n1\r\n", "GET", "before")
		if installed(t, lagging) == 0 {
			t.Error("it was given no snapshot")
		}
		lagging.Restart()
		must(t, client(t, lagging).Set(bg, "after", "1", 0).Err())
		sameState(t, c)
	})
}
