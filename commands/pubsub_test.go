package commands

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPubSubScript(t *testing.T) { runScript(t, "pubsub") }

// expect reads the next frames.
func (c *client) expect(frames ...string) {
	c.t.Helper()
	for _, want := range frames {
		if got := c.reply(); got != want {
			c.t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestPublishReachesSubscribers(t *testing.T) {
	n := startNode(t)
	two, three, writer := n.dial(t), n.dial(t), n.dial(t)
	three.line("HELLO 3")
	two.want(`["subscribe" "news" 1]`, "SUBSCRIBE", "news")
	three.want(`>["psubscribe" "n*" 1]`, "PSUBSCRIBE", "n*")
	three.want(`>["ssubscribe" "news" 1]`, "SSUBSCRIBE", "news")
	writer.want("2", "PUBLISH", "news", "hi")
	writer.want("1", "SPUBLISH", "news", "shard")
	writer.want("0", "PUBLISH", "other", "hi")
	two.expect(`["message" "news" "hi"]`)
	three.expect(`>["pmessage" "n*" "news" "hi"]`, `>["smessage" "news" "shard"]`)
	three.want("PONG", "PING")
	two.want(`["pong" ""]`, "PING")
	two.want("(ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "+
		"are allowed in this context)", "GET", "a")
	two.want(`["unsubscribe" "news" 0]`, "UNSUBSCRIBE")
	two.want("nil", "GET", "a")
	writer.want("1", "PUBLISH", "news", "again")
	two.want("PONG", "PING")
}

// A client that publishes to itself gets its replies and its messages in order, never mixed.
func TestPublishToOneself(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.line("HELLO 3")
	c.want(`>["subscribe" "me" 1]`, "SUBSCRIBE", "me")
	const count = 500
	var batch strings.Builder
	for i := range count {
		batch.WriteString(encode("PUBLISH", "me", fmt.Sprint(i)))
	}
	c.send(batch.String())
	replies, messages := 0, 0
	for replies < count || messages < count {
		switch got := c.reply(); got {
		case "1":
			replies++
		case fmt.Sprintf(`>["message" "me" "%d"]`, messages):
			messages++
		default:
			t.Fatalf("got %s after %d replies and %d messages", got, replies, messages)
		}
	}
}

func TestTenThousandSubscriptions(t *testing.T) {
	n := startNode(t)
	c, writer := n.dial(t), n.dial(t)
	const count = 10_000
	words := []string{"SUBSCRIBE"}
	for i := range count {
		words = append(words, fmt.Sprintf("watch:k%d", i))
	}
	c.send(encode(words...))
	for i := range count {
		c.expect(fmt.Sprintf(`["subscribe" "watch:k%d" %d]`, i, i+1))
	}
	writer.want("OK", "SET", "k9999", "v")
	c.text = true
	if got := c.reply(); !strings.HasPrefix(got, `[message watch:k9999 {"type":"put","key":"k9999"`) {
		t.Errorf("got %s", got)
	}
	c.text = false
	c.send(encode("UNSUBSCRIBE"))
	for i := range count {
		if got := c.reply(); !strings.HasSuffix(got, fmt.Sprintf(" %d]", count-1-i)) {
			t.Fatalf("unsubscribe %d: %s", i, got)
		}
	}
	c.want("PONG", "PING")
	if subs := n.d.engine.Hub().Subscriptions(); subs != 0 {
		t.Errorf("%d subscriptions are left", subs)
	}
}

// A subscriber that goes away without a word leaves nothing behind.
func TestVanishedSubscriberIsForgotten(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.do("SUBSCRIBE", "a", "watch:b", "watch;prefix:c")
	c.expect(`["subscribe" "watch:b" 2]`, `["subscribe" "watch;prefix:c" 3]`)
	if subs := n.d.engine.Hub().Subscriptions(); subs != 3 {
		t.Errorf("%d subscriptions", subs)
	}
	_ = c.conn.Close()
	waitFor(t, "nothing left", func() bool { return n.d.engine.Hub().Subscriptions() == 0 })
}

func TestKeyspaceNotifications(t *testing.T) {
	n := startNode(t)
	c, writer := n.dial(t), n.dial(t)
	writer.want("OK", "CONFIG", "SET", "notify-keyspace-events", "KEA")
	writer.want(`["notify-keyspace-events" "AKE"]`, "CONFIG", "GET", "notify-keyspace-events")
	c.do("PSUBSCRIBE", "__key*@0__:*")
	pair := func(key, event string) {
		t.Helper()
		c.expect(fmt.Sprintf(`["pmessage" "__key*@0__:*" "__keyspace@0__:%s" "%s"]`, key, event),
			fmt.Sprintf(`["pmessage" "__key*@0__:*" "__keyevent@0__:%s" "%s"]`, event, key))
	}
	writer.do("SET", "a", "1", "EX", "1000")
	pair("a", "set")
	pair("a", "expire")
	writer.do("INCR", "a")
	pair("a", "incrby")
	writer.do("APPEND", "a", "1")
	pair("a", "append")
	writer.do("PERSIST", "a")
	pair("a", "persist")
	writer.do("PEXPIRE", "a", "50")
	pair("a", "expire")
	n.skew.Add(1e9)
	pair("a", "expired")
	writer.do("MSET", "x", "1", "y", "2")
	pair("x", "set")
	pair("y", "set")
	writer.do("DEL", "x", "y", "z")
	pair("x", "del")
	pair("y", "del")
	writer.want("(ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - "+
		"Invalid event class character. Use 'Ag$lshzxeKEtmdn'.)", "CONFIG", "SET", "notify-keyspace-events", "Q")
	writer.want("OK", "CONFIG", "SET", "notify-keyspace-events", "Ex")
	writer.do("SET", "a", "1", "PX", "10")
	n.skew.Add(1e9)
	c.expect(`["pmessage" "__key*@0__:*" "__keyevent@0__:expired" "a"]`)
}

// Who listens for changes of locks and elections is told when the node could not tell some. Nobody else is.
func TestListenersToLocksAreToldOfAGap(t *testing.T) {
	n := startNode(t)
	lock, pattern, news := n.dial(t), n.dial(t), n.dial(t)
	lock.want(`["subscribe" "lock:m" 1]`, "SUBSCRIBE", "lock:m")
	pattern.want(`["psubscribe" "elect*" 1]`, "PSUBSCRIBE", "elect*")
	news.want(`["psubscribe" "n*" 1]`, "PSUBSCRIBE", "n*")
	n.engine.Hub().Replaced()
	gap := fmt.Sprintf("{\"type\":\"gap\",\"revision\":%d}", n.engine.Store().Revision())
	lock.expect(fmt.Sprintf(`["message" "lock:m" %q]`, gap))
	pattern.expect(fmt.Sprintf(`["pmessage" "elect*" "elect*" %q]`, gap))
	news.want(`["pong" ""]`, "PING")
}

func TestTellsQueues(t *testing.T) {
	for name, want := range map[string][3]bool{ // by the kind of the list
		"lock:m": {true, true, false}, "election:": {true, true, false}, "lock": {}, "news": {},
		"*": {false, true, false}, "l*": {false, true, false}, "elect?on:m": {false, true, false},
		"lock:*": {true, true, false}, "lo": {}, "n*": {}, "locks*": {},
	} {
		for kind := range want {
			if got := tellsQueues(kind, name); got != want[kind] {
				t.Errorf("%q of kind %d: %v", name, kind, got)
			}
		}
	}
}

// Leaving very many channels by name takes about as long as joining them; a name that stands there twice
// counts once.
func TestUnsubscribeFromManyByName(t *testing.T) {
	const many = 100_000
	n := startNode(t)
	c := n.dial(t)
	names := []string{"SUBSCRIBE"}
	for i := range many {
		names = append(names, fmt.Sprintf("channel:%06d", i))
	}
	began := time.Now()
	c.send(encode(names...))
	for range many {
		c.reply()
	}
	joined := time.Since(began)
	c.want(`["unsubscribe" "channel:000001" 99999]`, "UNSUBSCRIBE", "channel:000001", "channel:000001")
	if got := c.reply(); got != `["unsubscribe" "channel:000001" 99999]` {
		t.Errorf("the second time: %s", got)
	}
	names[0] = "UNSUBSCRIBE"
	began = time.Now()
	c.send(encode(names...))
	for range many - 1 {
		c.reply()
	}
	if got := c.reply(); got != `["unsubscribe" "channel:099999" 0]` {
		t.Errorf("the last: %s", got)
	}
	if took := time.Since(began); took > 4*joined {
		t.Errorf("joining took %v, leaving %v", joined, took)
	}
}
