package raftfsm

import (
	"encoding/binary"

	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/locks"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/pubsub"
)

// What the machine does with leases and with the queues of locks and elections. The state is in lease.Table
// and locks.Book, which the store asks and tells while it applies transactions (mvcc.Leases, mvcc.Queues).

func (m *machine) grant(b *mvcc.Batch, body *reader, res *mvcc.Result) {
	id, ttl := mvcc.LeaseID(body.u64()), body.millis()
	if body.err == nil {
		answerOne(b, res, mvcc.OpResult{Err: b.GrantLease(id, int64(ttl))})
	}
}

func (m *machine) revoke(b *mvcc.Batch, body *reader, res *mvcc.Result) {
	if body.enum("revocation", revokeByClient, revokeExpired) == revokeExpired {
		m.expireLeases(b, body.refs())
		return
	}
	id := mvcc.LeaseID(body.u64())
	if body.err == nil {
		keys, err := b.EndLease(id, mvcc.KindDelete)
		answerOne(b, res, mvcc.OpResult{N: keys, Err: err})
	}
}

// expireLeases ends leases that have not been renewed or granted anew since their end was proposed.
func (m *machine) expireLeases(b *mvcc.Batch, refs []lease.Ref) {
	for _, ref := range refs {
		if m.leases.Is(ref) {
			_, _ = b.EndLease(ref.ID, mvcc.KindExpire) // it is granted
		}
	}
}

func (m *machine) checkpoint(b *mvcc.Batch, body *reader, res *mvcc.Result) {
	if body.enum("checkpoint", checkpointTime, checkpointRenews) == checkpointTime {
		at, marks := body.millis(), body.marks()
		if body.err == nil {
			m.leases.Checkpoint(at, marks)
		}
		return
	}
	refs := body.refs()
	ops := make([]mvcc.OpResult, len(refs))
	for i, ref := range refs {
		if m.leases.RenewGrant(ref) {
			ops[i].N = 1
		}
	}
	if res != nil {
		res.Revision, res.Ops = b.Revision(), append(res.Ops[:0], ops...)
	}
}

func answerOne(b *mvcc.Batch, res *mvcc.Result, op mvcc.OpResult) {
	if res != nil {
		res.Revision, res.Ops = b.Revision(), append(res.Ops[:0], op)
	}
}

// observeQueues takes what the entry changed in the queues. A lease that was made for a place is full again
// when the place begins to hold: the time of a lock counts from there.
func (m *machine) observeQueues() {
	changes := m.book.Take()
	if len(changes) == 0 {
		return
	}
	for i := range changes {
		if c := &changes[i]; c.Type == locks.Acquired && c.Place.Mark()&mvcc.MarkOwnsLease != 0 {
			m.leases.Renew(c.Place.Lease())
		}
	}
	m.turns = changes
	m.holders.Notify(changes)
	for i := range changes {
		if c := &changes[i]; c.Published() {
			m.told.messages = append(m.told.messages, pubsub.Message{
				Kind: pubsub.KindChannel, Channel: c.Channel(), Payload: string(c.JSON()), Owed: true,
			})
		}
	}
}

// replaceLeases takes over what follows from a restored store and what was stored beside it.
func (m *machine) replaceLeases(fresh *state) {
	m.leases.Replace(fresh.leases)
	m.book.Replace(queuesOf(fresh.store))
	m.waiters.NotifyAll()
	m.holders.Recheck(m.book)
}

// queuesOf builds the book of a store that nobody else uses yet.
func queuesOf(s *mvcc.Store) *locks.Book {
	book := locks.NewBook()
	if s.Attached() == 0 {
		return book
	}
	for cursor := s.Scan(0, 4096, book.Add); cursor != 0; {
		cursor = s.Scan(cursor, 4096, book.Add)
	}
	return book
}

// appendLeases is the body of a snapshot's block of leases.
func appendLeases(b []byte, s lease.State) []byte {
	b = binary.AppendUvarint(b, s.Seq)
	b = binary.AppendUvarint(b, uint64(s.Time))
	b = binary.AppendUvarint(b, uint64(s.Len()))
	s.Each(func(l lease.Lease) {
		b = binary.AppendUvarint(appendRef(b, l.Ref), uint64(l.TTL))
		full := byte(0)
		if l.Full {
			full = 1
		}
		b = binary.AppendUvarint(append(b, full), uint64(l.At))
	})
	return b
}

func (r *reader) leases() lease.State {
	s := lease.NewState()
	s.Seq, s.Time = r.uvarint(), r.millis()
	for range r.count(refBytes + 3) {
		l := lease.Lease{Ref: r.ref(), TTL: r.millis()}
		l.Full, l.At = r.enum("lease", 0, 1) == 1, r.millis()
		s.Add(l)
	}
	return s
}
