package mvcc

import (
	"sort"

	"github.com/tidwall/buntdb"
)

// Compaction. The idea: a record becomes garbage at a known moment, so it is noted then. When revision
// r supersedes a record, (r, its chain) goes to the end of a queue; a delete or expiry, which no read
// at or above its own revision needs, also queues itself. Revisions rise, so the queue is sorted, and
// compacting to revision C is popping every entry with by < C: what is left is what a read at C or
// above can see, and every event from C on. The cost is proportional to the garbage alone, never to the keys.
//
// It happens in two steps. Compact, an entry of the log, is logical: it moves the compacted revision,
// and from then on older reads are refused, on every member at the same point. CompactSlice, outside
// the log and whenever its caller likes, removes a bounded number of records under the lock. So a
// compaction of a million revisions never holds a write up for longer than one slice. Nothing that a
// client can see depends on how far the physical part has come.
//
// The entries of one chain are in the order of its records, so an entry does not name its record: it
// is always the oldest one of the chain, or the head if the chain has no past (then a delete).
//
// The compacted revision's own events stay, the deletes among them too: garbage is removed only when it
// was queued below the compacted revision. So a watch that starts at the compacted revision misses
// nothing. The price is the garbage of that one revision, until the next compaction.
//
// Rejected: walking the whole index on each compaction, as etcd does (its cost grows with live keys,
// and a slice of it is hard to bound); and marking revisions in the history (needs a second lookup of
// the key for every record).
//
// Drawback: 24 bytes for each record not yet removed, counted in recordOverhead.

// garbage is the queue. Invariants, checked by Check:
//
//  7. by never falls from one entry to the next, and bytes is the sum of the queued entries' cost.
//  8. A chain has one entry for each record of its past, and one more if its head is a delete or an
//     expiry.
type garbage struct {
	chunks []*garbageChunk
	len    int
	pushed int64 // cost of all entries ever queued
	popped int64
}

const garbageChunkLen = 256

type garbageChunk struct {
	entries  [garbageChunkLen]garbageEntry
	from, to int   // entries[from:to] are queued
	before   int64 // garbage.pushed before this chunk
}

type garbageEntry struct {
	by    Revision
	chain *chain
	cost  int64
}

// bytes is the cost of everything queued.
func (g *garbage) bytes() int64 { return g.pushed - g.popped }

func (g *garbage) push(by Revision, c *chain, cost int64) {
	if n := len(g.chunks); n == 0 || g.chunks[n-1].to == garbageChunkLen {
		g.chunks = append(g.chunks, &garbageChunk{before: g.pushed})
	}
	last := g.chunks[len(g.chunks)-1]
	last.entries[last.to] = garbageEntry{by, c, cost}
	last.to++
	g.len++
	g.pushed += cost
}

// pop takes the first entry if its by is not above limit.
func (g *garbage) pop(limit Revision) (e garbageEntry, ok bool) {
	if !g.ready(limit) {
		return e, false
	}
	first := g.chunks[0]
	e = first.entries[first.from]
	first.entries[first.from].chain = nil // by and cost stay for target
	first.from++
	g.len--
	g.popped += e.cost
	if first.from == garbageChunkLen {
		g.chunks[0] = nil
		g.chunks = g.chunks[1:]
	}
	return e, true
}

// next returns entries that pop is going to take, one at least unless there is none.
func (g *garbage) next() []garbageEntry {
	if g.len == 0 {
		return nil
	}
	first := g.chunks[0]
	return first.entries[first.from:min(first.to, first.from+warmKeys)]
}

// ready reports whether there is an entry that pop would take.
func (g *garbage) ready(limit Revision) bool {
	return g.len > 0 && g.chunks[0].entries[g.chunks[0].from].by <= limit
}

// target returns the smallest revision whose compaction leaves at most maxBytes queued; 0 if no more
// than that is. It searches the chunks' running totals, then one chunk.
func (g *garbage) target(maxBytes int64) Revision {
	if g.bytes() <= maxBytes {
		return 0
	}
	need := g.pushed - max(maxBytes, 0) // the running total that the last entry to go must reach
	i := sort.Search(len(g.chunks), func(i int) bool { return g.chunks[i].before >= need })
	chunk := g.chunks[i-1]
	total := chunk.before
	for _, e := range chunk.entries[:chunk.to] {
		if total += e.cost; total >= need {
			return e.by
		}
	}
	panic("mvcc: garbage totals do not add up") // need <= pushed: some entry reaches it
}

// Compact makes rev the oldest readable revision. Only the logical step; see CompactSlice. The error is
// a *CompactedError if rev is not above the compacted revision, or ErrFutureRevision.
func (b *Batch) Compact(rev Revision) error {
	n := &b.st.count
	switch {
	case rev <= n.compacted:
		return &CompactedError{Revision: n.compacted}
	case rev > n.revision:
		return ErrFutureRevision
	}
	n.compacted = rev
	return nil
}

// CompactSlice removes at most max records that the compacted revision has made garbage, under the
// lock, and reports whether more can be removed now. While a Pin is held it does nothing and returns
// false; ask again later.
func (s *Store) CompactSlice(max int) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.mu.at
	limit := st.compactLimit()
	if limit < 0 || !st.garbage.ready(limit) {
		return false
	}
	st.history.ahead = func(keys []string) { s.batch.warming.chains(&st.index.table, keys) }
	st.history.update(func(tx *buntdb.Tx) error {
		return st.sweep(tx, &s.batch.warming, limit, max)
	})
	s.publish()
	return st.garbage.ready(limit)
}

// sweep takes at most max records of garbage out of index and history.
func (st *state) sweep(tx *buntdb.Tx, w *warming, limit Revision, max int) error {
	if err := st.history.settle(tx); err != nil {
		return err
	}
	for max > 0 && st.garbage.ready(limit) {
		records := w.record[:0]
		for range min(max, w.garbage(st.garbage.next())) {
			e, ok := st.garbage.pop(limit)
			if !ok {
				break
			}
			records = append(records, st.dropOldest(e.chain))
		}
		if err := st.history.remove(tx, records); err != nil {
			return err
		}
		st.count.records -= int64(len(records))
		max -= len(records)
	}
	clear(w.record[:]) // they hold memory
	if err := st.history.clean(tx, st.moved); err != nil {
		return err
	}
	st.history.tidy()
	return nil
}

// moved tells the index where a record lies now.
func (st *state) moved(old, r Record) {
	c, ok := st.index.get(r.Key())
	if !ok {
		panic("mvcc: the history holds a record of no chain")
	}
	c.replace(old, r)
}

// Garbage reports whether compacted records are still held, be it that CompactSlice has not come to them
// or that a pin keeps them.
func (s *Store) Garbage() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.at.garbage.ready(s.mu.at.count.compacted - 1)
}

// dropOldest takes a chain's oldest record out of the index.
func (st *state) dropOldest(c *chain) Record {
	if c.past != nil {
		return c.shift()
	}
	r := c.head
	if !st.index.remove(r.Key()) || r.Exists() {
		panic("mvcc: garbage names a live record")
	}
	return r
}

// compactLimit is how far garbage may be removed: below the compacted revision, held back by pins.
func (st *state) compactLimit() Revision {
	limit := st.count.compacted - 1
	for _, keep := range st.pins {
		limit = min(limit, keep)
	}
	return limit
}

// CompactionTarget returns the smallest revision whose compaction brings HistoryBytes to at most
// maxBytes once all of it is removed, or 0 if nothing needs to be compacted for that.
func (s *Store) CompactionTarget(maxBytes int64) Revision {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rev := s.mu.at.garbage.target(maxBytes)
	if rev > 0 {
		rev = min(rev+1, s.mu.at.count.revision)
	}
	if rev <= s.mu.at.count.compacted {
		return 0
	}
	return rev
}
