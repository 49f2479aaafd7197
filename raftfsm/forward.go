package raftfsm

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/redkeep/redkeep/cluster"
)

// Forwarding a batch from a follower to the leader, exactly once.
//
// Idea. The follower has one unacknowledged batch at a time and repeats it under its own number when
// the connection breaks. The leader of a term takes each number of an origin once: it remembers the
// last one and what it answered, answers a repetition the same, and refuses an older number. So a copy
// that lingers in a broken connection can never be logged beside its successor.
//
// Three answers. Accepted: it waits for its round, the log will tell. Refused: the leader of that very
// term did not take it and never will, the batch is definitely not done. Not leader: this node knows
// nothing of the batch; if an earlier copy may have reached somebody, only the log can tell.
//
// Raft may refuse what the leader has accepted, as during a hand-over of leadership that then fails: the
// term goes on, and no log will tell. The leader remembers such a number as refused, so that no copy of it
// is taken, and tells its origin by a message of its own. Should that get lost, the batch ends with its
// submissions' time (timeouts.go).
//
// Rejected: numbering with gaps and retransmission of several batches, which buys nothing, because
// what waits meanwhile is packed into the next batch anyway. Drawback: a follower's batches are at
// least one round trip apart.

// Kinds of peer requests. Those from 0x80 use the bulk connection.
const (
	kindReadIndex = 0x10
	kindStatus    = 0x11
	kindLeases    = 0x12
	kindTurnAway  = 0x13

	kindMembership = 0x14
	kindChange     = 0x15
	kindVitals     = 0x1d
	kindContact    = 0x1f

	kindForward = 0x90
)

// verdict is the answer to a forwarded batch, one byte on the wire.
type verdict byte

const (
	verdictNotLeader verdict = iota
	verdictRefused
	verdictAccepted
)

// forwardState is where a batch is on its way to the leader.
type forwardState uint8

const (
	local    forwardState = iota // given to raft here
	sent                         // on its way, not acknowledged
	lost                         // the connection broke before the acknowledgement
	accepted                     // the leader has it
)

// forward sends the batch to the leader.
func (p *proposer) forward(b *batch) {
	leader, _, ok := p.node.Leader()
	if !ok || leader == p.node.Self() {
		p.answered(b, verdictNotLeader)
		return
	}
	p.node.Send(leader, kindForward, b.data, func(reply []byte, err error) {
		p.answered(b, verdictOf(reply, err))
		wake(p.kick)
	})
}

const verdictLost verdict = 0xff // nothing came back; never on the wire

func verdictOf(reply []byte, err error) verdict {
	switch {
	case err == nil && len(reply) == 1:
		return verdict(reply[0])
	case errors.Is(err, cluster.ErrPeerUnreachable), err == nil:
		return verdictLost
	default:
		return verdictNotLeader // never left this node, or met one that does not know the kind
	}
}

func (p *proposer) answered(b *batch, v verdict) {
	switch {
	case v == verdictAccepted:
		p.setForward(b, accepted)
	case v == verdictLost:
		p.setForward(b, lost)
	case v == verdictNotLeader && p.mayHaveArrived(b):
		p.setForward(b, lost)
	default:
		p.refused(b)
	}
}

func (p *proposer) setForward(b *batch, s forwardState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.forward = s
	b.arrived = b.arrived || s == lost
}

// mayHaveArrived reports whether an earlier copy of b may have reached a leader.
func (p *proposer) mayHaveArrived(b *batch) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return b.arrived
}

// resend repeats the batch whose connection broke, while its term lasts.
func (p *proposer) resend() {
	p.mu.Lock()
	i := slices.IndexFunc(p.mu.inflight, func(b *batch) bool { return b.forward == lost })
	if i < 0 || p.mu.inflight[i].term != p.node.Term() {
		p.mu.Unlock()
		return
	}
	b := p.mu.inflight[i]
	b.forward = sent
	p.mu.Unlock()
	p.forward(b)
}

// taken is what the leader of a term remembers of an origin: who it is, the last batch number, and the
// answer.
type taken struct {
	from   cluster.MemberID
	number uint64
	answer verdict
}

// receive is the leader's side: the cluster.Handler of kindForward.
func (p *proposer) receive(from cluster.MemberID, payload []byte, reply func([]byte)) {
	h, _, err := readHeader(payload)
	if err != nil || payload[0] != codecVersion { // the leader stamps it in place
		reply([]byte{byte(verdictNotLeader)})
		return
	}
	v, first := p.take(from, h, payload)
	if first {
		wake(p.kick) // not send: the reply and the peer's next request must not wait for raft
	}
	reply([]byte{byte(v)})
}

// take decides on a batch; first tells that it now waits for its round. Should it never reach the log,
// turnAway tells its origin, or the LeaderStart of a later term does.
func (p *proposer) take(from cluster.MemberID, h Header, data []byte) (v verdict, first bool) {
	term := p.node.Term()
	if !p.node.IsLeader() || h.Term != term || uint64(term) != p.ready.Load() {
		return verdictNotLeader, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.rounds.term != term {
		return verdictNotLeader, false
	}
	switch last := p.mu.taken[h.Origin]; {
	case h.Batch < last.number:
		return verdictRefused, false
	case h.Batch == last.number:
		return last.answer, false
	}
	p.mu.taken[h.Origin] = taken{from: from, number: h.Batch, answer: verdictAccepted}
	p.mu.rounds.waiting = append(p.mu.rounds.waiting, forwarded{h, data})
	return verdictAccepted, true
}

// forwarder returns the follower that forwarded a batch of this origin to this leader; 0 if none did.
func (p *proposer) forwarder(origin uint64) cluster.MemberID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.taken[origin].from
}

// turnAway is called at the leader when raft has refused a batch that was accepted: it is in no log. It is
// not taken again, and its origin is told.
func (p *proposer) turnAway(h *Header) {
	p.mu.Lock()
	t, known := p.mu.taken[h.Origin]
	known = known && p.mu.rounds.term == h.Term
	if known && t.number == h.Batch {
		p.mu.taken[h.Origin] = taken{from: t.from, number: t.number, answer: verdictRefused}
	}
	p.mu.Unlock()
	if known {
		p.node.Send(t.from, kindTurnAway, appendTurnAway(nil, h), func([]byte, error) {})
	}
}

// appendTurnAway appends the message of kindTurnAway: u64 origin, u64 batch, u64 term.
func appendTurnAway(b []byte, h *Header) []byte {
	for _, n := range [...]uint64{h.Origin, h.Batch, uint64(h.Term)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// turnedAway is the origin's side: the cluster.Handler of kindTurnAway.
func (p *proposer) turnedAway(_ cluster.MemberID, payload []byte, reply func([]byte)) {
	r := reader{b: payload}
	origin, number, term := r.u64(), r.u64(), cluster.Term(r.u64())
	if r.end() == nil && origin == p.origin {
		p.refusedNumber(number, term)
	}
	reply(nil)
}

// refusedNumber is refused for a batch that may have been answered meanwhile.
func (p *proposer) refusedNumber(number uint64, term cluster.Term) {
	p.mu.Lock()
	i := slices.IndexFunc(p.mu.inflight, func(b *batch) bool { return b.number == number && b.term == term })
	var b *batch
	if i >= 0 {
		b = p.mu.inflight[i]
	}
	p.mu.Unlock()
	if b != nil {
		p.refused(b)
	}
}
