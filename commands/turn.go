package commands

import (
	"errors"
	"time"

	"github.com/redkeep/redkeep/locks"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// Waiting for a turn: LOCK.ACQUIRE and ELECTION.CAMPAIGN with WAIT.
//
// Idea. The place in the queue is taken by an ordinary request. If it does not hold at once, the connection
// registers for what happens to that place on this node (locks.Waiters) and waits. The entry that hands over
// is applied here as on every member, and wakes it: no message is needed, whichever node the client chose.
// While it waits, the server renews its lease, so a place is not lost by waiting; and Conn.WaitAlert watches
// the client from the start, so a place does not outlive it, and is not given to who is known to be gone.
//
// Invariants.
//  1. Whoever is woken looks into the book, and answers what it says; a wake-up proves nothing.
//  2. A place is given up when the client vanishes, when its time is over, and when the outcome of entering
//     is not known: departure.go says whose, and by whom. Giving up is submitted behind entering by the same
//     node, so it comes behind it in the log. One that came to hold just before its time was over is kept,
//     and answered.
//  3. Once the place was entered, "not executed" is said only when it is known to be given up again. If that
//     is not confirmed, for there is no leader, the answer is UNCERTAIN, the lease is renewed no more, and
//     giving up is tried again.
//
// Rejected: polling; a watch on the predecessor's key, which is the same wake-up by a longer way. Drawback: a
// connection that waits serves nothing else.
type turn struct {
	d       *Dispatcher
	conn    *resp.Conn
	s       *session
	join    joining
	token   mvcc.Revision
	fresh   bool // there was no such place when this call asked for it
	waiter  *locks.Waiter
	until   time.Time
	every   time.Duration // between renewals of the lease
	renewed time.Time
}

// mustWait reports whether the command asks to wait; a malformed one goes the usual way to its error.
func mustWait(c *call) bool {
	j, err := c.row.join(c)
	return err == nil && j.wait > 0
}

// Interrupt ends all waiting for locks: the node is about to close.
func (d *Dispatcher) Interrupt() {
	d.leaving.Store(true)
	d.engine.Waiters().NotifyAll()
}

// waitForTurn serves the command. It returns false iff the client vanished.
func (d *Dispatcher) waitForTurn(conn *resp.Conn, s *session) bool {
	row, began := s.call.row, time.Now()
	j, err := row.join(&s.call)
	if err != nil {
		d.reply(conn, s, row, s.call.args, refused(err), time.Since(began))
		return true
	}
	t := &turn{d: d, conn: conn, s: s, join: j, until: began.Add(j.wait)}
	v, there := t.take()
	if there {
		d.reply(conn, s, row, s.call.args, v, time.Since(began))
	}
	return there
}

// submit submits one operation. A patient one is for who will have to wait for his turn anyway.
func (t *turn) submit(op mvcc.Op, patient bool) *raftfsm.Submission {
	sub := t.d.engine.NewSubmission()
	sub.Patient = patient
	sub.AddTxn(&mvcc.Txn{Then: []mvcc.Op{op}})
	t.d.engine.Submit(sub)
	return sub
}

// await waits for the operation's result; there is false iff the client vanished.
func (t *turn) await(sub *raftfsm.Submission) (r *mvcc.OpResult, err error, there bool) {
	if !t.conn.Wait(sub.Done()) {
		return nil, nil, false
	}
	if err := sub.Err(); err != nil {
		return nil, err, true
	}
	t.s.written = t.d.engine.AppliedIndex()
	if err := sub.Result(0).Err; err != nil {
		return &mvcc.OpResult{Err: err}, nil, true
	}
	return &sub.Result(0).Ops[0], nil, true
}

// take enters the queue and waits until the place holds.
func (t *turn) take() (v resp.Value, there bool) {
	t.fresh = !t.d.placed(&t.join)
	sub := t.submit(t.join.op(0), !t.d.engine.Book().Free(t.join.queue, t.join.shared))
	r, err, there := t.await(sub)
	switch {
	case !there:
		t.depart(sub)
		return v, false
	case err != nil:
		if errors.Is(err, raftfsm.ErrUncertain) && t.join.mayBeEntered(t.fresh) {
			t.depart(nil)
		}
		return refused(t.d.writeFate(err, 0)), true
	case r.Err != nil:
		return failed(r.Err), true
	case fallsShort(r.Record, t.join.shared):
		return refused(errPlaceShared), true
	case r.N == 1:
		return t.holds(r.Record), true
	}
	t.token = r.Record.CreateRevision()
	t.prepare()
	t.waiter = t.d.engine.Waiters().Join(r.Record.Key(), !r.Prev.Exists())
	defer t.d.engine.Waiters().Leave(t.waiter)
	return t.stand()
}

// placed reports whether the lease has a place in the queue already, as far as this node knows.
func (d *Dispatcher) placed(j *joining) (there bool) {
	d.engine.Store().View(func(s *mvcc.View) {
		there = s.Get(mvcc.QueueKey(j.queue.Name, j.lease)).Exists()
	})
	return there
}

// holds is the reply of one who holds.
func (t *turn) holds(place mvcc.Record) resp.Value {
	t.s.held(t.d, place)
	return placeReply(place)
}

// prepare decides how often the lease is renewed: three times in its TTL.
func (t *turn) prepare() {
	ttl := t.join.ttl
	if l, ok := t.d.engine.Leases().Get(t.join.lease); ok {
		ttl = l.TTL
	}
	t.every, t.renewed = max(time.Duration(ttl)*time.Millisecond/3, 20*time.Millisecond), time.Now()
}

// stand waits in the queue.
func (t *turn) stand() (v resp.Value, there bool) {
	w := &waiter{poke: t.waiter.Poke}
	t.s.waiter.Store(w)
	defer t.s.waiter.Store(nil)
	for {
		place, holds, ok := t.d.engine.Book().Find(t.join.queue, t.token)
		now, reason := time.Now(), w.reason.Load()
		switch {
		case holds:
			return t.holds(place), true
		case !ok:
			return refused(t.whyGone()), true
		case t.d.leaving.Load():
			return t.close(errClosing)
		case reason == wokenToRefuse:
			return t.close(errUnblocked)
		case reason == wokenInTime, !now.Before(t.until):
			return t.timeUp()
		}
		if now.Sub(t.renewed) >= t.every {
			t.renewed = now
			t.d.engine.AskLeases([]raftfsm.LeaseAsk{{ID: t.join.lease, Renew: true}})
		}
		if !t.sleep(min(t.until.Sub(now), t.renewed.Add(t.every).Sub(now))) {
			t.vanish()
			return v, false
		}
	}
}

// sleep waits for a wake-up, or so long.
func (t *turn) sleep(limit time.Duration) (there bool) {
	alarm := time.AfterFunc(limit, t.waiter.Poke)
	defer alarm.Stop()
	return t.conn.WaitAlert(t.waiter.Wake)
}

// whyGone tells what became of a place that is not there any more.
func (t *turn) whyGone() error {
	if !t.d.engine.Leases().Granted(t.join.lease) {
		return errNoLease
	}
	return errPlaceLost
}

// owes reports whether this call has to give the place up. It does not wait for it any more.
func (t *turn) owes() bool { return t.d.engine.Waiters().Part(t.waiter) || !t.join.given() }

// vanish gives the place up for a client that is gone.
func (t *turn) vanish() {
	if t.owes() {
		t.depart(nil)
	}
}

// timeUp leaves the queue, unless the place has just come to hold.
func (t *turn) timeUp() (v resp.Value, there bool) {
	if !t.owes() {
		return resp.Null(), true // others wait for the place, and will be told
	}
	return t.giveUp(resp.Null())
}

// close leaves the queue because somebody ended the waiting: the node is about to close, or CLIENT UNBLOCK
// came.
func (t *turn) close(why error) (v resp.Value, there bool) {
	if !t.owes() {
		return refused(errPlaceDoubtful), true
	}
	return t.giveUp(refused(why))
}

// giveUp leaves the queue and answers left, or that the place holds after all.
func (t *turn) giveUp(left resp.Value) (v resp.Value, there bool) {
	r, err, there := t.await(t.submit(t.join.leave(t.token, mvcc.FlagTry), false))
	switch {
	case !there:
		t.depart(nil)
		return v, false
	case err != nil:
		t.depart(nil)
		return refused(errPlaceDoubtful), true
	case r.N == 1:
		return t.holds(r.Record), true
	default:
		return left, true
	}
}
