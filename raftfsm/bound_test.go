package raftfsm

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/lease"
)

// idleProposer is a proposer that nobody runs.
func idleProposer(term cluster.Term) *proposer {
	p := &proposer{kick: make(chan struct{}, 1), stats: &Stats{}, ready: new(atomic.Uint64), now: nil,
		limits: limits{timeout: time.Minute, entryBytes: 1 << 20, entryRequests: 10, maxRequest: 1 << 20,
			inflight: 2, queueBytes: 1 << 20}}
	p.newTerm(term)
	return p
}

func boundTo(term cluster.Term) *Submission {
	s := &Submission{done: make(chan struct{}, 1), term: term}
	s.addLeaseExpire([]lease.Ref{{ID: 1, Seq: 1}})
	return s
}

// fateNow returns the submission's error; ok is false if it is not finished.
func fateNow(s *Submission) (err error, ok bool) {
	select {
	case <-s.Done():
		return s.Err(), true
	default:
		return nil, false
	}
}

// What a leader decided by its own clock is never proposed again in a later term: neither what was in flight
// when the term ended, nor what waited, nor what comes late. Everything else is.
func TestBoundSubmissionsEndWithTheirTerm(t *testing.T) {
	p := idleProposer(3)
	var subs []*Submission
	for range 2 { // the first is sealed, the second waits
		for _, term := range []cluster.Term{3, 0} {
			s := boundTo(term)
			if err := p.enqueue(s); err != nil {
				t.Fatal(err)
			}
			subs = append(subs, s)
		}
		p.mu.Lock()
		if len(p.mu.inflight) == 0 {
			p.mu.inflight = []*batch{{number: 1, term: 3, subs: p.takeLocked()}}
		}
		p.mu.Unlock()
	}
	p.newTerm(4)
	for i, s := range subs {
		err, over := fateNow(s)
		if bound := s.term == 3; over != bound || bound && !errors.Is(err, ErrNoLeader) {
			t.Errorf("submission %d, bound: %v: over %v, %v", i, bound, over, err)
		}
	}
	if n := len(p.mu.queue); n != 2 || p.mu.bytes != int64(p.mu.queue[0].Bytes()*2) {
		t.Errorf("%d wait, %d bytes", n, p.mu.bytes)
	}
	if err := p.enqueue(boundTo(3)); !errors.Is(err, ErrNoLeader) {
		t.Errorf("taken in a later term: %v", err)
	}
	if p.follow(5) != nil {
		t.Error("sealed in a term that has not begun here")
	}
}

// A snapshot may bring the start of a later term.
func TestBoundSubmissionsEndWithASnapshot(t *testing.T) {
	p := idleProposer(3)
	s := boundTo(3)
	if err := p.enqueue(s); err != nil {
		t.Fatal(err)
	}
	p.abandon(7)
	if err, over := fateNow(s); !over || !errors.Is(err, ErrNoLeader) {
		t.Errorf("over %v, %v", over, err)
	}
	if err := p.enqueue(boundTo(7)); err != nil {
		t.Errorf("not taken in its term: %v", err)
	}
}
