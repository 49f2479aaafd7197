package client_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/client"
)

// cutting is a node that answers from a list, and cuts the connection on every command that is not on it:
// done or not, nobody is told. It counts what it was sent.
type cutting struct {
	ln      net.Listener
	answers map[string]string
	serving sync.WaitGroup

	mu struct {
		sync.Mutex
		asked map[string]int
	}
}

func startCutting(t *testing.T, answers map[string]string) *cutting {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutting{ln: ln, answers: answers}
	c.mu.asked = map[string]int{}
	c.serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			c.serving.Go(func() { c.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); c.serving.Wait() })
	return c
}

func (c *cutting) serve(conn net.Conn) {
	defer conn.Close()
	for in := bufio.NewReader(conn); ; {
		words, err := readCommand(in)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.mu.asked[words[0]]++
		c.mu.Unlock()
		answer, ok := c.answers[words[0]]
		switch {
		case ok:
			fmt.Fprint(conn, answer)
		case words[0] == "hello" || words[0] == "client" || words[0] == "command":
			fmt.Fprint(conn, "-ERR unknown command\r\n")
		default:
			return
		}
	}
}

func (c *cutting) count(command string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.asked[command]
}

// clients are go-redis's, as they come: with retries.
func (c *cutting) clients(t *testing.T) map[string]redis.UniversalClient {
	t.Helper()
	addr := c.ln.Addr().String()
	slots := func(context.Context) ([]redis.ClusterSlot, error) {
		return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: addr}}}}, nil
	}
	all := map[string]redis.UniversalClient{
		"client": redis.NewClient(&redis.Options{Addr: addr}),
		"cluster client": redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr},
			ClusterSlots: slots}),
	}
	for _, one := range all {
		t.Cleanup(func() { _ = one.Close() })
	}
	return all
}

// A connection that breaks after a transaction was sent leaves open whether it was done. Sent again it could
// be done twice.
func TestCommitIsSentOnce(t *testing.T) {
	n := startCutting(t, nil)
	for name, rdb := range n.clients(t) {
		before := n.count("kv.txn")
		_, err := client.NewTxn(rdb).Then(client.Command("INCR", "n")).Commit(context.Background())
		if got := n.count("kv.txn") - before; got != 1 || err == nil {
			t.Errorf("%s: sent %d times, %v", name, got, err)
		}
	}
}

// A release that succeeded without an answer must not be asked for again: the second one finds the lock gone,
// and would be taken for the loss of it.
func TestReleaseIsSentOnce(t *testing.T) {
	const place = "*3\r\n$4\r\nm/ab\r\n:5\r\n$16\r\n00000000000000ab\r\n"
	n := startCutting(t, map[string]string{
		"lease.grant": "$16\r\n00000000000000ab\r\n", "lease.revoke": ":1\r\n",
		"lock.acquire": place, "election.campaign": place,
	})
	ctx := context.Background()
	for name, rdb := range n.clients(t) {
		m, e := client.NewMutex(rdb, "m", time.Minute), client.NewElection(rdb, "m", time.Minute)
		if err := m.Lock(ctx); err != nil {
			t.Fatal(name, err)
		}
		if err := e.Campaign(ctx, "v"); err != nil {
			t.Fatal(name, err)
		}
		for command, release := range map[string]func(context.Context) error{
			"lock.release": m.Unlock, "election.resign": e.Resign,
		} {
			before := n.count(command)
			err := release(ctx)
			if got := n.count(command) - before; got != 1 || err == nil {
				t.Errorf("%s: %s sent %d times, %v", name, command, got, err)
			}
		}
	}
	if got := n.count("lease.revoke"); got < 4 {
		t.Errorf("%d leases were revoked: the locks are not free", got)
	}
}
