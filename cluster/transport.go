package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// transport corrects hashicorp's NetworkTransport:
//
//   - Heartbeats do not bypass the main loop. The bypass calls into raft from a connection's goroutine, where
//     it races with an ex-leader that is stamping entries with a term (hashicorp/raft issue 695); logs can
//     diverge. The price is that a follower busy with its disk answers late, hence a lease as long as the
//     heartbeat timeout.
//   - One request at a time per follower. Pipelining can wedge a follower for ever (issue 612) and gains
//     nothing.
//   - A leader whose disk hangs stops sending heartbeats, so that the others elect someone else: raft itself
//     would keep the leadership for ever, because heartbeats come from goroutines that never touch the disk.
//   - No request tells a follower of a commit behind what it compares. A follower takes for committed what
//     the leader has committed, up to the end of its own log, which may go on with entries of another leader.
//     raft notes how far it will send before it looks how far it has committed: a new leader that loses its
//     processor in between would have such entries applied.
//   - A message goes to the member it is for, not to whoever has its address (addressee.go).
//   - Nudge tells a follower of a commit at once (nudge.go).
//   - Entries are on their way to the followers while this node writes them to its own disk (headstart.go).
type transport struct {
	addressee
	stallLimit time.Duration
	storing    func() time.Duration // how long the running StoreLogs has taken
	lastIndex  func() uint64        // where this node's log ends
	leader     atomic.Pointer[func(term uint64) (commit uint64, ok bool)]
	noNudge    bool
	withheld   atomic.Int64
	nudged     atomic.Int64
	started    atomic.Int64 // head starts
	work       sync.WaitGroup

	mu struct {
		sync.Mutex
		peers  map[raft.ServerID]*replica
		closed bool
	}
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

const (
	rpcTimeout = 10 * time.Second
	// snapshotScale gives a snapshot rpcTimeout for each such piece.
	snapshotScale = 8 << 20
	// connPool is how many idle connections are kept per peer: entries, heartbeats, a nudge, a vote.
	connPool = 4
	// stallFactor times the heartbeat timeout is how long one StoreLogs may take before the leader falls
	// silent.
	stallFactor = 3
)

func newTransport(m *peerMux, cfg Config, storing func() time.Duration) *transport {
	stream := &raftStream{peerMux: m, done: make(chan struct{})}
	t := &transport{
		addressee: addressee{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: stream, MaxPool: connPool, MaxRPCsInFlight: 1, Timeout: rpcTimeout,
			MsgpackUseNewTimeFormat: true, Logger: newRaftLogger(cfg.Logger, "raft-net"),
		})},
		stallLimit: stallFactor * cfg.HeartbeatTimeout,
		storing:    storing,
		noNudge:    cfg.DisableNudge,
	}
	t.TimeoutScale = snapshotScale
	t.mu.peers = map[raft.ServerID]*replica{}
	return t
}

// lead sets who knows whether this node leads a term, and how far it has committed.
func (t *transport) lead(f func(term uint64) (commit uint64, ok bool)) { t.leader.Store(&f) }

func (t *transport) leading(term uint64) (commit uint64, ok bool) {
	f := t.leader.Load()
	if f == nil {
		return 0, false
	}
	return (*f)(term)
}

// SetHeartbeatHandler does nothing, which raft's interface allows: heartbeats then arrive on Consumer.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

func (t *transport) AppendEntries(
	id raft.ServerID, target raft.ServerAddress,
	args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse,
) error {
	if len(args.Entries) == 0 && t.storing() > t.stallLimit {
		t.withheld.Add(1)
		return errDiskStall
	}
	if hasNoEntry(args.Entries) {
		return errNoEntry
	}
	if isHeartbeat(args) {
		return t.addressee.AppendEntries(id, target, args, resp)
	}
	p := t.peer(id)
	if h := p.claim(args); h != nil {
		if args = h.await(args); len(args.Entries) == 0 {
			*resp = h.resp
			return nil
		}
	}
	args = promising(args)
	p.sending(target, args)
	err := t.addressee.AppendEntries(id, target, args, resp)
	if p.answered(args, resp, err) {
		t.startNudge(p)
	}
	return err
}

// isHeartbeat: raft's heartbeats carry no position, so they say nothing about the follower's log.
func isHeartbeat(a *raft.AppendEntriesRequest) bool {
	return len(a.Entries) == 0 && a.PrevLogEntry == 0 && a.LeaderCommitIndex == 0
}

// promising returns the request with a commit index that is not behind what it compares (the Raft paper,
// figure 2: min(leaderCommit, index of last new entry)).
func promising(a *raft.AppendEntriesRequest) *raft.AppendEntriesRequest {
	last, _ := endOf(a)
	if a.LeaderCommitIndex <= last {
		return a
	}
	less := *a
	less.LeaderCommitIndex = last
	return &less
}

func (t *transport) peer(id raft.ServerID) *replica {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.mu.peers[id]
	if p == nil {
		p = &replica{id: id}
		t.mu.peers[id] = p
	}
	return p
}

// spawn runs fn on a goroutine that wait waits for. It returns false when the transport is closed.
func (t *transport) spawn(fn func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.closed {
		return false
	}
	t.work.Go(fn)
	return true
}

// Close stops new nudges and head starts. The mux ends the connections; wait then waits for those that were
// using them.
func (t *transport) Close() error {
	t.mu.Lock()
	t.mu.closed = true
	t.mu.Unlock()
	err := t.NetworkTransport.Close()
	t.CloseStreams()
	return err
}

func (t *transport) wait() { t.work.Wait() }
