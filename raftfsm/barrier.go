package raftfsm

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// The read barrier: after it, this node's store shows every write acknowledged before it began.
//
// Idea (the read index of the Raft thesis, section 6.4, with terms in place of heartbeats). The leader
// of term T, once its own LeaderStart is applied, notes its commit index and asks the voters for the
// highest term each has ever persisted. If a majority, itself included, says T or less, then no later
// leader had been elected when the round began: it would have needed votes of a majority, each
// persisted before it was given, and two majorities share a member. So everything acknowledged before
// the round was committed by a leader of term T or less and is covered by that commit index or by
// LeaderStart. The node waits until it has applied that much, and reads.
//
// Rounds are shared: every read that comes while one round runs joins the next. A follower asks the
// leader for a round in the same way, and gets the leader's clock with it, which decides expiry.
//
// Invariants.
//  1. A read joins only a round that starts after the read came.
//  2. Only voters are counted, and only answers to questions of this round.
//  3. A round is confirmed only in the term in which it noted the commit index, by the leader of that term,
//     who still is that when the round is over: the commit index of a follower may be behind.
//
// Rejected: raft.VerifyLeader, which counts non-voters and answers that were on their way before the
// call; reads by leader lease, which trust clocks; reads through the log, which cost a disk sync.
// Drawback: one round trip to the quickest voters per round, on an idle cluster too.
type barrier struct {
	node    *cluster.Node
	raft    standing       // that node
	ready   *atomic.Uint64 // term of the last LeaderStart applied here
	applied *atomic.Uint64
	now     func() mvcc.UnixMilli
	timeout time.Duration
	stats   *Stats

	kick    chan struct{}
	reached chan struct{} // the index in want has been applied
	want    atomic.Uint64
	stop    chan struct{}
	wg      sync.WaitGroup

	mu struct {
		sync.Mutex
		next   *Round // joins go here; nil until somebody joins
		closed bool
	}
}

// standing is what a node says of its own place. It says each at a moment of its own: between two answers it
// may have been deposed. Tests supply one that is.
type standing interface {
	IsLeader() bool
	Term() cluster.Term
	CommitIndex() cluster.Index
}

// Point is what a confirmed round tells.
type Point struct {
	Now   mvcc.UnixMilli // the leader's clock, which decides what has expired
	Index cluster.Index  // applied here, at least
}

// Round is one round of the read barrier, shared by all who joined it.
type Round struct {
	done    chan struct{}
	joined  time.Time // by the first: nobody waits for longer than the request timeout from here
	point   Point
	err     error
	reads   int
	confirm []func(Point, error) // remote readers: they wait for their own apply
}

// Done is closed when the round is over.
func (r *Round) Done() <-chan struct{} { return r.done }

// Err returns nil iff the barrier holds. REQUIRES: Done is closed.
func (r *Round) Err() error { return r.err }

// Point returns what the round found. REQUIRES: Err is nil.
func (r *Round) Point() Point { return r.point }

// closedChan is the done channel of rounds that need no waiting.
var closedChan = func() chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// immediate confirms at once where this member is the only voter and has applied what it committed:
// the majority is itself, and nobody has to be asked.
func (b *barrier) immediate() (Point, bool) {
	if !b.soleVoter() {
		return Point{}, false
	}
	point, err := b.note(func(cluster.Term) bool { return true })
	if err != nil || b.applied.Load() < uint64(point.Index) {
		return Point{}, false
	}
	b.stats.Rounds.Add(1)
	b.stats.Reads.Add(1)
	return point, true
}

func (b *barrier) soleVoter() bool {
	voters := b.node.Voters()
	return len(voters) == 1 && voters[0] == b.node.Self()
}

var errNotConfirmed = errors.New("no leader confirmed the round")

// join returns the next round to start. confirm, if not nil, is called once when the round is confirmed,
// before anything is awaited here: a remote reader waits for its own apply.
func (b *barrier) join(confirm func(Point, error)) *Round {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.next == nil {
		b.mu.next = &Round{done: make(chan struct{}), joined: time.Now()}
	}
	r := b.mu.next
	r.reads++
	if confirm != nil {
		r.confirm = append(r.confirm, confirm)
	}
	if b.mu.closed {
		b.mu.next = nil
		b.finish(r, ErrClosed)
		return r
	}
	wake(b.kick)
	return r
}

// run serves one round after the other.
func (b *barrier) run() {
	defer b.wg.Done()
	for {
		select {
		case <-b.kick:
		case <-b.stop:
			return
		}
		for r := b.take(); r != nil; r = b.take() {
			b.serve(r)
		}
	}
}

func (b *barrier) take() *Round {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.mu.next
	b.mu.next = nil
	return r
}

// serve repeats the round until it is confirmed or its time is over: an election passes meanwhile.
func (b *barrier) serve(r *Round) {
	b.stats.Rounds.Add(1)
	b.stats.Reads.Add(uint64(r.reads))
	limit, cancel := context.WithDeadline(context.Background(), r.joined.Add(b.timeout))
	defer cancel()
	over := limit.Done() // stays readable, so that whoever waits deepest does not take it from the others
	for {
		point, err := b.attempt(over)
		if err == nil {
			r.point = point
			b.confirmed(r, nil)
			b.finish(r, b.awaitApplied(point.Index, over))
			return
		}
		if !b.pause(over) {
			b.finish(r, b.whyNot())
			return
		}
	}
}

// whyNot says why no round was confirmed in time.
func (b *barrier) whyNot() error {
	select {
	case <-b.stop:
		return ErrClosed
	default:
	}
	if _, _, ok := b.node.Leader(); !ok {
		return ErrNoLeader
	}
	return ErrUnconfirmed
}

// pause waits a moment before the next attempt; false when the time is over.
func (b *barrier) pause(over <-chan struct{}) bool {
	again := time.NewTimer(10 * time.Millisecond)
	defer again.Stop()
	select {
	case <-again.C:
		return true
	case <-over:
	case <-b.stop:
	}
	return false
}

func (b *barrier) confirmed(r *Round, err error) {
	for _, f := range r.confirm {
		f(r.point, err)
	}
	r.confirm = nil
}

func (b *barrier) finish(r *Round, err error) {
	r.err = err
	b.confirmed(r, err)
	close(r.done)
}

func (b *barrier) attempt(over <-chan struct{}) (Point, error) {
	if b.node.IsLeader() {
		return b.lead(over)
	}
	return b.ask(over)
}

// lead is the leader's round.
func (b *barrier) lead(over <-chan struct{}) (Point, error) {
	return b.note(func(term cluster.Term) bool {
		return b.node.HighestTerm() <= term && (b.soleVoter() || b.majority(term, b.node.Voters(), over))
	})
}

// note notes the commit index, and confirms it if a majority knows no later term (invariant 3).
func (b *barrier) note(majority func(term cluster.Term) bool) (Point, error) {
	term := b.raft.Term()
	if !b.leads(term) {
		return Point{}, errNotConfirmed
	}
	point := Point{Index: b.raft.CommitIndex(), Now: b.now()}
	if !majority(term) || !b.leads(term) {
		return Point{}, errNotConfirmed
	}
	return point, nil
}

// leads reports whether this node leads a term that has started here. The caller has read the term before; as
// it is the same after this node said that it leads, it leads that one.
func (b *barrier) leads(term cluster.Term) bool {
	return b.raft.IsLeader() && b.raft.Term() == term && b.ready.Load() == uint64(term)
}

// majority asks the voters and reports whether a majority, this node included, knows no later term.
func (b *barrier) majority(term cluster.Term, voters []cluster.MemberID, over <-chan struct{}) bool {
	answers := make(chan bool, len(voters))
	isVoter := make(map[cluster.MemberID]bool, len(voters))
	for _, id := range voters {
		isVoter[id] = true
	}
	b.node.AskTerms(func(from cluster.MemberID, t cluster.Term, err error) {
		if isVoter[from] {
			answers <- err == nil && t <= term
		}
	})
	yes, open := 0, len(voters)
	if isVoter[b.node.Self()] {
		yes, open = 1, open-1
	}
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	for need := len(voters)/2 + 1; yes < need; open-- {
		if yes+open < need {
			return false
		}
		select {
		case ok := <-answers:
			if ok {
				yes++
			}
		case <-limit.C:
			return false
		case <-over:
			return false
		case <-b.stop:
			return false
		}
	}
	return true
}

// ask is the follower's round: one question to the leader.
func (b *barrier) ask(over <-chan struct{}) (Point, error) {
	leader, _, ok := b.node.Leader()
	if !ok || leader == b.node.Self() {
		return Point{}, errNotConfirmed
	}
	answer := make(chan []byte, 1)
	b.node.Send(leader, kindReadIndex, nil, func(reply []byte, err error) {
		if err != nil {
			reply = nil
		}
		answer <- append([]byte(nil), reply...)
	})
	limit := time.NewTimer(time.Second)
	defer limit.Stop()
	select {
	case reply := <-answer:
		return parsePoint(reply)
	case <-limit.C:
	case <-over:
	case <-b.stop:
	}
	return Point{}, errNotConfirmed
}

// answer is the cluster.Handler of kindReadIndex: the follower joins the leader's next round.
func (b *barrier) answer(from cluster.MemberID, _ []byte, reply func([]byte)) {
	if !b.node.IsLeader() {
		reply(nil)
		return
	}
	b.join(func(p Point, err error) {
		if err != nil {
			reply(nil)
			return
		}
		reply(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(p.Index)), uint64(p.Now)))
		b.node.Nudge(from, p.Index)
	})
}

func parsePoint(reply []byte) (Point, error) {
	if len(reply) != 16 {
		return Point{}, errNotConfirmed
	}
	return Point{
		Index: cluster.Index(binary.BigEndian.Uint64(reply)),
		Now:   mvcc.UnixMilli(binary.BigEndian.Uint64(reply[8:])),
	}, nil
}

// awaitApplied waits until the store shows index. Only the barrier's goroutine calls it.
func (b *barrier) awaitApplied(index cluster.Index, over <-chan struct{}) error {
	b.want.Store(uint64(index))
	defer b.want.Store(0)
	for b.applied.Load() < uint64(index) {
		select {
		case <-b.reached:
		case <-over:
			return ErrBehind
		case <-b.stop:
			return ErrClosed
		}
	}
	return nil
}

// advanced is called by the state machine after it has applied entries.
func (b *barrier) advanced(index cluster.Index) {
	if want := b.want.Load(); want != 0 && uint64(index) >= want {
		wake(b.reached)
	}
}

// close ends the goroutine and fails who still waits.
func (b *barrier) close() {
	b.mu.Lock()
	b.mu.closed = true
	b.mu.Unlock()
	close(b.stop)
	b.wg.Wait()
	if r := b.take(); r != nil {
		b.finish(r, ErrClosed)
	}
}
