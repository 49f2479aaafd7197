package mvcc

import (
	"math"
	"testing"
)

// TestGarbageTarget compares with counting, at every boundary of entries and chunks.
func TestGarbageTarget(t *testing.T) {
	const cost = 10
	var g garbage
	n := int64(2*garbageChunkLen + 3)
	for i := range n {
		g.push(Revision(i/2+2), nil, cost) // two entries for each revision
	}
	for range 5 {
		g.pop(math.MaxInt64)
	}
	for maxBytes := int64(0); maxBytes < (n-5)*cost; maxBytes++ {
		drop := n - maxBytes/cost // so many of all entries have to go
		if want := Revision((drop-1)/2 + 2); g.target(maxBytes) != want {
			t.Fatalf("%d bytes: got %d, want %d", maxBytes, g.target(maxBytes), want)
		}
	}
	if got := g.target((n - 5) * cost); got != 0 {
		t.Errorf("nothing to do, got %d", got)
	}
}

// TestPinAtHoldsCompactionBack: a long read of a past revision finds it whole, though its revision is
// compacted while it runs; what was garbage at that revision may go.
func TestPinAtHoldsCompactionBack(t *testing.T) {
	s := New()
	defer s.Close()
	keys := numbered(3)
	for _, value := range []string{"1", "2", "3", "4"} {
		put(s, keys, value)
	}
	p, err := s.pinAt(3)
	if err != nil {
		t.Fatal(err)
	}
	s.Update(1, func(b *Batch) { err = b.Compact(5) })
	for s.CompactSlice(100) {
	}
	n := 0
	p.walk(Span{Kind: SpanFrom}, false, func(c *chain) {
		if n++; !c.at(3).Exists() || c.at(3).Value() != "2" || len(c.older()) != 2 {
			t.Errorf("%q: %s, %d older", c.head.Key(), show(c.at(3)), len(c.older()))
		}
	})
	if err != nil || n != len(keys) {
		t.Errorf("%d keys, %v", n, err)
	}
	if s.HistoryBytes() == 0 {
		t.Error("the garbage of the compacted revision itself is gone: a watch that starts there misses it")
	}
	p.Release()
	s.Update(1, func(b *Batch) {
		b.Txn(&Txn{Then: []Op{{Kind: OpPut, Span: KeySpan("new")}}}, nil)
		err = b.Compact(6)
	})
	for s.CompactSlice(100) {
	}
	if s.HistoryBytes() != 0 {
		t.Errorf("%d bytes stay after release", s.HistoryBytes())
	}
}

func TestAllowDeadline(t *testing.T) {
	for _, c := range []struct {
		flags    OpFlags
		old, new UnixMilli
		want     bool
	}{
		{0, 0, 5, true}, {0, 9, 5, true},
		{FlagIfNoDeadline, 0, 5, true}, {FlagIfNoDeadline, 9, 5, false},
		{FlagIfDeadline, 0, 5, false}, {FlagIfDeadline, 9, 5, true},
		{FlagIfLater, 0, 5, false}, {FlagIfLater, 4, 5, true}, {FlagIfLater, 5, 5, false},
		{FlagIfLater, 6, 5, false},
		{FlagIfEarlier, 0, 5, true}, {FlagIfEarlier, 6, 5, true}, {FlagIfEarlier, 5, 5, false},
		{FlagIfEarlier, 4, 5, false},
		{FlagIfDeadline | FlagIfEarlier, 0, 5, false}, {FlagIfDeadline | FlagIfLater, 4, 5, true},
	} {
		if got := c.flags.allowDeadline(c.old, c.new); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}
