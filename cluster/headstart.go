package cluster

import "github.com/hashicorp/raft"

// A head start: entries that a leader has just been given go to the followers while it still writes them to
// its own disk (Ongaro's thesis, section 10.2.1). raft writes first and sends then, so that a commit waits
// for two disks one after the other; this way it waits for the slower of the two.
//
// Idea: the log store, at the beginning of StoreLogs, hands the entries to the transport, which sends each
// follower that is up to date the very request that raft will ask for once the entries are stored. When raft
// does, it is given the answer of the request that is under way already. raft's own state does not know of
// it.
//
// Invariants:
//
//	H1  The request is one that a leader of its term may send: this node leads the term of the entries, and
//	    they follow directly upon the follower's match point (nudge.go, N1). So a follower that takes them is
//	    in the state that raft's own request would have put it in.
//	H2  The leader counts itself only once its own disk has the entries, as ever: that is raft's code, after
//	    StoreLogs. A follower's answer reaches raft only through raft's own request, which comes later still.
//	    So no entry is committed that fewer than a majority have stored.
//	H3  At most one head start per follower is under way.
//
// A leader that dies before its disk has the entries comes back without them, as a follower in that term or a
// later one; whether they live is then for the others to decide, as with every entry that was not
// acknowledged. A leader whose disk fails does not know the fate of what it sent: its clients are told
// UNCERTAIN, which is what a failed store means anyway.
//
// Rejected: storing at the leader without a sync and waiting for it at apply (raft would tell followers of
// commits that only they have stored); a raft of our own.
//
// The drawback: a follower that is a message behind gets no head start, and raft's next request to it goes
// the long way.
type headStart struct {
	req  *raft.AppendEntriesRequest
	resp raft.AppendEntriesResponse // valid once done is closed
	err  error
	done chan struct{}
}

// headStart is called by the log store before it writes entries. On a node that does not lead it does
// nothing. It never blocks.
func (t *transport) headStart(logs []*raft.Log) {
	term := logs[0].Term
	commit, ok := t.leading(term)
	if !ok {
		return
	}
	for _, l := range logs {
		if l.Type != raft.LogCommand {
			return // rare, and raft does more than send these
		}
	}
	t.mu.Lock()
	peers := make([]*replica, 0, len(t.mu.peers))
	for _, p := range t.mu.peers {
		peers = append(peers, p)
	}
	t.mu.Unlock()
	for _, p := range peers {
		if target, h := p.headStart(logs, commit); h != nil {
			t.startEarly(p, target, h)
		}
	}
}

func (t *transport) startEarly(p *replica, target raft.ServerAddress, h *headStart) {
	t.started.Add(1)
	ok := t.spawn(func() {
		h.err = t.addressee.AppendEntries(p.id, target, h.req, &h.resp)
		due := p.answered(h.req, &h.resp, h.err)
		p.landed()
		close(h.done)
		if due {
			t.startNudge(p)
		}
	})
	if !ok {
		h.err = ErrShutdown // and none is started any more
		close(h.done)
	}
}

// headStart returns the request to send, or nil when the follower is not at the entry before.
func (p *replica) headStart(logs []*raft.Log, commit uint64) (raft.ServerAddress, *headStart) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.term != logs[0].Term || p.mu.matchIndex != logs[0].Index-1 || p.mu.flying {
		return "", nil
	}
	h := &headStart{done: make(chan struct{}), req: &raft.AppendEntriesRequest{
		RPCHeader: p.mu.header, Leader: p.mu.leader, Term: p.mu.term,
		PrevLogEntry: p.mu.matchIndex, PrevLogTerm: p.mu.matchTerm, Entries: logs,
		LeaderCommitIndex: min(commit, p.mu.matchIndex),
	}}
	p.mu.early, p.mu.flying = h, true
	p.tellsLocked(h.req)
	return p.mu.target, h
}

// landed notes that the head start has been answered, or never will be.
func (p *replica) landed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.flying = false
}

// claim gives raft's request the head start that began with the same entry, if there is one.
func (p *replica) claim(a *raft.AppendEntriesRequest) *headStart {
	if len(a.Entries) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.mu.early
	p.mu.early = nil
	if h != nil && h.req.Term == a.Term && h.req.PrevLogEntry == a.PrevLogEntry &&
		h.req.PrevLogTerm == a.PrevLogTerm {
		return h
	}
	return nil
}

// await returns what of raft's request is still to be sent: all of it if the head start failed or was
// refused, else the entries behind it. raft may ask for fewer than were sent, never for other ones.
func (h *headStart) await(a *raft.AppendEntriesRequest) *raft.AppendEntriesRequest {
	<-h.done
	if h.err != nil || !h.resp.Success {
		return a
	}
	rest := *a
	rest.Entries = a.Entries[min(len(h.req.Entries), len(a.Entries)):]
	rest.PrevLogEntry, rest.PrevLogTerm = endOf(h.req)
	return &rest
}
