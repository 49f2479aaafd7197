package raftfsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/mvcc"
)

// Keys that end one after the other share entries: what ends in a moment is one entry, not one for each.
func TestKeysThatEndShareEntries(t *testing.T) {
	g := newGroup(t, 1, Config{})
	m := g.leader()
	const n, spread = 1000, 1000 // milliseconds
	s := m.NewSubmission()
	for i := range n {
		s.AddTxn(put(fmt.Sprint("k", i), "v", mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: int64(500 + i*spread/n)}))
	}
	m.Submit(s)
	if <-s.Done(); s.Err() != nil {
		t.Fatal(s.Err())
	}
	before, from := m.Status().AppliedIndex, time.Now()
	await(t, "the end of all keys", func() bool { return m.Store().Len() == 0 })
	entries, most := m.Status().AppliedIndex-before, uint64(time.Since(from)/expiryRest)+3
	t.Logf("%d keys ended by %d entries in %v", n, entries, time.Since(from))
	if uint64(entries) > most {
		t.Errorf("%d entries, at most %d", entries, most)
	}
}

// Keys so long that those of one batch would not fit into one request end, too.
func TestLongKeysEnd(t *testing.T) {
	g := newGroup(t, 1, Config{MaxRequestBytes: 1 << 20})
	m := g.leader()
	long, end := strings.Repeat("k", 10<<10), int64(m.Now())+1000
	for i := range 10 {
		s := m.NewSubmission()
		for k := range 30 {
			s.AddTxn(put(fmt.Sprint(long, i, "-", k), "", mvcc.Expiry{Mode: mvcc.ExpiryAt, MS: end}))
		}
		m.Submit(s)
		if <-s.Done(); s.Err() != nil {
			t.Fatal(s.Err())
		}
	}
	await(t, "the end of all keys", func() bool { return m.Store().Len() == 0 })
}

func TestSplitExpired(t *testing.T) {
	keys := []mvcc.ExpireKey{{Key: strings.Repeat("a", expiryBytes+1)}, {Key: "b"}, {Key: "c"},
		{Key: strings.Repeat("d", expiryBytes-1)}}
	for range expiryBatch {
		keys = append(keys, mvcc.ExpireKey{Key: "e"})
	}
	var sizes []int
	for batch, rest := SplitExpired(keys); len(batch) > 0; batch, rest = SplitExpired(rest) {
		sizes = append(sizes, len(batch))
	}
	if !slices.Equal(sizes, []int{1, 2, 2, expiryBatch - 1}) {
		t.Errorf("batches of %v keys", sizes)
	}
}
