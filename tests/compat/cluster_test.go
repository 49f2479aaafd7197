package compat

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// What a client of Redis Cluster or of Sentinel asks, of a redis-server in that mode and of Redkeep.
// Addresses and ids differ; shapes, field names and their order, and error texts do not.

// startRedisCluster is a Redis Cluster of one node with all slots.
func startRedisCluster(t *testing.T) string {
	t.Helper()
	_, bus, _ := net.SplitHostPort(node.FreeAddr(t))
	addr, _ := node.Redis(t, "--cluster-enabled", "yes", "--cluster-port", bus)
	c := dial(t, addr)
	if r, err := c.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383"); err != nil || r.IsErr() {
		t.Fatalf("ADDSLOTSRANGE: %v, %v", r, err)
	}
	node.Eventually(t, 20*time.Second, "the cluster to be up", func() error {
		if r, err := c.Do("CLUSTER", "INFO"); err != nil || !strings.Contains(r.Text, "cluster_state:ok") {
			return fmt.Errorf("%v, %v", r, err)
		}
		return nil
	})
	return addr
}

func TestSameAsRedisCluster(t *testing.T) {
	redis := startRedisCluster(t)
	keep := node.Start(t, node.Options{}).Nodes[0].ClientAddr
	for _, proto := range []string{"2", "3"} {
		t.Run("RESP"+proto, func(t *testing.T) {
			p := newPair(t, redis, keep, proto)
			p.Same("FLUSHALL")
			p.SameLine("CLUSTER", "CLUSTER NOPE", "CLUSTER KEYSLOT", "CLUSTER KEYSLOT a b", "CLUSTER SLOTS x",
				"CLUSTER COUNTKEYSINSLOT x", "CLUSTER COUNTKEYSINSLOT 16384", "CLUSTER COUNTKEYSINSLOT -1",
				"CLUSTER GETKEYSINSLOT 0 -1", "CLUSTER GETKEYSINSLOT 0 x", "CLUSTER GETKEYSINSLOT 16384 1",
				"CLUSTER REPLICAS nope", "CLUSTER SLAVES nope", "CLUSTER COUNT-FAILURE-REPORTS nope",
				"CLUSTER LINKS", "READONLY", "READWRITE", "ASKING", "READONLY x", "ASKING x",
				"SET {t}a 1", "SET {t}b 2", "GET {t}a", "CLUSTER COUNTKEYSINSLOT 15891", "MGET {t}a {t}b",
				"CLUSTER GETKEYSINSLOT 15891 0", "DEL {t}b", "CLUSTER GETKEYSINSLOT 15891 5")
			slotsOfKeys(p)
			p.SameShape("CLUSTER", "SLOTS")
			p.SameShape("CLUSTER", "MYID")
			p.SameShape("ROLE")
			sameShards(p)
			sameClusterTexts(p)
			p.Hello("HELLO", proto)
			for _, field := range []string{"redis_mode:cluster\r\n", "cluster_enabled:1\r\n"} {
				want, got := p.both("INFO")
				if !strings.Contains(want.Text, field) || !strings.Contains(got.Text, field) {
					t.Errorf("INFO lacks %q", field)
				}
			}
		})
	}
}

// slotsOfKeys compares the slots of keys with braces in all sorts of places.
func slotsOfKeys(p *pair) {
	p.t.Helper()
	const seed = 77
	rng := rand.New(rand.NewPCG(seed, seed))
	for range 300 {
		key := make([]byte, rng.IntN(12))
		for i := range key {
			key[i] = "{}{}ab\x00\xff"[rng.IntN(8)]
		}
		p.Same("CLUSTER", "KEYSLOT", string(key))
	}
}

// sameShards compares the names of the fields; ours has one more for a host name.
func sameShards(p *pair) {
	p.t.Helper()
	want, got := p.SameShape("CLUSTER", "SHARDS")
	fields := func(r wire.Reply) (names []string) {
		nodes, _ := r.Elems[0].Field("nodes")
		for i := 0; i < len(nodes.Elems[0].Elems); i += 2 {
			names = append(names, nodes.Elems[0].Elems[i].Text)
		}
		return names
	}
	if w, g := fields(want), fields(got); !slices.Equal(w, g) {
		p.t.Errorf("CLUSTER SHARDS\n  redis   %q\n  redkeep %q", w, g)
	}
}

// nodeLine is a line of CLUSTER NODES.
var nodeLine = regexp.MustCompile(`^[0-9a-f]{40} \S*:\d+@\d+ myself,master - \d+ \d+ \d+ connected ` +
	`0-16383\n$`)

func sameClusterTexts(p *pair) {
	p.t.Helper()
	want, got := p.SameShape("CLUSTER", "INFO")
	if w, g := lineNames(want.Text), lineNames(got.Text); !slices.Equal(w, g) {
		p.t.Errorf("CLUSTER INFO\n  redis   %q\n  redkeep %q", w, g)
	}
	want, got = p.SameShape("CLUSTER", "NODES")
	for who, r := range map[string]wire.Reply{"redis": want, "redkeep": got} {
		if !nodeLine.MatchString(strings.TrimPrefix(r.Text, "txt:")) {
			p.t.Errorf("CLUSTER NODES of %s: %q", who, r.Text)
		}
	}
}

// lineNames are those of lines "name:value".
func lineNames(text string) (names []string) {
	for line := range strings.Lines(strings.TrimPrefix(text, "txt:")) {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	return names
}

// startSentinel is a Sentinel beside a master with a replica, which it calls redkeep.
func startSentinel(t *testing.T) string {
	t.Helper()
	master, _ := node.Redis(t)
	host, port, _ := net.SplitHostPort(master)
	node.Redis(t, "--replicaof", host+" "+port)
	addr := node.FreeAddr(t)
	own, ownPort, _ := net.SplitHostPort(addr)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("bind %s\nport %s\ndir %s\nsentinel monitor redkeep %s %s 1\n", own, ownPort,
		filepath.Dir(conf), host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	node.Launch(t, "sentinel", []string{"redis-server", conf, "--sentinel"}, nil)
	node.Eventually(t, 60*time.Second, "Sentinel to know the replica", func() error {
		r, err := wire.Once(addr, time.Second, "SENTINEL", "REPLICAS", "redkeep")
		if err != nil || len(r.Elems) != 1 {
			return fmt.Errorf("%v, %v", r, err)
		}
		return nil
	})
	return addr
}

func TestSameAsSentinel(t *testing.T) {
	redis := startSentinel(t)
	var keep string
	node.Start(t, node.Options{Nodes: 2, Each: func(i int) []string {
		keep = node.FreeAddr(t)
		return []string{"--sentinel-addr", keep}
	}})
	for _, proto := range []string{"2", "3"} {
		t.Run("RESP"+proto, func(t *testing.T) {
			p := newPair(t, redis, keep, proto)
			p.SameLine("SENTINEL", "SENTINEL NOPE", "SENTINEL MASTER nobody", "SENTINEL REPLICAS nobody",
				"SENTINEL SENTINELS nobody", "SENTINEL CKQUORUM nobody", "SENTINEL MASTER",
				"SENTINEL GET-MASTER-ADDR-BY-NAME nobody", "SENTINEL MASTERS x", "SENTINEL PENDING-SCRIPTS", "ROLE",
				"PING", "SET a 1", "GET", "PUBSUB CHANNELS", "MULTI", "CLIENT GETNAME", "AUTH x")
			for _, line := range []string{"SENTINEL GET-MASTER-ADDR-BY-NAME redkeep", "SENTINEL MYID",
				"SENTINEL CKQUORUM redkeep", "INFO sentinel", "SUBSCRIBE +switch-master",
				"UNSUBSCRIBE +switch-master", "PSUBSCRIBE *", "PUNSUBSCRIBE"} {
				p.SameShape(strings.Fields(line)...)
			}
			p.SameLine("UNSUBSCRIBE never", "PING")
			for _, line := range []string{"SENTINEL MASTERS", "SENTINEL REPLICAS redkeep", "SENTINEL SLAVES redkeep"} {
				sameInstances(p, strings.Fields(line)...)
			}
			want, got := p.both("HELLO", proto)
			if want.Shape() != got.Shape() || !strings.Contains(got.Raw, "sentinel") {
				t.Errorf("HELLO\n  redis   %q\n  redkeep %q", want.Raw, got.Raw)
			}
			want, got = p.both("INFO", "sentinel")
			if w, g := lineNames(want.Text), lineNames(got.Text); !slices.Equal(w, g) {
				t.Errorf("INFO sentinel\n  redis   %q\n  redkeep %q", w, g)
			}
		})
	}
}

// sameInstances compares the names of the fields of the one entry of a list, and that all values are strings.
func sameInstances(p *pair, args ...string) {
	p.t.Helper()
	want, got := p.both(args...)
	names := func(r wire.Reply) (out []string) {
		for i := 0; i < len(r.Elems[0].Elems); i += 2 {
			out = append(out, r.Elems[0].Elems[i].Text)
		}
		return out
	}
	if len(want.Elems) != 1 || len(got.Elems) != 1 || want.Shape() != got.Shape() {
		p.t.Fatalf("%q\n  redis   %v\n  redkeep %v", args, want, got)
	}
	if w, g := names(want), names(got); !slices.Equal(w, g) {
		p.t.Errorf("%q\n  redis   %q\n  redkeep %q", args, w, g)
	}
}
