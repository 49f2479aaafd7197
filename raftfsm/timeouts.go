package raftfsm

import (
	"slices"
	"time"
)

// Time limits of submissions: what the proposer's tick ends.

// expire finishes the submissions whose time is over.
func (p *proposer) expire(now time.Time) {
	var unproposed, uncertain []*Submission
	p.mu.Lock()
	p.mu.queue = slices.DeleteFunc(p.mu.queue, func(s *Submission) bool {
		late := now.After(s.deadline)
		if late {
			unproposed = append(unproposed, s)
			p.mu.bytes -= int64(len(s.buf))
			p.mu.requests -= s.n
		}
		return late
	})
	for _, b := range p.mu.inflight {
		uncertain = p.takeLateLocked(b, now, uncertain)
	}
	dropped := p.dropDeadLocked()
	p.mu.Unlock()
	if dropped {
		p.unstored.Store(false)
	}
	p.stats.Uncertain.Add(uint64(len(uncertain)))
	if len(unproposed) > 0 {
		finishAll(unproposed, p.whyWaiting())
	}
	finishAll(uncertain, ErrUncertain)
}

func (p *proposer) takeLateLocked(b *batch, now time.Time, late []*Submission) []*Submission {
	for i, s := range b.subs {
		if s != nil && now.After(s.deadline) {
			late = append(late, s)
			b.subs[i] = nil
			p.mu.bytes -= int64(len(s.buf))
		}
	}
	return late
}

// dropDeadLocked forgets the batches that nobody waits for any more. Of some there may never be news, as when
// a refusal got lost on its way: they would keep their places in flight, and a follower has few, until the
// next election. One that may still be on its way to the leader keeps its own (invariant 4): that way ends
// with an answer or with the connection. Should a forgotten batch be logged, nobody is left to be told.
func (p *proposer) dropDeadLocked() (dropped bool) {
	p.mu.inflight = slices.DeleteFunc(p.mu.inflight, func(b *batch) bool {
		if b.forward == sent || slices.ContainsFunc(b.subs, func(s *Submission) bool { return s != nil }) {
			return false
		}
		p.mu.passed, dropped = max(p.mu.passed, b.number), true
		return true
	})
	return dropped
}

// whyWaiting says why a submission was never sealed: nobody leads, or too much waits.
func (p *proposer) whyWaiting() error {
	if _, _, ok := p.node.Leader(); ok && uint64(p.node.Term()) == p.ready.Load() {
		return ErrBusy
	}
	return ErrNoLeader
}
