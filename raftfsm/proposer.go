package raftfsm

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// The proposer turns submissions into log entries: group commit.
//
// Idea. Connections put submissions into a queue. One goroutine seals everything that waits into one
// batch and hands it to raft, or to the leader if this node follows. It lingers for nobody: an idle node
// seals at once. Under load the work itself is the clock. The leader seals when the previous round is
// committed (round.go), a follower when its previous batch has come back to be stored here; so a batch
// holds what came in during one round. Results do not travel: this node applies the same log, meets its
// own batch (origin and number), and fills the submissions.
//
// Invariants.
//  1. A batch carries the term it is meant for. In an entry of another term it is void, on every
//     member. A batch is sealed only in a term whose LeaderStart this node has applied.
//  2. So when the LeaderStart of a later term is applied, each batch of an earlier term that is still
//     in flight is definitely not done. Its submissions go back to the head of the queue, in order.
//  3. A batch refused by raft or by the leader is definitely not done either. Its submissions go back
//     to the queue only if no later batch is in flight or may be in the log; else they fail, because
//     going back would turn the order of one connection's writes around. A leader whose raft refuses a
//     batch that it had accepted from a follower never takes that number again, and tells the follower.
//  4. A follower has at most one batch on the way to the leader that is not acknowledged. It repeats
//     that one under its own number until it is answered; the leader takes a number once (forward.go).
//  5. A submission is finished exactly once: by the state machine, which claims a batch before it
//     writes results, or by the clock here, which takes the submission out of the batch first. Both
//     hold the lock for that step.
//  6. A submission that is bound to a term (what a leader decided by its own clock) waits and is sealed in
//     that term only: the queue holds none of another term than rounds.term, and nothing is sealed in
//     another term than that. Where it would go back to the queue of a later term, it fails.
//  7. Only a submission that timed out in flight is uncertain. (Or one whose entry came inside an
//     installed snapshot, where its result is lost.) A batch that nobody waits for any more is in flight
//     no longer, unless its way to the leader is open still (invariant 4).
//
// Rejected: one raft entry per command (each costs 10 to 20 microseconds of encoding and futures on
// every member), and waiting a little for company (it taxes the idle case and the disk already is the
// better clock). Drawback: a batch shares one fate, so one lost batch makes up to 4096 requests
// uncertain at a time.
type proposer struct {
	node   *cluster.Node
	limits limits
	origin uint64
	quota  int64 // of the state, in bytes: what this node stamps when it leads
	kick   chan struct{}
	stop   chan struct{}
	wg     sync.WaitGroup
	stats  *Stats

	ready    *atomic.Uint64        // term of the last LeaderStart applied here
	unstored atomic.Bool           // the last batch has not been stored yet
	sending  atomic.Bool           // one goroutine at a time hands on
	again    atomic.Bool           // somebody came meanwhile
	refusal  atomic.Bool           // the last batch was refused: nothing is sealed until the next tick or term
	now      func() mvcc.UnixMilli // this node's clock, never behind the last stamp applied
	crowded  func() bool           // the history is far above its bound; see Engine.crowded

	mu struct {
		sync.Mutex
		queue    []*Submission
		requests int   // in the queue
		bytes    int64 // of the queue and of the batches in flight
		inflight []*batch
		last     uint64 // number of the last batch
		passed   uint64 // batches up to this number do not go back to the queue: a later one may be in the log

		rounds rounds           // when this node leads
		taken  map[uint64]taken // the leader's memory of forwarded batches, for the rounds' term alone
		closed bool
	}
}

// limits bound what waits and what is on its way.
type limits struct {
	timeout       time.Duration // of a submission, from Submit to Done
	entryBytes    int           // a batch takes no more submissions above this
	entryRequests int
	maxRequest    int // one submission alone may be as large as this
	inflight      int // batches of a follower
	patience      time.Duration
	queueBytes    int64 // queue and batches in flight together
}

// batch is one sealed entry on its way.
type batch struct {
	number  uint64
	term    cluster.Term
	data    []byte
	subs    []*Submission // nil where the clock took one out
	counts  []int         // requests of each, also of those
	forward forwardState
	arrived bool // a copy may have reached a leader
}

// submit queues s. Done follows, within about the request timeout. REQUIRES: s.Len() > 0.
func (p *proposer) submit(s *Submission) {
	now := time.Now()
	s.deadline = now.Add(p.limits.timeout)
	p.beginPatience(s, now)
	if err := p.enqueue(s); err != nil {
		s.finish(err)
		return
	}
	if s.Patient {
		time.AfterFunc(p.limits.patience, p.remind)
		return
	}
	p.send()
}

func (p *proposer) enqueue(s *Submission) error {
	size := int64(len(s.buf))
	if len(s.buf) > p.limits.maxRequest {
		return ErrTooLarge
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return ErrClosed
	}
	if s.term != 0 && s.term != p.mu.rounds.term {
		return ErrNoLeader
	}
	if s.copies && p.crowded() || p.mu.bytes > 0 && p.mu.bytes+size > p.limits.room(s) {
		p.stats.Busy.Add(1)
		return ErrBusy
	}
	p.mu.bytes += size
	p.mu.requests += s.n
	p.mu.queue = append(p.mu.queue, s)
	return nil
}

// run seals and sends until stop. One ticker is the clock of the timeouts.
func (p *proposer) run() {
	defer p.wg.Done()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.kick:
		case now := <-tick.C:
			p.refusal.Store(false)
			p.expire(now)
			p.resend()
		case <-p.stop:
			return
		}
		p.send()
	}
}

// wakeLocked wakes the proposer if anything waits. Waking a goroutine for nothing is felt on an idle node.
func (p *proposer) wakeLocked() {
	if len(p.mu.queue)+len(p.mu.rounds.waiting) > 0 {
		wake(p.kick)
	}
}

// send seals and hands on what waits, if it is time. Whoever has something to send does it himself, which
// spares an idle node a change of goroutines; while somebody is at it, he is asked to look again.
func (p *proposer) send() {
	if !p.sending.CompareAndSwap(false, true) {
		p.lookAgain()
		return
	}
	p.hand()
	p.sending.Store(false)
	if p.again.Swap(false) {
		wake(p.kick)
	}
}

// lookAgain asks whoever is sending to look once more. He may have looked for the last time just before: then
// the proposer's goroutine does it.
func (p *proposer) lookAgain() {
	p.again.Store(true)
	if !p.sending.Load() {
		wake(p.kick)
	}
}

// hand hands on what waits, here or to the leader. REQUIRES: sending.
func (p *proposer) hand() {
	term := p.node.Term()
	switch {
	case uint64(term) != p.ready.Load() || p.refusal.Load():
	case p.node.IsLeader():
		p.lead(term)
	default:
		if b := p.follow(term); b != nil {
			p.stats.Forwarded.Add(1)
			p.forward(b)
		}
	}
}

// onStored is a clock: raft has just synced entries to this node's log.
func (p *proposer) onStored() {
	if p.unstored.CompareAndSwap(true, false) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.wakeLocked()
	}
}

// follow seals one batch for the leader; nil if nothing waits or if it is not time.
func (p *proposer) follow(term cluster.Term) *batch {
	if p.unstored.Load() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.patientLocked() || len(p.mu.inflight) >= p.limits.inflight || p.unacknowledgedLocked() ||
		p.mu.rounds.term != term {
		return nil
	}
	p.unstored.Store(true)
	return p.sealLocked(term, sent)
}

// sealLocked makes one batch of the head of the queue. REQUIRES: the queue is not empty.
func (p *proposer) sealLocked(term cluster.Term, way forwardState) *batch {
	subs := p.takeLocked()
	p.mu.last++
	b := &batch{number: p.mu.last, term: term, subs: subs, counts: countsOf(subs), forward: way}
	p.mu.inflight = append(p.mu.inflight, b)
	b.data = p.encode(b)
	return b
}

func (p *proposer) unacknowledgedLocked() bool {
	return slices.ContainsFunc(p.mu.inflight, func(b *batch) bool {
		return b.forward == sent || b.forward == lost
	})
}

// takeLocked takes from the head of the queue what fits into one entry, at least one submission.
func (p *proposer) takeLocked() []*Submission {
	size, requests, n := 0, 0, 0
	for _, s := range p.mu.queue {
		size += len(s.buf)
		requests += s.n
		if n > 0 && (size > p.limits.entryBytes || requests > p.limits.entryRequests) {
			break
		}
		n++
	}
	subs := slices.Clone(p.mu.queue[:n])
	p.mu.requests -= requestsOf(subs)
	rest := copy(p.mu.queue, p.mu.queue[n:])
	clear(p.mu.queue[rest:])
	p.mu.queue = p.mu.queue[:rest]
	return subs
}

// requestsOf counts the requests of submissions.
func requestsOf(subs []*Submission) (n int) {
	for _, s := range subs {
		n += s.n
	}
	return n
}

func countsOf(subs []*Submission) []int {
	counts := make([]int, len(subs))
	for i, s := range subs {
		counts[i] = s.n
	}
	return counts
}

func (p *proposer) encode(b *batch) []byte {
	size, requests := headerSize, requestsOf(b.subs)
	for _, s := range b.subs {
		size += len(s.buf)
	}
	data := make([]byte, headerSize, size)
	for _, s := range b.subs {
		data = append(data, s.buf...)
	}
	putHeader(data, Header{
		Origin: p.origin, Batch: b.number, Term: b.term, Time: p.now(), Count: uint32(requests),
		Quota: p.quota,
	})
	p.stats.batch(requests, size)
	return data
}

// propose gives an entry to raft here. Success shows when the state machine meets the entry, so only a
// refusal is of interest, and nothing hangs on a future that never completes.
func (p *proposer) propose(data []byte, refused func()) {
	p.node.Propose(data, func(err error) {
		if err == nil || !cluster.DefinitelyNotLogged(err) {
			return
		}
		p.landed(1)
		refused()
	})
}

// refused handles a batch that is definitely in no log (invariant 3).
func (p *proposer) refused(b *batch) {
	p.mu.Lock()
	i := slices.Index(p.mu.inflight, b)
	if i < 0 {
		p.mu.Unlock()
		return
	}
	if i < len(p.mu.inflight)-1 {
		p.mu.passed = max(p.mu.passed, b.number)
	}
	p.refusal.Store(true)
	p.mu.inflight = slices.Delete(p.mu.inflight, i, i+1)
	p.unstored.Store(false)
	failed := p.giveBackLocked([]*batch{b})
	p.mu.Unlock()
	finishAll(failed, ErrNoLeader)
}

// giveBackLocked puts the submissions of batches that are definitely not done at the head of the queue, and
// returns those that may not go back there (invariant 3): the caller fails them.
func (p *proposer) giveBackLocked(batches []*batch) (failed []*Submission) {
	var head []*Submission
	for _, b := range batches {
		if b.number <= p.mu.passed {
			p.releaseLocked(b)
			failed = append(failed, b.subs...)
			continue
		}
		for _, s := range b.subs {
			if s != nil {
				head = append(head, s)
			}
		}
	}
	p.mu.requests += requestsOf(head)
	p.mu.queue = append(head, p.mu.queue...)
	return failed
}

func (p *proposer) releaseLocked(b *batch) {
	for _, s := range b.subs {
		if s != nil {
			p.mu.bytes -= int64(len(s.buf))
		}
	}
}

// newTerm is called when the first LeaderStart of term has been applied here (invariant 2).
func (p *proposer) newTerm(term cluster.Term) {
	p.mu.Lock()
	var void []*batch
	p.mu.inflight = slices.DeleteFunc(p.mu.inflight, func(b *batch) bool {
		if b.term < term {
			void = append(void, b)
		}
		return b.term < term
	})
	failed := p.giveBackLocked(void)
	failed = append(failed, p.becomeTermLocked(term)...)
	p.mu.Unlock()
	p.unstored.Store(false)
	p.refusal.Store(false)
	finishAll(failed, ErrNoLeader)
	wake(p.kick)
}

// becomeTermLocked begins a term and takes what was bound to an earlier one out of the queue (invariant 6).
func (p *proposer) becomeTermLocked(term cluster.Term) (stale []*Submission) {
	p.mu.rounds, p.mu.taken = rounds{term: term}, map[uint64]taken{}
	p.mu.queue = slices.DeleteFunc(p.mu.queue, func(s *Submission) bool {
		if s.term == 0 || s.term == term {
			return false
		}
		stale = append(stale, s)
		p.mu.bytes -= int64(len(s.buf))
		p.mu.requests -= s.n
		return true
	})
	return stale
}

// claim takes the batch with this number out of the flight, for the state machine to fill its
// submissions. It returns nil if there is none: answered already, or not in flight in this term.
func (p *proposer) claim(number uint64, term cluster.Term) *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, b := range p.mu.inflight {
		if b.number == number && b.term == term {
			p.mu.inflight = slices.Delete(p.mu.inflight, i, i+1)
			p.mu.passed = max(p.mu.passed, number)
			p.releaseLocked(b)
			return b
		}
	}
	return nil
}

// abandon fails all in flight as uncertain: their entries came inside a snapshot, without results, and so
// did the LeaderStart of this term.
func (p *proposer) abandon(term cluster.Term) {
	p.mu.Lock()
	gone := p.mu.inflight
	p.mu.inflight, p.mu.passed = nil, p.mu.last
	for _, b := range gone {
		p.releaseLocked(b)
	}
	stale := p.becomeTermLocked(term)
	p.mu.Unlock()
	p.unstored.Store(false)
	finishAll(stale, ErrNoLeader)
	for _, b := range gone {
		p.stats.Uncertain.Add(uint64(len(b.subs)))
		finishAll(b.subs, ErrUncertain)
	}
	wake(p.kick)
}

// drain refuses new submissions and waits until what was taken is answered, at most until over.
func (p *proposer) drain(over <-chan struct{}) {
	p.mu.Lock()
	p.mu.closed = true
	p.mu.Unlock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !p.idle() {
		select {
		case <-tick.C:
		case <-over:
			return
		}
	}
}

func (p *proposer) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.mu.queue) == 0 && len(p.mu.inflight) == 0
}

// close ends the goroutines and answers what is left.
func (p *proposer) close() {
	close(p.stop)
	p.wg.Wait()
	p.mu.Lock()
	queue, flight := p.mu.queue, p.mu.inflight
	p.mu.queue, p.mu.inflight, p.mu.requests = nil, nil, 0
	p.mu.Unlock()
	finishAll(queue, ErrClosed)
	for _, b := range flight {
		finishAll(b.subs, ErrUncertain)
	}
}

func finishAll(subs []*Submission, err error) {
	for _, s := range subs {
		if s != nil {
			s.finish(err)
		}
	}
}

// wake puts a token into a one-slot channel.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
