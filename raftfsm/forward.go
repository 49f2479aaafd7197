package raftfsm

import (
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
// Three answers. Accepted: raft has it, the log will tell. Refused: the leader of that very term did
// not take it and never will, the batch is definitely not done. Not leader: this node knows nothing
// of the batch; if an earlier copy may have reached somebody, only the log can tell.
//
// Rejected: numbering with gaps and retransmission of several batches, which buys nothing, because
// what waits meanwhile is packed into the next batch anyway. Drawback: a follower's batches are at
// least one round trip apart.

// Kinds of peer requests. Those from 0x80 use the bulk connection.
const (
	kindReadIndex = 0x10
	kindStatus    = 0x11
	kindLeases    = 0x12

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

// resend repeats the batch whose connection broke, while its term lasts. One whose submissions have
// all timed out is dropped instead.
func (p *proposer) resend() {
	p.mu.Lock()
	i := slices.IndexFunc(p.mu.inflight, func(b *batch) bool { return b.forward == lost })
	if i < 0 {
		p.mu.Unlock()
		return
	}
	b := p.mu.inflight[i]
	alive := slices.ContainsFunc(b.subs, func(s *Submission) bool { return s != nil })
	again := alive && b.term == p.node.Term()
	if again {
		b.forward = sent
	}
	if !alive {
		p.mu.inflight = slices.Delete(p.mu.inflight, i, i+1)
	}
	p.mu.Unlock()
	if again {
		p.forward(b)
	}
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

// take decides on a batch; first tells that it now waits for its round. Should it never reach the log, the
// LeaderStart of a later term tells its origin.
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
