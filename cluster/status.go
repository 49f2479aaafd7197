package cluster

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// IsLeader reports whether this node believes it leads. A deposed leader believes it for a while.
func (n *Node) IsLeader() bool { return n.raft.State() == raft.Leader }

// Term returns raft's current term.
func (n *Node) Term() Term { return Term(n.raft.CurrentTerm()) }

// HighestTerm returns the highest term this member has ever persisted or is about to. It never falls.
func (n *Node) HighestTerm() Term { return n.stable.highestTerm() }

// CommitIndex returns the highest index this node knows to be committed.
func (n *Node) CommitIndex() Index { return Index(n.raft.CommitIndex()) }

// Leader returns the leader this node knows of, possibly itself. ok is false iff it knows of none.
func (n *Node) Leader() (id MemberID, addr string, ok bool) {
	a, s := n.raft.LeaderWithID()
	return parseMember(s), string(a), s != ""
}

// DiskFree returns the bytes free on the file system of the data directory; -1 if that cannot be found out.
func (n *Node) DiskFree() int64 { return diskFree(n.dir.path) }

// Self returns this member's id. ClusterID returns its cluster's.
func (n *Node) Self() MemberID       { return n.self }
func (n *Node) ClusterID() ClusterID { return n.cluster }

// Name returns this member's name. PeerAddr returns the address other members dial.
func (n *Node) Name() string     { return n.dir.meta.Name }
func (n *Node) PeerAddr() string { return n.mux.advertise }

func (n *Node) servers() []raft.Server { return n.raft.GetConfiguration().Configuration().Servers }

// Voters returns the voters of the latest configuration, which may not be committed yet, this node included
// if it is one. It never blocks.
func (n *Node) Voters() []MemberID {
	var ids []MemberID
	for _, s := range n.servers() {
		if s.Suffrage == raft.Voter {
			ids = append(ids, parseMember(s.ID))
		}
	}
	return ids
}

// Members returns the latest configuration, ordered by id.
func (n *Node) Members() []Member {
	return n.membersOf(n.raft.GetConfiguration().Configuration())
}

func (n *Node) membersOf(c raft.Configuration) []Member {
	var list []Member
	for _, s := range c.Servers {
		id := parseMember(s.ID)
		list = append(list, Member{id, n.nameOf(id), string(s.Address), s.Suffrage == raft.Voter})
	}
	slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (n *Node) addrOf(id MemberID) (string, bool) {
	for _, s := range n.servers() {
		if parseMember(s.ID) == id {
			return string(s.Address), true
		}
	}
	return "", false
}

func sortedPeers(list []Peer) []Peer {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Peer) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Stats returns a view for status pages. It reads the snapshot directory; call it a few times a second at
// most.
func (n *Node) Stats() Stats {
	last := n.snapshots.last()
	first, _ := n.log.FirstIndex()
	s := Stats{
		State: n.raft.State().String(), Term: n.Term(),
		FirstIndex: Index(first), LastIndex: Index(n.raft.LastIndex()),
		CommitIndex: n.CommitIndex(), HandedIndex: Index(n.raft.AppliedIndex()), LastSnapshotIndex: last.Index,
		LastSnapshotTime: last.takenAt(),
		LogBytes:         n.log.counts.since(last.Index), CacheBytes: n.log.cache.size(), LastContact: -1,
		StoreRunningFor: n.log.runningFor(), Snapshots: n.snapshots.taken.Load(),
		SnapshotsInstalled: n.fsm.restores.Load(), DiskFree: diskFree(n.dir.path),
		HeartbeatsWithheld: n.trans.withheld.Load(), NudgesSent: n.trans.nudged.Load(),
		HeadStarts: n.trans.started.Load(),
	}
	if at := n.raft.LastContact(); n.IsLeader() {
		s.LastContact = 0
	} else if !at.IsZero() {
		s.LastContact = time.Since(at)
	}
	return s
}

// LeaderChanges returns a new one-slot channel that gets a token after each change of this node's state or
// of the leader it knows. Tokens coalesce: compare terms, do not count. The channel is never closed.
func (n *Node) LeaderChanges() <-chan struct{} {
	c, _ := n.changes.subscribe()
	return c
}

// Apply proposes data as one log entry. The node keeps data until it is applied and cached no longer: it
// must not change. Entries of one goroutine are proposed in its order. It may wait up to a heartbeat
// timeout for a place in raft's queue of 32 entries.
func (n *Node) Apply(data []byte) *ApplyFuture {
	f := &ApplyFuture{done: make(chan struct{})}
	n.proposals.propose(data, f.finish)
	return f
}

// Propose is Apply with a callback, which runs once the outcome is known, possibly before Propose returns,
// possibly never (see ApplyFuture.Done). It must not block.
func (n *Node) Propose(data []byte, done func(error)) {
	n.proposals.propose(data, func(_ Index, err error) { done(err) })
}

// Snapshot takes a snapshot now. Nothing new since the last one is success.
func (n *Node) Snapshot(ctx context.Context) error { return n.snapshots.now(ctx) }

// LastSnapshot describes the newest snapshot on disk.
func (n *Node) LastSnapshot() SnapshotInfo { return n.snapshots.last() }

// Handler answers one request of a peer. It runs on the connection's reader and must not block. The payload
// belongs to it. reply copies its argument, may be called later and from any goroutine, and at most once.
type Handler func(from MemberID, payload []byte, reply func(payload []byte))

// Handle sets the handler for a kind, which must be 0x10 or above. Requests of a kind without one are
// refused.
func (n *Node) Handle(kind byte, h Handler) {
	if kind < ownKinds {
		panic("cluster: this kind of peer message is reserved")
	}
	n.peers.handle(kind, h)
}

// Send asks a peer. The payload is copied. done runs exactly once, on a goroutine of the connection or one
// of its own, never within Send; it must not block, and the reply belongs to it. Kinds of 0x80 and above
// use the bulk connection. There is no time limit but the break of the connection: an unresponsive peer is
// the caller's to give up on.
func (n *Node) Send(to MemberID, kind byte, payload []byte, done func(reply []byte, err error)) {
	n.peers.send(to, kind, payload, done)
}

// AskTerms asks every other voter of the latest configuration for the highest term it has ever persisted
// and returns how many it asked. each runs once per voter asked, as done does in Send.
func (n *Node) AskTerms(each func(from MemberID, t Term, err error)) (asked int) {
	for _, id := range n.Voters() {
		if id == n.self {
			continue
		}
		asked++
		n.peers.send(id, kindTerm, nil, func(reply []byte, err error) {
			t, err := decodeTerm(reply, err)
			each(id, t, err)
		})
	}
	return asked
}

// Nudge makes sure that a follower hears of commit without waiting for raft's next message. It does nothing
// on a node that does not lead, and never blocks. See nudge.go.
func (n *Node) Nudge(to MemberID, commit Index) {
	if to != n.self {
		n.trans.nudge(to.serverID(), n.raft.CurrentTerm(), uint64(commit))
	}
}

// leading returns the commit index iff this node leads term.
func (n *Node) leading(term uint64) (commit uint64, ok bool) {
	commit = n.raft.CommitIndex()
	return commit, n.raft.State() == raft.Leader && n.raft.CurrentTerm() == term
}

// changeWatch turns raft's observations into tokens.
type changeWatch struct {
	raft     *raft.Raft
	observer *raft.Observer
	seen     chan raft.Observation
	stop     chan struct{}
	done     chan struct{}

	mu struct {
		sync.Mutex
		subs map[chan struct{}]struct{}
	}
}

func watchChanges(r *raft.Raft) *changeWatch {
	w := &changeWatch{
		raft: r, seen: make(chan raft.Observation, 16), stop: make(chan struct{}), done: make(chan struct{}),
	}
	w.mu.subs = map[chan struct{}]struct{}{}
	// A full channel drops observations; those in it wake everybody anyway, after the change.
	w.observer = raft.NewObserver(w.seen, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	r.RegisterObserver(w.observer)
	go w.run()
	return w
}

func (w *changeWatch) run() {
	defer close(w.done)
	for {
		select {
		case <-w.seen:
			w.wakeAll()
		case <-w.raft.LeaderCh():
			w.wakeAll()
		case <-w.stop:
			return
		}
	}
}

func (w *changeWatch) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.mu.subs {
		wake(c)
	}
}

// subscribe returns a channel and how to stop it.
func (w *changeWatch) subscribe() (c chan struct{}, stop func()) {
	c = make(chan struct{}, 1)
	w.mu.Lock()
	w.mu.subs[c] = struct{}{}
	w.mu.Unlock()
	return c, func() {
		w.mu.Lock()
		delete(w.mu.subs, c)
		w.mu.Unlock()
	}
}

func (w *changeWatch) close() {
	w.raft.DeregisterObserver(w.observer)
	close(w.stop)
	<-w.done
}
