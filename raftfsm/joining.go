package raftfsm

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/cluster"
)

// What a member asks for itself: to be added, to be promoted, to be known at another address, and whether
// it is still a member. The leadership goroutine looks ten times a second at what the configuration says and
// at what this node was started to be; while the two differ, it asks. Whoever it asks passes it on to the
// leader.
//
// So a node that joins needs no memory of what it has asked: a lost answer, a crash of either side or a
// change of leaders only means that the question comes again.
//
// A member that was removed may never see its removal: the leader stops sending to it with that very entry.
// One that hears of no leader therefore asks the others, who have the record of its end (members.go, C2).

// membership is the engine's part in changes of the members.
type membership struct {
	work     sync.WaitGroup
	life     context.Context // ends when the engine closes
	end      context.CancelFunc
	changing atomic.Bool // the leader makes a change

	newcomer  atomic.Bool // this node has joined and is not yet what it was started to be
	removed   atomic.Bool
	removedCh chan struct{} // closed when removed becomes true

	// Of the leadership goroutine.
	asking *asking
	asked  time.Time // when the last question was asked
	turn   int       // whom to ask next
	alone  time.Time // since when no leader is known
	told   string    // the last refusal logged

	mu struct {
		sync.Mutex
		closed bool // no more work
	}
}

func (m *membership) open() {
	m.life, m.end = context.WithCancel(context.Background())
	m.removedCh = make(chan struct{})
}

// close ends what is under way and waits for it.
func (m *membership) close() {
	m.mu.Lock()
	m.mu.closed = true
	m.mu.Unlock()
	m.end()
	m.work.Wait()
}

const (
	askEvery    = 300 * time.Millisecond
	lonelyAfter = 2 * time.Second
)

// asking is a question under way.
type asking struct {
	done chan struct{}
	err  error
	gone bool // somebody knows that this member was removed
}

// Removed is closed when this member has learned that it was removed from the cluster.
func (e *Engine) Removed() <-chan struct{} { return e.member.removedCh }

// IsRemoved reports whether this member was removed from the cluster. It takes no lock.
func (e *Engine) IsRemoved() bool { return e.member.removed.Load() }

// settle asks for the next thing this member needs. Only the leadership goroutine calls it.
func (e *Engine) settle() {
	m := &e.member
	if m.removed.Load() {
		return
	}
	if rec, ok := e.recordOf(e.node.Self()); ok && rec.gone() {
		e.retire()
		return
	}
	if m.asking != nil && !e.answered() {
		return
	}
	if e.reconcile(); m.asking != nil || time.Since(m.asked) < askEvery {
		return
	}
	m.asked = time.Now()
	e.askNext()
}

// answered takes the answer to the last question; false while there is none.
func (e *Engine) answered() bool {
	m := &e.member
	select {
	case <-m.asking.done:
	default:
		return false
	}
	a := m.asking
	m.asking = nil
	switch {
	case a.gone:
		e.retire()
	case a.err != nil && a.err.Error() != m.told:
		m.told = a.err.Error()
		e.log.Warn("membership: asked in vain, asking again", "reason", a.err)
	}
	return true
}

func (e *Engine) askNext() {
	self, isMember := e.ownEntry()
	_, _, led := e.node.Leader()
	if led {
		e.member.alone = time.Time{}
	} else if e.member.alone.IsZero() {
		e.member.alone = time.Now()
	}
	j := e.node.Joining()
	switch {
	case j != nil && !isMember:
		e.askFor(j.Seeds, Change{Kind: ChangeJoin, ID: e.node.Self(), Name: e.cfg.Name, Addr: e.node.PeerAddr(),
			Replace: j.Replace})
	case j != nil && (self.Voter || j.Learner):
		if e.node.Joined() == nil {
			e.member.newcomer.Store(false)
			e.log.Info("joined the cluster", "member", e.node.Self().String(), "learner", !self.Voter)
		}
	case j != nil && led && e.readyHere():
		e.askLeader(Change{Kind: ChangeEnter, ID: e.node.Self(), Replace: j.Replace})
	case isMember && e.node.Moved() != "":
		e.askFor(nil, Change{Kind: ChangeAnnounce, ID: e.node.Self(), Addr: e.node.Moved()})
	case !isMember && led, !led && time.Since(e.member.alone) > lonelyAfter:
		e.askWhetherRemoved()
	}
}

func (e *Engine) ownEntry() (self cluster.Member, ok bool) {
	for _, m := range e.node.Members() {
		if m.ID == e.node.Self() {
			return m, true
		}
	}
	return self, false
}

// readyHere reports whether this member has applied the start of the term and what it knows to be committed.
func (e *Engine) readyHere() bool {
	return e.machine.ready.Load() == uint64(e.node.Term()) &&
		e.machine.applied.Load() >= uint64(e.node.CommitIndex())
}

// ask runs one question beside the leadership goroutine.
func (e *Engine) ask(question func(a *asking)) {
	a := &asking{done: make(chan struct{})}
	e.member.asking = a
	if !e.spawn(func() {
		question(a)
		close(a.done)
	}) {
		close(a.done)
	}
}

// askLeader makes a change as a client's.
func (e *Engine) askLeader(c Change) {
	e.ask(func(a *asking) {
		ctx, cancel := e.changeTime()
		defer cancel()
		_, a.err = e.change(ctx, c)
	})
}

// askFor asks one of the members, or of the seeds, by address: they may not know this node, and it may not
// know the leader.
func (e *Engine) askFor(seeds []string, c Change) {
	if e.leading() {
		e.askLeader(c)
		return
	}
	var addrs []string
	for _, m := range e.node.Members() {
		if m.ID != e.node.Self() {
			addrs = append(addrs, m.Addr)
		}
	}
	if addrs = append(addrs, seeds...); len(addrs) == 0 {
		return
	}
	e.member.turn++
	addr := addrs[e.member.turn%len(addrs)]
	e.ask(func(a *asking) {
		reply, err := e.node.Ask(addr, kindChange, c.encode())
		if err == nil {
			_, a.err = outcomeOf(reply, nil)
		}
	})
}

// askWhetherRemoved asks every member it knows.
func (e *Engine) askWhetherRemoved() {
	members := e.node.Members()
	e.ask(func(a *asking) {
		answers := make(chan bool, len(members))
		for _, m := range members {
			if m.ID == e.node.Self() {
				answers <- false
				continue
			}
			e.node.Send(m.ID, kindMembership, nil, func(reply []byte, err error) {
				answers <- err == nil && len(reply) == 1 && reply[0] == memberGone
			})
		}
		limit := time.NewTimer(promotionRound)
		defer limit.Stop()
		for range members {
			select {
			case gone := <-answers:
				a.gone = a.gone || gone
			case <-limit.C:
				return
			case <-e.stop:
				return
			}
		}
	})
}

// The answers of kindMembership.
const (
	memberUnknown = iota
	memberGone
)

// answerMembership is the cluster.Handler of kindMembership.
func (e *Engine) answerMembership(from cluster.MemberID, _ []byte, reply func([]byte)) {
	rec, ok := e.recordOf(from)
	if ok && rec.gone() {
		reply([]byte{memberGone})
		return
	}
	reply([]byte{memberUnknown})
}

// retire stops taking part, for good.
func (e *Engine) retire() {
	e.log.Error("this member was removed from the cluster and serves no more; stop it, and to let it join " +
		"again give it an empty data directory and --join")
	e.member.removed.Store(true)
	close(e.member.removedCh)
	_ = e.node.Retire() // a failed write stops the process by itself
}

// reconcile ends the records of members that the configuration is without (C3).
func (e *Engine) reconcile() {
	if !e.leading() {
		return
	}
	here := map[cluster.MemberID]bool{}
	for _, m := range e.node.Members() {
		here[m.ID] = true
	}
	for _, rec := range *e.machine.members.Load() {
		if !here[rec.ID] && rec.ClientAddr != "" {
			e.ask(func(a *asking) { _ = e.record(memberRecord{ID: rec.ID}) })
			return
		}
	}
}

// record puts a member's record into the log and waits until it is applied.
func (e *Engine) record(rec memberRecord) error {
	s := e.NewSubmission()
	s.addMember(rec)
	e.Submit(s)
	<-s.Done() // comes within the request timeout, and when the engine closes
	return s.Err()
}

func (e *Engine) recordOf(id cluster.MemberID) (memberRecord, bool) {
	for _, rec := range *e.machine.members.Load() {
		if rec.ID == id {
			return rec, true
		}
	}
	return memberRecord{}, false
}

func (e *Engine) nameOf(id cluster.MemberID) string {
	rec, _ := e.recordOf(id)
	return rec.Name
}

// HasRun reports whether a member has introduced itself in the log, or was removed, for cluster.Config; sure
// is false while this member does not know all that is committed.
func (e *Engine) HasRun(id cluster.MemberID) (ran, sure bool) {
	rec, ok := e.recordOf(id)
	return ok && (rec.gone() || rec.ClientAddr != ""), e.running.Load() && e.readyHere()
}

// gone: the member was removed, see C2.
func (m memberRecord) gone() bool { return m.Name == "" }

// greet answers a guest that wants to join. An id that was reserved is given out only behind a barrier: who
// lags behind might give away that of a member that runs by now.
func (e *Engine) greet(hi cluster.Greeting, answer func(cluster.Welcome, error)) {
	w, err := e.welcome(hi)
	if err != nil || w.Reserved == 0 {
		answer(w, err)
		return
	}
	if !e.spawn(func() {
		round := e.Barrier()
		<-round.Done()
		if w, err = e.welcome(hi); round.Err() != nil {
			err = cluster.Refusef("no majority answers now (%v): start this node again when it does", round.Err())
		}
		answer(w, err)
	}) {
		answer(w, ErrClosed)
	}
}

func (e *Engine) welcome(hi cluster.Greeting) (w cluster.Welcome, err error) {
	for _, m := range e.node.Members() {
		if hi.Replace != "" && m.Name == hi.Replace {
			w.Replace = m.ID
		}
		rec, _ := e.recordOf(m.ID)
		if m.Name == hi.Name && m.Addr == hi.Addr && !m.Voter && rec.ClientAddr == "" {
			return cluster.Welcome{Reserved: m.ID, Learner: true}, nil
		}
	}
	if hi.Replace != "" && w.Replace == 0 {
		return w, cluster.Refusef("there is no member %s to replace; MEMBER.LIST shows those there are", hi.Replace)
	}
	return w, e.mayTake(hi.Name, hi.Addr, 0, w.Replace)
}
