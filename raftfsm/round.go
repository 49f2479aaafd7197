package raftfsm

import (
	"encoding/binary"
	"time"

	"github.com/hashicorp/raft"

	"github.com/redkeep/redkeep/cluster"
)

// Rounds: when the leader gives batches to raft.
//
// Idea. A round is what the leader gives to raft at once: the batches that followers have forwarded and
// its own. The next round starts when the previous one is committed. Everything that arrives meanwhile,
// here and on the followers, shares the next sync and the next message to each member. What a round costs
// (a sync on each member, two messages per follower, some forty context switches) hardly depends on what
// is in it, so few full rounds beat many small ones: with 64 clients on three nodes by half again.
//
// Clients wait for an answer and then ask again, so right after a commit most of them are about to come back.
// A round that does not wait for them takes the few who were quicker, and the rest make another one. So a
// round waits until nearly as many requests are there as have lately been there at once, but never longer
// than half of what the last round took. A lone client never waits: it is all there is.
//
// Rejected: starting a round as soon as the previous one is stored on the leader. Then the leader's sync
// of one round overlaps with the followers' sync of the one before, but the rounds hold a third as much.
//
// Drawbacks: when most clients leave at once, those who stay wait up to half a round, a few times, until
// the expectation has fallen. With a slow network and a fast disk one round in flight leaves the disk idle;
// what waits is then packed more densely instead.
type rounds struct {
	term    cluster.Term
	waiting []forwarded // batches of followers, in the order they came
	open    int         // entries given to raft that are not committed
	opened  time.Time

	landed time.Time     // when the last round was committed
	took   time.Duration // from its opening
	expect float64       // requests that are likely to be there at once
}

// forwarded is a batch of a follower that waits for its round.
type forwarded struct {
	header Header
	data   []byte
}

const (
	roundEntries = 24 // raft stores up to 32 at once
	// roundTimeout starts another round although the last one is not committed: a safeguard against a lost
	// count, and what keeps a leader proposing while a majority is slow.
	roundTimeout = time.Second

	roundFill  = 0.7  // of what is expected is enough
	roundDecay = 0.75 // of the expectation, per round
	maxLinger  = 2 * time.Millisecond
)

// lead starts a round if it is time and anything waits.
func (p *proposer) lead(term cluster.Term) {
	foreign, own := p.nextRound(term)
	for i := range foreign {
		f := &foreign[i]
		f.header.Time = p.now()
		putHeader(f.data, f.header)
		p.propose(f.data, nil)
	}
	for _, b := range own {
		p.propose(b.data, b)
	}
}

// nextRound takes what waits out of the queues.
func (p *proposer) nextRound(term cluster.Term) (foreign []forwarded, own []*batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.mu.rounds
	if r.term != term || r.open > 0 && time.Since(r.opened) < roundTimeout || p.lingerLocked() {
		return nil, nil
	}
	foreign, r.waiting = r.waiting, nil
	for len(p.mu.queue) > 0 && len(own)+len(foreign) < roundEntries {
		own = append(own, p.sealLocked(term, local))
	}
	if r.open = len(foreign) + len(own); r.open > 0 {
		r.opened = time.Now()
	}
	return foreign, own
}

// lingerLocked reports whether the round should wait for clients that are about to come back, and if so
// sets the timer. When it returns false the round starts.
func (p *proposer) lingerLocked() bool {
	r, there := &p.mu.rounds, 0
	for i := range r.waiting {
		there += int(r.waiting[i].header.Count)
	}
	for _, s := range p.mu.queue {
		there += s.n
	}
	if there == 0 {
		return true
	}
	left := min(r.took/2, maxLinger) - time.Since(r.landed)
	if left > 0 && float64(there) < roundFill*r.expect {
		p.linger.Reset(left)
		return true
	}
	r.expect = max(float64(there), roundDecay*r.expect)
	return false
}

// landed counts entries of the round that need not be waited for any more.
func (p *proposer) landed(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.mu.rounds
	if r.open = max(r.open-n, 0); r.open > 0 {
		return
	}
	r.landed = time.Now()
	r.took = r.landed.Sub(r.opened)
	if len(p.mu.queue)+len(r.waiting) > 0 {
		wake(p.kick)
	}
}

// committed is called with the entries that are about to be applied here.
func (p *proposer) committed(logs []*raft.Log) {
	n := 0
	for _, l := range logs {
		if l.Type == raft.LogCommand && isBatch(l) {
			n++
		}
	}
	if n > 0 {
		p.landed(n)
	}
}

// isBatch tells a sealed batch of the entry's own term from LeaderStart and from void entries.
func isBatch(l *raft.Log) bool {
	return len(l.Data) >= headerSize && binary.BigEndian.Uint64(l.Data[5:]) != 0 &&
		binary.BigEndian.Uint64(l.Data[21:]) == l.Term
}
