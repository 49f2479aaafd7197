package mvcc

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tidwall/buntdb"
)

// Loader builds a store from the records of a snapshot, aside from any that is in use. Everything but
// the records is made anew: index, garbage queue, counters, hash. Not safe for concurrent use.
//
// Keys come in the order of their revisions, so adding each to the index's B-tree would cost more than
// all the rest. They are put into its hash table at once, and into the B-tree sorted, at the end.
//
// It keeps one buntdb transaction open over all of it, begun by DeleteAll: of an emptied database
// buntdb keeps no notes for a rollback, which would cost more than the insertion itself.
type Loader struct {
	st     *state
	tx     *buntdb.Tx // nil once finished
	last   Record
	keys   []loadedKey // in order of appearance
	common int         // bytes that all keys start with
}

// NewLoader begins a store at the given revisions.
func NewLoader(revision, compactRev Revision) *Loader {
	l := &Loader{st: newState(revision, compactRev)}
	tx, err := l.st.history.db.Begin(true)
	if err == nil {
		err = tx.DeleteAll()
	}
	if err != nil {
		panic("mvcc: beginning to load into memory: " + err.Error())
	}
	l.tx = tx
	return l
}

// maxExpected bounds what Expect believes.
const maxExpected = 1 << 24

// Expect tells how many live keys will come, which saves the index from growing step by step. It is
// only a hint. REQUIRES: before the first Add.
func (l *Loader) Expect(keys int64) {
	keys = min(max(keys, 0), maxExpected)
	l.st.index.table = newKeyTable(int(keys))
	l.keys = make([]loadedKey, 0, keys)
}

// Add takes the next record, in the order Ascend gave them. It copies enc. The error wraps ErrBadRecord
// or ErrBadOrder; the loader is then good for Abort only.
func (l *Loader) Add(mod Revision, sub uint32, enc string) error {
	if mod < 0 {
		return fmt.Errorf("%w: revision %d", ErrBadRecord, mod)
	}
	h := &l.st.history
	r, err := decodeRecord(h.room(position{mod, sub}, stampBytes+len(enc)), mod, sub, enc)
	if err != nil {
		return err
	}
	if mod > l.st.count.revision || l.last.enc != "" && !l.last.before(r) {
		return fmt.Errorf("%w: record (%d, %d)", ErrBadOrder, mod, sub)
	}
	key := r.Key()
	c, ok := l.st.index.get(key)
	if !ok {
		c = l.add(key)
	} else if !follows(c.head, r) {
		return fmt.Errorf("%w: version of record (%d, %d)", ErrBadOrder, mod, sub)
	}
	l.st.write(c, r)
	l.last = r
	if len(h.pages)-h.saved > savePages {
		return h.saveTo(l.tx)
	}
	return nil
}

// savePages is how many pages are put into the database at once. An open page is put there again later.
const savePages = 64

func (l *Loader) add(key string) *chain {
	c, key := new(chain), strings.Clone(key)
	l.st.index.table.add(key, c)
	if len(l.keys) == 0 {
		l.common = len(key)
	} else {
		l.common = commonPrefix(l.keys[0].key[:l.common], key)
	}
	l.keys = append(l.keys, loadedKey{key: key, chain: c})
	return c
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// follows is invariant 2 of chain.
func follows(old, r Record) bool {
	switch {
	case !r.Exists():
		return old.Exists()
	case !old.Exists():
		return r.Version() == 1 && r.CreateRevision() == r.ModRevision()
	default:
		return r.Version() == old.Version()+1 && r.CreateRevision() == old.CreateRevision()
	}
}

// Finish returns the store. The error wraps ErrBadOrder; the loader is then good for Abort only.
func (l *Loader) Finish() (*Store, error) {
	n := &l.st.count
	if n.revision < 1 || n.compacted < 0 || n.compacted > n.revision || n.revision == math.MaxInt64 {
		return nil, fmt.Errorf("%w: revision %d, compacted %d", ErrBadOrder, n.revision, n.compacted)
	}
	if err := errors.Join(l.st.history.saveTo(l.tx), l.tx.Commit()); err != nil {
		return nil, err
	}
	l.tx = nil
	sortKeys(l.keys, l.common)
	for _, k := range l.keys {
		l.st.index.order.Load(k.key, k.chain)
	}
	l.keys = nil
	return newStore(l.st), nil
}

type loadedKey struct {
	lead  uint64 // the first bytes in which the keys can differ
	key   string
	chain *chain
}

// sortKeys sorts keys of which the first skip bytes are equal. Most comparisons are decided by eight
// bytes that lie beside each other instead of by a cache miss on each key.
func sortKeys(keys []loadedKey, skip int) {
	for i := range keys {
		keys[i].lead = leadOf(keys[i].key[skip:])
	}
	slices.SortFunc(keys, func(a, b loadedKey) int {
		if a.lead != b.lead {
			return cmp.Compare(a.lead, b.lead)
		}
		return strings.Compare(a.key, b.key)
	})
}

// leadOf reads eight bytes, zeros behind the end.
func leadOf(s string) (lead uint64) {
	if len(s) >= 8 {
		return be64(s)
	}
	for i := range len(s) {
		lead |= uint64(s[i]) << (56 - 8*i)
	}
	return lead
}

// Abort lets go of a loader that will not be finished; after Finish succeeded it does nothing.
func (l *Loader) Abort() {
	if l.tx != nil {
		_ = l.tx.Rollback() // in memory: cannot fail
		l.st.history.close()
		l.tx = nil
	}
}
