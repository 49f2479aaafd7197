package locks

import (
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/redkeep/redkeep/mvcc"
)

// Book holds the queues of all locks and elections. It implements mvcc.Queues: it changes while log entries
// are applied, so that an operation sees what earlier ones of the same entry did, and follows from the
// records alone, so that it is rebuilt from them and never stored. All methods are safe for concurrent use.
//
// Invariants, checked by check in tests.
//  1. A queue holds exactly the live records that are marked for it, tokens rising; there is no empty queue.
//  2. held is the number of places at the front that hold: what the rules give for the queue.
//  3. Each place that begins or ceases to hold is one Change, in the order of the log.
//
// A queue is a slice: leaving from the middle moves what is behind it, which for ten thousand waiters is 160
// KB, less than the log entry that asks for it costs. Rejected: a tree per queue, ten times the memory for
// the queue of one that nearly all are.
type Book struct {
	mu struct {
		sync.Mutex
		queues  map[mvcc.Queue]*queue // never ranged over
		changes []Change              // since Take
	}
}

type queue struct {
	places []mvcc.Record
	held   int
}

// NewBook returns a book without queues.
func NewBook() *Book {
	b := &Book{}
	b.mu.queues = map[mvcc.Queue]*queue{}
	return b
}

// Type is what happened to a place.
type Type uint8

// The types of a change. Left is for those who wait; it changes nothing about who holds.
const (
	Acquired Type = 1 + iota // it holds now
	Released                 // its holder gave it back
	Lost                     // it held, and was deleted or its lease ended
	Value                    // its holder gave it another value
	Left                     // it waited, and is gone
)

// Change is one change of a queue. Place is the record as it is, or was before it went.
type Change struct {
	Type     Type
	Queue    mvcc.Queue
	Place    mvcc.Record
	Revision mvcc.Revision // that made the change
}

// Take returns the changes since the last call, in order. They may be kept.
func (b *Book) Take() []Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	changes := b.mu.changes
	b.mu.changes = nil
	return changes
}

// Replace takes over the queues of other. REQUIRES: other is used by nobody else.
func (b *Book) Replace(other *Book) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.queues, b.mu.changes = other.mu.queues, nil
}

// Add takes a live record, to build a book for Replace; records may come in any order.
func (b *Book) Add(r mvcc.Record) {
	if !r.Queued() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queueLocked(r.Queue())
	i, _ := q.find(r.CreateRevision())
	q.places = slices.Insert(q.places, i, r)
	q.held = q.holding()
}

func (b *Book) queueLocked(id mvcc.Queue) *queue {
	q := b.mu.queues[id]
	if q == nil {
		q = &queue{}
		b.mu.queues[mvcc.Queue{Name: strings.Clone(id.Name), Election: id.Election}] = q
	}
	return q
}

// holding is the rule: how many places at the front hold.
func (q *queue) holding() int {
	n := 0
	for n < len(q.places) && q.places[n].Mark()&mvcc.MarkShared != 0 {
		n++
	}
	if n == 0 {
		return min(len(q.places), 1)
	}
	return n
}

// find returns where the place with a token is, or would be.
func (q *queue) find(token mvcc.Revision) (i int, ok bool) {
	i = sort.Search(len(q.places), func(i int) bool { return q.places[i].CreateRevision() >= token })
	return i, i < len(q.places) && q.places[i].CreateRevision() == token
}

// Changed implements mvcc.Queues.
func (b *Book) Changed(prev, next mvcc.Record, why mvcc.QueueCause) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch was, is := prev.Queued(), next.Queued(); {
	case was && is:
		b.valueLocked(next)
	case was:
		b.leftLocked(prev, next.ModRevision(), why)
	case is:
		b.joinedLocked(next)
	}
}

func (b *Book) joinedLocked(r mvcc.Record) {
	id := r.Queue()
	q := b.queueLocked(id)
	q.places = append(q.places, r)
	b.promoteLocked(id, q, r.ModRevision())
}

// promoteLocked notes who holds that did not before.
func (b *Book) promoteLocked(id mvcc.Queue, q *queue, rev mvcc.Revision) {
	for holding := q.holding(); q.held < holding; q.held++ {
		b.noteLocked(Acquired, id, q.places[q.held], rev)
	}
}

func (b *Book) leftLocked(r mvcc.Record, rev mvcc.Revision, why mvcc.QueueCause) {
	id := r.Queue()
	q := b.mu.queues[id]
	i, ok := q.find(r.CreateRevision())
	if !ok {
		panic("locks: the book lacks a place that the store has")
	}
	q.places = slices.Delete(q.places, i, i+1)
	switch {
	case i >= q.held:
		b.noteLocked(Left, id, r, rev)
	case why == mvcc.QueueGiven:
		q.held--
		b.noteLocked(Released, id, r, rev)
	default:
		q.held--
		b.noteLocked(Lost, id, r, rev)
	}
	b.promoteLocked(id, q, rev)
	if len(q.places) == 0 {
		delete(b.mu.queues, id)
	}
}

func (b *Book) valueLocked(r mvcc.Record) {
	id := r.Queue()
	q := b.mu.queues[id]
	i, ok := q.find(r.CreateRevision())
	if !ok {
		panic("locks: the book lacks a place that the store has")
	}
	q.places[i] = r
	if i < q.held {
		b.noteLocked(Value, id, r, r.ModRevision())
	}
}

func (b *Book) noteLocked(t Type, id mvcc.Queue, r mvcc.Record, rev mvcc.Revision) {
	b.mu.changes = append(b.mu.changes, Change{Type: t, Queue: id, Place: r, Revision: rev})
}

// Free implements mvcc.Queues.
func (b *Book) Free(id mvcc.Queue, shared bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.mu.queues[id]
	if q == nil {
		return true
	}
	last := q.places[len(q.places)-1]
	return shared && q.held == len(q.places) && last.Mark()&mvcc.MarkShared != 0
}

// Find implements mvcc.Queues.
func (b *Book) Find(id mvcc.Queue, token mvcc.Revision) (r mvcc.Record, holds, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.mu.queues[id]
	if q == nil {
		return r, false, false
	}
	i, ok := q.find(token)
	if !ok {
		return r, false, false
	}
	return q.places[i], i < q.held, true
}

// Last implements mvcc.Queues.
func (b *Book) Last(id mvcc.Queue) mvcc.Revision {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.mu.queues[id]
	if q == nil {
		return 0
	}
	return q.places[len(q.places)-1].CreateRevision()
}

// Places returns those who hold and those who wait, in order.
func (b *Book) Places(id mvcc.Queue) (holders, waiters []mvcc.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.mu.queues[id]
	if q == nil {
		return nil, nil
	}
	return slices.Clone(q.places[:q.held]), slices.Clone(q.places[q.held:])
}

// Len returns the number of queues.
func (b *Book) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.mu.queues)
}
