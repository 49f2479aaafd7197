package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

// TestCacheAgainstTwin: the cache answers with what a plain map of the log holds, or not at all; it never
// knows more, and it knows the newest entry.
func TestCacheAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 4000).Draw(t, "limit")
		c, twin := newEntryCache(limit), map[uint64]raft.Log{}
		first, last := uint64(1), uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				var list []*raft.Log
				for range rapid.IntRange(1, 80).Draw(t, "n") {
					last++
					l := raft.Log{Index: last, Term: rapid.Uint64().Draw(t, "term"),
						Data: make([]byte, rapid.IntRange(0, 300).Draw(t, "size"))}
					twin[last] = l
					list = append(list, &l)
				}
				c.put(list)
			},
			"gap": func(t *rapid.T) {
				clear(twin)
				last += rapid.Uint64Range(1, 9).Draw(t, "gap") + 1
				l := raft.Log{Index: last}
				twin[last], first = l, last
				c.put([]*raft.Log{&l})
			},
			"suffix": func(t *rapid.T) {
				if last < first {
					return
				}
				from := rapid.Uint64Range(first, last).Draw(t, "from")
				for i := from; i <= last; i++ {
					delete(twin, i)
				}
				c.deleteRange(from, last)
				last = from - 1
			},
			"prefix": func(t *rapid.T) {
				if last < first {
					return
				}
				to := rapid.Uint64Range(first, last).Draw(t, "to")
				for i := first; i <= to; i++ {
					delete(twin, i)
				}
				c.deleteRange(first, to)
				first = to + 1
			},
			"": func(t *rapid.T) { compareCache(t, c, twin, last, limit) },
		})
	})
}

func compareCache(t *rapid.T, c *entryCache, twin map[uint64]raft.Log, last uint64, limit int64) {
	var sum int64
	held := 0
	for i := uint64(0); i <= last+3; i++ {
		var l raft.Log
		if !c.get(i, &l) {
			continue
		}
		want, ok := twin[i]
		if !ok || l.Index != i || l.Term != want.Term || len(l.Data) != len(want.Data) {
			t.Fatalf("entry %d: %+v, the log has %+v", i, l, want)
		}
		held++
		sum += entryBytes(&l)
	}
	if sum != c.size() || sum > limit && held > 1 {
		t.Fatalf("%d entries, %d bytes, counted %d, limit %d", held, sum, c.size(), limit)
	}
}

// faultyLog fails or hangs on demand.
type faultyLog struct {
	logInner
	fail   atomic.Bool
	block  atomic.Pointer[chan struct{}] // when set, StoreLogs waits for it
	stores atomic.Int64
}

func (f *faultyLog) wrap(inner logInner) logInner {
	f.logInner = inner
	return f
}

// IsMonotonic keeps raft-wal's answer visible through the wrapper.
func (f *faultyLog) IsMonotonic() bool {
	m, ok := f.logInner.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

var errDisk = errors.New("input/output error")

func (f *faultyLog) StoreLogs(l []*raft.Log) error {
	f.stores.Add(1)
	if c := f.block.Load(); c != nil {
		<-*c
	}
	if f.fail.Load() {
		return errDisk
	}
	return f.logInner.StoreLogs(l)
}

// TestStoreErrorIsFatal: after one failed write nothing is acknowledged and nothing is written any more.
func TestStoreErrorIsFatal(t *testing.T) {
	fatal := make(chan error, 10)
	faulty := &faultyLog{}
	n := single(t, t.TempDir(), func(c *Config) {
		c.OnFatal = func(err error) { fatal <- err }
		c.wrapLog = faulty.wrap
	})
	n.put(t, "good")
	faulty.fail.Store(true)
	before := faulty.stores.Load()
	f := n.Apply([]byte("bad"))
	<-f.Done()
	if f.Err() == nil || DefinitelyNotLogged(f.Err()) {
		t.Errorf("outcome of the failed write: %v", f.Err())
	}
	if err := <-fatal; !errors.Is(err, errDisk) {
		t.Errorf("OnFatal got %v", err)
	}
	faulty.fail.Store(false)
	f = n.Apply([]byte("later"))
	<-f.Done()
	if !DefinitelyNotLogged(f.Err()) || !errors.Is(f.Err(), ErrStoreFailed) {
		t.Errorf("after it: %v", f.Err())
	}
	if got := faulty.stores.Load() - before; got != 1 {
		t.Errorf("%d writes tried", got)
	}
	if len(fatal) > 0 {
		t.Error("OnFatal ran twice")
	}
}

// TestOnStored: the group-commit clock ticks once per StoreLogs.
func TestOnStored(t *testing.T) {
	var ticks atomic.Int64
	n := single(t, t.TempDir(), func(c *Config) { c.OnStored = func() { ticks.Add(1) } })
	n.put(t, "behind raft's own first entry")
	before := ticks.Load()
	for i := range 10 {
		n.put(t, fmt.Sprint(i))
	}
	if got := ticks.Load() - before; got != 10 {
		t.Errorf("%d ticks for 10 entries", got)
	}
}

// TestHighestTerm: it is raised before the write, survives a reopening and never falls.
func TestHighestTerm(t *testing.T) {
	path := filepath.Join(t.TempDir(), stableFile)
	open := func() *stableStore {
		s, err := openStable(path, &fatalSwitch{tell: func(error) {}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	if _, err := s.GetUint64([]byte(keyCurrentTerm)); err == nil || err.Error() != "not found" {
		t.Errorf("a missing key: %v, raft wants the text \"not found\"", err)
	}
	set := func(key string, v uint64) {
		if err := s.SetUint64([]byte(key), v); err != nil {
			t.Fatal(err)
		}
	}
	set(keyCurrentTerm, 5)
	set(keyLastVoteTerm, 9)
	set(keyCurrentTerm, 7)
	if got := s.highestTerm(); got != 9 {
		t.Errorf("highest term %d", got)
	}
	s.Close()
	s = open()
	if got := s.highestTerm(); got != 9 {
		t.Errorf("highest term %d after reopening", got)
	}
	s.Close()
	err := s.SetUint64([]byte(keyCurrentTerm), 12)
	if err == nil || s.highestTerm() != 12 || !s.fatal.tripped() {
		t.Errorf("a failed write: %v, highest %d", err, s.highestTerm())
	}
}

func TestByteCounts(t *testing.T) {
	var c byteCounts
	for i := uint64(1); i <= 1000; i++ {
		c.add([]*raft.Log{{Index: i, Data: make([]byte, 10000-48)}})
	}
	if got := c.since(500); got < 4.9e6 || got > 5.1e6 {
		t.Errorf("since 500: %d", got)
	}
	if got := c.entriesFor(1e6); got < 95 || got > 110 {
		t.Errorf("entries for 1 MB: %d", got)
	}
	c.forget(900)
	if got := c.since(950); got < 4.2e5 || got > 6e5 {
		t.Errorf("since 950: %d", got)
	}
}

// TestStallGate: a leader whose disk hangs falls silent and another takes over, though its connections
// work.
func TestStallGate(t *testing.T) {
	disks := map[string]*faultyLog{"n1": {}, "n2": {}, "n3": {}}
	c := newCluster(t, 3, func(c *Config) { c.wrapLog, c.noOffer = disks[c.Name].wrap, true })
	old := c.leader()
	c.nodes[old].put(t, "x")
	c.converge("x")
	hang := make(chan struct{})
	disks[c.initial[old].Name].block.Store(&hang)
	f := c.nodes[old].Apply([]byte("hangs"))
	start := time.Now()
	eventually(t, "another leader", func() bool {
		return c.nodes[(old+1)%3].IsLeader() || c.nodes[(old+2)%3].IsLeader()
	})
	t.Logf("another leader after %v", time.Since(start))
	if c.nodes[old].Stats().HeartbeatsWithheld == 0 {
		t.Error("the hanging leader withheld nothing")
	}
	disks[c.initial[old].Name].block.Store(nil)
	close(hang)
	<-f.Done()
	c.nodes[c.leader()].put(t, "y")
	c.converge("y")
}
