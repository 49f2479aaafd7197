package commands

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// testNode is a whole node of one member in this process, with its real log, on a clock that a test moves.
type testNode struct {
	addr   string
	skew   atomic.Int64 // what the clock is ahead of the real one
	d      *Dispatcher
	engine *raftfsm.Engine
	server *resp.Server

	engineClosed sync.Once
}

func (n *testNode) closeEngine(ctx context.Context) {
	n.engineClosed.Do(func() { n.engine.Close(ctx) })
}

func (n *testNode) now() time.Time { return time.Now().Add(time.Duration(n.skew.Load())) }

// monotonic counts leases; it is moved with the clock.
func (n *testNode) monotonic() time.Duration {
	return time.Since(processStart) + time.Duration(n.skew.Load())
}

var processStart = time.Now()

func startNode(t testing.TB, change ...func(*raftfsm.Config)) *testNode {
	t.Helper()
	n := openNode(t, nil, change...)
	select {
	case <-n.engine.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("no leader after 20 s")
	}
	// The node tells its address in an entry of its own, soon after that.
	waitFor(t, "the client address", func() bool { return n.engine.Status().LeaderClientAddr != "" })
	return n
}

// openNode starts a node and does not wait for a leader; peers is the whole initial cluster, nil for
// this node alone.
func openNode(t testing.TB, peers []cluster.Peer, change ...func(*raftfsm.Config)) *testNode {
	t.Helper()
	n := &testNode{}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = ln.Addr().String()
	cfg := raftfsm.Config{Name: "n1", ClientAddr: n.addr, Clock: n.now, QuotaBytes: 64 << 20,
		Monotonic: n.monotonic}
	for _, f := range change {
		f(&cfg)
	}
	n.engine = raftfsm.New(cfg)
	node, err := cluster.Open(cluster.Config{
		DataDir: t.TempDir(), Name: "n1", PeerAddr: peerAddr(peers), FSM: n.engine.FSM(),
		CheckEntry: raftfsm.CheckEntry, VerifySnapshot: raftfsm.VerifySnapshot, OnStored: n.engine.OnStored,
		HeartbeatTimeout: 50 * time.Millisecond, InitialCluster: peers,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.engine.Start(node)
	n.d = New(Config{
		Engine: n.engine, ClusterProtocol: true,
		Version: "0.0.0-test", RunID: strings.Repeat("ab", 20), MaxClients: 100,
		MaxRequestBytes: 8 << 20, QuotaBytes: cfg.QuotaBytes, Clock: n.now, ClientPort: 6379, DataDir: "data",
		BackupDir:     t.TempDir(),
		ScriptTimeout: 300 * time.Millisecond, ScriptBytes: 64 << 20,
	})
	n.server = resp.NewServer(resp.Config{Handler: n.d})
	n.d.Attach(n.server)
	served := make(chan error, 1)
	go func() { served <- n.server.Serve(ln) }()
	t.Cleanup(func() { n.stop(t, node, served) })
	return n
}

// waitFor polls until ok, at most 20 s.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

// peerAddr is this node's place in the list.
func peerAddr(peers []cluster.Peer) string {
	if len(peers) == 0 {
		return "127.0.0.1:0"
	}
	return peers[0].Addr
}

func (n *testNode) stop(t testing.TB, node *cluster.Node, served chan error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.server.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := n.d.Close(ctx); err != nil {
		t.Error(err)
	}
	drain, done := context.WithTimeout(ctx, time.Second) // what waits for a quorum that never comes is cut off
	defer done()
	n.closeEngine(drain)
	if err := node.Close(ctx); err != nil {
		t.Error(err)
	}
	n.engine.Release()
}

// client is a raw connection that shows replies as text, so that a script sees protocol types.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	text bool // show bulk strings as they are
}

func (n *testNode) dial(t testing.TB) *client {
	t.Helper()
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, conn: conn, r: bufio.NewReader(conn)}
}

// encode writes one command as a RESP array.
func encode(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

func (c *client) send(bytes string) {
	c.t.Helper()
	_ = c.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c.conn, bytes); err != nil {
		c.t.Fatal(err)
	}
}

// do sends one command and returns its reply as text.
func (c *client) do(words ...string) string {
	c.t.Helper()
	c.send(encode(words...))
	return c.reply()
}

// line sends an inline command.
func (c *client) line(text string) string {
	c.t.Helper()
	c.send(text + "\r\n")
	return c.reply()
}

func (c *client) want(reply string, words ...string) {
	c.t.Helper()
	if got := c.do(words...); got != reply {
		c.t.Errorf("%q replied %s, want %s", words, got, reply)
	}
}

// reply reads one reply: "bulk", OK, 12, nil, nil-array, ERR text, [list], {map}, ~[set], ,1.5, #t, >[push],
// txt:text.
func (c *client) reply() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "nothing in time"
	case err != nil:
		return "closed"
	}
	head, rest := line[0], strings.TrimSuffix(line[1:], "\r\n")
	switch head {
	case '+', ':':
		return rest
	case '-':
		return "(" + rest + ")"
	case '$', '=':
		return c.bulk(rest, head == '=')
	case '_':
		return "nil"
	case '*', '~', '>', '%':
		return c.aggregate(head, rest)
	default:
		return string(head) + rest
	}
}

func (c *client) bulk(length string, verbatim bool) string {
	n, err := strconv.Atoi(length)
	if err != nil {
		c.t.Fatalf("bad length %q", length)
	}
	if n < 0 {
		return "nil"
	}
	body := make([]byte, n+2)
	if _, err := io.ReadFull(c.r, body); err != nil {
		c.t.Fatal(err)
	}
	if verbatim || c.text {
		return strings.ReplaceAll(string(body[:n]), "\r", "")
	}
	return strconv.Quote(string(body[:n]))
}

func (c *client) aggregate(head byte, length string) string {
	n, err := strconv.Atoi(length)
	if err != nil {
		c.t.Fatalf("bad length %q", length)
	}
	if n < 0 {
		return "nil-array"
	}
	var parts []string
	if head != '%' {
		for range n {
			parts = append(parts, c.reply())
		}
		return strings.TrimPrefix(string(head), "*") + "[" + strings.Join(parts, " ") + "]"
	}
	for range n {
		parts = append(parts, c.reply()+": "+c.reply())
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// runScript runs testdata/<name>.txt against a node of its own. Directives: resp2 and resp3 send each line as
// an inline command on the connection of that protocol and print the replies (mask=<regexp> hides what
// varies); advance moves the node's clock; ended waits until a lease is no more; new opens fresh connections.
func runScript(t *testing.T, name string) {
	n := startNode(t)
	conns := map[string]*client{}
	datadriven.RunTest(t, "testdata/"+name+".txt", func(t *testing.T, td *datadriven.TestData) string {
		switch td.Cmd {
		case "advance":
			step, err := time.ParseDuration(strings.TrimSpace(td.Input))
			if err != nil {
				t.Fatal(err)
			}
			n.skew.Add(int64(step))
			return ""
		case "ended":
			id, err := parseLeaseID([]byte(td.CmdArgs[0].Key))
			if err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the lease to end", func() bool { return !n.engine.Leases().Granted(id) })
			return ""
		case "new":
			for _, c := range conns {
				_ = c.conn.Close()
			}
			clear(conns)
			return ""
		case "resp2", "resp3":
			if len(conns) == 0 { // a script that lists connections counts its own alone
				waitFor(t, "earlier connections to end", func() bool { return n.server.Stats().Current == 0 })
			}
			if conns[td.Cmd] == nil {
				conns[td.Cmd] = n.dial(t)
				if td.Cmd == "resp3" {
					conns[td.Cmd].line("HELLO 3")
				}
			}
			return runLines(t, conns[td.Cmd], td)
		default:
			t.Fatalf("unknown directive %s", td.Cmd)
			return ""
		}
	})
}

func runLines(t *testing.T, c *client, td *datadriven.TestData) string {
	c.t, c.text = t, td.HasArg("text")
	var masks []*regexp.Regexp
	for _, arg := range td.CmdArgs {
		if arg.Key == "mask" {
			for _, v := range arg.Vals {
				masks = append(masks, regexp.MustCompile("(?m)"+v))
			}
		}
	}
	var out strings.Builder
	for _, line := range strings.Split(td.Input, "\n") {
		reply := c.line(line)
		for _, m := range masks {
			reply = m.ReplaceAllString(reply, "…")
		}
		out.WriteString(reply + "\n")
	}
	return out.String()
}
