package integration

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

// bg is the context of calls whose time is bounded by the client's own timeouts.
var bg = context.Background()

// client is go-redis as most programs use it, but without its silent retries: each call is made once.
func client(t testing.TB, n *node.Node, change ...func(*redis.Options)) *redis.Client {
	t.Helper()
	o := &redis.Options{Addr: n.ClientAddr, MaxRetries: -1, ReadTimeout: 10 * time.Second,
		DialTimeout: 2 * time.Second, TLSConfig: wire.TLSFor(n.ClientAddr)}
	for _, fn := range change {
		fn(o)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { c.Close() })
	return c
}

func raw(t testing.TB, n *node.Node) *wire.Conn {
	t.Helper()
	c, err := wire.Dial(n.ClientAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// expect runs one command on a raw connection and demands this raw reply.
func expect(t testing.TB, c *wire.Conn, want string, args ...string) {
	t.Helper()
	r, err := c.Do(args...)
	if err != nil || r.Raw != want {
		t.Fatalf("%.100q = %.300q, %v; want %.300q", args, r.Raw, err, want)
	}
}

// must fails the test if a call failed.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sameState waits until all nodes have applied the same, then compares their state hashes at one revision.
func sameState(t testing.TB, c *node.Cluster) {
	t.Helper()
	c.WaitSame()
	rev, _ := c.Nodes[0].Do("KV.HASH").Field("revision")
	seen := map[string][]string{}
	for _, n := range c.Nodes {
		r := n.Do("KV.HASH", "AT", rev.Text)
		hash, ok := r.Field("hash")
		if !ok {
			t.Fatalf("KV.HASH AT %s on %s: %s", rev.Text, n.Name, r)
		}
		seen[hash.Text] = append(seen[hash.Text], n.Name)
	}
	if len(seen) != 1 {
		t.Errorf("state hashes differ at revision %s: %v", rev.Text, seen)
	}
}

// eachSize runs a test on one node and on three, where it talks to a follower.
func eachSize(t *testing.T, fn func(t *testing.T, c *node.Cluster, via *node.Node)) {
	t.Run("one node", func(t *testing.T) {
		c := node.Start(t, node.Options{})
		fn(t, c, c.Nodes[0])
	})
	t.Run("follower of three", func(t *testing.T) {
		c := node.Start(t, node.Options{Nodes: 3})
		fn(t, c, c.Follower())
	})
}

// eachStore runs a test with both log stores.
func eachStore(t *testing.T, fn func(t *testing.T, flags []string)) {
	for _, store := range []string{"wal", "boltdb"} {
		t.Run(store, func(t *testing.T) { fn(t, []string{"--log-store", store}) })
	}
}

func key(i int) string { return fmt.Sprintf("key:%06d", i) }

// isPrefix reports whether err is a reply with one of these prefixes.
func isPrefix(err error, prefixes ...string) bool {
	for _, p := range prefixes {
		if err != nil && strings.HasPrefix(err.Error(), p+" ") {
			return true
		}
	}
	return false
}

// wantPrefix runs a command and returns an error unless the raw reply starts with prefix.
func wantPrefix(c *wire.Conn, prefix string, args ...string) error {
	r, err := c.Do(args...)
	if err == nil && !strings.HasPrefix(r.Raw, prefix) {
		err = fmt.Errorf("%s, want %q", r, prefix)
	}
	return err
}
