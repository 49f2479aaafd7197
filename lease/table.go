package lease

import (
	"sync"

	"github.com/tidwall/btree"

	"github.com/redkeep/redkeep/mvcc"
)

// Leases. What is replicated (Table) and what the leader counts (Clock) are two things.
//
// Idea. The leader counts down with a monotonic clock that is not part of the state. What it must leave to
// its successor is, for each lease, a time that is never shorter than what a client was promised and hardly
// longer than what is left. So there is a lease time: it runs while somebody leads, and stands still in
// between. A lease in the table is either full, which means "its whole TTL from the moment the next leader
// starts", or has a deadline in lease time. A grant and a replicated renewal make it full. Twice a
// second, while there are leases, the leader replicates a checkpoint: the lease time, and a deadline for each
// lease that has become full since. The others need not be named: their deadlines hold.
//
// Invariants.
//  1. The leader acknowledges a renewal without the log only while the log, up to its end, makes the lease
//     full. So a successor that starts after the renewal grants the whole TTL again. Else the renewal is
//     replicated first. (Clock.Renew)
//  2. A lease that nobody renews has a deadline after the first checkpoint, so a change of leader makes it
//     longer by the time since the last checkpoint and the time without leader, and not by its TTL.
//  3. A renewal counts only if a barrier round that began after it came confirms that the leader leads: a
//     deposed leader renews nothing. The client's TTL counts from when it asked.
//  4. Nothing ends but by an entry in the log. Only a leader in its term proposes that, and in another term
//     its proposal is void, as is that of a checkpoint. A lease it has begun to end is renewed no more, and
//     an entry names the grant (Ref), not just the id, which may be granted anew.
//  5. What is proposed on the strength of an older renewal is void: a replicated renewal changes the Ref, so
//     an end or a checkpoint that was on its way when the renewal was applied passes it by.
//
// Rejected: replicating each renewal (a log entry for nothing, most of the time); the whole TTL for every
// lease at each change of leader, as etcd does by default (a lease may live for ever); checkpoints that name
// each lease that is left (their cost grows with the leases that nobody touches); wall clocks (they jump).
//
// Drawback: an idle cluster with a lease writes two entries a second.

// Ref names one grant of a lease id, as of its last replicated renewal.
type Ref struct {
	ID  mvcc.LeaseID
	Seq uint64 // counts the grants of this cluster
	Gen uint64 // counts the replicated renewals of this grant
}

// Lease is what is replicated of one.
type Lease struct {
	Ref
	TTL  Millis
	Full bool   // it has its whole TTL from when the next leader starts
	At   Millis // if not Full: its deadline in lease time
}

// Millis is a span of time, or a moment in lease time, in milliseconds.
type Millis int64

// Observer follows what happens to the table; the Clock does.
type Observer interface {
	granted(l Lease)
	renewed(l Lease)
	ended(id mvcc.LeaseID)
}

// Table is the replicated state of all leases: a pure state machine. It changes only while log entries are
// applied, on one goroutine; it implements mvcc.Leases. All methods are safe for concurrent use.
type Table struct {
	observer Observer // nil: nobody

	mu struct {
		sync.Mutex
		State
	}
}

// State is a table's contents, as a snapshot has them.
type State struct {
	Seq    uint64 // of the last grant
	Time   Millis // the lease time of the last checkpoint
	leases *btree.Map[mvcc.LeaseID, Lease]
}

// NewState returns a state without leases.
func NewState() State { return State{leases: new(btree.Map[mvcc.LeaseID, Lease])} }

// Add takes a lease of a snapshot.
func (s *State) Add(l Lease) { s.leases.Set(l.ID, l) }

// Len returns the number of leases.
func (s *State) Len() int { return s.leases.Len() }

// Each calls fn with each lease, by id.
func (s *State) Each(fn func(Lease)) {
	s.leases.Scan(func(_ mvcc.LeaseID, l Lease) bool {
		fn(l)
		return true
	})
}

// Remaining returns what a leader that starts now would give the lease: an upper bound of what is left.
func (s *State) Remaining(l Lease) Millis {
	if l.Full {
		return l.TTL
	}
	return max(l.At-s.Time, 0)
}

// NewTable returns an empty table.
func NewTable() *Table {
	t := &Table{}
	t.mu.State = NewState()
	return t
}

// Observe sets who is told. REQUIRES: before anything changes.
func (t *Table) Observe(o Observer) { t.observer = o }

// Capture returns the contents, in constant time; the table may change meanwhile.
func (t *Table) Capture() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.mu.State
	s.leases = s.leases.Copy()
	return s
}

// Replace takes over other contents. The observer is not told.
func (t *Table) Replace(s State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.State = s
}

// Get returns a lease.
func (t *Table) Get(id mvcc.LeaseID) (l Lease, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.leases.Get(id)
}

// Left is Remaining of one lease as it is now; ok is false if there is none.
func (t *Table) Left(id mvcc.LeaseID) (granted, left Millis, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.mu.leases.Get(id)
	return l.TTL, t.mu.Remaining(l), ok
}

// Len returns the number of leases.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.leases.Len()
}

// Granted implements mvcc.Leases.
func (t *Table) Granted(id mvcc.LeaseID) bool {
	_, ok := t.Get(id)
	return ok
}

// Grant implements mvcc.Leases.
func (t *Table) Grant(id mvcc.LeaseID, ttlMS int64) {
	t.mu.Lock()
	t.mu.Seq++
	l := Lease{Ref: Ref{ID: id, Seq: t.mu.Seq}, TTL: Millis(ttlMS), Full: true}
	t.mu.leases.Set(id, l)
	t.mu.Unlock()
	if t.observer != nil {
		t.observer.granted(l)
	}
}

// End implements mvcc.Leases.
func (t *Table) End(id mvcc.LeaseID) {
	t.mu.Lock()
	_, ok := t.mu.leases.Delete(id)
	t.mu.Unlock()
	if ok && t.observer != nil {
		t.observer.ended(id)
	}
}

// Is reports whether ref names the lease as it is now.
func (t *Table) Is(ref Ref) bool {
	l, ok := t.Get(ref.ID)
	return ok && l.Ref == ref
}

// Renew makes a lease full; one that is not granted is ignored.
func (t *Table) Renew(id mvcc.LeaseID) { t.renew(id, func(Lease) bool { return true }) }

// RenewGrant is Renew if the lease is still of the grant that ref names.
func (t *Table) RenewGrant(ref Ref) (ok bool) {
	return t.renew(ref.ID, func(l Lease) bool { return l.Seq == ref.Seq })
}

func (t *Table) renew(id mvcc.LeaseID, still func(Lease) bool) bool {
	t.mu.Lock()
	l, ok := t.mu.leases.Get(id)
	if ok = ok && still(l); ok {
		l.Full, l.At = true, 0
		l.Gen++
		t.mu.leases.Set(id, l)
	}
	t.mu.Unlock()
	if ok && t.observer != nil {
		t.observer.renewed(l)
	}
	return ok
}

// Mark is a line of a checkpoint: what was left of a grant at its lease time.
type Mark struct {
	Ref
	Left Millis
}

// Checkpoint sets the lease time, which never goes back, and the deadlines of the leases named.
func (t *Table) Checkpoint(now Millis, marks []Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.Time = max(t.mu.Time, now)
	for _, m := range marks {
		l, ok := t.mu.leases.Get(m.ID)
		if !ok || l.Ref != m.Ref {
			continue
		}
		l.Full, l.At = false, now+m.Left
		t.mu.leases.Set(m.ID, l)
	}
}
