package commands

import (
	"strings"
	"testing"
)

// third is the number in [key token lease].
func third(reply string) (key, token, lease string) {
	f := strings.Fields(strings.Trim(reply, "[]"))
	return f[0], f[1], f[2]
}

func resp3(t *testing.T, n *testNode) *client {
	c := n.dial(t)
	c.line("HELLO 3")
	return c
}

// Whoever holds is told when it ends, in whatever way, but not of what it gives back itself.
func TestHolderIsToldOfItsLoss(t *testing.T) {
	n := startNode(t)
	c, other := resp3(t, n), n.dial(t)
	lost := func(what, name, token, key string) {
		t.Helper()
		c.expect(`>["` + what + `" "` + name + `" ` + token + " " + key + "]")
	}

	key, token, _ := third(c.do("LOCK.ACQUIRE", "m", "TTL", "60000"))
	other.want("1", "DEL", strings.Trim(key, `"`))
	lost("lock-lost", "m", token, key)

	key, token, lease := third(c.do("LOCK.ACQUIRE", "m"))
	other.want("1", "LEASE.REVOKE", strings.Trim(lease, `"`))
	lost("lock-lost", "m", token, key)

	key, token, _ = third(c.do("LOCK.ACQUIRE", "m"))
	other.want("OK", "LOCK.RELEASE", "m", token)
	lost("lock-lost", "m", token, key)

	key, token, _ = third(c.do("ELECTION.CAMPAIGN", "m", "me"))
	other.want("OK", "ELECTION.RESIGN", "m", token)
	lost("election-lost", "m", token, key)

	key, token, _ = third(c.do("LOCK.ACQUIRE", "m", "TTL", "100"))
	lost("lock-lost", "m", token, key) // it ran out, while the connection rests

	_, token, _ = third(c.do("LOCK.ACQUIRE", "m"))
	c.want("OK", "LOCK.RELEASE", "m", token)
	_, token, _ = third(c.do("ELECTION.CAMPAIGN", "m", "me"))
	c.want("OK", "ELECTION.RESIGN", "m", token)
	c.want("PONG", "PING")
	if left := n.d.engine.Holders().Len(); left != 0 {
		t.Errorf("%d holds are still registered", left)
	}
}

// One that waited is told, too; acquiring the same place again does not tell twice; a connection of RESP2 is
// told nothing, and one that is closed leaves nothing behind.
func TestHoldersThatAreTold(t *testing.T) {
	n := startNode(t)
	first, waiting, old := n.dial(t), resp3(t, n), n.dial(t)
	_, token, _ := third(first.do("LOCK.ACQUIRE", "m"))
	waiting.send(encode("LOCK.ACQUIRE", "m", "WAIT", "20000"))
	waitFor(t, "the waiter", func() bool { return n.d.engine.Waiters().Len() == 1 })
	first.want("OK", "LOCK.RELEASE", "m", token)
	key, token, lease := third(waiting.reply())
	if got := n.d.engine.Holders().Len(); got != 1 {
		t.Errorf("%d holds of one that waited are registered", got)
	}
	waiting.do("LOCK.ACQUIRE", "m", "LEASE", strings.Trim(lease, `"`))
	old.do("LOCK.ACQUIRE", "m", "LEASE", strings.Trim(lease, `"`))
	if got := n.d.engine.Holders().Len(); got != 1 {
		t.Errorf("%d holds are registered", got)
	}
	first.want("1", "DEL", strings.Trim(key, `"`))
	waiting.expect(`>["lock-lost" "m" ` + token + " " + key + "]")
	waiting.want("PONG", "PING")
	old.want("PONG", "PING")

	key, _, _ = third(waiting.do("LOCK.ACQUIRE", "m"))
	waiting.do("HELLO", "2")
	first.want("1", "DEL", strings.Trim(key, `"`))
	waiting.want("PONG", "PING") // a push would stand before it

	waiting.do("HELLO", "3")
	waiting.do("LOCK.ACQUIRE", "m")
	_ = waiting.conn.Close()
	waitFor(t, "the hold to be forgotten", func() bool { return n.d.engine.Holders().Len() == 0 })
}

// In MULTI the place is held from EXEC on. One that is held again and given back inside it is not told of;
// one that has gone again when the connection comes to know of it is.
func TestHolderInMulti(t *testing.T) {
	n := startNode(t)
	c, other := resp3(t, n), n.dial(t)
	c.want("OK", "MULTI")
	c.want("QUEUED", "LOCK.ACQUIRE", "a")
	c.want("QUEUED", "LOCK.ACQUIRE", "b")
	got := strings.NewReplacer("[[", "", "]]", "").Replace(c.do("EXEC"))
	a, b, _ := strings.Cut(got, "] [")
	keyB, token, _ := third(b)
	other.want("1", "DEL", strings.Trim(keyB, `"`))
	c.expect(`>["lock-lost" "b" ` + token + " " + keyB + "]")
	keyA, token, _ := third(a)
	other.want("1", "DEL", strings.Trim(keyA, `"`))
	c.expect(`>["lock-lost" "a" ` + token + " " + keyA + "]")

	c.do("LEASE.GRANT", "60000", "ID", "7")
	_, token, _ = third(c.do("LOCK.ACQUIRE", "again", "LEASE", "7"))
	c.want("OK", "MULTI")
	c.want("QUEUED", "LOCK.ACQUIRE", "again", "LEASE", "7")
	c.want("QUEUED", "LOCK.RELEASE", "again", token)
	if got := c.do("EXEC"); !strings.HasSuffix(got, " OK]") {
		t.Errorf("EXEC: %s", got)
	}
	c.want("PONG", "PING")

	c.want("OK", "MULTI")
	c.want("QUEUED", "LOCK.ACQUIRE", "brief", "LEASE", "7")
	c.want("QUEUED", "DEL", "brief/0000000000000007")
	keyB, token, _ = third(c.do("EXEC"))
	c.expect(`>["lock-lost" "brief" ` + token + " " + keyB + "]")
	c.want("PONG", "PING")
	if left := n.d.engine.Holders().Len(); left != 0 {
		t.Errorf("%d holds are still registered", left)
	}
}
