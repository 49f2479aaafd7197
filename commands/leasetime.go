package commands

import (
	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// What is left of a lease only the leader's clock knows. Two kinds of commands need it.
//
// Reads (TTL, LEASE.TTL, LOCK.INFO) ask for it as a view meets keys past their deadline: the first run of the
// reads notes which leases it wants, the dispatcher asks the leader for all of them at once, and the reads
// run again. On a READONLY connection they get what a new leader would grant, which is never less.
//
// Renewals are a run of their own kind: all of a stretch of a pipeline go to the leader in one call, behind
// one barrier round.

// kindRenew is the kind of a run of renewals; no row has it.
const kindRenew Kind = 0xff

// leaseTimes is what a view knows of leases.
type leaseTimes struct {
	table *lease.Table
	told  map[mvcc.LeaseID]raftfsm.LeaseAnswer // by the leader
}

// left returns how long a lease was granted for and what is left of it; ok is false if there is none. While
// the leader has not been asked, it is a guess that nobody will see.
func (v *view) left(id mvcc.LeaseID) (granted, left lease.Millis, ok bool) {
	if !v.linear {
		return v.leases.table.Left(id)
	}
	if a, told := v.leases.told[id]; told {
		return a.Granted, a.Left, a.Found
	}
	v.wanted = append(v.wanted, id)
	return 0, 0, true
}

// deadline returns when a key ends by its deadline or by its lease, whichever is earlier; 0 for never.
func (v *view) deadline(r mvcc.Record) mvcc.UnixMilli {
	at := r.Deadline()
	if r.Lease() == 0 {
		return at
	}
	_, left, _ := v.left(r.Lease())
	if ends := v.now + mvcc.UnixMilli(left); at == 0 || ends < at {
		return ends
	}
	return at
}

// askLeft asks the leader for the leases that the reads of a run want. It returns false iff the client
// vanished.
func (d *Dispatcher) askLeft(conn *resp.Conn, s *session) bool {
	v := &s.view
	if len(v.wanted) == 0 {
		return true
	}
	asks := make([]raftfsm.LeaseAsk, len(v.wanted))
	for i, id := range v.wanted {
		asks[i].ID = id
	}
	call := d.engine.AskLeases(asks)
	if !conn.Wait(call.Done()) {
		return false
	}
	if err := call.Err(); err != nil {
		s.run.refuse(readFate(err))
		return true
	}
	if v.leases.told == nil {
		v.leases.told = make(map[mvcc.LeaseID]raftfsm.LeaseAnswer, len(asks))
	}
	for i, a := range call.Answers {
		v.leases.told[asks[i].ID] = a
	}
	return true
}

// renewal is what a row's renew function asks for, and what it makes of the answers.
type renewal struct {
	asks   []raftfsm.LeaseAsk
	render func([]raftfsm.LeaseAnswer) resp.Value
	from   int // of asks in those of the run
}

// renew puts the command into the current run of renewals.
func (d *Dispatcher) renew(conn *resp.Conn, s *session) bool {
	if s.run.kind != kindRenew && !d.finish(conn, s) {
		return false
	}
	s.run.begin(kindRenew)
	r, err := s.call.row.renew(&s.call)
	if err != nil {
		s.run.decide(&s.call, false, err)
		return true
	}
	r.from = len(s.run.asks)
	s.run.asks = append(s.run.asks, r.asks...)
	s.run.items = append(s.run.items, item{row: s.call.row, args: s.call.args, renewal: r})
	return true
}

// finishRenewals waits for the leader's answers.
func (d *Dispatcher) finishRenewals(conn *resp.Conn, s *session) bool {
	if len(s.run.asks) == 0 {
		return true
	}
	call := d.engine.AskLeases(s.run.asks)
	if !conn.Wait(call.Done()) {
		return false
	}
	for i := range s.run.items {
		it := &s.run.items[i]
		switch {
		case it.decided:
			continue
		case call.Err() != nil:
			it.reply = refused(renewalFate(call.Err()))
		default:
			from := it.renewal.from
			it.reply = it.renewal.render(call.Answers[from : from+len(it.renewal.asks)])
		}
		it.decided = true
	}
	return true
}
