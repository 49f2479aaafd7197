package commands

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// loneNode is one member of three whose others never start: no leader, no quorum.
func loneNode(t *testing.T, timeout time.Duration) *testNode {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	own := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	peers := []cluster.Peer{
		{Name: "n1", Addr: own}, {Name: "n2", Addr: "127.0.0.1:1"}, {Name: "n3", Addr: "127.0.0.1:2"},
	}
	return openNode(t, peers, func(cfg *raftfsm.Config) { cfg.RequestTimeout = timeout })
}

// What clients send when they connect is answered without a quorum; what needs one is refused in time, with a
// text that says nothing was done.
func TestWithoutQuorum(t *testing.T) {
	n := loneNode(t, 200*time.Millisecond)
	c := n.dial(t)
	for _, words := range [][]string{{"HELLO", "3"}, {"COMMAND"}, {"COMMAND", "DOCS"}, {"INFO"},
		{"CLIENT", "LIST"}, {"CLIENT", "SETINFO", "LIB-NAME", "x"}, {"PING"},
		{"CONFIG", "GET", "*"}, {"MEMBER.LIST"},
		{"CLUSTER", "SLOTS"}, {"CLUSTER", "SHARDS"}, {"CLUSTER", "NODES"}, {"CLUSTER", "INFO"}, {"CLUSTER", "MYID"},
		{"CLUSTER.STATUS"}, {"CLUSTER.HEALTH"}, {"ROLE"}, {"TIME"}, {"SELECT", "0"}} {
		if got := c.do(words...); strings.HasPrefix(got, "(") {
			t.Errorf("%q replied %s", words, got)
		}
	}
	if got := c.do("HELLO", "2"); !strings.Contains(got, `"role" "replica"`) {
		t.Errorf("HELLO replied %s", got)
	}
	const down = "(CLUSTERDOWN no leader is known; the command was not executed, try again)"
	c.want(down, "SET", "a", "1")
	c.want(down, "GET", "a")
	c.want(down, "KV.COMPACT", "1")
	c.want("OK", "READONLY")
	c.want("nil", "GET", "a")
	if got := c.do("CLUSTER.HEALTH"); !strings.Contains(got, `"healthy" 0`) {
		t.Errorf("health %s", got)
	}
}

// A pipeline whose every command waits for a quorum does not hold up a stop: what has not begun is left.
func TestStopInAPipelineWithoutQuorum(t *testing.T) {
	const limit, commands = 300 * time.Millisecond, 40
	n := loneNode(t, limit)
	c := n.dial(t)
	var pipeline strings.Builder
	for range commands { // each waits by itself
		pipeline.WriteString(encode("SET", "a", "1") + encode("KV.GET", "a"))
	}
	c.send(pipeline.String())
	waitFor(t, "the pipeline to be served", func() bool {
		all := n.d.sessions()
		return len(all) == 1 && all[0].last.Load() != nil
	})
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.server.Close(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > commands*limit/4 {
		t.Errorf("stopping took %v", took)
	}
}

// A client that goes away while its command waits does not hold its connection, and later ones are served.
func TestClientVanishesWhileWaiting(t *testing.T) {
	n := loneNode(t, time.Minute)
	for _, words := range [][]string{{"SET", "a", "1"}, {"GET", "a"}} {
		c := n.dial(t)
		c.send(encode(words...))
		waitFor(t, "the command to be served", func() bool { return len(n.d.sessions()) == 1 })
		if err := c.conn.Close(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the connection to be forgotten", func() bool { return len(n.d.sessions()) == 0 })
	}
	n.dial(t).want("PONG", "PING")
}

// unpanicked hands on to a dispatcher and counts its panics.
type unpanicked struct {
	*Dispatcher
	panics *atomic.Int64
}

func (u unpanicked) ServePipeline(c *resp.Conn, cmds []resp.Command) {
	defer func() {
		if recover() != nil {
			u.panics.Add(1)
		}
	}()
	u.Dispatcher.ServePipeline(c, cmds)
}

// A client that goes away while its script waits for the barrier costs no panic.
func TestScriptOfAVanishedClient(t *testing.T) {
	n := loneNode(t, time.Minute)
	var panics atomic.Int64
	server := resp.NewServer(resp.Config{Handler: unpanicked{n.d, &panics}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(encode("EVAL", "return redis.call('GET', 'a')", "0"))); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the script to be served", func() bool { return len(n.d.sessions()) == 1 })
	conn.Close()
	waitFor(t, "the connection to be forgotten", func() bool { return len(n.d.sessions()) == 0 })
	if panics.Load() != 0 {
		t.Error("a panic")
	}
	server.Close(t.Context())
	<-ended
}

// What of a read or of a renewal could not be confirmed says so: a leader may well be known, and a renewal
// may have been made.
func TestWhatWasNotConfirmed(t *testing.T) {
	for _, c := range []struct {
		err           error
		read, renewal error
	}{
		{raftfsm.ErrNoLeader, errNoLeader, errNoLeader},
		{raftfsm.ErrClosed, errClosing, errClosing},
		{raftfsm.ErrUnconfirmed, errReadFailed, errRenewal},
		{raftfsm.ErrBehind, errBehind, errBehind},
	} {
		if read, renewal := readFate(c.err), renewalFate(c.err); read != c.read || renewal != c.renewal {
			t.Errorf("%v: %v, %v", c.err, read, renewal)
		}
	}
	for text, prefix := range map[error]string{errRenewal: "UNCERTAIN ", errBehind: "CLUSTERDOWN "} {
		if !strings.HasPrefix(text.Error(), prefix) {
			t.Error(text)
		}
	}
}
