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
// its own. What a round costs (a sync on each member, two messages per follower, some forty context
// switches) hardly depends on what is in it, so few full rounds beat many small ones. Normally the next
// round starts when the previous one is committed: everything that arrives meanwhile, here and on the
// followers, shares it. It starts earlier, when the previous one is stored here and still on its way to
// the followers, if as many requests wait as the previous one had: then it is full already, and the
// leader's disk need not idle.
//
// Rejected: starting a round whenever the previous one is stored, full or not: the rounds hold a third as
// much, and the processors are busy with rounds instead of requests. Waiting a moment for clients that
// were just answered: it changed nothing that could be measured.
//
// Drawback: at most two rounds are in flight, however long the way to the followers; what waits is packed
// more densely instead.
type rounds struct {
	term    cluster.Term
	waiting []forwarded // batches of followers, in the order they came
	open    []int       // entries not committed yet, of each round in flight
	opened  time.Time   // when the last one was
	size    int         // how many requests it had
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
)

// lead starts a round if it is time and anything waits.
func (p *proposer) lead(term cluster.Term) {
	foreign, own := p.nextRound(term)
	for i := range foreign {
		f := &foreign[i]
		f.header.Time, f.header.Quota = p.now(), p.quota
		putHeader(f.data, f.header)
		p.propose(f.data, func() { p.turnAway(&f.header) })
	}
	for _, b := range own {
		p.propose(b.data, func() { p.refused(b) })
	}
}

// nextRound takes what waits out of the queues.
func (p *proposer) nextRound(term cluster.Term) (foreign []forwarded, own []*batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, there := &p.mu.rounds, p.thereLocked()
	if r.term != term || p.patientLocked() || !p.dueLocked(there) {
		return nil, nil
	}
	foreign, r.waiting = r.waiting, nil
	for len(p.mu.queue) > 0 && len(own)+len(foreign) < roundEntries {
		own = append(own, p.sealLocked(term, local))
	}
	r.open = append(r.open, len(foreign)+len(own))
	r.opened, r.size = time.Now(), there
	p.unstored.Store(true)
	return foreign, own
}

// dueLocked reports whether it is time for a round of so many requests.
func (p *proposer) dueLocked(there int) bool {
	r := &p.mu.rounds
	switch len(r.open) {
	case 0:
		return true
	case 1:
		if there >= r.size && !p.unstored.Load() {
			return true
		}
	}
	return time.Since(r.opened) > roundTimeout
}

// thereLocked counts the requests that wait for a round.
func (p *proposer) thereLocked() (n int) {
	n = p.mu.requests
	for i := range p.mu.rounds.waiting { // a few: followers have one or two each
		n += int(p.mu.rounds.waiting[i].header.Count)
	}
	return n
}

// landed counts entries that need not be waited for any more, oldest round first.
func (p *proposer) landed(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, before := &p.mu.rounds, len(p.mu.rounds.open)
	for ; n > 0 && len(r.open) > 0; n-- {
		if r.open[0]--; r.open[0] == 0 {
			r.open = r.open[1:]
		}
	}
	if len(r.open) < before {
		p.wakeLocked()
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
