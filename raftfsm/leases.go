package raftfsm

import (
	"sync"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/locks"
	"github.com/redkeep/redkeep/mvcc"
)

// The lease desk takes questions about the time of leases, renewals among them, to the leader's clock.
// lease/table.go has the design of what is counted where.
//
// Idea. Renewals are many and small, so they are batched where they come in. A goroutine takes all calls that
// wait. On the leader it joins one round of the read barrier for all of them, which proves that nobody else
// leads, and then asks the clock. On a follower it sends them to the leader in one message, whose desk puts
// them beside its own. While that is under way the next batch gathers. A renewal that has to be replicated
// first waits for the log in a goroutine of its own, so that the others need not.
//
// Invariants.
//  1. A call's asks are answered by a leader whose barrier round began after the call came.
//  2. The clock is asked in the term whose round was confirmed, and says so if it does not count in it.
//  3. A call is finished once, within about the request timeout.
//  4. A lease is said to be unknown only when its end has been applied: so what hangs on it is gone for every
//     linearizable read that begins after the answer. A renewal that finds its lease ending waits for that.
//
// Rejected: renewing as a write, which costs every member a log entry and a sync. Drawback: a renewal through
// a follower waits for the message before it, as forwarded writes do.
type leaseDesk struct {
	engine *Engine
	clock  *lease.Clock
	kick   chan struct{}
	slow   sync.WaitGroup // renewals that wait for the log, or for the end of their lease

	mu struct {
		sync.Mutex
		waiting []*LeaseCall
		closed  bool
	}
}

// LeaseAsk is one question. With a Token, it is about the lease of who holds the Queue with it.
type LeaseAsk struct {
	ID    mvcc.LeaseID
	Queue mvcc.Queue
	Token mvcc.Revision
	Renew bool
}

// LeaseAnswer answers a LeaseAsk.
type LeaseAnswer struct {
	Found         bool // false: no such lease; or the token does not hold
	Granted, Left lease.Millis
}

// LeaseCall is a batch of asks on its way.
type LeaseCall struct {
	Asks    []LeaseAsk
	Answers []LeaseAnswer // one for each ask; valid if Err is nil

	err      error
	done     chan struct{}
	deadline time.Time
	tried    bool             // a leader was asked: renewals may have been made
	reply    func(*LeaseCall) // of a call that came from another member
}

// Done is closed when the call is over.
func (c *LeaseCall) Done() <-chan struct{} { return c.done }

// Err returns nil iff the call is answered. After ErrUnconfirmed its renewals may have been made or not.
// REQUIRES: Done is closed.
func (c *LeaseCall) Err() error { return c.err }

func (c *LeaseCall) finish(err error) {
	c.err = err
	if c.reply != nil {
		c.reply(c)
	}
	close(c.done)
}

func newLeaseDesk(e *Engine) *leaseDesk {
	return &leaseDesk{engine: e, clock: lease.NewClock(e.cfg.Monotonic), kick: make(chan struct{}, 1)}
}

// AskLeases asks the leader. It may be called before a leader is known. REQUIRES: Start was called.
func (e *Engine) AskLeases(asks []LeaseAsk) *LeaseCall {
	c := &LeaseCall{Asks: asks}
	e.leases.enter(c)
	return c
}

// Leases returns the replicated state of the leases.
func (e *Engine) Leases() *lease.Table { return e.machine.leases }

// Book returns the queues of locks and elections, as of the entries applied here.
func (e *Engine) Book() *locks.Book { return e.machine.book }

// Waiters returns the registry of those who wait on this node for a place to hold.
func (e *Engine) Waiters() *locks.Waiters { return e.machine.waiters }

// Holders returns the registry of those who hold something by a connection of this node.
func (e *Engine) Holders() *locks.Holders { return e.machine.holders }

func (d *leaseDesk) enter(c *LeaseCall) {
	c.done, c.deadline = make(chan struct{}), time.Now().Add(d.engine.cfg.RequestTimeout)
	d.line(c)
}

// line puts a call into the queue.
func (d *leaseDesk) line(c *LeaseCall) {
	d.mu.Lock()
	closed := d.mu.closed
	if !closed {
		d.mu.waiting = append(d.mu.waiting, c)
	}
	d.mu.Unlock()
	if closed {
		c.finish(ErrClosed)
		return
	}
	wake(d.kick)
}

// asksAtOnce bounds a batch, unless one call alone has more.
const asksAtOnce = 4096

func (d *leaseDesk) take() (calls []*LeaseCall) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, asks := 0, 0
	for n < len(d.mu.waiting) && (n == 0 || asks+len(d.mu.waiting[n].Asks) <= asksAtOnce) {
		asks += len(d.mu.waiting[n].Asks)
		n++
	}
	calls = d.mu.waiting[:n:n]
	d.mu.waiting = d.mu.waiting[n:]
	return calls
}

// run serves one batch after the other.
func (d *leaseDesk) run() {
	defer d.engine.wg.Done()
	for {
		select {
		case <-d.kick:
		case <-d.engine.stop:
			return
		}
		for calls := d.take(); len(calls) > 0; calls = d.take() {
			d.serve(calls)
		}
	}
}

// serve repeats until the batch is answered or its time is over.
func (d *leaseDesk) serve(calls []*LeaseCall) {
	for len(calls) > 0 {
		if d.engine.node.IsLeader() {
			calls = d.lead(calls)
		} else {
			calls = d.ask(refuseForwarded(calls))
		}
		if len(calls) == 0 || d.pause() {
			calls = late(calls, time.Now())
			continue
		}
		for _, c := range calls {
			c.finish(ErrClosed)
		}
		return
	}
}

// refuseForwarded: this node leads no more, and the member that asked finds out who does.
func refuseForwarded(calls []*LeaseCall) (own []*LeaseCall) {
	for _, c := range calls {
		if c.reply != nil {
			c.finish(ErrNoLeader)
			continue
		}
		own = append(own, c)
	}
	return own
}

// late finishes the calls whose time is over and returns the others.
func late(calls []*LeaseCall, now time.Time) (left []*LeaseCall) {
	for _, c := range calls {
		if now.After(c.deadline) {
			c.finish(c.whyNot())
			continue
		}
		left = append(left, c)
	}
	return left
}

// whyNot says why a call was not answered in time.
func (c *LeaseCall) whyNot() error {
	if c.tried {
		return ErrUnconfirmed
	}
	return ErrNoLeader
}

// pause waits a moment before the next attempt; false when the engine closes.
func (d *leaseDesk) pause() bool {
	again := time.NewTimer(10 * time.Millisecond)
	defer again.Stop()
	select {
	case <-again.C:
		return true
	case <-d.engine.stop:
		return false
	}
}

// lead answers at the leader, and returns the calls that it could not answer.
func (d *leaseDesk) lead(calls []*LeaseCall) (left []*LeaseCall) {
	term := d.engine.node.Term()
	round := d.engine.Barrier()
	select {
	case <-round.Done():
	case <-d.engine.stop:
		return calls
	}
	if round.Err() != nil || d.engine.node.Term() != term || !d.engine.node.IsLeader() {
		return calls
	}
	var pending, ending []*LeaseCall
	var refs []lease.Ref
	for _, c := range calls {
		c.tried = true
		switch d.answer(c, uint64(term), &refs) {
		case lease.NotHere:
			left = append(left, c)
		case lease.Ending:
			ending = append(ending, c)
		case lease.Pending:
			pending = append(pending, c)
		default:
			c.finish(nil)
		}
	}
	if len(pending) > 0 {
		d.replicate(pending, refs)
	}
	if len(ending) > 0 {
		d.slow.Go(func() { d.again(ending) })
	}
	return left
}

// again puts calls back into the queue, a moment later.
func (d *leaseDesk) again(calls []*LeaseCall) {
	if !d.pause() {
		for _, c := range calls {
			c.finish(ErrClosed)
		}
		return
	}
	for _, c := range late(calls, time.Now()) {
		d.line(c)
	}
}

// answer fills in the answers of a call. It returns Renewed if that is all, Pending if some of its renewals
// have to be replicated first, and Ending or NotHere if the clock has to be asked again.
func (d *leaseDesk) answer(c *LeaseCall, term uint64, refs *[]lease.Ref) lease.Verdict {
	outcome := lease.Renewed
	c.Answers = make([]LeaseAnswer, len(c.Asks))
	for i := range c.Asks {
		ask, a := &c.Asks[i], &c.Answers[i]
		id, ok := d.leaseOf(ask)
		if !ok {
			continue
		}
		verdict := lease.Unknown
		if ask.Renew {
			var ref lease.Ref
			a.Granted, ref, verdict = d.clock.Renew(term, id)
			a.Left = a.Granted
			if verdict == lease.Pending {
				outcome = lease.Pending
				*refs = append(*refs, ref)
			}
		} else {
			a.Granted, a.Left, verdict = d.clock.Left(term, id)
		}
		if verdict == lease.NotHere || verdict == lease.Ending {
			return verdict
		}
		a.Found = verdict != lease.Unknown
	}
	return outcome
}

// leaseOf returns the lease that is asked about.
func (d *leaseDesk) leaseOf(ask *LeaseAsk) (id mvcc.LeaseID, ok bool) {
	if ask.Token == 0 {
		return ask.ID, true
	}
	place, holds, _ := d.engine.machine.book.Find(ask.Queue, ask.Token)
	if !holds {
		return 0, false
	}
	return place.Lease(), true
}

// replicate renews through the log and then finishes the calls. That a lease ended meanwhile shows in its
// answer.
func (d *leaseDesk) replicate(calls []*LeaseCall, refs []lease.Ref) {
	d.slow.Go(func() {
		gone := map[mvcc.LeaseID]bool{}
		sub := d.engine.NewSubmission()
		sub.addLeaseRenew(refs)
		d.engine.Submit(sub)
		<-sub.Done()
		if err := sub.Err(); err != nil {
			for _, c := range calls {
				c.finish(ErrUnconfirmed) // a renewal may be repeated, whether it was done or not
			}
			return
		}
		for i, ref := range refs {
			if sub.Result(0).Ops[i].N == 0 {
				gone[ref.ID] = true
			}
		}
		for _, c := range calls {
			d.forget(c, gone)
			c.finish(nil)
		}
	})
}

// forget takes back the answers about leases that are gone.
func (d *leaseDesk) forget(c *LeaseCall, gone map[mvcc.LeaseID]bool) {
	for i := range c.Asks {
		if id, ok := d.leaseOf(&c.Asks[i]); !ok || gone[id] {
			c.Answers[i] = LeaseAnswer{}
		}
	}
}

// newTerm is called on the machine's goroutine when the LeaderStart of a term has been applied.
func (d *leaseDesk) newTerm(term cluster.Term) {
	e := d.engine
	if e.running.Load() && e.node.IsLeader() && e.node.Term() == term {
		d.clock.Start(uint64(term), e.machine.leases.Capture())
		return
	}
	d.clock.Stop()
}

// close fails who still waits. REQUIRES: the engine's stop is closed.
func (d *leaseDesk) close() {
	d.mu.Lock()
	d.mu.closed = true
	waiting := d.mu.waiting
	d.mu.waiting = nil
	d.mu.Unlock()
	for _, c := range waiting {
		c.finish(ErrClosed)
	}
}
