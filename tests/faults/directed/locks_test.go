package directed

import (
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/faults/puppet"
	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// soon is far below the times at which a waiter that nobody woke would look for itself.
const soon = 3 * time.Second

func lock(t *testing.T, r wire.Reply) (token string) {
	t.Helper()
	if len(r.Elems) != 3 {
		t.Fatalf("not acquired: %v", r)
	}
	return r.Elems[1].Text
}

// queued waits until so many wait for the lock m.
func queued(t *testing.T, n *node.Node, count int) {
	t.Helper()
	node.Eventually(t, soon, "the queue", func() error {
		if list, _ := do(t, n, "LOCK.INFO", "m").Field("waiters"); len(list.Elems) != count {
			return wire.ErrSilent
		}
		return nil
	})
}

func refusedAs(t *testing.T, n *node.Node, prefix string, args ...string) {
	t.Helper()
	if r := n.Do(args...); !r.IsErr() || len(r.Text) < len(prefix) || r.Text[:len(prefix)] != prefix {
		t.Errorf("%q was answered %v, want %s", args, r, prefix)
	}
}

// A leader whose followers elect somebody else must not renew: its successor counts the lease down.
func TestADeposedLeaderDoesNotRenew(t *testing.T) {
	s := puppet.Set(t, "--request-timeout", "2s")
	term := s.Elect()
	id := ok(t, s, "LEASE.GRANT", "60000").Text
	ok(t, s, "LEASE.KEEPALIVE", id)
	for _, p := range s.Puppets {
		p.Mute(true)
		p.Hold(puppet.Everything)
		p.SetTerm(term + 1)
	}
	if r, err := begin(t, s, "LEASE.KEEPALIVE", id).Within(time.Second); err == nil && !r.IsErr() {
		t.Errorf("a deposed leader renewed a lease: %v", r)
	}
}

// A renewal that was acknowledged after a checkpoint holds for its whole TTL under the next leader.
func TestARenewedLeaseOutlivesItsLeader(t *testing.T) {
	n := node.Start(t, node.Options{Faults: true}).Nodes[0]
	const ttl = 3 * time.Second
	granted := time.Now()
	id := do(t, n, "LEASE.GRANT", "3000").Text
	do(t, n, "SET", "k", "v", "LEASE", id)
	node.Eventually(t, 2*ttl, "a checkpoint", func() error {
		if time.Since(granted) < 1700*time.Millisecond {
			return wire.ErrSilent
		}
		return nil
	})
	renewed := time.Now()
	do(t, n, "LEASE.KEEPALIVE", id)
	n.Kill9()
	n.Start()
	node.Eventually(t, 3*ttl, "the end of the key", func() error {
		if r := do(t, n, "GET", "k"); !r.Null {
			return wire.ErrSilent
		}
		return nil
	})
	if took := time.Since(renewed); took < ttl {
		t.Errorf("the key was gone %v after the renewal, want %v", took, ttl)
	}
}

// A lease that nobody renews is not given its time again by the next leader.
func TestALeaderChangeDoesNotRestartALease(t *testing.T) {
	n := node.Start(t, node.Options{Faults: true}).Nodes[0]
	id := do(t, n, "LEASE.GRANT", "60000").Text
	node.Eventually(t, 10*time.Second, "checkpoints", func() error {
		if left, _ := do(t, n, "LEASE.TTL", id).Field("remaining"); left.Int() > 57_500 {
			return wire.ErrSilent
		}
		return nil
	})
	n.Kill9()
	n.Start()
	if left, _ := do(t, n, "LEASE.TTL", id).Field("remaining"); left.Int() > 59_000 {
		t.Errorf("%d ms are left after the change of leader", left.Int())
	}
}

// The release wakes the next in line, which waits at another node.
func TestAReleaseWakesTheNextInLine(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, Faults: true})
	token := lock(t, do(t, c.Nodes[0], "LOCK.ACQUIRE", "m"))
	for _, n := range c.Nodes {
		waiter := wire.Begin(t, n.ClientAddr, "LOCK.ACQUIRE", "m", "WAIT", "30000")
		queued(t, c.Nodes[0], 1)
		waiter.Silent(50 * time.Millisecond)
		do(t, c.Nodes[0], "LOCK.RELEASE", "m", token)
		r, err := waiter.Within(soon)
		if err != nil {
			t.Fatalf("the waiter at %s: %v", n.Name, err)
		}
		token = lock(t, r)
	}
}

// Whoever does not hold the lock does not release it, neither renews it, nor writes under it.
func TestOnlyTheHoldersTokenCounts(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, Faults: true})
	old := lock(t, do(t, c.Nodes[0], "LOCK.ACQUIRE", "m"))
	do(t, c.Nodes[1], "LOCK.RELEASE", "m", old)
	token := lock(t, do(t, c.Nodes[1], "LOCK.ACQUIRE", "m"))
	waiter := wire.Begin(t, c.Nodes[2].ClientAddr, "LOCK.ACQUIRE", "m", "WAIT", "30000")
	queued(t, c.Nodes[0], 1)
	for _, n := range c.Nodes {
		refusedAs(t, n, "LOCKLOST ", "SET", "k", "late", "FENCE", "m", old)
		refusedAs(t, n, "LOCKLOST ", "LOCK.RELEASE", "m", old)
		refusedAs(t, n, "LOCKLOST ", "LOCK.KEEPALIVE", "m", old)
	}
	waiter.Silent(50 * time.Millisecond)
	do(t, c.Nodes[0], "SET", "k", "mine", "FENCE", "m", token)
	has(t, c.Nodes[2], "k", "mine")
	do(t, c.Nodes[0], "LOCK.RELEASE", "m", token)
	if r, err := waiter.Within(soon); err != nil || lock(t, r) <= token {
		t.Errorf("the next token: %v, %v", r, err)
	}
}

// A client that goes away while it waits leaves the queue at once, through any node.
func TestAWaiterThatGoesAwayLeavesTheQueue(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, Faults: true})
	do(t, c.Nodes[0], "LOCK.ACQUIRE", "m")
	for _, n := range c.Nodes {
		conn, err := wire.Dial(n.ClientAddr)
		if err == nil {
			err = conn.Send(wire.Encode("LOCK.ACQUIRE", "m", "WAIT", "30000"))
		}
		if err != nil {
			t.Fatal(err)
		}
		queued(t, c.Nodes[0], 1)
		conn.Close()
		queued(t, c.Nodes[0], 0)
	}
}

// A newcomer that could share the lock with its holders still stands behind who waits: nobody is overtaken.
func TestNobodyIsOvertaken(t *testing.T) {
	n := node.Start(t, node.Options{Faults: true}).Nodes[0]
	first := lock(t, do(t, n, "LOCK.ACQUIRE", "m", "SHARED"))
	writer := wire.Begin(t, n.ClientAddr, "LOCK.ACQUIRE", "m", "WAIT", "30000")
	queued(t, n, 1)
	reader := wire.Begin(t, n.ClientAddr, "LOCK.ACQUIRE", "m", "WAIT", "30000", "SHARED")
	queued(t, n, 2)
	if r := do(t, n, "LOCK.ACQUIRE", "m", "SHARED"); !r.Null {
		t.Errorf("a reader overtook a writer: %v", r)
	}
	reader.Silent(50 * time.Millisecond)
	do(t, n, "LOCK.RELEASE", "m", first)
	token := lock(t, writer.Wait())
	reader.Silent(50 * time.Millisecond)
	do(t, n, "LOCK.RELEASE", "m", token)
	lock(t, reader.Wait())
}
