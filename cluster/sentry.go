package cluster

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// The sentry looks after what raft does not notice while its main loop waits for something. It is one
// goroutine of the node.
//
// A leader whose disk hangs. raft's main loop waits in StoreLogs, so it cannot hand over; its heartbeats
// come from other goroutines and go on, so nobody else is elected; nothing is committed any more, for raft
// commits only what the leader has stored. When a write has not come back for stallLimit, the sentry tells
// the voter that has acknowledged most to stand for election (TimeoutNow, as in a transfer of leadership),
// and the next one if that has not helped. Heartbeats are withheld a little later (transport.go), should no
// voter be reached. Nothing is unsafe about it: any voter may stand at any time; a wrong guess costs an
// election.
//
// A follower that raft cannot use any more (hashicorp/raft issue 697). When a snapshot is installed over a
// log whose tail nobody else has and which reaches beyond the snapshot, raft removes the entries but
// remembers where they ended; it then takes no entries, and is sent snapshots for ever. The sentry ends the
// process instead: after a restart raft reads the end of its log anew, and all is well.
//
// Rejected: giving up a running write by a time limit, and going on (what the disk does with it later is
// anybody's guess). Drawback: what a hung leader took from its clients stays UNCERTAIN until the disk
// answers.
type sentry struct {
	node    *Node
	offered map[raft.ServerID]bool // in this stall
	lastBid int64                  // monotonic
	lastAsk int64                  // monotonic
	asking  atomic.Int32           // voters whose terms are asked for
	seen    atomic.Uint64          // the latest term that a voter has answered
	wedged  int64                  // since when the log looks wedged; monotonic, 0 it does not
	stop    chan struct{}
	done    chan struct{}
}

const (
	// offerFactor times the heartbeat timeout is how long a write may take before leadership is offered.
	offerFactor = 2
	// leastStall: a test's heartbeat may be shorter than an honest disk's worst moment.
	leastStall = 500 * time.Millisecond
	// wedgeTime is how long raft and its log may differ about where the log ends.
	wedgeTime = 3 * time.Second
)

func (n *Node) stallLimit() time.Duration { return max(offerFactor*n.cfg.HeartbeatTimeout, leastStall) }

func startSentry(n *Node) *sentry {
	s := &sentry{node: n, stop: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *sentry) run() {
	defer close(s.done)
	tick := time.NewTicker(max(s.node.cfg.HeartbeatTimeout/8, 5*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.watchDisk()
			s.watchLog()
		case <-s.stop:
			return
		}
	}
}

// watchDisk offers leadership to the others while this leader's disk hangs.
func (s *sentry) watchDisk() {
	n := s.node
	hung := n.storing()
	if hung <= n.stallLimit() || !n.IsLeader() || n.cfg.noOffer {
		s.offered = nil
		return
	}
	s.askTerms()
	if s.seen.Load() > uint64(n.Term()) {
		return // others have moved on; raft here learns of it when the disk answers
	}
	if s.offered == nil {
		s.offered = map[raft.ServerID]bool{}
	} else if time.Duration(monotonic()-s.lastBid) < n.cfg.ElectionTimeout {
		return // the last one offered has its chance
	}
	s.lastBid = monotonic()
	p := n.trans.bestOf(n.Voters(), s.offered)
	if p == nil {
		clear(s.offered) // once more from the first
		return
	}
	s.offered[p.id] = true
	n.cfg.Logger.Warn("the disk hangs: leadership is offered to another member",
		"for", hung.Round(time.Millisecond), "to", string(p.id))
	n.trans.offerLeadership(p)
}

// askTerms asks the voters for their terms: this leader's raft does not look while it waits for the disk.
// Without that, it would go on to offer leadership and so depose its successor.
func (s *sentry) askTerms() {
	pause := s.node.cfg.ElectionTimeout
	if s.asking.Load() > 0 && time.Duration(monotonic()-s.lastAsk) < pause {
		return
	}
	s.lastAsk = monotonic()
	s.asking.Store(int32(len(s.node.Voters())))
	asked := s.node.AskTerms(func(_ MemberID, t Term, err error) {
		for seen := s.seen.Load(); err == nil && uint64(t) > seen; seen = s.seen.Load() {
			s.seen.CompareAndSwap(seen, uint64(t))
		}
		s.asking.Add(-1)
	})
	s.asking.Add(int32(asked - len(s.node.Voters())))
}

// watchLog ends the process when raft and its log do not agree any more about where the log ends.
func (s *sentry) watchLog() {
	n := s.node
	storing := n.storing() > 0 // raft that is stuck gives its log nothing to store
	// raft learns of an entry after the log has it, so it is asked first: the other way round it could know of
	// one that was stored in between.
	believed := n.raft.LastIndex()
	stored, err := n.log.LastIndex()
	if storing || err != nil || n.IsLeader() || believed <= uint64(n.snapshots.last().Index) {
		stored = believed
	}
	if s.wedgedFor(believed, stored, monotonic()) > wedgeTime {
		n.fatal.end(fmt.Errorf("%w: raft believes in entries up to %d, the log ends at %d",
			ErrWedged, believed, stored))
	}
}

// wedgedFor returns for how long raft has believed in more than the log has.
func (s *sentry) wedgedFor(believed, stored uint64, now int64) time.Duration {
	switch {
	case believed <= stored:
		s.wedged = 0
		return 0
	case s.wedged == 0:
		s.wedged = now
	}
	return time.Duration(now - s.wedged)
}

// bestOf returns the voter that has acknowledged most of the log, of those not yet tried; nil if none is
// left.
func (t *transport) bestOf(voters []MemberID, tried map[raft.ServerID]bool) (best *replica) {
	most := uint64(0)
	for _, id := range voters {
		t.mu.Lock()
		p := t.mu.peers[id.serverID()]
		t.mu.Unlock()
		if p == nil || tried[p.id] {
			continue
		}
		if match := p.match(); best == nil || match > most {
			best, most = p, match
		}
	}
	return best
}

// match returns how much of the log the follower has acknowledged in the newest term.
func (p *replica) match() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.matchIndex
}

// offerLeadership tells a follower to stand for election. It does not wait.
func (t *transport) offerLeadership(p *replica) {
	p.mu.Lock()
	target, req := p.mu.target, &raft.TimeoutNowRequest{RPCHeader: p.mu.header}
	p.mu.Unlock()
	t.spawn(func() { _ = t.TimeoutNow(p.id, target, req, &raft.TimeoutNowResponse{}) })
}

// close waits for the sentry.
func (s *sentry) close() {
	close(s.stop)
	<-s.done
}
