package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// load changes keys through all nodes until it is ended: puts, deletes, deadlines, and pairs of keys that are
// always written together, so that a store which ever shows two halves of different age is found out.
type load struct {
	stop chan struct{}
	wg   sync.WaitGroup
	done atomic.Int64
}

func startLoad(t *testing.T, c *node.Cluster) *load {
	l := &load{stop: make(chan struct{})}
	for w := range 2 * len(c.Nodes) {
		rc := client(t, c.Nodes[w%len(c.Nodes)], func(o *redis.Options) { o.DialTimeout = 200 * time.Millisecond })
		l.wg.Go(func() { l.run(rc, w) })
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) run(rc *redis.Client, w int) {
	r := rand.New(rand.NewPCG(uint64(w), 7))
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		if l.change(rc, r, w, i) == nil {
			l.done.Add(1)
		}
	}
}

func (l *load) change(rc *redis.Client, r *rand.Rand, w, i int) error {
	key := fmt.Sprintf("w%d:%d", w, r.IntN(200))
	switch r.IntN(8) {
	case 0:
		return rc.Del(bg, key).Err()
	case 1:
		return rc.PExpireAt(bg, key, time.UnixMilli(4102444800000+int64(i))).Err()
	case 2:
		return rc.Set(bg, key, "soon gone", 50*time.Millisecond).Err()
	case 3:
		_, err := rc.TxPipelined(bg, func(p redis.Pipeliner) error {
			a, b := fmt.Sprintf("pair:%d:a", w), fmt.Sprintf("pair:%d:z", w)
			p.Set(bg, a, i, 0)
			p.Set(bg, b, i, 0)
			return nil
		})
		return err
	}
	return rc.Set(bg, key, fmt.Sprintf("%d\x00\xff", i), 0).Err()
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
}

// grow waits for so many more changes.
func (l *load) grow(t *testing.T, n int64) {
	t.Helper()
	want := l.done.Load() + n
	node.Eventually(t, 60*time.Second, fmt.Sprintf("%d more changes", n), func() error {
		if have := l.done.Load(); have < want {
			return fmt.Errorf("%d of %d", have, want)
		}
		return nil
	})
}

// watchPairs reads pairs at the destination until the test ends and fails it when the halves differ.
func watchPairs(t *testing.T, dest *redis.Client, pairs int) (seen *atomic.Int64, stop func()) {
	seen = &atomic.Int64{}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ended:
				return
			default:
			}
			for w := range pairs {
				both, err := dest.MGet(bg, fmt.Sprintf("pair:%d:a", w), fmt.Sprintf("pair:%d:z", w)).Result()
				if err == nil && both[0] != both[1] {
					t.Errorf("half a revision: %v", both)
				}
				if err == nil && both[0] != nil {
					seen.Add(1)
				}
			}
		}
	}()
	stop = sync.OnceFunc(func() { close(ended); <-done })
	t.Cleanup(stop)
	return seen, stop
}

// mirrored waits until a mirror that runs has come so far that the destination's bookmark is at a revision.
func mirrored(t *testing.T, dest *redis.Client, rev int64) {
	t.Helper()
	node.Eventually(t, 60*time.Second, fmt.Sprintf("the mirror is at revision %d", rev), func() error {
		text := dest.Get(bg, "redkeep:mirror").Val()
		_, after, _ := strings.Cut(text, `"revision":`)
		digits := after[:len(after)-len(strings.TrimLeft(after, "0123456789"))]
		if n, _ := strconv.ParseInt(digits, 10, 64); n < rev || !strings.Contains(text, `"state":"follow"`) {
			return fmt.Errorf("bookmark %s", text)
		}
		return nil
	})
}

// revisionOf is the source's.
func revisionOf(n *node.Node) int64 {
	r, _ := n.Do("KV.RANGE", "", "COUNTONLY").Field("revision")
	return r.Int()
}

// startMirror starts a mirror and does not wait for it.
func startMirror(t *testing.T, args ...string) *node.Process {
	t.Helper()
	return node.Launch(t, "mirror", append([]string{node.Binary(t), "mirror"}, args...), nil)
}

// A mirror is killed, nodes are killed, writes go on: at the end both are equal, and a revision was never
// half.
func TestMirrorSurvives(t *testing.T) {
	t.Run("to Redkeep", func(t *testing.T) {
		d := node.Start(t, node.Options{})
		mirrorSurvives(t, d.Nodes[0].ClientAddr, d.Nodes[0].Restart)
	})
	t.Run("to Redis", func(t *testing.T) {
		addr, _ := node.Redis(t)
		mirrorSurvives(t, "redis://"+addr, func() {
			must(t, dial(t, addr).Do(bg, "CLIENT", "KILL", "TYPE", "normal").Err())
		})
	})
}

func mirrorSurvives(t *testing.T, dest string, disturb func()) {
	c := node.Start(t, node.Options{Nodes: 3})
	must(t, client(t, c.Nodes[0]).Set(bg, "redkeep:mirror", "a key of the source with that name", 0).Err())
	l := startLoad(t, c)
	l.grow(t, 500)
	args := []string{dest, "--endpoints", strings.Join(c.Addrs(), ","), "--report", "1s"}
	there := dial(t, strings.TrimPrefix(dest, "redis://"))
	p := startMirror(t, args...)
	seen, stop := watchPairs(t, there, 6)
	for range 2 {
		mirrored(t, there, revisionOf(c.Nodes[0]))
		l.grow(t, 200)
		p.Kill()
		l.grow(t, 200)
		p = startMirror(t, args...)
		l.grow(t, 100)
		disturb()
		mirrored(t, there, revisionOf(c.Nodes[0]))
		leader := c.Leader()
		leader.Kill9()
		l.grow(t, 100)
		leader.Start()
		l.grow(t, 100)
	}
	l.end()
	p.Signal(15)
	if code, err := p.WaitExit(30 * time.Second); err != nil || code != 0 {
		t.Errorf("interrupted: exit %d, %v\n%s", code, err, p.Output())
	}
	stop()
	said := p.Output()
	if !strings.Contains(said, "going on at revision") || !strings.Contains(said, "behind the source") {
		t.Errorf("said\n%s", said)
	}
	source := client(t, c.Nodes[0])
	node.Eventually(t, 30*time.Second, "what was to end soon has ended", func() error {
		for k, v := range stringsOf(t, source) {
			if v.deadline > 0 && v.deadline < 4102444800000*time.Millisecond {
				return errors.New(k)
			}
		}
		return nil
	})
	out := mustRun(t, append([]string{"mirror", "--once"}, args...)...)
	if !strings.Contains(out, "0 behind the source") {
		t.Errorf("said\n%s", out)
	}
	if seen.Load() < 100 {
		t.Errorf("only %d pairs were seen", seen.Load())
	}
	same(t, stringsOf(t, source), stringsOf(t, there))
}

// When the history behind the bookmark is gone, the mirror copies anew, and what was deleted meanwhile goes.
func TestMirrorAfterCompaction(t *testing.T) {
	c, d := node.Start(t, node.Options{}), node.Start(t, node.Options{})
	source, there := client(t, c.Nodes[0]), client(t, d.Nodes[0])
	for i := range 1500 {
		must(t, source.Set(bg, key(i), i, 0).Err())
	}
	args := []string{"mirror", d.Nodes[0].ClientAddr, "--once", "--endpoints", c.Nodes[0].ClientAddr}
	mustRun(t, args...)
	same(t, stringsOf(t, source), stringsOf(t, there))
	for i := range 700 {
		must(t, source.Del(bg, key(i)).Err())
		must(t, source.Set(bg, "new"+key(i), i, 0).Err())
	}
	if r := c.Nodes[0].Do("KV.COMPACT", strconv.FormatInt(revisionOf(c.Nodes[0]), 10), "PHYSICAL"); r.IsErr() {
		t.Fatal(r)
	}
	out := mustRun(t, args...)
	if !strings.Contains(out, "copying anew") || !strings.Contains(out, "700 deleted") {
		t.Errorf("said\n%s", out)
	}
	same(t, stringsOf(t, source), stringsOf(t, there))
}

// A destination that is full is told of, waited for, and caught up with.
func TestMirrorFullTarget(t *testing.T) {
	c := node.Start(t, node.Options{})
	source := client(t, c.Nodes[0])
	addr, _ := node.Redis(t, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
	there := dial(t, addr)
	for i := range 400 {
		must(t, source.Set(bg, key(i), strings.Repeat("x", 10_000), 0).Err())
	}
	p := startMirror(t, addr, "--endpoints", c.Nodes[0].ClientAddr)
	node.Eventually(t, 60*time.Second, "the mirror tells of it", func() error {
		if !strings.Contains(p.Output(), "the destination: OOM command not allowed") {
			return fmt.Errorf("%s", p.Output())
		}
		return nil
	})
	must(t, source.Del(bg, key(3)).Err())
	must(t, there.ConfigSet(bg, "maxmemory", "0").Err())
	mirrored(t, there, revisionOf(c.Nodes[0]))
	same(t, stringsOf(t, source), stringsOf(t, there))
	if !strings.Contains(p.Output(), "takes requests again after") {
		t.Errorf("said\n%s", p.Output())
	}
}

// FLUSHALL is one revision of as many deletes as there are keys: more than one transaction may have.
func TestMirrorLargeRevision(t *testing.T) {
	c := node.Start(t, node.Options{})
	source := client(t, c.Nodes[0])
	addr, _ := node.Redis(t)
	for from := 0; from < 20_000; from += 1000 {
		pipe := source.Pipeline()
		for i := range 1000 {
			pipe.Set(bg, key(from+i), "v", 0)
		}
		_, err := pipe.Exec(bg)
		must(t, err)
	}
	there := dial(t, addr)
	p := startMirror(t, addr, "--endpoints", c.Nodes[0].ClientAddr)
	mirrored(t, there, revisionOf(c.Nodes[0]))
	must(t, source.FlushAll(bg).Err())
	must(t, source.Set(bg, "only", "one", 0).Err())
	mirrored(t, there, revisionOf(c.Nodes[0]))
	same(t, stringsOf(t, source), stringsOf(t, there))
	p.Kill()
}

func TestMirrorPrefixes(t *testing.T) {
	c := node.Start(t, node.Options{})
	source := client(t, c.Nodes[0])
	addr, _ := node.Redis(t)
	there := dial(t, addr)
	for _, k := range []string{"app/a", "app/b", "app", "apq", "other"} {
		must(t, source.Set(bg, k, k, 0).Err())
	}
	must(t, there.Set(bg, "mine", "stays", 0).Err())
	args := []string{"mirror", addr, "--once", "--endpoints", c.Nodes[0].ClientAddr, "--prefix", "app/"}
	mustRun(t, append(args, "--dest-prefix", "copy*/")...)
	want := map[string]held{"mine": {"stays", -1}, "copy*/a": {"app/a", -1}, "copy*/b": {"app/b", -1}}
	same(t, want, stringsOf(t, there))
	refuses(t, "is the bookmark of the mirror of cluster", args...)
	must(t, there.Set(bg, "app/old", "x", 0).Err())
	refuses(t, `holds keys already, "app/old" for one`, append(args, "--state-key", "redkeep:second")...)
	mustRun(t, append(args, "--state-key", "redkeep:second", "--replace")...)
	if got := there.Exists(bg, "app/old", "app/a", "mine", "copy*/a").Val(); got != 3 {
		t.Errorf("%d of the keys are there", got)
	}
	self := []string{"mirror", c.Nodes[0].ClientAddr, "--once", "--endpoints", c.Nodes[0].ClientAddr,
		"--prefix", "app/"}
	refuses(t, "the same cluster", self...)
	mustRun(t, append(self, "--dest-prefix", "backup/")...)
	if got := source.Get(bg, "backup/a").Val(); got != "app/a" {
		t.Errorf("copied beside: %q", got)
	}
}

// Of two mirrors of the same the second takes over, and the first ends.
func TestMirrorTakenOver(t *testing.T) {
	c, d := node.Start(t, node.Options{}), node.Start(t, node.Options{})
	source, there := client(t, c.Nodes[0]), client(t, d.Nodes[0])
	must(t, source.Set(bg, "a", "1", 0).Err())
	args := []string{d.Nodes[0].ClientAddr, "--endpoints", c.Nodes[0].ClientAddr}
	first := startMirror(t, args...)
	mirrored(t, there, revisionOf(c.Nodes[0]))
	second := startMirror(t, args...)
	node.Eventually(t, 30*time.Second, "the second goes on", func() error {
		if !strings.Contains(second.Output(), "going on at revision") {
			return errors.New(second.Output())
		}
		return nil
	})
	must(t, source.Set(bg, "a", "2", 0).Err())
	code, err := first.WaitExit(30 * time.Second)
	if err != nil || code != 1 || !strings.Contains(first.Output(), "another run of the same has taken over") {
		t.Errorf("exit %d, %v\n%s", code, err, first.Output())
	}
	mirrored(t, there, revisionOf(c.Nodes[0]))
	same(t, stringsOf(t, source), stringsOf(t, there))
}

func TestMirrorRefusals(t *testing.T) {
	c := node.Start(t, node.Options{})
	source := "--endpoints=" + c.Nodes[0].ClientAddr
	sharded, _ := node.Redis(t, "--cluster-enabled", "yes")
	master, _ := node.Redis(t)
	replica, _ := node.Redis(t, "--replicaof", strings.Replace(master, ":", " ", 1))
	locked, _ := node.Redis(t)
	must(t, dial(t, locked).ConfigSet(bg, "requirepass", "secret").Err())
	foreign, _ := node.Redis(t)
	must(t, dial(t, foreign).Set(bg, "redkeep:mirror", "mine", 0).Err())
	for _, r := range []struct{ dest, want string }{
		{node.FreeAddr(t), "connection refused"}, {"nowhere", "must be host:port or a URL"},
		{sharded, "this is a Redis Cluster"}, {replica, "this is a replica"},
		{"redis://" + foreign, "is no bookmark"},
		{locked, "NOAUTH"}, {"redis://:wrong@" + locked, "WRONGPASS"},
	} {
		refuses(t, r.want, "mirror", r.dest, source, "--once")
	}
	mustRun(t, "mirror", "redis://:secret@"+locked, source, "--once")
	refuses(t, "the source is no Redkeep", "mirror", foreign, "--endpoints="+master, "--once")
}
