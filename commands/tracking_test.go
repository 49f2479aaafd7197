package commands

import (
	"fmt"
	"testing"
)

func TestTrackingScript(t *testing.T) { runScript(t, "tracking") }

func TestTrackingTellsOnceAndInOrder(t *testing.T) {
	n := startNode(t)
	reader, writer := n.dial(t), n.dial(t)
	reader.line("HELLO 3")
	reader.want("OK", "CLIENT", "TRACKING", "ON")
	writer.do("SET", "a", "0")
	reader.want(`"0"`, "GET", "a")
	reader.want("nil", "GET", "missing")
	writer.want("OK", "SET", "a", "1")
	writer.want("OK", "SET", "a", "2")
	reader.expect(`>["invalidate" ["a"]]`)
	reader.want("PONG", "PING") // told once: it has not read the key again
	writer.want("OK", "SET", "missing", "1")
	reader.expect(`>["invalidate" ["missing"]]`)
	reader.want(`"2"`, "GET", "a")
	reader.want("OK", "SET", "a", "mine") // the news of the own write is behind its reply
	reader.expect(`>["invalidate" ["a"]]`)
	reader.want(`"mine"`, "GET", "a")
	writer.do("PEXPIRE", "a", "20")
	reader.expect(`>["invalidate" ["a"]]`)
	reader.want(`"mine"`, "GET", "a")
	n.skew.Add(1e9)
	reader.expect(`>["invalidate" ["a"]]`)
}

// Once a write is acknowledged, whatever its reader asks next is answered behind the news.
func TestNeverStaleAfterAnAcknowledgedWrite(t *testing.T) {
	n := startNode(t)
	reader, writer := n.dial(t), n.dial(t)
	reader.line("HELLO 3")
	reader.want("OK", "CLIENT", "TRACKING", "ON")
	cached := ""
	for i := range 300 {
		value := fmt.Sprintf("%q", fmt.Sprint(i))
		writer.want("OK", "SET", "k", fmt.Sprint(i))
		reader.send(encode("PING"))
		for got := reader.reply(); got != "PONG"; got = reader.reply() {
			if got != `>["invalidate" ["k"]]` {
				t.Fatalf("got %s", got)
			}
			cached = ""
		}
		if cached != "" {
			t.Fatalf("write %d was acknowledged and %s is still cached", i, cached)
		}
		reader.want(value, "GET", "k")
		cached = value
	}
}

func TestTrackingModes(t *testing.T) {
	n := startNode(t)
	writer := n.dial(t)
	open := func(words ...string) *client {
		c := n.dial(t)
		c.line("HELLO 3")
		c.want("OK", append([]string{"CLIENT", "TRACKING", "ON"}, words...)...)
		return c
	}
	optIn, optOut, noLoop := open("OPTIN"), open("OPTOUT"), open("NOLOOP")
	bcast := open("BCAST", "PREFIX", "user:", "PREFIX", "x")
	optIn.do("GET", "a")
	optIn.want("OK", "CLIENT", "CACHING", "YES")
	optIn.do("GET", "b")
	optIn.do("GET", "c")
	optOut.want("OK", "CLIENT", "CACHING", "NO")
	optOut.do("GET", "a")
	optOut.do("GET", "b")
	noLoop.do("GET", "a")
	noLoop.do("SET", "a", "own")
	noLoop.do("GET", "a")
	writer.do("MSET", "a", "1", "b", "2", "c", "3", "user:1", "u")
	optIn.expect(`>["invalidate" ["b"]]`)
	optOut.expect(`>["invalidate" ["b"]]`)
	noLoop.expect(`>["invalidate" ["a"]]`)
	bcast.expect(`>["invalidate" ["user:1"]]`)
	for _, c := range []*client{optIn, optOut, noLoop, bcast} {
		c.want("PONG", "PING")
	}
	bcast.want("OK", "CLIENT", "TRACKING", "OFF")
	writer.do("SET", "x1", "1")
	bcast.want("PONG", "PING")
}

func TestTrackingRedirect(t *testing.T) {
	n := startNode(t)
	two, reader, writer := n.dial(t), n.dial(t), n.dial(t)
	id := two.do("CLIENT", "ID")
	two.do("SUBSCRIBE", "__redis__:invalidate")
	reader.line("HELLO 3")
	reader.want("OK", "CLIENT", "TRACKING", "ON", "REDIRECT", id)
	reader.want(id, "CLIENT", "GETREDIR")
	reader.do("GET", "a")
	writer.do("SET", "a", "1")
	two.expect(`["message" "__redis__:invalidate" ["a"]]`)
	reader.do("GET", "a")
	_ = two.conn.Close()
	waitFor(t, "the target to end", func() bool { return n.d.engine.Hub().Subscriptions() == 0 })
	writer.do("SET", "a", "2")
	reader.expect(`>["tracking-redir-broken" ` + id + `]`)
}

// A full table forgets a key, and says so to whoever had cached it.
func TestTrackingTableIsBounded(t *testing.T) {
	n := startNode(t)
	reader := n.dial(t)
	reader.want("OK", "CONFIG", "SET", "tracking-table-max-keys", "10")
	reader.line("HELLO 3")
	reader.want("OK", "CLIENT", "TRACKING", "ON")
	for i := range 100 {
		reader.send(encode("GET", fmt.Sprint("k", i)))
	}
	told := 0
	for range 100 + 90 {
		if got := reader.reply(); got != "nil" {
			told++
		}
	}
	if keys := n.d.engine.Hub().Tracker().Keys(); keys != 10 || told != 90 {
		t.Errorf("%d keys are in the table, %d were given up", keys, told)
	}
}

// The target of REDIRECT may be any connection, and need not have asked for anything: in RESP3 it gets
// pushes, in RESP2 a message if it is a subscriber, of whatever.
func TestTrackingRedirectToAnyone(t *testing.T) {
	n := startNode(t)
	three, pattern, idle, writer := n.dial(t), n.dial(t), n.dial(t), n.dial(t)
	three.line("HELLO 3")
	ids := []string{three.do("CLIENT", "ID"), pattern.do("CLIENT", "ID"), idle.do("CLIENT", "ID")}
	pattern.do("PSUBSCRIBE", "x*")
	for i, id := range ids {
		reader := n.dial(t)
		reader.want("OK", "CLIENT", "TRACKING", "ON", "REDIRECT", id)
		reader.do("GET", fmt.Sprint("k", i))
	}
	writer.do("MSET", "k0", "1", "k1", "1", "k2", "1")
	three.expect(`>["invalidate" ["k0"]]`) // it rests
	pattern.expect(`["message" "__redis__:invalidate" ["k1"]]`)
	idle.want("PONG", "PING") // nothing that it could take for a reply
	writer.do("MSET", "k0", "2")
	three.want("PONG", "PING") // told once
	n.dial(t).want("(ERR The client ID you want redirect to does not exist)", "CLIENT", "TRACKING", "ON",
		"REDIRECT", "987654")
}
