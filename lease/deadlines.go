package lease

import (
	"sync"

	"github.com/tidwall/btree"

	"github.com/redkeep/redkeep/mvcc"
)

// Deadlines holds the live keys that have a deadline, ordered by it. It is safe for concurrent use.
//
// Invariant: after Observe of all events up to a revision it holds one item for each key that lives
// at that revision and has a deadline, with that deadline and mod_revision, and nothing else.
type Deadlines struct {
	mu struct {
		sync.Mutex
		tree *btree.BTreeG[item]
	}
}

// item aliases the key inside the live record, which the store keeps anyway.
type item struct {
	at  mvcc.UnixMilli
	key string
	mod mvcc.Revision
}

func less(a, b item) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	return a.key < b.key
}

func newTree() *btree.BTreeG[item] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// NewDeadlines returns an empty index.
func NewDeadlines() *Deadlines {
	d := &Deadlines{}
	d.mu.tree = newTree()
	return d
}

// Observe takes the changes of one log entry, in order.
func (d *Deadlines) Observe(events []mvcc.Event) {
	if !concerned(events) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range events {
		if prev := events[i].Prev; prev.Exists() && prev.Deadline() != 0 {
			d.mu.tree.Delete(item{at: prev.Deadline(), key: prev.Key()})
		}
		if rec := events[i].Record; rec.Exists() && rec.Deadline() != 0 {
			d.mu.tree.Set(item{at: rec.Deadline(), key: rec.Key(), mod: rec.ModRevision()})
		}
	}
}

// concerned spares the lock where no deadline is involved, which is the common case.
func concerned(events []mvcc.Event) bool {
	for i := range events {
		if prev := events[i].Prev; prev.Exists() && prev.Deadline() != 0 {
			return true
		}
		if rec := events[i].Record; rec.Exists() && rec.Deadline() != 0 {
			return true
		}
	}
	return false
}

// Add takes one live record, to build an index for Replace.
func (d *Deadlines) Add(rec mvcc.Record) {
	if rec.Deadline() == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.tree.Set(item{at: rec.Deadline(), key: rec.Key(), mod: rec.ModRevision()})
}

// Due returns keys whose deadline is not after now, earliest first: at most so many, and of so many bytes
// together unless one alone has more. more tells that others are due, too.
func (d *Deadlines) Due(now mvcc.UnixMilli, most, bytes int) (due []mvcc.ExpireKey, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.tree.Scan(func(it item) bool {
		if it.at > now {
			return false
		}
		if bytes -= len(it.key); len(due) == most || len(due) > 0 && bytes < 0 {
			more = true
			return false
		}
		due = append(due, mvcc.ExpireKey{Key: it.key, Mod: it.mod})
		return true
	})
	return due, more
}

// Next returns the earliest deadline, or 0 if there is none.
func (d *Deadlines) Next() mvcc.UnixMilli {
	d.mu.Lock()
	defer d.mu.Unlock()
	first, _ := d.mu.tree.Min()
	return first.at
}

// Len returns the number of keys that have a deadline.
func (d *Deadlines) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.tree.Len()
}

// Replace takes over what other holds. REQUIRES: other is used by nobody else.
func (d *Deadlines) Replace(other *Deadlines) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.tree = other.mu.tree
}
