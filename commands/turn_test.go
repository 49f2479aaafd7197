package commands

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tokenOf reads the token from a reply [key token lease].
func tokenOf(t testing.TB, reply string) string {
	t.Helper()
	words := strings.Fields(strings.Trim(reply, "[]"))
	if len(words) != 3 {
		t.Fatalf("no place: %s", reply)
	}
	return words[1]
}

// waiting waits until so many are in the queue behind the holder.
func (n *testNode) waiting(t testing.TB, want int) {
	t.Helper()
	waitFor(t, strconv.Itoa(want)+" waiters", func() bool { return n.engine.Waiters().Len() == want })
}

// wait sends a command that waits and returns where its reply comes.
func (n *testNode) wait(t testing.TB, words ...string) (*client, chan string) {
	c, got := n.dial(t), make(chan string, 1)
	c.send(encode(words...))
	go func() { got <- c.reply() }()
	return c, got
}

// In the order they came, each by the release of the one before.
func TestWaitersAreServedInOrder(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	token := tokenOf(t, c.do("LOCK.ACQUIRE", "m"))
	var replies []chan string
	for i := range 20 {
		_, got := n.wait(t, "LOCK.ACQUIRE", "m", "WAIT", "20000")
		replies = append(replies, got)
		n.waiting(t, i+1)
	}
	for _, got := range replies {
		select {
		case early := <-got:
			t.Fatalf("served before its turn: %s", early)
		default:
		}
		c.want("OK", "LOCK.RELEASE", "m", token)
		token = tokenOf(t, <-got)
	}
}

// A client that goes away while it waits frees its place at once.
func TestDisconnectFreesThePlace(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	token := tokenOf(t, c.do("LOCK.ACQUIRE", "m"))
	gone, reply := n.wait(t, "LOCK.ACQUIRE", "m", "WAIT", "20000", "TTL", "20000")
	n.waiting(t, 1)
	_, last := n.wait(t, "LOCK.ACQUIRE", "m", "WAIT", "20000", "VALUE", "last")
	n.waiting(t, 2)
	_ = gone.conn.Close()
	<-reply
	n.waiting(t, 1)
	waitFor(t, "its place to be free", func() bool {
		return strings.Count(c.do("LOCK.INFO", "m"), `"key"`) == 2
	})
	c.want("OK", "LOCK.RELEASE", "m", token)
	tokenOf(t, <-last)
	waitFor(t, "its lease to end", func() bool { return n.engine.Leases().Len() == 1 })
}

// A client that went away just before its turn came is not given the lock.
func TestDisconnectJustBeforeTheTurn(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	for i := range 20 {
		token := tokenOf(t, c.do("LOCK.ACQUIRE", "m"))
		gone, reply := n.wait(t, "LOCK.ACQUIRE", "m", "WAIT", "20000", "TTL", "20000")
		n.waiting(t, 1)
		_ = gone.conn.Close()
		<-reply
		for range 2 {
			c.do("SET", "k", "v")
		}
		c.want("OK", "LOCK.RELEASE", "m", token)
		if got := c.do("LOCK.ACQUIRE", "m", "WAIT", "2000"); got == "nil" {
			t.Fatalf("turn %d: the lock was given to a client that was gone", i)
		} else {
			c.want("OK", "LOCK.RELEASE", "m", tokenOf(t, got))
		}
	}
}

// A waiter hears at once that its lease is gone, that its place was deleted, and that its time is over.
func TestWaiterIsToldWhy(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.do("LOCK.ACQUIRE", "m")
	for i, c := range []struct{ end, want string }{
		{"LEASE.REVOKE 00000000000000%02x", "(NOLEASE lease not found)"},
		{"DEL m/00000000000000%02x", "(LOCKLOST the place in the queue was removed while waiting)"},
	} {
		id := fmt.Sprintf("%x", i+1)
		end := n.dial(t)
		end.do("LEASE.GRANT", "60000", "ID", id)
		_, got := n.wait(t, "LOCK.ACQUIRE", "m", "LEASE", id, "WAIT", "20000")
		n.waiting(t, 1)
		end.line(fmt.Sprintf(c.end, i+1))
		if reply := <-got; reply != c.want {
			t.Errorf("%s: %s", c.end, reply)
		}
	}
	c.want("nil", "LOCK.ACQUIRE", "m", "WAIT", "30")
	c.want("(NOLEASE lease not found)", "LOCK.ACQUIRE", "m", "WAIT", "30", "LEASE", "abc")
	if left := n.engine.Leases().Len(); left != 2 { // the holder's, and the one of the deleted place
		t.Errorf("%d leases", left)
	}
}

// The server keeps the lease of a waiter alive, and the holder's time counts from when it acquired: it has
// used up of it what has passed since the release, at most.
func TestWaitLongerThanTheLease(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	token := tokenOf(t, c.do("LOCK.ACQUIRE", "m"))
	_, got := n.wait(t, "LOCK.ACQUIRE", "m", "TTL", "1500", "WAIT", "20000")
	n.waiting(t, 1)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		c.want("60000", "LOCK.KEEPALIVE", "m", token)
	}
	n.waiting(t, 1)
	released := time.Now()
	c.want("OK", "LOCK.RELEASE", "m", token)
	next := tokenOf(t, <-got)
	left, err := strconv.Atoi(c.do("PTTL", "m/"+leaseWord(t, c)))
	if used := 1500 - left; err != nil || used < 0 || used > int(time.Since(released).Milliseconds())+1 {
		t.Errorf("%d ms left %v after acquiring at the earliest, %v", left, time.Since(released), err)
	}
	waitFor(t, "the lock to be free", func() bool {
		return c.do("LOCK.RELEASE", "m", next) != "OK" && strings.Contains(c.do("LOCK.INFO", "m"), `"holders" []`)
	})
}

// A lock is held for the whole time of the lease that was made for it, however much of that had passed while
// its holder waited. A lease that the client gave is not made longer by holding.
func TestTheHoldersTimeBeginsWhenItHolds(t *testing.T) {
	for given, most := range map[bool]int{false: 60_000, true: 30_000} {
		n := startNode(t)
		c := n.dial(t)
		token := tokenOf(t, c.do("LOCK.ACQUIRE", "m", "TTL", "600000"))
		words := []string{"LOCK.ACQUIRE", "m", "WAIT", "20000", "TTL", "60000"}
		if given {
			c.do("LEASE.GRANT", "60000", "ID", "7")
			words = []string{"LOCK.ACQUIRE", "m", "WAIT", "20000", "LEASE", "7"}
		}
		began := time.Now()
		_, got := n.wait(t, words...)
		n.waiting(t, 1)
		n.skew.Add(int64(30 * time.Second)) // the node would renew a waiter's lease after twenty
		c.want("OK", "LOCK.RELEASE", "m", token)
		tokenOf(t, <-got)
		left, err := strconv.Atoi(c.do("PTTL", "m/"+leaseWord(t, c)))
		least := most - int(time.Since(began).Milliseconds()) - 1
		if err != nil || left < least || left > most {
			t.Errorf("lease given %v: %d ms left, want %d to %d, %v", given, left, least, most, err)
		}
	}
}

// leaseWord is the lease of the holder of m.
func leaseWord(t testing.TB, c *client) string {
	_, rest, _ := strings.Cut(c.do("LOCK.INFO", "m"), `"lease" "`)
	id, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatal("nobody holds")
	}
	return id
}

// Closing the node ends the waiting with an error that says so.
func TestInterruptEndsWaiting(t *testing.T) {
	n := startNode(t)
	n.dial(t).do("LOCK.ACQUIRE", "m")
	_, got := n.wait(t, "LOCK.ACQUIRE", "m", "WAIT", "20000")
	n.waiting(t, 1)
	n.d.Interrupt()
	if reply := <-got; reply != "("+string(errClosing)+")" {
		t.Errorf("reply %s", reply)
	}
	waitFor(t, "its place to be free", func() bool { return n.engine.Leases().Len() == 1 })
}

// Renewals of one pipeline are answered in order, between other commands.
func TestRenewalsInAPipeline(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.do("LEASE.GRANT", "60000", "ID", "1")
	c.do("LEASE.GRANT", "70000", "ID", "2")
	token := tokenOf(t, c.do("LOCK.ACQUIRE", "m", "LEASE", "1"))
	var sent, want []string
	add := func(reply string, words ...string) {
		sent, want = append(sent, encode(words...)), append(want, reply)
	}
	for range 50 {
		add("60000", "LEASE.KEEPALIVE", "1")
		add("70000", "LEASE.KEEPALIVE", "2")
		add("[70000 nil 60000]", "LEASE.KEEPALIVE", "2", "3", "1")
		add("(ERR invalid lease id)", "LEASE.KEEPALIVE", "x")
		add("60000", "LOCK.KEEPALIVE", "m", token)
		add("OK", "SET", "k", "v")
		add("(NOLEASE lease not found)", "LEASE.KEEPALIVE", "3")
		add(`"v"`, "GET", "k")
	}
	c.send(strings.Join(sent, ""))
	for i, w := range want {
		if got := c.reply(); got != w {
			t.Fatalf("reply %d: %s, want %s", i, got, w)
		}
	}
	if rounds := n.engine.Stats().Rounds.Load(); rounds > 400 {
		t.Errorf("%d barrier rounds for 250 renewals", rounds)
	}
}

// CLIENT UNBLOCK ends the waiting for a lock or an election as it ends that of Redis's blocking commands,
// and the place is given back.
func TestUnblockEndsWaitingForATurn(t *testing.T) {
	n := startNode(t)
	admin := n.dial(t)
	admin.do("LOCK.ACQUIRE", "m")
	admin.do("ELECTION.CAMPAIGN", "m", "v")
	const why = "(UNBLOCKED client unblocked via CLIENT UNBLOCK)"
	for _, c := range []struct {
		command      []string
		reason, want string
	}{
		{[]string{"LOCK.ACQUIRE", "m", "WAIT", "60000"}, "TIMEOUT", "nil"},
		{[]string{"LOCK.ACQUIRE", "m", "SHARED", "WAIT", "60000"}, "ERROR", why},
		{[]string{"ELECTION.CAMPAIGN", "m", "v", "WAIT", "60000"}, "ERROR", why},
	} {
		blocked := n.dial(t)
		id := blocked.do("CLIENT", "ID")
		reply := make(chan string, 1)
		blocked.send(encode(c.command...))
		go func() { reply <- blocked.reply() }()
		n.waiting(t, 1)
		waitFor(t, "INFO to show it", func() bool {
			return strings.Contains(admin.do("INFO", "clients"), `\r\nblocked_clients:1\r\n`)
		})
		if got := admin.do("CLIENT", "LIST", "ID", id); !strings.Contains(got, " flags=b ") {
			t.Errorf("%v: %s", c.command, got)
		}
		admin.want("1", "CLIENT", "UNBLOCK", id, c.reason)
		arrived(t, reply, c.want)
		n.waiting(t, 0)
		if got := admin.places(); got != 1 {
			t.Errorf("%v: %d in the queue", c.command, got)
		}
		admin.want("0", "CLIENT", "UNBLOCK", id)
	}
}
