package raftfsm

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/locks"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/pubsub"
)

// machine is the replicated state machine: it applies committed entries, in order, on raft's FSM
// goroutine, which is the only writer of everything here.
//
// Invariants.
//  1. What an entry does follows from the entry and the state alone: time is the entry's stamp, never
//     behind an earlier one; nothing reads a clock, draws a number or ranges over a map.
//  2. A submission is finished after its entry is visible in the store.
//  3. applied never runs ahead of the state.
//
// A user's mistake is a result. An entry that cannot be decoded means that members could drift apart:
// that is a panic with its index, and the node stops.
type machine struct {
	store     *mvcc.Store
	deadlines *lease.Deadlines
	hub       *pubsub.Hub // told of everything applied; nil in tests that have no clients
	leases    *lease.Table
	book      *locks.Book
	waiters   *locks.Waiters
	holders   *locks.Holders
	hooks     hooks
	stats     *Stats

	mu struct{ sync.Mutex } // held while the state changes, outside all other locks: see Capture

	applied atomic.Uint64 // index of the last entry that is visible in the store
	clock   atomic.Int64  // the largest stamp applied
	ready   atomic.Uint64 // term of the last LeaderStart applied

	quiet   atomic.Uint64                  // up to this index messages were published before this start
	members atomic.Pointer[[]memberRecord] // by id; replaced, never changed
	users   atomic.Pointer[UserTable]      // replaced, never changed
	term    cluster.Term                   // of the last entry
	txn     mvcc.Txn                       // scratch
	ahead   lookahead                      // scratch
	turns   []locks.Change                 // of the entry: whose places in a queue have changed
	expired []mvcc.ExpireKey               // scratch
	told    applied                        // scratch

	alarms atomic.Pointer[[]Alarm] // by kind and member; replaced, never changed
	trail  trail

	usersNews userNews
}

// hooks are how the machine reaches the parts that wait for it. They run on its goroutine and must not block.
type hooks struct {
	claim     func(h Header) *batch             // this node's own batch, once
	newTerm   func(term cluster.Term)           // the first LeaderStart of a term was applied
	advanced  func(index cluster.Index)         // entries up to index are visible
	foreign   func(origin uint64, index uint64) // another node's batch was applied
	compacted func()                            // there will be garbage once the entry is applied
	restored  func()                            // the whole state was replaced
	alarmed   func()                            // replicated alarms were raised or disarmed
}

func newMachine(stats *Stats) *machine {
	m := &machine{
		store: mvcc.New(), deadlines: lease.NewDeadlines(), leases: lease.NewTable(),
		book: locks.NewBook(), waiters: locks.NewWaiters(), holders: locks.NewHolders(), stats: stats,
	}
	m.store.Attach(m.leases, m.book)
	m.members.Store(&[]memberRecord{})
	m.alarms.Store(&[]Alarm{})
	m.users.Store(&UserTable{})
	m.quiet.Store(math.MaxUint64)
	return m
}

// Apply implements raft.FSM.
func (m *machine) Apply(l *raft.Log) any { return m.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM.
func (m *machine) ApplyBatch(logs []*raft.Log) []any {
	for _, l := range logs {
		if l.Type == raft.LogCommand {
			m.apply(l)
		}
		m.term = cluster.Term(l.Term)
		m.applied.Store(l.Index)
	}
	m.hooks.advanced(cluster.Index(logs[len(logs)-1].Index))
	return make([]any, len(logs))
}

// apply applies one entry.
func (m *machine) apply(l *raft.Log) {
	h, requests, err := readHeader(l.Data)
	if err != nil {
		panic(fmt.Sprintf("entry %d of term %d: %v", l.Index, l.Term, err))
	}
	if uint64(h.Term) != l.Term {
		return // void: the leader it was meant for had lost its term
	}
	m.clock.Store(max(m.clock.Load(), int64(h.Time)))
	own := m.hooks.claim(h)
	results := newFiller(own)
	m.told.reset(m.hub)
	r := reader{b: requests}
	m.ahead.start(requests)
	events := m.store.Update(mvcc.UnixMilli(m.clock.Load()), func(b *mvcc.Batch) {
		b.SetQuota(h.Quota)
		for kind, body, more := r.request(); more; kind, body, more = r.request() {
			if t := m.ahead.step(b); t != nil {
				m.transact(b, t, results.next())
			} else {
				m.request(b, kind, &body, results.next())
				if err := body.end(); err != nil {
					panic(fmt.Sprintf("entry %d, request kind %d: %v", l.Index, kind, err))
				}
			}
			m.told.wrote(b.Events(), &results)
		}
	})
	if err := r.end(); err != nil {
		panic(fmt.Sprintf("entry %d: %v", l.Index, err))
	}
	m.observe(events)
	m.tell(l.Index, events)
	m.mark(l.Index)
	m.applied.Store(l.Index)
	m.announce(l, h, requests, own)
	m.wakeTurns()
}

// request applies one request; res is nil where nobody waits for the result.
func (m *machine) request(b *mvcc.Batch, kind RequestKind, body *reader, res *mvcc.Result) {
	switch kind {
	case ReqTxn:
		body.txn(&m.txn, 1)
		if body.err == nil {
			m.transact(b, &m.txn, res)
		}
	case ReqLeaseGrant:
		m.grant(b, body, res)
	case ReqLeaseRevoke:
		m.revoke(b, body, res)
	case ReqLeaseCheckpoint:
		m.checkpoint(b, body, res)
	case ReqExpire:
		m.expired = body.expire(m.expired)
		b.Expire(m.expired)
	case ReqCompact:
		m.compact(b, body.revision(), res)
	case ReqPublish:
		m.publish(b, body, res)
	case ReqMember:
		m.setMember(body.member().clone())
	case ReqAlarm:
		if a := body.alarm(); body.err == nil {
			m.changeAlarms(b, a, res)
		}
	case ReqUser:
		m.setUsers(b, body, res)
	case ReqLeaderStart:
		body.u64()
	default:
		body.fail("unknown kind: the log was written by a newer version")
	}
}

func (m *machine) transact(b *mvcc.Batch, t *mvcc.Txn, res *mvcc.Result) {
	b.Txn(t, res)
	m.publishAll(b.Published())
}

func (m *machine) compact(b *mvcc.Batch, rev mvcc.Revision, res *mvcc.Result) {
	err := b.Compact(rev)
	if err == nil {
		m.hooks.compacted()
	}
	if res != nil {
		res.Revision = b.Revision()
		res.Ops = append(res.Ops[:0], mvcc.OpResult{Err: err})
	}
}

// setMember replaces the record of one member in the list, which readers hold without a lock. A record
// without a name is final.
func (m *machine) setMember(rec memberRecord) {
	byID := map[cluster.MemberID]memberRecord{rec.ID: rec}
	for _, old := range *m.members.Load() {
		if old.ID != rec.ID || old.gone() {
			byID[old.ID] = old
		}
	}
	list := make([]memberRecord, 0, len(byID))
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		list = append(list, byID[id])
	}
	m.members.Store(&list)
}

// observe keeps the indexes that follow the store.
func (m *machine) observe(events []mvcc.Event) {
	m.deadlines.Observe(events)
	m.observeQueues()
	for i := range events {
		if events[i].Record.Kind() == mvcc.KindExpire {
			m.stats.Expired.Add(1)
		}
	}
}

// wakeTurns wakes those whose turn it is. It does so last, because the goroutine that is woken last runs
// first: whoever gets a lock is about to let go of it, and that is what all others wait for, so its request
// should be in the next round, and that of the last holder for another turn need not be.
func (m *machine) wakeTurns() {
	if len(m.turns) > 0 {
		m.waiters.Notify(m.turns)
		m.turns = nil
	}
}

// announce tells those who wait for this entry.
func (m *machine) announce(l *raft.Log, h Header, requests []byte, own *batch) {
	if own != nil {
		finishAll(own.subs, nil)
	} else {
		m.hooks.foreign(h.Origin, l.Index)
	}
	if len(requests) == 0 || RequestKind(requests[0]) != ReqLeaderStart || m.ready.Load() == l.Term {
		return // a term starts once: what waits and what counts since then is of that term
	}
	m.ready.Store(l.Term)
	m.hooks.newTerm(cluster.Term(l.Term))
}

// Snapshot implements raft.FSM. It captures the state in constant time; Persist streams it later.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) { return m.capture(), nil }

// capture captures the state. REQUIRES: nothing changes it meanwhile.
func (m *machine) capture() *snapshot {
	pin := m.store.Pin()
	return &snapshot{
		pin: pin, header: m.snapshotHeader(pin), members: *m.members.Load(), leases: m.leases.Capture(),
		alarms: *m.alarms.Load(), users: m.users.Load(),
	}
}

func (m *machine) snapshotHeader(pin *mvcc.Pin) SnapshotHeader {
	return SnapshotHeader{
		Revision: pin.Revision, CompactRevision: pin.CompactRevision, Records: pin.Records, Keys: pin.Keys,
		Hash: pin.Hash, Applied: cluster.Index(m.applied.Load()), Term: m.term,
		Ready: cluster.Term(m.ready.Load()), Clock: mvcc.UnixMilli(m.clock.Load()),
	}
}

// Restore implements raft.FSM: it builds the state aside and swaps it in.
func (m *machine) Restore(in io.ReadCloser) error {
	defer in.Close()
	fresh, deadlines, err := readState(in)
	if err != nil {
		return err
	}
	m.replace(fresh, deadlines)
	m.hooks.restored()
	return nil
}

func (m *machine) replace(fresh *state, deadlines *lease.Deadlines) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.store.Replace(fresh.store)
	m.deadlines.Replace(deadlines)
	m.replaceLeases(fresh)
	m.members.Store(&fresh.members)
	m.alarms.Store(&fresh.alarms)
	m.trail.forget()
	m.replaceUsers(fresh.users.dated(m.users.Load()))
	m.term = fresh.header.Term
	m.applied.Store(uint64(fresh.header.Applied))
	m.clock.Store(max(m.clock.Load(), int64(fresh.header.Clock)))
	m.ready.Store(uint64(fresh.header.Ready))
}

// filler hands out the places for results, in the order of the requests of a batch.
type filler struct {
	batch  *batch
	sub, i int
}

func newFiller(b *batch) filler {
	f := filler{batch: b}
	if b != nil {
		for _, s := range b.subs {
			if s != nil {
				s.prepare()
			}
		}
	}
	return f
}

// next returns the place for the next request's result; nil where nobody waits for it.
func (f *filler) next() *mvcc.Result {
	if f.batch == nil {
		return nil
	}
	for f.i == f.batch.counts[f.sub] {
		f.sub, f.i = f.sub+1, 0
	}
	f.i++
	s := f.batch.subs[f.sub]
	if s == nil {
		return nil
	}
	s.results[f.i-1].Err = nil // of its last use
	return &s.results[f.i-1]
}
