package cluster

import (
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// Succession: a leader whose process has died is succeeded at once.
//
// Idea. raft's followers wait for an election timeout because silence is all that they have. But when a
// process dies, its kernel closes its connections, and refuses new ones: nobody listens there any more. A
// follower that sees the leader's line end dials the leader; if that is refused, it waits for its turn, for
// which the voters stand in a line, and stands for election. The first of them does so graceTime after the
// death instead of one to two election timeouts.
//
// It cannot do harm: standing for election early is what a transfer of leadership asks of a follower
// (TimeoutNow), and raft's rules decide whether it wins. One whose log is behind loses, and the next has his
// turn. All other deaths (a machine that is cut off, a process that hangs) take the election timeout as ever.
//
// Invariants.
//  1. Nobody stands because a line ended, only because the leader's own address refuses a connection twice,
//     graceTime apart: a leader that hands over and stops, or is started again at once, is left in peace.
//  2. One goroutine at a time; it ends with the transport.
//
// Rejected: a shorter election timeout, which a busy machine pays for with elections that nobody needs. The
// drawback: a firewall that answers for a living leader with a refusal, and cuts its lines, makes the
// follower behind it stand for election once.
type succession struct {
	busy   atomic.Bool
	probes atomic.Int64 // that have ended, for tests
}

const (
	// graceTime is what a leader that stops in order needs at most until its successor has been heard.
	graceTime = 50 * time.Millisecond
	// turnTime is how much later the next voter in line stands: an election takes less.
	turnTime = 200 * time.Millisecond
)

// raftLine is an accepted connection of raft's protocol.
type raftLine struct {
	*muxConn
	ended func()
}

// Read tells of the end of the line; raft's transport reads from one goroutine until then.
func (l *raftLine) Read(b []byte) (n int, err error) {
	if n, err = l.muxConn.Read(b); err != nil {
		l.ended()
	}
	return n, err
}

// lineEnded is called when a member's line has ended. It does not wait.
func (n *Node) lineEnded(from MemberID) {
	lead, addr, ok := n.Leader()
	if !ok || lead != from || lead == n.self || !n.succession.busy.CompareAndSwap(false, true) {
		return
	}
	if !n.trans.spawn(func() { n.succeed(lead, addr) }) {
		n.succession.busy.Store(false)
	}
}

// succeed stands for election when it is this voter's turn, if the leader is still dead then.
func (n *Node) succeed(dead MemberID, addr string) {
	defer n.succession.probes.Add(1)
	defer n.succession.busy.Store(false)
	turn, ok := n.turn(dead)
	if !ok || !n.refuses(addr) {
		return
	}
	select {
	case <-time.After(graceTime + time.Duration(turn)*turnTime):
	case <-n.mux.closing:
		return
	}
	if lead, _, ok := n.Leader(); ok && lead != dead || n.raft.State() != raft.Follower || !n.refuses(addr) {
		return
	}
	n.cfg.Logger.Info("the leader's process is gone: standing for election", "leader", dead)
	n.campaign()
}

// turn returns this voter's place in the line of successors; ok is false if it does not vote.
func (n *Node) turn(dead MemberID) (turn int, ok bool) {
	line := slices.DeleteFunc(n.Voters(), func(id MemberID) bool { return id == dead })
	slices.Sort(line)
	turn = slices.Index(line, n.self)
	return turn, turn >= 0
}

// refuses reports whether a machine says that nobody listens at an address.
func (n *Node) refuses(addr string) bool {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(n.mux.dialing, "tcp", addr)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// campaign makes this node stand for election at once, without a pre-vote.
func (n *Node) campaign() {
	req := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.self.serverID()), Addr: []byte(n.mux.advertise),
	}}
	addr := raft.ServerAddress(n.mux.ln.Addr().String())
	if err := n.trans.TimeoutNow(n.self.serverID(), addr, req, &raft.TimeoutNowResponse{}); err != nil {
		n.cfg.Logger.Debug("the election waits for its timeout", "error", err)
	}
}
