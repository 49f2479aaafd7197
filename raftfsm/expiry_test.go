package raftfsm

import (
	"fmt"
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
