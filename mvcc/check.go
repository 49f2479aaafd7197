package mvcc

import (
	"fmt"
	"sort"

	"github.com/tidwall/buntdb"
)

// Check verifies the numbered invariants of chain, state and garbage, in one pass under the read lock.
// It is for tests and for the invariants build tag: its time grows with the store.
func (s *Store) Check() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := s.mu.at
	k := checker{st: st, queued: map[*chain]int{}}
	k.checkGarbage()
	st.index.order.Scan(func(key string, c *chain) bool {
		k.checkChain(key, c)
		return k.err == nil
	})
	st.index.table.check(k.require)
	k.checkHistory()
	k.checkCounters(s)
	return k.err
}

type checker struct {
	st     *state
	queued map[*chain]int // entries of the garbage queue
	chains int            // of them, those met in the index
	sum    counters
	leased int   // live keys on a lease
	err    error // the first violation
}

func (k *checker) require(ok bool, invariant int, format string, args ...any) {
	if !ok && k.err == nil {
		k.err = fmt.Errorf("mvcc: invariant %d: %s", invariant, fmt.Sprintf(format, args...))
	}
}

func (k *checker) checkGarbage() {
	g := &k.st.garbage
	last, n, bytes := Revision(0), 0, int64(0)
	for _, chunk := range g.chunks {
		for _, e := range chunk.entries[chunk.from:chunk.to] {
			k.require(e.by >= last, 7, "garbage by %d behind %d", e.by, last)
			last = e.by
			n++
			bytes += e.cost
			k.queued[e.chain]++
		}
	}
	k.require(n == g.len && bytes == g.bytes(), 7, "%d entries of %d bytes, counted %d of %d",
		n, bytes, g.len, g.bytes())
}

func (k *checker) checkChain(key string, c *chain) {
	k.require(c.past == nil || len(*c.past) > 0, 3, "%q has an empty past", key)
	want := len(c.older())
	if !c.head.Exists() {
		want++
	}
	k.require(k.queued[c] == want, 8, "%q has %d entries of garbage, not %d", key, k.queued[c], want)
	if want > 0 {
		k.chains++
	}
	prev := Record{}
	for i, r := range append(c.older()[:len(c.older()):len(c.older())], c.head) {
		k.require(r.validate() == nil && r.Key() == key, 1, "%q holds a record of %q", key, r.enc)
		k.require(i == 0 || prev.before(r), 1, "%q: stamps do not rise", key)
		k.require(i == 0 || follows(prev, r), 2, "%q: %d does not follow", key, r.ModRevision())
		k.require(r.ModRevision() <= k.st.count.revision, 5, "%q is at %d", key, r.ModRevision())
		prev = r
		k.sum.records++
	}
	k.countHead(c.head)
	k.require(k.st.index.table.get(key) == c, 13, "the table does not find %q", key)
}

func (k *checker) countHead(r Record) {
	if !r.Exists() {
		return
	}
	k.sum.keys++
	k.sum.stateBytes += r.cost()
	k.sum.hash += hashOf(r)
	if id := r.Lease(); id != 0 {
		k.leased++
		k.require(k.st.leased.has(id, r.Key()), 6, "%q is not among the keys of its lease", r.Key())
	}
	if r.Deadline() != 0 {
		k.sum.expiring++
	}
}

func (k *checker) checkHistory() {
	n := int64(0)
	k.st.history.ascend(position{}, func(r Record) bool {
		n++
		c, ok := k.st.index.get(r.Key())
		k.require(ok && c.holds(r), 10, "the index lacks record (%d, %d), or has it elsewhere",
			r.ModRevision(), r.Sub())
		return k.err == nil
	})
	k.checkDirectory()
	k.require(n == k.sum.records, 4, "%d records in the history, %d in the index", n, k.sum.records)
}

func (k *checker) checkDirectory() {
	h := &k.st.history
	items, empty := map[string]string{}, 0
	held, dead := int64(0), int64(0)
	_ = h.db.View(func(tx *buntdb.Tx) error {
		return tx.Ascend("", func(key, value string) bool {
			items[key] = value
			return true
		})
	})
	for i, p := range h.pages {
		k.require((i == 0 || h.pages[i-1].first.before(p.first)) && h.firsts[i] == p.first, 9,
			"page %d is not sorted", i)
		if p.at == nil {
			empty++
			continue
		}
		k.require(items[p.key()] == p.text(), 9, "the database lacks page %d", i)
		if i < h.closed {
			held, dead = held+int64(len(p.data)), dead+p.deadBytes()
		}
	}
	k.require(held == h.held && dead == h.dead, 11, "%d bytes held, %d dead, counted %d and %d", held, dead,
		h.held, h.dead)
	k.require(len(items) == len(h.pages)-empty && empty == h.empty, 9,
		"%d items for %d pages, %d gone, counted %d", len(items), len(h.pages), empty, h.empty)
}

// deadBytes counts what waste is to be.
func (p *page) deadBytes() (n int64) {
	for i := range p.at {
		if p.dead&(1<<i) != 0 {
			n += int64(len(p.record(i).enc))
		}
	}
	return n
}

// holds reports whether r is one of the chain's records, in the same place of memory.
func (c *chain) holds(r Record) bool {
	old := c.older()
	i := sort.Search(len(old), func(i int) bool { return !old[i].before(r) })
	return c.head.same(r) || i < len(old) && old[i].same(r)
}

func (k *checker) checkCounters(s *Store) {
	n := k.st.count
	k.require(n.compacted >= 0 && n.compacted <= n.revision, 5, "compacted %d of %d", n.compacted, n.revision)
	k.require(k.chains == len(k.queued), 8, "garbage of %d chains, %d of them in the index",
		len(k.queued), k.chains)
	k.sum.revision, k.sum.compacted = n.revision, n.compacted
	k.require(k.st.leased.len() == k.leased, 6, "%d keys on leases, %d attached", k.leased, k.st.leased.len())
	k.require(k.sum == n, 6, "counted %+v, is %+v", n, k.sum)
	k.require(s.Revision() == n.revision && s.CompactRevision() == n.compacted && s.Len() == n.keys &&
		s.Expiring() == n.expiring && s.StateBytes() == n.stateBytes &&
		s.HistoryBytes() == k.st.garbage.bytes(), 6, "published numbers differ")
}
