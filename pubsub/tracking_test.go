package pubsub

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/mvcc"
)

// reader is a client that tracks, and what it was told.
type reader struct {
	Tracking
	told []string
}

func (r *reader) tell(keys []string) { r.told = append(r.told, keys...) }

func track(tr *Tracker, id uint64) *reader {
	r := &reader{}
	r.ID, r.Tell = id, r.tell
	tr.Start(&r.Tracking)
	return r
}

// bytesOf counts what the table holds, key by key.
func (t *Tracker) bytesOf() (n int) {
	for key, clients := range t.mu.keys {
		n += len(key) + trackingEntry*len(clients)
	}
	return n
}

func (t *Tracker) checkBytes(test *testing.T) {
	test.Helper()
	if want := t.bytesOf(); t.mu.bytes != want || t.mu.bytes > t.mu.most {
		test.Errorf("%d bytes are counted, %d held, %d allowed", t.mu.bytes, want, t.mu.most)
	}
}

// The table is bounded in bytes, too: what it forgets is told, and when nobody tracks any more it is empty.
func TestTrackingIsBoundedInBytes(t *testing.T) {
	tr := newTracker()
	tr.mu.most = 20_000
	a, b := track(tr, 1), track(tr, 2)
	var read []string
	for i := range 100 {
		key := fmt.Sprint(strings.Repeat("k", 1000), i)
		read = append(read, key)
		tr.Read(&a.Tracking, key)
		tr.Read(&a.Tracking, key)
		if i%3 == 0 {
			tr.Read(&b.Tracking, key)
		}
		tr.checkBytes(t)
	}
	for _, key := range read {
		if _, held := tr.mu.keys[key]; held == slices.Contains(a.told, key) {
			t.Errorf("held: %v, and told: %v", held, !held)
		}
	}
	if tr.Keys() < 10 || len(b.told) == 0 {
		t.Errorf("%d keys are held; the other client was told %d", tr.Keys(), len(b.told))
	}
	tr.Read(&a.Tracking, strings.Repeat("x", 30_000)) // more than all is allowed alone
	if tr.Keys() != 1 {
		t.Errorf("%d keys beside the largest", tr.Keys())
	}
	tr.Flush()
	tr.checkBytes(t)
	tr.Read(&a.Tracking, "k")
	if tr.Stop(&a.Tracking); tr.Keys() != 1 {
		t.Error("cleared while another client tracks")
	}
	if tr.Stop(&b.Tracking); tr.Keys() != 0 || tr.mu.bytes != 0 {
		t.Errorf("%d keys of nobody are held", tr.Keys())
	}
}

// A client that changes its options keeps its place in the table: that costs the same however many keys it
// has read, and what changed is told by the new options alone.
func TestTrackingChangesInPlace(t *testing.T) {
	s, tr := mvcc.New(), newTracker()
	defer s.Close()
	c := track(tr, 7)
	write := func(key string, by uint64) {
		events := s.Update(1, func(b *mvcc.Batch) {
			b.Txn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: mvcc.KeySpan(key)}}}, nil)
		})
		tr.Changed(events, []Writer{{Upto: 1, ID: by}})
	}
	tr.Read(&c.Tracking, "a")
	tr.Read(&c.Tracking, "b")
	var told []string
	later := TrackingOptions{NoLoop: true, Tell: func(keys []string) { told = append(told, keys...) }}
	tr.Change(&c.Tracking, later)
	write("a", 7)
	write("b", 8)
	if len(c.told) != 0 || !slices.Equal(told, []string{"b"}) {
		t.Errorf("told %q before and %q after", c.told, told)
	}
	later.Prefixes = []string{"user:", "x"}
	tr.Change(&c.Tracking, later)
	tr.Change(&c.Tracking, TrackingOptions{Prefixes: []string{"x"}, Tell: later.Tell})
	write("user:1", 8)
	write("x1", 8)
	if !slices.Equal(told, []string{"b", "x1"}) || tr.Clients() != 1 {
		t.Errorf("told %q; %d clients", told, tr.Clients())
	}
	if tr.Stop(&c.Tracking); len(tr.mu.prefixes)+len(tr.mu.lengths) != 0 || tr.Clients() != 0 {
		t.Errorf("left: %v, %v", tr.mu.prefixes, tr.mu.lengths)
	}
}
