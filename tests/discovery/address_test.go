package discovery

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// Members that are advertised by an IPv6 address, by a name, and without a host: clients are told addresses
// that they can dial, and follow MOVED to them.
func TestAdvertisedAddresses(t *testing.T) {
	advertised := []string{"[::1]:6401", "localhost:6402", ""}
	c := node.New(t, node.Options{Nodes: 3, Place: func(i int, n *node.Node) {
		n.ClientAddr = fmt.Sprint("127.0.0.1:640", i+1)
		n.Flags = append(n.Flags, "--client-addr", fmt.Sprint("[::]:640", i+1))
		if i == 2 {
			n.Flags = append(n.Flags, "--advertise-client-addr", ":6403") // of every host: the peer's is taken
			host, _, _ := net.SplitHostPort(n.PeerAddr)
			advertised[i] = host + ":6403"
		} else {
			n.Flags = append(n.Flags, "--advertise-client-addr", advertised[i])
		}
	}})
	c.StartAll()
	seen := map[string]bool{}
	for range 20 {
		leader := c.Leader()
		for i, n := range c.Nodes {
			if n == leader {
				seen[advertised[i]] = true
				followsTo(t, c, advertised[i], leader)
			}
		}
		if len(seen) == len(advertised) {
			return
		}
		leader.Kill9() // who is elected is chance
		c.Leader()
		leader.Start()
	}
	t.Errorf("in 20 elections only %v led", seen)
}

// followsTo demands that MOVED names this address, and that clients write through it, whatever node they
// begin at.
func followsTo(t *testing.T, c *node.Cluster, addr string, leader *node.Node) {
	t.Helper()
	follower := dial(t, c.Follower().ClientAddr)
	node.Eventually(t, 30*time.Second, "MOVED to "+addr, func() error {
		if _, err := follower.Do("READWRITE"); err != nil {
			return err
		}
		r, err := follower.Do("SET", "foo", "1")
		if plain := strings.NewReplacer("[", "", "]", "").Replace(addr); r.Text != "MOVED 12182 "+plain {
			return fmt.Errorf("%s, %v; want %s", r, err, plain)
		}
		return nil
	})
	before := calls(t, leader, "set")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	g := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{c.Follower().ClientAddr}})
	defer g.Close()
	if err := g.Set(ctx, "foo", "1", 0).Err(); err != nil {
		t.Errorf("go-redis to %s: %v", addr, err)
	}
	r, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{c.Follower().ClientAddr},
		ShuffleInit: true, SendToReplicas: func(rueidis.Completed) bool { return false }})
	if err != nil {
		t.Fatalf("rueidis to %s: %v", addr, err)
	}
	defer r.Close()
	if err := r.Do(ctx, r.B().Set().Key("foo").Value("1").Build()).Error(); err != nil {
		t.Errorf("rueidis to %s: %v", addr, err)
	}
	if now := calls(t, leader, "set"); now != before+2 {
		t.Errorf("%s got %d of two writes", addr, now-before)
	}
}
