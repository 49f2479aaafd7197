package integration

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	watch "github.com/redkeep/redkeep/client"
	"github.com/redkeep/redkeep/tests/internal/node"
)

// follow starts a watch through the endpoints and returns its responses.
func follow(t *testing.T, endpoints []string, key string, options ...watch.Option) <-chan watch.Response {
	t.Helper()
	c, err := watch.New(watch.Config{Endpoints: endpoints, Silence: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithCancel(bg)
	t.Cleanup(cancel)
	return c.Watch(ctx, key, options...)
}

// next returns the next response.
func next(t *testing.T, responses <-chan watch.Response) watch.Response {
	t.Helper()
	select {
	case r, ok := <-responses:
		if !ok || r.Err != nil {
			t.Fatalf("the watch ended: %v", r.Err)
		}
		return r
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was told for 30 s")
		panic("unreachable")
	}
}

// expectCounts reads events that count from first to last, each of one revision, without gap or repetition.
func expectCounts(t *testing.T, responses <-chan watch.Response, first, last int) {
	t.Helper()
	rev := watch.Revision(0)
	for i := first; i <= last; i++ {
		r := next(t, responses)
		if len(r.Events) != 1 || string(r.Events[0].Record.Value) != fmt.Sprint(i) || r.Revision <= rev {
			t.Fatalf("after revision %d, waiting for %d: %+v", rev, i, r)
		}
		rev = r.Revision
	}
}

// write sets k to each number, through a node that stays up.
func write(t *testing.T, n *node.Node, first, last int) {
	t.Helper()
	c := client(t, n)
	for i := first; i <= last; i++ {
		for err := errors.New("first"); err != nil; {
			err = c.Do(bg, "SET", "k", i, "IFNE", i).Err() // sent again it changes nothing, whatever became of it
			if errors.Is(err, redis.Nil) {
				err = nil
			}
		}
	}
}

// A watch goes on over the loss of its node by kill -9, by a pause, and over a restart of the whole
// cluster.
func TestWatchSurvivesItsNode(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	first, second := c.Followers()[0], c.Followers()[1]
	leader := c.Leader()
	all := []string{first.ClientAddr, second.ClientAddr, leader.ClientAddr}
	responses := follow(t, all, "k", watch.WithRev(1))
	write(t, leader, 1, 50)
	expectCounts(t, responses, 1, 50)
	first.Kill9()
	write(t, leader, 51, 100)
	expectCounts(t, responses, 51, 100)
	second.Pause() // one follower is dead: nothing can be written until it is back
	first.Start()
	write(t, leader, 101, 150)
	expectCounts(t, responses, 101, 150)
	second.Resume()
	c.KillAll()
	c.StartAll()
	write(t, first, 151, 200)
	expectCounts(t, responses, 151, 200)
}

// A member that was away while the log was cut gets a snapshot; a watch on it misses nothing.
func TestWatchOverSnapshotInstall(t *testing.T) {
	c := node.New(t, node.Options{Nodes: 3, Faults: true, Flags: []string{"--snapshot-bytes", "64KiB"}})
	for _, n := range c.Nodes {
		n.Env = append(n.Env, "REDKEEP_FAULT_LOG_BYTES=262144") // what is kept of the log behind a snapshot
	}
	c.StartAll()
	away := c.Follower()
	responses := follow(t, []string{away.ClientAddr}, "k", watch.WithRev(1))
	leader := c.Leader()
	write(t, leader, 1, 20)
	expectCounts(t, responses, 1, 20)
	away.Pause()
	filler := client(t, leader)
	for i := range 3000 {
		if err := filler.Set(bg, fmt.Sprint("filler", i%10), strings.Repeat("x", 4<<10), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	write(t, leader, 21, 40)
	away.Resume()
	expectCounts(t, responses, 21, 40)
	if installed(t, away) == 0 {
		t.Error("the member was given no snapshot")
	}
}

func TestWatchTellsCompaction(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	write(t, n, 1, 10)
	n.Do("KV.COMPACT", "8")
	responses := follow(t, []string{n.ClientAddr}, "k", watch.WithRev(5))
	select {
	case r := <-responses:
		if !errors.Is(r.Err, watch.ErrCompacted) || r.CompactRevision != 8 {
			t.Errorf("told %+v", r)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("compaction was hidden")
	}
	expectCounts(t, follow(t, []string{n.ClientAddr}, "k", watch.WithRev(8)), 7, 10)
}

// Messages reach the subscribers of every member in one order, and are not told again after a restart.
func TestPublishOnEveryMember(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	var subs []*redis.PubSub
	for i, n := range c.Nodes {
		var s *redis.PubSub
		if rdb := client(t, n); i == 0 {
			s = rdb.Subscribe(bg, "news")
		} else {
			s = rdb.PSubscribe(bg, "n?ws")
		}
		defer s.Close()
		if _, err := s.Receive(bg); err != nil {
			t.Fatal(err)
		}
		subs = append(subs, s)
	}
	const each = 100
	done := make(chan error, len(c.Nodes))
	for i, n := range c.Nodes {
		go func() {
			var err error
			rdb := client(t, n)
			for j := 0; j < each && err == nil; j++ {
				var reached int64
				if reached, err = rdb.Publish(bg, "news", fmt.Sprint(i, "-", j)).Result(); err == nil && reached != 1 {
					err = fmt.Errorf("reached %d", reached)
				}
			}
			done <- err
		}()
	}
	for range c.Nodes {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	var orders [3]string
	for i, s := range subs {
		for range each * len(c.Nodes) {
			m, err := s.ReceiveTimeout(bg, 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			orders[i] += m.(*redis.Message).Payload + " "
		}
	}
	if orders[0] != orders[1] || orders[0] != orders[2] {
		t.Error("members told the messages in different orders")
	}
	c.KillAll()
	for _, n := range c.Nodes {
		n.Launch()
	}
	again := client(t, c.Nodes[0], func(o *redis.Options) { o.MaxRetries = 100 }).Subscribe(bg, "news")
	defer again.Close()
	node.Eventually(t, 30*time.Second, "subscribed while the node starts", func() error {
		_, err := again.ReceiveTimeout(bg, time.Second)
		return err
	})
	for _, n := range c.Nodes {
		n.WaitReady()
	}
	if err := client(t, c.Nodes[1]).Publish(bg, "news", "fresh").Err(); err != nil {
		t.Fatal(err)
	}
	m, err := again.ReceiveTimeout(bg, 20*time.Second)
	if err != nil || m.(*redis.Message).Payload != "fresh" {
		t.Errorf("after a restart: %v, %v", m, err)
	}
}

// The walk-through's watches: a key and a prefix, with redkeep and with redis-cli as it is.
func TestWalkthroughWatch(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			c := node.Start(t, node.Options{Nodes: nodes})
			n := c.Nodes[0]
			if nodes > 1 {
				n = c.Follower()
			}
			host, port, _ := strings.Cut(n.ClientAddr, ":")
			verb := slices.Clip([]string{node.Binary(t), "--endpoints", n.ClientAddr, "watch"})
			cli := slices.Clip([]string{"redis-cli", "-h", host, "-p", port})
			one, both := "PUT\nstock1\n1000\n", "PUT\nstock1\n1000\nPUT\nstock2\n2000\n"
			message := "subscribe\nwatch;rev=1:stock1\n1\nmessage\nwatch;rev=1:stock1\n" +
				`{"type":"put","key":"stock1","value":"1000",`
			pattern := "\nwatch:stock2\n" + `{"type":"put","key":"stock2","value":"2000",`
			watches := map[*node.Process]string{
				node.Launch(t, "watch key", append(verb, "stock1", "--rev", "1"), nil):                    one,
				node.Launch(t, "watch prefix", append(verb, "stock", "--prefix", "--rev", "1"), nil):      both,
				node.Launch(t, "redis-cli", append(cli, "SUBSCRIBE", "watch;rev=1:stock1"), nil):          message,
				node.Launch(t, "redis-cli pattern", append(cli, "PSUBSCRIBE", "watch;rev=1:stock*"), nil): pattern,
			}
			for _, put := range [][]string{{"put", "stock1", "1000"}, {"put", "stock2", "2000"}} {
				out, err := exec.Command(verb[0], append(verb[1:3:3], put...)...).CombinedOutput()
				if err != nil || string(out) != "OK\n" {
					t.Fatalf("%v: %q, %v", put, out, err)
				}
			}
			for p, want := range watches {
				node.Eventually(t, 20*time.Second, "the watch prints", func() error {
					if !strings.Contains(p.Output(), want) {
						return fmt.Errorf("printed %q, want %q in it", p.Output(), want)
					}
					return nil
				})
				p.Kill()
			}
		})
	}
}
