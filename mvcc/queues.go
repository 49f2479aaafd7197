package mvcc

import (
	"fmt"
	"strings"
)

// The queue of a lock or of an election is made of ordinary records: one per client, key `<name>/<lease id>`,
// hanging on that lease, in the order of their create revisions, which are the fencing tokens. What makes a
// key a place in a queue is a mark in the record, which only the operations here set. So a key that a user
// happens to put under `<name>/` does not block anybody, the name is what stands before the last slash
// whatever is in it, and snapshots, watches, history and the state hash need to know nothing of locks.
//
// Who holds is not written anywhere: it follows from the queue. The rules are package locks'; this file only
// writes records, asks the rules through Queues, and tells them each record that enters or leaves. All of it
// happens when the operation's turn comes in the log, so a release and the hand-over to the next in line are
// one and the same commit.
//
// Rejected: a reserved key space for locks, which every range read, permission and watch would have to know;
// and guards that clients put together themselves, as etcd's clients do, where each hand-over costs the next
// in line two round trips.
//
// Drawback: a transaction that enters one queue twice is refused, as both would have the same token.

// Mark tells that a record is a place in a queue. The values are part of the snapshot format.
type Mark uint8

const (
	MarkQueued    Mark = 0x10 << iota // set in every other mark
	MarkShared                        // holds together with other shared ones
	MarkElection                      // of an election, not of a lock
	MarkOwnsLease                     // the lease was made for it and ends with its release

	markMask = MarkQueued | MarkShared | MarkElection | MarkOwnsLease
)

// Mark returns the record's mark; 0 for an ordinary record, a delete and an expiry.
func (r Record) Mark() Mark { return Mark(r.enc[kindOffset]) & markMask }

// Queued reports whether the record exists and is a place in a queue.
func (r Record) Queued() bool { return r.Exists() && r.Mark() != 0 }

// Queue returns the queue that the record is in. REQUIRES: Queued.
func (r Record) Queue() Queue {
	key := r.Key()
	return Queue{Name: key[:len(key)-queueSuffix], Election: r.Mark()&MarkElection != 0}
}

// Queue names the queue of a lock or of an election; the two are apart.
type Queue struct {
	Name     string
	Election bool
}

const queueSuffix = 17 // a slash and 16 hex digits

// QueueKey returns the key of a lease's place in the queue of that name.
func QueueKey(name string, id LeaseID) string {
	const digits = "0123456789abcdef"
	b := make([]byte, len(name)+queueSuffix)
	b[copy(b, name)] = '/'
	for i := range 16 {
		b[len(b)-1-i] = digits[id>>(4*i)&15]
	}
	return string(b)
}

func (r Record) validMark() bool {
	mark := r.Mark()
	if mark == 0 {
		return true
	}
	id := r.Lease()
	return mark&MarkQueued != 0 && id != 0 && strings.HasSuffix(r.Key(), QueueKey("", id))
}

// QueueCause tells why a record leaves its queue.
type QueueCause uint8

const (
	QueueLost  QueueCause = iota // it was deleted, or its lease ended
	QueueGiven                   // its owner gave it back
)

// Queues has the rules of the queues; package locks has them. It is called while an entry is applied, under
// the store's lock.
type Queues interface {
	// Changed takes each write of a record that was or is a place in a queue, in order.
	Changed(prev, next Record, why QueueCause)
	// Free reports whether one that enters the queue now would hold at once.
	Free(q Queue, shared bool) bool
	// Find returns the record with a token; ok is false if there is none. holds tells that it holds.
	Find(q Queue, token Revision) (r Record, holds, ok bool)
	// Last returns the token of the last in line; 0 for an empty queue.
	Last(q Queue) Revision
}

// noQueue stands in where nobody was attached: nothing ever holds.
type noQueue struct{}

func (noQueue) Changed(Record, Record, QueueCause)              {}
func (noQueue) Free(Queue, bool) bool                           { return false }
func (noQueue) Find(Queue, Revision) (r Record, holds, ok bool) { return r, false, false }
func (noQueue) Last(Queue) Revision                             { return 0 }

// The operations on queues are modifications whose Span.From is the queue's name. FlagElection chooses the
// election of that name. The values are part of the log format.
const (
	// ModifyQueueJoin enters the queue under Op.Lease, with Op.Value. A Delta above 0 grants that lease first,
	// for so many milliseconds, and marks it as owned. FlagTry enters only if it would hold at once,
	// FlagShared for holding with others. A lease that is in the queue already keeps its place (in an
	// election its value becomes Op.Value), and Prev is that place. N is 1 if it holds; Record is its place,
	// zero if not entered.
	// Fails with ErrNoLease, ErrLeaseExists, ErrPlaceTaken or ErrQueuedTwice.
	ModifyQueueJoin ModifyKind = 40 + iota
	// ModifyQueueRelease gives back what the token Delta holds, and ends its lease if it is owned. Fails with
	// ErrNotHolder.
	ModifyQueueRelease
	// ModifyQueueLeave gives up the place of Op.Lease, whether it holds or waits; with FlagTry only if it
	// waits. Delta is its token, 0 for any. N is 1 if it holds and stays, 0 if it left, -1 if it was not
	// there.
	ModifyQueueLeave
	// ModifyQueueValue gives the holder with token Delta the value Op.Value. Fails with ErrNotHolder.
	ModifyQueueValue

	lastModify = ModifyQueueValue
)

// LastModify is the greatest kind of modification there is, for the log's decoder.
const LastModify = lastModify

// Flags of the operations on queues. They are taken from the top, the others from the bottom.
const (
	FlagElection OpFlags = 1 << 15
	FlagShared   OpFlags = 1 << 14
	FlagTry      OpFlags = 1 << 13
)

func (o *Op) queue() Queue { return Queue{Name: o.Span.From, Election: o.Flags&FlagElection != 0} }

func (b *Batch) queueOp(op *Op, r *OpResult) {
	switch op.Modify {
	case ModifyQueueJoin:
		b.queueJoin(op, r)
	case ModifyQueueRelease:
		b.queueRelease(op, r)
	case ModifyQueueLeave:
		b.queueLeave(op, r)
	case ModifyQueueValue:
		b.queueValue(op, r)
	default:
		panic(fmt.Sprintf("mvcc: modification of unknown kind %d at revision %d", op.Modify, b.Revision()))
	}
}

func (b *Batch) queueJoin(op *Op, r *OpResult) {
	q := op.queue()
	c, old := b.find(QueueKey(q.Name, op.Lease))
	if old.Exists() {
		b.queueAgain(op, r, c, old)
		return
	}
	if r.Err = b.mayJoin(op, q); r.Err != nil {
		return
	}
	if op.Flags&FlagTry != 0 && !b.queues.Free(q, op.Flags&FlagShared != 0) {
		return
	}
	f := b.successor(QueueKey(q.Name, op.Lease), Record{})
	f.mark, f.lease, f.value = op.mark(), op.Lease, op.Value
	if b.store(op, r, c, old, &f); r.Err != nil {
		return
	}
	if op.Delta > 0 {
		b.leases.Grant(op.Lease, op.Delta)
	}
	r.N = b.holding(q, r.Record)
}

func (b *Batch) mayJoin(op *Op, q Queue) error {
	granted := b.leases.Granted(op.Lease)
	switch {
	case op.Delta > 0 && granted:
		return ErrLeaseExists
	case op.Delta <= 0 && !granted:
		return ErrNoLease
	case b.queues.Last(q) == b.main():
		return ErrQueuedTwice
	case len(op.Value) > MaxValueBytes:
		return ErrValueTooLong
	}
	return nil
}

func (o *Op) mark() Mark {
	mark := MarkQueued
	if o.Flags&FlagShared != 0 {
		mark |= MarkShared
	}
	if o.Flags&FlagElection != 0 {
		mark |= MarkElection
	}
	if o.Delta > 0 {
		mark |= MarkOwnsLease
	}
	return mark
}

// queueAgain answers a lease that asks again.
func (b *Batch) queueAgain(op *Op, r *OpResult, c *chain, old Record) {
	q := op.queue()
	if !old.Queued() || old.Queue() != q {
		r.Err = ErrPlaceTaken
		return
	}
	r.Record, r.Prev = old, old
	if q.Election && old.Value() != op.Value {
		f := b.successor(old.Key(), old)
		f.mark, f.value = old.Mark(), op.Value
		if b.store(op, r, c, old, &f); r.Err != nil {
			return
		}
	}
	r.N = b.holding(q, r.Record)
}

func (b *Batch) holding(q Queue, r Record) int64 {
	if _, holds, _ := b.queues.Find(q, r.CreateRevision()); holds {
		return 1
	}
	return 0
}

func (b *Batch) queueRelease(op *Op, r *OpResult) {
	rec, holds, _ := b.queues.Find(op.queue(), Revision(op.Delta))
	if !holds {
		r.Err = ErrNotHolder
		return
	}
	b.giveUp(rec)
}

func (b *Batch) queueLeave(op *Op, r *OpResult) {
	q := op.queue()
	_, rec := b.find(QueueKey(q.Name, op.Lease))
	if !rec.Queued() || rec.Queue() != q || op.Delta != 0 && rec.CreateRevision() != Revision(op.Delta) {
		r.N = -1
		return
	}
	if op.Flags&FlagTry != 0 && b.holding(q, rec) == 1 {
		r.N, r.Record = 1, rec
		return
	}
	b.giveUp(rec)
}

// giveUp ends a place, and the lease that was made for it with all that hangs on it.
func (b *Batch) giveUp(rec Record) {
	b.reason = QueueGiven
	if c, old := b.find(rec.Key()); old.Exists() {
		b.end(c, KindDelete)
	}
	b.reason = QueueLost
	if rec.Mark()&MarkOwnsLease != 0 {
		b.endLease(rec.Lease(), KindDelete)
	}
}

func (b *Batch) queueValue(op *Op, r *OpResult) {
	rec, holds, _ := b.queues.Find(op.queue(), Revision(op.Delta))
	if !holds {
		r.Err = ErrNotHolder
		return
	}
	c, old := b.find(rec.Key())
	f := b.successor(rec.Key(), old)
	f.mark, f.value = old.Mark(), op.Value
	b.store(op, r, c, old, &f)
}

// compareLock is the guard `lock name = token`.
func (b *Batch) compareLock(c *Compare) bool {
	_, holds, _ := b.queues.Find(Queue{Name: c.Span.From}, Revision(c.Num))
	switch c.Op {
	case CmpEqual:
		return holds
	case CmpNotEqual:
		return !holds
	}
	return false
}
