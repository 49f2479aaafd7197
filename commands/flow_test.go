package commands

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// gets starts a command on a connection of its own and returns where its reply comes.
func gets(t *testing.T, n *testNode, words ...string) (*client, <-chan string) {
	t.Helper()
	c := n.dial(t)
	c.do("PING")
	out := make(chan string, 1)
	c.send(encode(words...))
	go func() { out <- c.reply() }()
	return c, out
}

func arrived(t *testing.T, reply <-chan string, want string) {
	t.Helper()
	select {
	case got := <-reply:
		if got != want {
			t.Errorf("replied %s, want %s", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no reply after 10 s")
	}
}

func silent(t *testing.T, what string, reply <-chan string) {
	t.Helper()
	select {
	case got := <-reply:
		t.Fatalf("%s replied %s", what, got)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestClientPause(t *testing.T) {
	n := startNode(t)
	admin := n.dial(t)
	admin.want("OK", "CLIENT", "PAUSE", "60000", "WRITE")
	admin.want("nil", "GET", "k")
	_, set := gets(t, n, "SET", "k", "v")
	silent(t, "a paused SET", set)
	admin.want("OK", "CLIENT", "PAUSE", "10", "ALL")
	admin.want("OK", "CLIENT", "PAUSE", "10", "WRITE") // never weaker, never shorter
	pinging := n.dial(t)
	pinging.send(encode("PING"))
	ping := make(chan string, 1)
	go func() { ping <- pinging.reply() }()
	silent(t, "a paused PING", ping)
	admin.want("OK", "CLIENT", "UNPAUSE")
	arrived(t, set, "OK")
	arrived(t, ping, "PONG")
	admin.want("OK", "CLIENT", "PAUSE", "30")
	began := time.Now()
	admin.want(`"v"`, "GET", "k")
	if took := time.Since(began); took < 25*time.Millisecond {
		t.Errorf("a pause of 30 ms was over after %s", took)
	}
}

// A pause neither keeps the node from stopping nor a client from leaving.
func TestPausedClientLeaves(t *testing.T) {
	n := startNode(t)
	n.dial(t).want("OK", "CLIENT", "PAUSE", "60000")
	c := n.dial(t)
	c.send(encode("PING"))
	waitFor(t, "both connections", func() bool { return n.server.Stats().Current == 2 })
	_ = c.conn.Close()
	waitFor(t, "the paused one to be gone", func() bool { return n.server.Stats().Current == 1 })
	n.d.pause.end()
}

func TestClientUnblock(t *testing.T) {
	n := startNode(t)
	admin := n.dial(t)
	admin.want("0", "CLIENT", "UNBLOCK", "1")
	for _, c := range []struct{ reason, want string }{
		{"TIMEOUT", "0"}, {"ERROR", "(UNBLOCKED client unblocked via CLIENT UNBLOCK)"},
	} {
		blocked := n.dial(t)
		id := blocked.do("CLIENT", "ID")
		blocked.send(encode("WAIT", "1", "0"))
		waitFor(t, "INFO to show it", func() bool {
			return strings.Contains(admin.do("INFO", "clients"), `\r\nblocked_clients:1\r\n`)
		})
		waitFor(t, "the client to wait", func() bool { return admin.do("CLIENT", "UNBLOCK", id, c.reason) == "1" })
		reply := make(chan string, 1)
		go func() { reply <- blocked.reply() }()
		arrived(t, reply, c.want)
	}
}

// TestMonitor: a connection that asked is shown what others do, but no secrets and nothing of administrators,
// until it goes.
func TestMonitor(t *testing.T) {
	n := startNode(t)
	m, c := n.dial(t), n.dial(t)
	m.want("OK", "MONITOR")
	c.do("SET", "a\"\\\r\n", "\x00\xffé")
	c.do("AUTH", "default", "secret")
	c.do("HELLO", "2", "AUTH", "default", "secret")
	c.do("NOPE", "x")
	c.do("CONFIG", "GET", "maxmemory")
	c.do("GET", "k")
	c.do("GET", "k2")
	for _, want := range []string{`"SET" "a\"\\\r\n" "\x00\xff\xc3\xa9"`, `"GET" "k"`, `"GET" "k2"`} {
		line := m.reply()
		at, command, _ := strings.Cut(line, "] ")
		if command != want || !strings.Contains(at, " [0 127.0.0.1:") {
			t.Errorf("shown %q, want %q", line, want)
		}
	}
	m.do("QUIT")
	for end := time.Now().Add(10 * time.Second); n.d.monitors.count.Load() != 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("a monitor that has gone is still fed")
		}
	}
}

func TestShutdownAsks(t *testing.T) {
	n := startNode(t)
	var asked atomic.Int32
	n.d.cfg.Shutdown = func() { asked.Add(1) }
	c := n.dial(t)
	c.want("(ERR syntax error)", "SHUTDOWN", "SAVE", "NOSAVE")
	if got := c.do("SHUTDOWN", "NOSAVE", "NOW"); got != "closed" || asked.Load() != 1 {
		t.Errorf("SHUTDOWN replied %s, the node was asked %d times", got, asked.Load())
	}
}

func TestSlowLogAndLatency(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.do("CLIENT", "SETNAME", "me")
	n.d.slow.threshold.Store(1000)
	n.d.latency.threshold.Store(5)
	args := [][]byte{[]byte("MSET")}
	for range 40 {
		args = append(args, []byte(strings.Repeat("x", 130)))
	}
	var s *session
	waitFor(t, "the session", func() bool {
		for _, s = range n.d.sessions() {
		}
		return s != nil
	})
	row := n.d.table.Lookup([]byte("mset"))
	n.d.notice(s, row, args, 7*time.Millisecond)
	n.d.notice(s, row, args[:3], 9*time.Millisecond)
	n.d.notice(s, row, args[:2], 999*time.Microsecond)
	entries := n.d.slow.newest(10)
	if len(entries) != 2 || entries[0].id != 1 || entries[0].name != "me" || len(entries[1].ends) != 32 {
		t.Fatalf("slow log %+v", entries)
	}
	words := entries[1].args()
	if word, last := words[1], words[31]; !strings.HasSuffix(word, "xx... (2 more bytes)") ||
		last != "... (10 more arguments)" {
		t.Errorf("words %q … %q", word, last)
	}
	if e := n.d.latency.event("command"); e.most != 9 || len(e.samples) > 2 {
		t.Errorf("latency %+v", e)
	}
	if graph := c.do("LATENCY", "GRAPH", "command"); !strings.Contains(graph, "#") {
		t.Errorf("graph %s", graph)
	}
	c.want("1", "LATENCY", "RESET", "command", "nope")
}

// A key past its deadline is not there: it is not counted and takes no place under a limit.
func TestRangeHidesKeysPastTheirDeadline(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.do("SET", "a", "1", "PX", "10000")
	c.do("MSET", "b", "2", "c", "3")
	n.skew.Add(int64(11 * time.Second))
	local := n.dial(t)
	local.do("READONLY")
	if got := local.do("KV.RANGE", "", "PREFIX", "LIMIT", "1", "KEYSONLY"); !strings.Contains(got,
		`"more" 1 "count" 2`) ||
		!strings.Contains(got, `"key" "b"`) {
		t.Errorf("a local range with a limit: %s", got)
	}
	if got := c.do("KV.RANGE", "", "PREFIX", "COUNTONLY"); !strings.Contains(got, `"count" 2`) {
		t.Errorf("a count: %s", got)
	}
}

// What CLIENT PAUSE WRITE holds is everything that may write, scripts included, and nothing else.
func TestWhatAPauseOfWritesHolds(t *testing.T) {
	var p pausing
	p.begin(time.Minute, true)
	defer p.end()
	for _, row := range NewTable().All() {
		writes := row.Kind == KindWrite || row.Kind == KindScript && row.Flags&FlagReadonly == 0
		if held := p.holds(row) != nil; held != writes {
			t.Errorf("%s: held is %v", row.Name, held)
		}
	}
}

func TestPausedScript(t *testing.T) {
	n := startNode(t)
	admin := n.dial(t)
	const pause = 200 * time.Millisecond
	began := time.Now()
	admin.want("OK", "CLIENT", "PAUSE", "200", "WRITE")
	admin.want("nil", "EVAL_RO", "return redis.call('GET', 'k')", "0")
	admin.want("OK", "EVAL", "return redis.call('SET', 'k', '1')", "0")
	if took := time.Since(began); took < pause {
		t.Errorf("a script has written %s after the beginning of a pause of %s", took, pause)
	}
}

// What was forbidden while a command was held up is not done when the pause ends.
func TestRightsLostDuringAPause(t *testing.T) {
	n := startNode(t)
	admin := n.dial(t)
	admin.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "~*", "+@all")
	eve := n.dial(t)
	eve.want("OK", "AUTH", "eve", "x")
	admin.want("OK", "CLIENT", "PAUSE", "60000")
	eve.send(encode("SET", "k", "v"))
	waitFor(t, "eve's command to be held up", func() bool { return lastCommand(n, "eve") == "set" })
	admin.want("OK", "ACL", "SETUSER", "eve", "-set")
	admin.want("OK", "CLIENT", "UNPAUSE")
	if got, want := eve.reply(), "(NOPERM this user has no permissions to run the 'set' command)"; got != want {
		t.Errorf("replied %s, want %s", got, want)
	}
	admin.want("nil", "GET", "k")
}

// lastCommand is what the connection of a user has sent last.
func lastCommand(n *testNode, user string) string {
	for _, s := range n.d.sessions() {
		if row := s.last.Load(); s.userName() == user && row != nil {
			return row.Name
		}
	}
	return ""
}
