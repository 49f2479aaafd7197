package commands

import (
	"errors"
	"strings"
	"time"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
)

// A departure gives up the place in a queue of somebody who does not wait any more: his client has vanished,
// or he was told that the outcome is not known. It goes on, on a goroutine of its own, until the log has it:
// a place that nobody answers for holds up everybody behind it for as long as its lease lives.
//
// Whose place may be given up depends on the lease.
//
//   - A lease that was made for the place, by TTL, is known to nobody but the call that made it. The place
//     goes in any case, and also if it holds by now: nobody has been told.
//   - A lease that the client gave may be used on other connections, for the very same place: a client
//     library that has lost patience repeats its command on a connection of its pool. So only who entered the
//     place gives it up, or who has taken that over from him (locks.Waiters); and only while it waits. One
//     that has come to hold stays with its lease: another connection may have been told so.
//
// Drawback: two connections to two nodes do not know of each other. When the one that entered goes, a waiting
// place goes with it, and the other is told LOCKLOST.
type departure struct {
	d       *Dispatcher
	join    joining
	token   mvcc.Revision          // 0: not known
	attempt func(op mvcc.Op) error // submits and waits; errDeparted: there is no more time
}

// departurePause lies between two attempts.
const departurePause = 100 * time.Millisecond

// errDeparted ends a departure: the node is closing. The places of its waiters are given up before that, or
// go with their leases.
var errDeparted = errors.New("the node is closing")

// depart gives up the place behind the caller's back. entering is the request that entered it, if its outcome
// is still to come; else nil.
func (t *turn) depart(entering *raftfsm.Submission) {
	p := &departure{d: t.d, join: t.join, token: t.token}
	p.join.value = "" // it is a word of the client's, as the name is, and they go with its pipeline
	p.join.queue.Name = strings.Clone(t.join.queue.Name)
	p.attempt = p.submit
	fresh := t.fresh
	t.d.departing.Go(func() {
		if entering != nil && (!p.wait(entering) || !p.entered(entering, fresh)) {
			return
		}
		p.leave()
	})
}

// wait returns false iff the node closes before the submission has an outcome.
func (p *departure) wait(sub *raftfsm.Submission) bool {
	select {
	case <-sub.Done():
		return true
	case <-p.d.stop:
		return false
	}
}

// entered reports whether there is, or may be, a place to be given up. fresh tells that the place was not
// there when it was asked for.
func (p *departure) entered(sub *raftfsm.Submission, fresh bool) bool {
	if err := sub.Err(); err != nil {
		return errors.Is(err, raftfsm.ErrUncertain) && p.join.mayBeEntered(fresh)
	}
	res := sub.Result(0)
	if res.Err != nil || res.Ops[0].Err != nil || res.Ops[0].Prev.Exists() {
		return false
	}
	p.token = res.Ops[0].Record.CreateRevision()
	return true
}

// mayBeEntered reports whether a place that may have been entered is to be given up. One that was there
// before is left to whoever entered it.
func (j *joining) mayBeEntered(fresh bool) bool { return fresh || !j.given() }

// leave makes attempts until one is applied, or is needed no more.
func (p *departure) leave() {
	key, flags := mvcc.QueueKey(p.join.queue.Name, p.join.lease), mvcc.OpFlags(0)
	if p.join.given() {
		flags = mvcc.FlagTry
	}
	for {
		if p.join.given() && p.d.engine.Waiters().Inherit(key) {
			return
		}
		err := p.attempt(p.join.leave(p.token, flags))
		switch {
		case err == nil, errors.Is(err, errDeparted), errors.Is(err, raftfsm.ErrClosed):
			return
		case p.token != 0 && !p.d.engine.Leases().Granted(p.join.lease):
			return // it has ended, and the place with it
		}
		select {
		case <-after(departurePause):
		case <-p.d.stop:
			return
		}
	}
}

func (p *departure) submit(op mvcc.Op) error {
	sub := p.d.engine.NewSubmission()
	sub.AddTxn(&mvcc.Txn{Then: []mvcc.Op{op}})
	p.d.engine.Submit(sub)
	if !p.wait(sub) {
		return errDeparted
	}
	return sub.Err()
}
