package mvcc

// recordOverhead is what a record costs in memory beyond its encoded bytes, rounded: its share of a page
// (16, with what is lost at page ends), and either the chain, its key and its slots in the index (100), or,
// once superseded, its place in the past and in the garbage queue (50).
const recordOverhead = 96

// cost is the memory that StateBytes and HistoryBytes count for a record.
func (r Record) cost() int64 { return int64(len(r.enc)) + recordOverhead }

// state is the whole contents of a store, so that installing a snapshot is the swap of one pointer.
// It is guarded by the lock of the store that holds it. Invariants, checked by Check, beside those of
// chain and garbage:
//
//  4. The history holds exactly the records of all chains; count.records is their number.
//  5. No record is above count.revision; 0 <= compacted <= revision.
//  6. keys, expiring, stateBytes and hash are those of the live heads; leased holds exactly those of them
//     that hang on a lease.
type state struct {
	index   index
	history history
	garbage garbage
	count   counters
	pins    []Revision // what compaction must keep: see pin
	leased  attachments
	view    View // handed to View's callback, so that a read allocates nothing
}

// counters are the numbers kept while writing.
type counters struct {
	revision, compacted Revision
	records             int64  // in the history
	keys                int64  // live
	expiring            int64  // live with a deadline
	stateBytes          int64  // cost of the live heads
	hash                uint64 // see hash.go
}

func newState(revision, compacted Revision) *state {
	st := &state{index: index{table: newKeyTable(0)}, history: newHistory(), leased: newAttachments()}
	st.count.revision, st.count.compacted = revision, compacted
	st.view.st = st
	return st
}

// write makes r the head of c, in everything but the history.
func (st *state) write(c *chain, r Record) {
	by := r.ModRevision()
	if old := c.head; old.Exists() {
		st.countLive(c, -1)
		st.garbage.push(by, c, old.cost())
		st.leased.remove(old)
	}
	c.push(r)
	st.count.records++
	c.sum = 0
	if r.Exists() {
		c.sum = hashOf(r)
		st.countLive(c, +1)
		st.leased.add(r)
	} else {
		st.garbage.push(by, c, r.cost())
	}
}

// countLive adds (sign 1) or takes back (sign -1) a chain's live head.
func (st *state) countLive(c *chain, sign int64) {
	n, r := &st.count, c.head
	n.keys += sign
	n.stateBytes += sign * r.cost()
	n.hash += uint64(sign) * c.sum
	if r.Deadline() != 0 {
		n.expiring += sign
	}
}

// readable resolves a revision to read at; 0 means now.
func (st *state) readable(rev Revision) (Revision, error) {
	switch {
	case rev == 0:
		return st.count.revision, nil
	case rev > st.count.revision:
		return 0, ErrFutureRevision
	case rev < st.count.compacted:
		return 0, &CompactedError{Revision: st.count.compacted}
	}
	return rev, nil
}
