package raftfsm

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// seat is a node's place, which a test changes between two questions.
type seat struct {
	leader bool
	term   cluster.Term
	asked  int    // how often it was asked whether it leads
	after  int    // depose is called after so many of these questions
	depose func() // nil: never
}

func (s *seat) Term() cluster.Term         { return s.term }
func (s *seat) CommitIndex() cluster.Index { return 7 }

func (s *seat) IsLeader() bool {
	was := s.leader
	if s.asked++; s.depose != nil && s.asked == s.after {
		s.depose()
	}
	return was
}

// A round is confirmed only by who leads the term in which the commit index was noted, from before that until
// after the others have answered. A deposed leader's index is a follower's, which may be behind.
func TestOnlyTheLeaderOfTheTermConfirms(t *testing.T) {
	const term = 4
	yes := func(*seat) bool { return true }
	for name, c := range map[string]struct {
		seat     seat
		majority func(*seat) bool
		want     bool
	}{
		"leads throughout":          {seat{leader: true, term: term}, yes, true},
		"no majority":               {seat{leader: true, term: term}, func(*seat) bool { return false }, false},
		"a term that has not begun": {seat{leader: true, term: term + 1}, yes, false},
		"deposed before, and the next term has begun here": {seat{term: term}, yes, false},
		"deposed meanwhile": {seat{leader: true, term: term},
			func(s *seat) bool { s.leader = false; return true }, false},
		"another term meanwhile": {seat{leader: true, term: term},
			func(s *seat) bool { s.term++; return true }, false},
	} {
		ready := &atomic.Uint64{}
		ready.Store(term)
		b := &barrier{raft: &c.seat, ready: ready, now: func() mvcc.UnixMilli { return 1 }}
		point, err := b.note(func(cluster.Term) bool { return c.majority(&c.seat) })
		if got := err == nil; got != c.want || got && point.Index != 7 {
			t.Errorf("%s: %+v, %v", name, point, err)
		}
	}
}

// The term is read, then whether this node leads: a term that begins between the two is not its own.
func TestATermThatBeginsBetweenTwoQuestions(t *testing.T) {
	s := &seat{leader: true, term: 4, after: 1}
	ready := &atomic.Uint64{}
	ready.Store(4)
	s.depose = func() { s.leader, s.term = false, 5; ready.Store(5) }
	b := &barrier{raft: s, ready: ready, now: func() mvcc.UnixMilli { return 1 }}
	if _, err := b.note(func(cluster.Term) bool { return true }); err == nil {
		t.Error("confirmed by a deposed leader")
	}
}

// A read that a majority has confirmed and that this member is too far behind for does not say that there
// is no leader.
func TestAMemberThatIsBehindSaysSo(t *testing.T) {
	b := &barrier{applied: &atomic.Uint64{}, reached: make(chan struct{}, 1)}
	over := make(chan struct{})
	close(over)
	if err := b.awaitApplied(5, over); !errors.Is(err, ErrBehind) {
		t.Error(err)
	}
}
