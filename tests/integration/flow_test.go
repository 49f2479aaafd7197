package integration

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/node"
)

func TestBasicFlow(t *testing.T) {
	eachSize(t, func(t *testing.T, _ *node.Cluster, via *node.Node) {
		for _, proto := range []int{2, 3} {
			c := client(t, via, func(o *redis.Options) { o.Protocol = proto; o.ClientName = "flow" })
			must(t, c.FlushAll(bg).Err())
			must(t, c.Set(bg, "a", "1", 0).Err())
			if v, err := c.Get(bg, "a").Result(); v != "1" || err != nil {
				t.Errorf("GET a = %q, %v", v, err)
			}
			if _, err := c.Get(bg, "none").Result(); !errors.Is(err, redis.Nil) {
				t.Errorf("GET none: %v", err)
			}
			if n, err := c.Incr(bg, "a").Result(); n != 2 || err != nil {
				t.Errorf("INCR a = %d, %v", n, err)
			}
			must(t, c.Set(bg, "ttl", "x", time.Hour).Err())
			if d, err := c.TTL(bg, "ttl").Result(); d < 59*time.Minute || err != nil {
				t.Errorf("TTL = %v, %v", d, err)
			}
			if ok, err := c.SetNX(bg, "a", "other", time.Minute).Result(); ok || err != nil {
				t.Errorf("SET NX of a taken key = %v, %v", ok, err)
			}
			must(t, c.MSet(bg, "x", "1", "y", "2").Err())
			if v, err := c.MGet(bg, "x", "none", "y").Result(); fmt.Sprint(v) != "[1 <nil> 2]" || err != nil {
				t.Errorf("MGET = %v, %v", v, err)
			}
			if name, err := c.ClientGetName(bg).Result(); name != "flow" || err != nil {
				t.Errorf("CLIENT GETNAME = %q, %v", name, err)
			}
			if keys, err := c.Keys(bg, "?").Result(); len(keys) != 3 || err != nil {
				t.Errorf("KEYS ? = %v, %v", keys, err)
			}
		}
	})
}

func TestScanThroughAnyNode(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	via := client(t, c.Follower())
	pipe := via.Pipeline()
	for i := range 1000 {
		pipe.Set(bg, key(i), i, 0)
	}
	if _, err := pipe.Exec(bg); err != nil {
		t.Fatal(err)
	}
	clients := []*redis.Client{client(t, c.Nodes[0]), client(t, c.Nodes[1]), client(t, c.Nodes[2])}
	seen := map[string]bool{}
	cursor, page := uint64(0), 0
	for {
		keys, next, err := clients[page%3].Scan(bg, cursor, "key:*", 37).Result()
		must(t, err)
		for _, k := range keys {
			seen[k] = true
		}
		cursor, page = next, page+1
		if next == 0 {
			break
		}
	}
	if len(seen) != 1000 || page < 10 {
		t.Errorf("%d keys in %d pages, each page from another node", len(seen), page)
	}
}

func TestPipelines(t *testing.T) {
	eachSize(t, func(t *testing.T, _ *node.Cluster, via *node.Node) {
		c := client(t, via)
		for _, n := range []int{1, 16, 5000} {
			pipe := c.Pipeline()
			var sets []*redis.StatusCmd
			var gets []*redis.StringCmd
			for i := range n {
				sets = append(sets, pipe.Set(bg, key(i%100), i, 0))
				gets = append(gets, pipe.Get(bg, key(i%100)))
			}
			if _, err := pipe.Exec(bg); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if sets[i].Val() != "OK" || gets[i].Val() != fmt.Sprint(i) {
					t.Fatalf("pipeline of %d, item %d: SET %v, GET %v", n, i, sets[i], gets[i])
				}
			}
		}
	})
}

func TestPoolsOfManyClients(t *testing.T) {
	eachSize(t, func(t *testing.T, _ *node.Cluster, via *node.Node) {
		c := client(t, via, func(o *redis.Options) { o.PoolSize = 50 })
		var wg sync.WaitGroup
		for w := range 50 {
			wg.Go(func() {
				for i := range 40 {
					k, v := fmt.Sprintf("w%d", w), fmt.Sprint(i)
					if err := c.Set(bg, k, v, 0).Err(); err != nil {
						t.Errorf("SET %s: %v", k, err)
					}
					if got, err := c.Get(bg, k).Result(); got != v || err != nil {
						t.Errorf("GET %s = %q, %v; want own write %q", k, got, err, v)
					}
				}
			})
		}
		wg.Wait()
	})
}

// A write acknowledged by one follower is seen at once by a read on the other, every time.
func TestWriteThroughFollowerReadFromAnother(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	f := c.Followers()
	w, r := client(t, f[0]), client(t, f[1])
	for i := range 300 {
		must(t, w.Set(bg, "k", i, 0).Err())
		if got, err := r.Get(bg, "k").Int(); got != i || err != nil {
			t.Fatalf("read %d, %v after %d was acknowledged elsewhere", got, err, i)
		}
	}
	sameState(t, c)
}

// A forwarded write must be in the log once: the counter is the number of acknowledged calls, no more, no
// less.
func TestForwardedIncrementsCountExactlyOnce(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	const clients, each = 12, 100
	var wg sync.WaitGroup
	got := make([][]int64, clients)
	for w := range clients {
		rc := client(t, c.Nodes[w%3])
		wg.Go(func() {
			for range each {
				n, err := rc.Incr(bg, "n").Result()
				if err != nil {
					t.Errorf("INCR: %v", err)
				}
				got[w] = append(got[w], n)
			}
		})
	}
	wg.Wait()
	all := slices.Concat(got...)
	slices.Sort(all)
	for i, n := range all {
		if n != int64(i+1) {
			t.Fatalf("sorted answer %d is %d: a number is missing or came twice", i, n)
		}
	}
	for _, n := range c.Nodes {
		if v, err := client(t, n).Get(bg, "n").Int(); v != clients*each || err != nil {
			t.Errorf("GET n on %s = %d, %v; want %d", n.Name, v, err, clients*each)
		}
	}
}

// READONLY answers from the node's own state, without a quorum; everything else refuses at once and says so.
func TestReadonlyNeedsNoQuorum(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	must(t, client(t, c.Nodes[0]).Set(bg, "k", "v", 0).Err())
	sameState(t, c)
	alone := c.Follower()
	for _, n := range c.Nodes {
		if n != alone {
			n.Kill9()
		}
	}
	local := raw(t, alone)
	expect(t, local, "+OK\r\n", "READONLY")
	expect(t, local, "$1\r\nv\r\n", "GET", "k")
	expect(t, local, "*2\r\n$1\r\nv\r\n$-1\r\n", "MGET", "k", "none")
	kv, err := raw(t, alone).Do("KV.GET", "k", "SERIALIZABLE")
	if v, ok := kv.Field("value"); err != nil || !ok || v.Text != "v" {
		t.Errorf("KV.GET SERIALIZABLE = %v, %v", kv, err)
	}
	for _, args := range [][]string{{"GET", "k"}, {"SET", "k", "w"}, {"INCR", "n"}, {"KV.GET", "k"}} {
		node.Eventually(t, 20*time.Second, "CLUSTERDOWN for "+args[0], func() error {
			r, err := raw(t, alone).Do(args...)
			if err != nil || !strings.HasPrefix(r.Raw, "-CLUSTERDOWN ") {
				return fmt.Errorf("%s, %v", r, err)
			}
			return nil
		})
	}
	expect(t, local, "+OK\r\n", "READWRITE")
	if r, err := local.Do("GET", "k"); err != nil || !strings.HasPrefix(r.Raw, "-CLUSTERDOWN ") {
		t.Errorf("GET after READWRITE = %s, %v", r, err)
	}
	for _, args := range [][]string{{"PING"}, {"HELLO"}, {"INFO"}, {"COMMAND", "COUNT"}, {"CLIENT", "ID"},
		{"CLUSTER.STATUS"}} {
		if r, err := raw(t, alone).Do(args...); err != nil || r.IsErr() {
			t.Errorf("%s without a quorum = %s, %v", args[0], r, err)
		}
	}
}

func TestRequestsThroughEveryNodeEndInOneState(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	var wg sync.WaitGroup
	for w := range 9 {
		rc := client(t, c.Nodes[w%3])
		wg.Go(func() {
			for i := range 100 {
				k := key(i % 10)
				err := errors.Join(rc.Append(bg, k, fmt.Sprint(w)).Err(),
					rc.Set(bg, k+":"+fmt.Sprint(w), i, time.Duration(i%3)*50*time.Millisecond).Err(),
					rc.Del(bg, key((i+w)%20)).Err(), rc.Expire(bg, k, time.Hour).Err())
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if rev, _ := c.Nodes[0].Do("KV.HASH").Field("revision"); rev.Int() < 2*9*100 {
		t.Errorf("only %d revisions were made", rev.Int())
	}
	sameState(t, c)
}
