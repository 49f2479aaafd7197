package commands

import (
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
)

// places is how many are in the queue of m, holders and waiters.
func (c *client) places() int { return strings.Count(c.do("LOCK.INFO", "m"), `"key"`) }

// heldLock is a lock m that somebody holds, and a lease 1 to wait for it with.
func heldLock(t *testing.T, n *testNode) (c *client, token string) {
	t.Helper()
	c = n.dial(t)
	c.want(`"0000000000000001"`, "LEASE.GRANT", "60000", "ID", "1")
	return c, tokenOf(t, c.do("LOCK.ACQUIRE", "m"))
}

// A client library that repeats its command on another connection waits for one place twice. The first
// connection's end must not take the place from the second, neither while it waits nor once it holds.
func TestAPlaceOutlivesOneOfItsConnections(t *testing.T) {
	n := startNode(t)
	c, token := heldLock(t, n)
	for range 10 {
		first, gone := n.wait(t, "LOCK.ACQUIRE", "m", "LEASE", "1", "WAIT", "20000")
		n.waiting(t, 1)
		_, second := n.wait(t, "LOCK.ACQUIRE", "m", "LEASE", "1", "WAIT", "20000")
		n.waiting(t, 2)
		_ = first.conn.Close()
		<-gone
		n.waiting(t, 1)
		c.want("OK", "LOCK.RELEASE", "m", token)
		token = tokenOf(t, <-second)
		c.want("60000", "LOCK.KEEPALIVE", "m", token)
		c.want("OK", "LOCK.RELEASE", "m", token)
		token = tokenOf(t, c.do("LOCK.ACQUIRE", "m"))
	}
}

// The same when the place comes to hold while the first connection is going away.
func TestAHeldPlaceIsNotGivenUpByAWaiter(t *testing.T) {
	n := startNode(t)
	c, token := heldLock(t, n)
	for range 20 {
		first, gone := n.wait(t, "LOCK.ACQUIRE", "m", "LEASE", "1", "WAIT", "20000")
		n.waiting(t, 1)
		_ = first.conn.Close()
		c.want("OK", "LOCK.RELEASE", "m", token)
		token = tokenOf(t, c.do("LOCK.ACQUIRE", "m", "LEASE", "1", "WAIT", "20000"))
		<-gone
		n.waiting(t, 0)
		c.do("SET", "k", "v")
		c.want("60000", "LOCK.KEEPALIVE", "m", token)
		c.want("OK", "LOCK.RELEASE", "m", token)
		token = tokenOf(t, c.do("LOCK.ACQUIRE", "m"))
	}
}

// The same without a race: a client has vanished, and the place holds by then. If the lease was its own the
// lock is free; if the client gave it, the lock is the lease's.
func TestVanishingLeavesToAGivenLeaseWhatItHolds(t *testing.T) {
	n := startNode(t)
	c, token := heldLock(t, n)
	c.want("OK", "LOCK.RELEASE", "m", token)
	for _, tc := range []struct {
		ttl   lease.Millis
		holds string
	}{{0, "60000"}, {60000, "(LOCKLOST the token does not hold the lock)"}} {
		token = tokenOf(t, c.do("LOCK.ACQUIRE", "m", "LEASE", "1"))
		number, err := parseToken([]byte(token))
		if err != nil {
			t.Fatal(err)
		}
		gone := &turn{d: n.d, token: mvcc.Revision(number),
			join:   joining{queue: mvcc.Queue{Name: "m"}, lease: 1, ttl: tc.ttl},
			waiter: n.engine.Waiters().Join(mvcc.QueueKey("m", 1), true)}
		gone.vanish()
		n.d.departing.Wait()
		c.want(tc.holds, "LOCK.KEEPALIVE", "m", token)
	}
}

// The end of one connection's time leaves the place to the other, with all that it has to do for it: the last
// to go gives the place up, in whatever way they go.
func TestTheLastToWaitGivesThePlaceUp(t *testing.T) {
	n := startNode(t)
	c, token := heldLock(t, n)
	_, long := n.wait(t, "LOCK.ACQUIRE", "m", "LEASE", "1", "WAIT", "20000")
	n.waiting(t, 1)
	c.want("nil", "LOCK.ACQUIRE", "m", "LEASE", "1", "WAIT", "20")
	if got := c.places(); got != 2 {
		t.Fatalf("%d in the queue", got)
	}
	c.want("OK", "LOCK.RELEASE", "m", token)
	c.want("OK", "LOCK.RELEASE", "m", tokenOf(t, <-long))

	token = tokenOf(t, c.do("LOCK.ACQUIRE", "m"))
	first, gone := n.wait(t, "LOCK.ACQUIRE", "m", "LEASE", "1", "WAIT", "20000")
	n.waiting(t, 1)
	_, short := n.wait(t, "LOCK.ACQUIRE", "m", "LEASE", "1", "WAIT", "1000")
	n.waiting(t, 2)
	_ = first.conn.Close()
	<-gone
	if got := <-short; got != "nil" {
		t.Fatal(got)
	}
	waitFor(t, "its place to be free", func() bool { return c.places() == 1 })
	c.want("OK", "LOCK.RELEASE", "m", token)
}

// One who waits alone gives the place up, when his time is over and when he goes away.
func TestTheOnlyOneToWaitGivesThePlaceUp(t *testing.T) {
	n := startNode(t)
	c, token := heldLock(t, n)
	c.want("nil", "LOCK.ACQUIRE", "m", "LEASE", "1", "WAIT", "20")
	if got := c.places(); got != 1 {
		t.Fatalf("%d in the queue after the time was up", got)
	}
	first, gone := n.wait(t, "LOCK.ACQUIRE", "m", "LEASE", "1", "WAIT", "20000")
	n.waiting(t, 1)
	_ = first.conn.Close()
	<-gone
	waitFor(t, "its place to be free", func() bool { return c.places() == 1 })
	c.want("OK", "LOCK.RELEASE", "m", token)
}

// When the place has been taken and giving it up cannot be confirmed, "not executed" would be wrong.
func TestTimeUpWithoutALeaderIsUncertain(t *testing.T) {
	n := startNode(t)
	c, _ := heldLock(t, n)
	_, own := n.wait(t, "LOCK.ACQUIRE", "m", "WAIT", "3000")
	_, leased := n.wait(t, "LOCK.ACQUIRE", "m", "WAIT", "3000", "LEASE", "1")
	n.waiting(t, 2)
	c.want("PONG", "PING")
	n.closeEngine(t.Context())
	for _, reply := range []chan string{own, leased} {
		if got := <-reply; !strings.HasPrefix(got, "(UNCERTAIN ") {
			t.Errorf("replied %s", got)
		}
	}
}

// A node that is about to close gives the places back before it says that nothing was done.
func TestInterruptGivesThePlaceBack(t *testing.T) {
	n := startNode(t)
	c, _ := heldLock(t, n)
	_, got := n.wait(t, "LOCK.ACQUIRE", "m", "LEASE", "1", "WAIT", "20000")
	n.waiting(t, 1)
	n.d.Interrupt()
	if reply := <-got; reply != "("+string(errClosing)+")" {
		t.Errorf("reply %s", reply)
	}
	if got := c.places(); got != 1 {
		t.Errorf("%d in the queue", got)
	}
}

// WAIT counts members by the connection's last write, whatever made it: a script, a place in a queue, a
// change of users.
func TestEveryWriteOfAConnectionCountsForWait(t *testing.T) {
	n := startNode(t)
	other, c := n.dial(t), n.dial(t)
	token := tokenOf(t, other.do("LOCK.ACQUIRE", "m"))
	c.want("PONG", "PING")
	s := n.d.sessions()[1]
	for _, write := range []func(){
		func() { c.want("OK", "EVAL", "return redis.call('SET', 'k', 'v')", "0") },
		func() { c.want("OK", "ACL", "SETUSER", "eve", "on") },
		func() { c.want("nil", "LOCK.ACQUIRE", "m", "WAIT", "20") },
		func() {
			c.send(encode("LOCK.ACQUIRE", "m", "WAIT", "20000"))
			n.waiting(t, 1)
			other.want("OK", "LOCK.RELEASE", "m", token)
			tokenOf(t, c.reply())
		},
	} {
		other.want("OK", "SET", "x", "y")
		before := n.engine.AppliedIndex()
		write()
		if s.written <= before {
			t.Errorf("the log is at %d, and the connection has written up to %d", before, s.written)
		}
	}
}

// newDeparture is one of lock m whose attempts a test answers, one after the other; the last answer is kept.
func newDeparture(
	n *testNode, j joining, token mvcc.Revision, answers ...error,
) (p *departure, made *[]mvcc.Op) {
	j.queue = mvcc.Queue{Name: "m"}
	p, made = &departure{d: n.d, join: j, token: token}, &[]mvcc.Op{}
	p.attempt = func(op mvcc.Op) error {
		*made = append(*made, op)
		return answers[min(len(*made), len(answers))-1]
	}
	return p, made
}

// A departure goes on until the log has it, whatever stands in its way; it ends when the lease has.
func TestADepartureGoesOnUntilItIsApplied(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.want(`"0000000000000001"`, "LEASE.GRANT", "60000", "ID", "1")
	own, given := joining{lease: 1, ttl: 60000}, joining{lease: 1}
	none := []error{raftfsm.ErrNoLeader, raftfsm.ErrBusy, raftfsm.ErrUncertain}
	for _, tc := range []struct {
		what    string
		join    joining
		token   mvcc.Revision
		answers []error
		tries   int
		flags   mvcc.OpFlags
	}{
		{"done at last", own, 7, append(none, nil), 4, 0},
		{"done at last, with the client's lease", given, 7, append(none, nil), 4, mvcc.FlagTry},
		{"not known whether it was entered", own, 0, append(none, nil), 4, 0},
		{"the node closes", own, 7, []error{raftfsm.ErrBusy, errDeparted}, 2, 0},
		{"the engine is closed", own, 7, []error{raftfsm.ErrClosed}, 1, 0},
		{"the lease is gone", joining{lease: 9, ttl: 1}, 7, []error{raftfsm.ErrNoLeader}, 1, 0},
	} {
		p, made := newDeparture(n, tc.join, tc.token, tc.answers...)
		p.leave()
		if len(*made) != tc.tries {
			t.Errorf("%s: %d attempts, want %d", tc.what, len(*made), tc.tries)
		}
		for _, op := range *made {
			if op.Modify != mvcc.ModifyQueueLeave || op.Lease != tc.join.lease || op.Delta != int64(tc.token) ||
				op.Flags != tc.flags {
				t.Errorf("%s: %+v", tc.what, op)
			}
		}
	}
}

// Whoever waits for the place with the client's lease takes it over from one who departs.
func TestADepartureLeavesThePlaceToOthers(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.want(`"0000000000000001"`, "LEASE.GRANT", "60000", "ID", "1")
	waiters, key := n.engine.Waiters(), mvcc.QueueKey("m", 1)
	other := waiters.Join(key, false)
	p, made := newDeparture(n, joining{lease: 1}, 7, nil)
	p.leave()
	if len(*made) != 0 {
		t.Errorf("%d attempts", len(*made))
	}
	if !waiters.Part(other) {
		t.Error("nobody owes the place")
	}
	other = waiters.Join(key, false)
	defer waiters.Leave(other)
	p, made = newDeparture(n, joining{lease: 1, ttl: 1000}, 7, nil)
	if p.leave(); len(*made) != 1 {
		t.Errorf("%d attempts with a lease of its own", len(*made))
	}
}

// What of a place that was being entered is to be given up.
func TestWhatADepartureKnowsOfItsEntry(t *testing.T) {
	n := startNode(t)
	c, _ := heldLock(t, n)
	c.want(`"0000000000000002"`, "LEASE.GRANT", "60000", "ID", "2")
	given := joining{queue: mvcc.Queue{Name: "m"}, lease: 1}
	enter := func(j joining) *raftfsm.Submission {
		sub := n.engine.NewSubmission()
		sub.AddTxn(&mvcc.Txn{Then: []mvcc.Op{j.op(0)}})
		n.engine.Submit(sub)
		<-sub.Done()
		return sub
	}
	first, again := enter(given), enter(given)
	unknown := joining{queue: mvcc.Queue{Name: "m"}, lease: 77}
	for _, tc := range []struct {
		what  string
		join  joining
		sub   *raftfsm.Submission
		leave bool
	}{
		{"entered", given, first, true},
		{"was there", given, again, false},
		{"no such lease", unknown, enter(unknown), false},
	} {
		p := &departure{d: n.d, join: tc.join}
		if got := p.entered(tc.sub, true); got != tc.leave || got && p.token == 0 {
			t.Errorf("%s: %v, token %d", tc.what, got, p.token)
		}
	}
}

// An entry whose outcome is not known is followed by a departure, unless that could meet a place of the
// client's other connections.
func TestUncertainEntry(t *testing.T) {
	n := loneNode(t, 50*time.Millisecond)
	uncertain := n.engine.NewSubmission()
	uncertain.AddTxn(&mvcc.Txn{})
	n.engine.Submit(uncertain)
	<-uncertain.Done()
	p := &departure{d: n.d, join: joining{lease: 1}}
	if p.entered(uncertain, true) {
		t.Errorf("what has not been executed (%v) is taken for entered", uncertain.Err())
	}
	for _, tc := range []struct {
		join         joining
		fresh, leave bool
	}{{joining{lease: 1}, true, true}, {joining{lease: 1}, false, false},
		{joining{lease: 1, ttl: 9}, false, true}} {
		if got := tc.join.mayBeEntered(tc.fresh); got != tc.leave {
			t.Errorf("%+v, fresh %v: %v", tc.join, tc.fresh, got)
		}
	}
}
