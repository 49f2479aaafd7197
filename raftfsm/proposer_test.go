package raftfsm

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// sealed puts a write into a batch of its own.
func (p *proposer) sealed(t *testing.T, way forwardState) (*batch, *Submission) {
	t.Helper()
	p.now = func() mvcc.UnixMilli { return 1 }
	s := &Submission{done: make(chan struct{}, 1), deadline: time.Now().Add(time.Minute)}
	s.AddTxn(incr("k"))
	s.AddTxn(incr("l"))
	if err := p.enqueue(s); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sealLocked(p.mu.rounds.term, way), s
}

// waitingNow is what waits in the queue, in its order. It checks that the requests are counted.
func (p *proposer) waitingNow(t *testing.T) []*Submission {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if want := requestsOf(p.mu.queue); p.mu.requests != want {
		t.Errorf("%d requests are counted, %d wait", p.mu.requests, want)
	}
	return p.mu.queue
}

// A batch that was refused does not go back to the queue once a later one has been applied: the writes of one
// connection would change their order. Without a later one it does.
func TestNothingGoesBackBehindALaterBatch(t *testing.T) {
	for name, end := range map[string]func(*proposer, *batch){
		"refused":  func(p *proposer, b *batch) { p.refused(b) },
		"new term": func(p *proposer, _ *batch) { p.newTerm(4) },
	} {
		p := idleProposer(3)
		first, early := p.sealed(t, accepted)
		second, _ := p.sealed(t, accepted)
		if p.claim(second.number, 3) != second {
			t.Fatal("not in flight")
		}
		end(p, first)
		if err, over := fateNow(early); !over || !errors.Is(err, ErrNoLeader) || len(p.waitingNow(t)) != 0 {
			t.Errorf("%s: over %v, %v; %d wait", name, over, err, len(p.waitingNow(t)))
		}
		if p.mu.bytes != 0 {
			t.Errorf("%s: %d bytes are counted", name, p.mu.bytes)
		}
		third, late := p.sealed(t, accepted)
		end(p, third)
		if name == "new term" {
			continue // a batch of term 4 is not void in it
		}
		if got := p.waitingNow(t); len(got) != 1 || got[0] != late {
			t.Errorf("%s: the last one did not go back: %d wait", name, len(got))
		}
	}
}

// A batch that nobody waits for leaves the flight, so that the next one may be sent; only one that may
// still be on its way to the leader stays.
func TestDeadBatchesLeaveTheFlight(t *testing.T) {
	for way, stays := range map[forwardState]bool{local: false, accepted: false, lost: false, sent: true} {
		p := idleProposer(3)
		_, s := p.sealed(t, way)
		p.unstored.Store(true)
		p.expire(time.Now())
		if len(p.mu.inflight) != 1 {
			t.Errorf("%v: dropped before its time", way)
		}
		p.expire(time.Now().Add(time.Hour))
		if err, over := fateNow(s); !over || !errors.Is(err, ErrUncertain) {
			t.Errorf("%v: over %v, %v", way, over, err)
		}
		if (len(p.mu.inflight) == 1) != stays || p.unstored.Load() != stays {
			t.Errorf("%v: %d in flight, unstored %v", way, len(p.mu.inflight), p.unstored.Load())
		}
	}
}

func TestTheQueueCountsItsRequests(t *testing.T) {
	p := idleProposer(3)
	b, _ := p.sealed(t, local)
	for range 3 {
		if err := p.enqueue(boundTo(3)); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.waitingNow(t)) != 3 {
		t.Error("not queued")
	}
	p.refused(b)
	if len(p.waitingNow(t)) != 4 {
		t.Error("not given back")
	}
	p.newTerm(4)
	if len(p.waitingNow(t)) != 1 {
		t.Error("what was bound to a term is still there")
	}
	late := &Submission{done: make(chan struct{}, 1), deadline: time.Now().Add(time.Hour)}
	late.AddTxn(incr("k"))
	if err := p.enqueue(late); err != nil {
		t.Fatal(err)
	}
	p.node = newGroup(t, 1, Config{}).leader().node
	p.expire(time.Now().Add(time.Minute))
	if got := p.waitingNow(t); len(got) != 1 || got[0] != late {
		t.Errorf("%d wait after the end of all others", len(got))
	}
}

// Whoever finds that somebody is sending, and asks him to look again just after he has looked for the last
// time, wakes the proposer: nobody waits for the next tick.
func TestNobodyIsAskedInVain(t *testing.T) {
	p := idleProposer(3)
	<-p.kick // of the term
	p.sending.Store(true)
	p.lookAgain()
	if len(p.kick) != 0 {
		t.Error("woken although somebody is going to look")
	}
	p.sending.Store(false)
	p.lookAgain()
	if len(p.kick) != 1 {
		t.Error("nobody looks")
	}
}

// What a leader has accepted and its raft then refuses goes back to its origin, which sends it again.
// Nothing is done twice, and nobody waits until the request timeout.
func TestARefusedBatchIsGivenBackToItsOrigin(t *testing.T) {
	g := newGroup(t, 3, Config{})
	lead, m := g.leader(), g.follower()
	await(t, "the members' own entries", func() bool { return len(*lead.machine.members.Load()) == 3 })
	var batches atomic.Int32
	p := lead.proposer
	lead.node.Handle(kindForward, func(from cluster.MemberID, payload []byte, reply func([]byte)) {
		h, _, err := readHeader(payload)
		if err != nil || batches.Add(1) > 1 {
			p.receive(from, payload, reply)
			return
		}
		p.mu.Lock()
		p.mu.taken[h.Origin] = taken{from: from, number: h.Batch, answer: verdictAccepted}
		p.mu.Unlock()
		reply([]byte{byte(verdictAccepted)})
		p.turnAway(&h)
	})
	began := time.Now()
	if _, err := m.do(incr("n")); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if rec, err := m.read("n"); err != nil || !rec.Exists() || rec.Value() != "1" {
		t.Errorf("read %v, %v", rec, err)
	}
}

// The leader's side: raft refuses a forwarded batch, here because it leads no more. No copy of it is taken
// after that, and the origin hears of it.
func TestTheLeaderRemembersWhatRaftRefused(t *testing.T) {
	g := newGroup(t, 3, Config{})
	origin, m := g.leader(), g.follower()
	term := origin.node.Term()
	await(t, "the term's start", func() bool { return m.machine.ready.Load() == uint64(term) })
	o, p := origin.proposer, m.proposer
	o.mu.Lock()
	o.mu.last += 100
	s := &Submission{done: make(chan struct{}, 1), deadline: time.Now().Add(time.Minute)}
	s.AddTxn(incr("n"))
	o.mu.bytes += int64(s.Bytes())
	b := &batch{number: o.mu.last, term: term, subs: []*Submission{s}, counts: []int{1}, forward: accepted}
	b.data = o.encode(b)
	o.mu.inflight = append(o.mu.inflight, b)
	o.mu.Unlock()
	h := Header{Origin: o.origin, Batch: b.number, Term: term, Count: 1}
	p.mu.Lock()
	p.mu.taken[o.origin] = taken{from: origin.node.Self(), number: b.number, answer: verdictAccepted}
	p.mu.rounds.waiting = []forwarded{{h, b.data}}
	p.mu.Unlock()
	p.lead(term)
	await(t, "the refusal", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.mu.taken[o.origin].answer == verdictRefused
	})
	<-s.Done()
	if s.Err() != nil {
		t.Errorf("given back, and then: %v", s.Err())
	}
	if rec, err := origin.read("n"); err != nil || !rec.Exists() || rec.Value() != "1" {
		t.Errorf("read %v, %v", rec, err)
	}
}
