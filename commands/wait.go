package commands

// WAIT and WAITAOF tell what is true here rather than what a primary with asynchronous replicas would say.
//
// A write is answered once a majority has stored it on disk, so WAIT never has to be asked for safety: the
// first quorum-1 replicas are certain, and WAIT counts them without asking anybody. It asks the members for
// the rest: one counts as soon as it has applied the log up to this connection's last write. (It has stored
// it a moment before; what it has applied is what it tells.) The log position of a connection's last write is
// taken to be what this node had applied when the write was answered, which is never below the true one.
//
// Invariants: a member is counted only if it holds the write; the count is at least quorum-1 after an
// acknowledged write; waiting ends when the count is reached, the time is over, CLIENT UNBLOCK comes or the
// client leaves.
//
// Rejected: waiting for match indexes, which only the leader has and which its library does not show.
//
// Drawback: a waiting WAIT asks all members every waitPeriod.

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// waiting blocks until the channel is closed or receives, and returns true; false: the client has vanished.
type waiting func(done <-chan struct{}) bool

const waitPeriod = 25 * time.Millisecond

var waitRows = []Command{
	{Name: "wait", Arity: 3, Flags: FlagNoScript | FlagNoMulti, Group: "generic", Since: "3.0.0",
		Complexity: "O(N) where N is the number of members.",
		Summary:    "Waits until other members hold this connection's writes, and returns how many do.",
		Args:       args(argInteger("numreplicas"), argInteger("timeout")), block: waitReplicas},
	{Name: "waitaof", Arity: 4, Flags: FlagNoScript | FlagNoMulti, Group: "generic", Since: "7.2.0",
		Complexity: "O(N) where N is the number of members.",
		Summary:    "As WAIT; every member that holds a write holds it on its disk, this one included.",
		Args:       args(argInteger("numlocal"), argInteger("numreplicas"), argInteger("timeout")),
		block:      waitAOF},
}

// waiter is how CLIENT UNBLOCK reaches a connection that waits. One without poke looks every waitPeriod.
type waiter struct {
	reason atomic.Int32
	poke   func() // wakes it; may be nil
}

// Reasons to stop waiting before its end. The zero reason is none.
const (
	wokenInTime   = 1 + iota // as if the time were over
	wokenToRefuse            // answer with an error
)

// wake returns false iff somebody else already did.
func (w *waiter) wake(reason int32) bool {
	first := w.reason.CompareAndSwap(0, reason)
	if first && w.poke != nil {
		w.poke()
	}
	return first
}

func waitReplicas(c *call, s *session, wait waiting) (resp.Value, error) {
	want, err := integer(c.args[1])
	if err != nil {
		return resp.Value{}, err
	}
	timeout, err := timeoutOf(c.args[2])
	if err != nil {
		return resp.Value{}, err
	}
	n, err := c.d.awaitReplicas(s, want, timeout, wait)
	return resp.Int(n), err
}

func waitAOF(c *call, s *session, wait waiting) (resp.Value, error) {
	local, err := integer(c.args[1])
	switch {
	case err != nil:
		return resp.Value{}, err
	case local < 0 || local > 1:
		return resp.Value{}, errNumReplicas
	}
	want, err := integer(c.args[2])
	switch {
	case err != nil:
		return resp.Value{}, err
	case want < 0:
		return resp.Value{}, errNumReplicas
	}
	timeout, err := timeoutOf(c.args[3])
	if err != nil {
		return resp.Value{}, err
	}
	n, err := c.d.awaitReplicas(s, want, timeout, wait)
	return resp.Array(resp.Int(1), resp.Int(n)), err
}

// timeoutOf reads milliseconds; 0 is for ever.
func timeoutOf(word []byte) (time.Duration, error) {
	ms, ok := parseInt(word)
	switch {
	case !ok || ms > math.MaxInt64/int64(time.Millisecond):
		return 0, errTimeout
	case ms < 0:
		return 0, errNegTimeout
	default:
		return time.Duration(ms) * time.Millisecond, nil
	}
}

// awaitReplicas returns how many members beside one hold the session's writes, once these are want or the
// time is over.
func (d *Dispatcher) awaitReplicas(s *session, want int64, timeout time.Duration, wait waiting) (int64,
	error) {
	w := &waiter{}
	s.waiter.Store(w)
	defer s.waiter.Store(nil)
	began := time.Now()
	for {
		n, left := d.replicasWith(s.written), timeout-time.Since(began)
		switch reason := w.reason.Load(); {
		case reason == wokenToRefuse:
			return 0, errUnblocked
		case n >= want, reason == wokenInTime, timeout > 0 && left <= 0:
			return n, nil
		}
		pause := waitPeriod
		if timeout > 0 {
			pause = min(pause, left)
		}
		if !wait(after(pause)) {
			return n, nil // nobody reads the answer
		}
	}
}

// after returns a channel that is closed after d.
func after(d time.Duration) <-chan struct{} {
	over := make(chan struct{})
	time.AfterFunc(d, func() { close(over) })
	return over
}

// replicasWith counts the members that hold the log up to index, without one.
func (d *Dispatcher) replicasWith(index cluster.Index) int64 {
	voters, holders := int64(0), int64(0)
	for _, m := range d.engine.Members() {
		if !m.Learner {
			voters++
		}
		if m.Status == raftfsm.MemberStarted && m.Applied >= index {
			holders++
		}
	}
	certain := int64(0)
	if index > 0 {
		certain = voters / 2
	}
	return max(holders-1, certain, 0)
}

// blocked counts the connections that wait.
func (d *Dispatcher) blocked() (n int) {
	for _, s := range d.sessions() {
		if s.waiter.Load() != nil {
			n++
		}
	}
	return n
}
