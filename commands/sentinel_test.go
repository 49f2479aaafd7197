package commands

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/resp"
)

// dialSentinel opens a Sentinel listener beside n and connects to it.
func dialSentinel(t *testing.T, n *testNode) (d *Dispatcher, dial func() *client) {
	t.Helper()
	d = New(Config{Engine: n.engine, Sentinel: &SentinelConfig{Name: "redkeep"}})
	server := resp.NewServer(resp.Config{Handler: d})
	d.Attach(server)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := d.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	other := &testNode{addr: ln.Addr().String()}
	return d, func() *client { return other.dial(t) }
}

// The Sentinel listener knows what a Sentinel knows, and nothing of the store.
func TestSentinelListener(t *testing.T) {
	n := startNode(t)
	d, dial := dialSentinel(t, n)
	c := dial()
	host, port, _ := net.SplitHostPort(n.addr)
	c.want(`["`+host+`" "`+port+`"]`, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "redkeep")
	c.want("nil-array", "sentinel", "get-master-addr-by-name", "REDKEEP")
	c.want(`["sentinel" ["redkeep"]]`, "ROLE")
	c.want("[]", "SENTINEL", "REPLICAS", "redkeep")
	c.want("OK 1 usable Sentinels. Quorum and failover authorization can be reached", "SENTINEL", "CKQUORUM",
		"redkeep")
	for _, words := range []string{"SET a 1", "GET a", "PUBLISH a b", "KV.GET a", "EVAL x 0", "CLUSTER INFO",
		"MULTI", "FLUSHALL", "CONFIG GET *", "SHUTDOWN"} {
		if got := c.line(words); !strings.HasPrefix(got, "(ERR unknown command ") {
			t.Errorf("%s: %s", words, got)
		}
	}
	for _, sub := range []string{"MONITOR", "REMOVE", "SET", "RESET", "FLUSHCONFIG", "CONFIG"} {
		if got := c.line("SENTINEL " + sub + " redkeep"); !strings.Contains(got, "with the MEMBER commands") {
			t.Errorf("%s: %s", sub, got)
		}
	}
	c.want("(NOGOODSLAVE No suitable replica to promote)", "SENTINEL", "FAILOVER", "redkeep")
	c.want("(ERR No such master with that name)", "SENTINEL", "FAILOVER", "other")
	if got := c.line("HELLO 3"); !strings.Contains(got, `"mode": "sentinel"`) || strings.Contains(got, "role") {
		t.Errorf("HELLO: %s", got)
	}
	if got := c.line("CLIENT LIST"); strings.Count(got, "\n") != 1 {
		t.Errorf("CLIENT LIST: %s", got)
	}
	n.dial(t).want("(ERR unknown command 'SENTINEL', with args beginning with: 'MASTERS' )", "SENTINEL",
		"MASTERS")
	if row := d.Table().Lookup([]byte("set")); row != nil {
		t.Error("the table has SET")
	}
}

// Messages of the data port and of Sentinel do not meet, and a watch: channel is only a name here.
func TestSentinelMessages(t *testing.T) {
	n := startNode(t)
	d, dial := dialSentinel(t, n)
	ear, data := dial(), n.dial(t)
	ear.want(`["subscribe" "+switch-master" 1]`, "SUBSCRIBE", "+switch-master")
	ear.want(`["subscribe" "watch:a" 2]`, "SUBSCRIBE", "watch:a")
	ear.want(`["psubscribe" "[-+]s*" 3]`, "PSUBSCRIBE", "[-+]s*")
	data.want(`["subscribe" "+sdown" 1]`, "SUBSCRIBE", "+sdown")
	other := n.dial(t)
	other.want("0", "PUBLISH", "+switch-master", "redkeep a 1 b 2")
	other.want("OK", "SET", "a", "1")
	d.hub.Applied(pubsub.Applied{Messages: []pubsub.Message{
		{Kind: pubsub.KindChannel, Channel: "+sdown", Payload: "master"},
		{Kind: pubsub.KindChannel, Channel: "+switch-master", Payload: "redkeep"}}})
	for _, want := range []string{`["pmessage" "[-+]s*" "+sdown" "master"]`,
		`["message" "+switch-master" "redkeep"]`, `["pmessage" "[-+]s*" "+switch-master" "redkeep"]`} {
		if got := ear.reply(); got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	}
	other.want("1", "PUBLISH", "+sdown", "here")
	if got := data.reply(); got != `["message" "+sdown" "here"]` {
		t.Errorf("the data port's subscriber heard %s", got)
	}
}

// Rules hold on the Sentinel listener as on the data port: only what asks for the leader is free.
func TestSentinelHoldsUsersToTheirRules(t *testing.T) {
	n := startNode(t)
	d, dial := dialSentinel(t, n)
	admin, c := n.dial(t), dial()
	admin.want("OK", "ACL", "SETUSER", "eve", "on", "nopass", "~app:*", "resetchannels", "&+switch-master",
		"+@read", "+subscribe", "+client|setname", "+role")
	c.want("OK", "AUTH", "eve", "x")
	for _, words := range []string{"SENTINEL MASTERS", "SENTINEL REPLICAS redkeep", "HELLO 2", "ROLE",
		"CLIENT SETNAME me"} {
		if got := c.line(words); strings.HasPrefix(got, "(") {
			t.Errorf("%s: %s", words, got)
		}
	}
	for _, words := range []string{"CLIENT KILL TYPE normal", "CLIENT PAUSE 1", "CLIENT LIST", "INFO", "PING",
		"COMMAND", "PSUBSCRIBE *", "SUBSCRIBE +sdown", "SENTINEL FAILOVER redkeep"} {
		if got := c.line(words); !strings.HasPrefix(got, "(NOPERM ") {
			t.Errorf("%s: %s", words, got)
		}
	}
	c.want(`["subscribe" "+switch-master" 1]`, "SUBSCRIBE", "+switch-master")
	for _, row := range d.Table().All() {
		if own := n.d.table.find([]byte(row.Name)); own != nil && own.id != row.id {
			t.Errorf("%s has the number %d, on the data port %d", row.Name, row.id, own.id)
		}
	}
}
