package cluster

import (
	"sync"

	"github.com/hashicorp/raft"
)

// replica is what a leader's transport knows of one follower. It decides what the follower may be sent
// outside raft's own replication: a newer commit index (here) and entries ahead of time (headstart.go).
//
// raft sends a new commit index with the next entries or after CommitTimeout (10 to 20 ms). A write
// forwarded by a follower is answered by that follower when it has applied it, so an idle cluster would
// answer in 20 ms what took 1 ms to commit. A nudge is an empty AppendEntries sent at once.
//
// A follower sets its commit index to min(LeaderCommitIndex, its last index), and its last index may lie
// beyond what it shares with the leader. raft relies on having just replicated up to there. Hence:
//
//	N1  PrevLogEntry/PrevLogTerm is a match point: the last position of a request that this follower
//	    acknowledged in this very term, so follower and leader agree on everything up to it.
//	N2  LeaderCommitIndex <= PrevLogEntry, so nothing behind the match point can be taken for committed.
//	N3  LeaderCommitIndex <= the commit index of this node while it led that term.
//	N4  The term in the request is the term of the match point. A nudge that arrives after a change of term
//	    is refused by the follower's term check like any old request.
//
// N1 stays true when the nudge arrives late: within a term a leader's log only grows, and what a follower
// has acknowledged it keeps. Rejected: shortening CommitTimeout (a message per follower and millisecond
// when idle) and an empty raft entry per write (a sync for each). The drawback: a second, small request
// beside raft's own per commit.
type replica struct {
	id raft.ServerID

	mu struct {
		sync.Mutex
		target     raft.ServerAddress
		header     raft.RPCHeader
		leader     []byte
		term       uint64
		matchIndex uint64 // N1
		matchTerm  uint64
		told       uint64     // commit index the follower has been sent and can use
		want       uint64     // commit index it should know
		busy       bool       // a nudge is in flight
		early      *headStart // the newest one that raft has not claimed
		flying     bool       // one is in flight
		install    install    // install.go
	}
}

// sending notes what a request of raft's own will tell the follower.
func (p *replica) sending(target raft.ServerAddress, a *raft.AppendEntriesRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.Term > p.mu.term {
		p.mu.term, p.mu.matchIndex, p.mu.matchTerm, p.mu.told, p.mu.want = a.Term, 0, 0, 0, 0
		p.mu.early = nil
	}
	if a.Term != p.mu.term {
		return
	}
	p.mu.target, p.mu.header, p.mu.leader = target, a.RPCHeader, a.Leader
	p.tellsLocked(a)
}

// tellsLocked notes the commit index that a request carries.
func (p *replica) tellsLocked(a *raft.AppendEntriesRequest) {
	last, _ := endOf(a)
	p.mu.told = max(p.mu.told, min(a.LeaderCommitIndex, last))
}

// answered learns the match point. It reports whether a nudge is due.
func (p *replica) answered(a *raft.AppendEntriesRequest, r *raft.AppendEntriesResponse, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.Term != p.mu.term {
		return false
	}
	if err != nil || !r.Success || r.Term != a.Term {
		p.mu.told = 0
		return false
	}
	if index, term := endOf(a); index > p.mu.matchIndex {
		p.mu.matchIndex, p.mu.matchTerm = index, term
		p.reachedLocked()
	}
	return p.dueLocked() > 0
}

func endOf(a *raft.AppendEntriesRequest) (index, term uint64) {
	if n := len(a.Entries); n > 0 {
		return a.Entries[n-1].Index, a.Entries[n-1].Term
	}
	return a.PrevLogEntry, a.PrevLogTerm
}

// wants notes that the follower should know commit. It reports whether a nudge is due.
func (p *replica) wants(term, commit uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if term != p.mu.term {
		return false
	}
	p.mu.want = max(p.mu.want, commit)
	return p.dueLocked() > 0
}

// dueLocked returns the commit index to send, 0 for none.
func (p *replica) dueLocked() uint64 {
	c := min(p.mu.want, p.mu.matchIndex)
	if c <= p.mu.told {
		return 0
	}
	return c
}

// begin claims the right to send; only one goroutine has it.
func (p *replica) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.busy {
		return false
	}
	p.mu.busy = true
	return true
}

// next returns the request to send, or gives the right to send back.
func (p *replica) next() (raft.ServerAddress, *raft.AppendEntriesRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	commit := p.dueLocked()
	if commit == 0 {
		p.mu.busy = false
		return "", nil
	}
	p.mu.told = commit
	return p.mu.target, &raft.AppendEntriesRequest{
		RPCHeader: p.mu.header, Leader: p.mu.leader, Term: p.mu.term,
		PrevLogEntry: p.mu.matchIndex, PrevLogTerm: p.mu.matchTerm, LeaderCommitIndex: commit,
	}
}

func (p *replica) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.busy = false
}

// nudge makes sure the peer hears of commit soon. It never blocks.
func (t *transport) nudge(id raft.ServerID, term uint64, commit uint64) {
	if t.noNudge {
		return
	}
	known, ok := t.leading(term)
	if !ok {
		return
	}
	if p := t.peer(id); p.wants(term, min(commit, known)) {
		t.startNudge(p)
	}
}

func (t *transport) startNudge(p *replica) {
	if !p.begin() {
		return
	}
	if !t.spawn(func() { t.runNudges(p) }) {
		p.end()
	}
}

// runNudges sends until nothing is due. Answers are ignored: raft's own traffic tells how the follower is.
// After a failure it stops; raft's next request tells the follower anyway.
func (t *transport) runNudges(p *replica) {
	for {
		target, req := p.next()
		if req == nil {
			return
		}
		if _, ok := t.leading(req.Term); !ok {
			p.end()
			return
		}
		t.nudged.Add(1)
		if err := t.addressee.AppendEntries(p.id, target, req, &raft.AppendEntriesResponse{}); err != nil {
			p.end()
			return
		}
	}
}
