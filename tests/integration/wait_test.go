package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// WAIT counts the members that hold the write: all three, then two when one does not answer. An acknowledged
// write is on a majority, so one is certain at any time.
func TestWaitCountsMembers(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	for _, via := range []*node.Node{c.Leader(), c.Follower()} {
		conn := raw(t, via)
		for range 5 {
			if r, err := conn.Do("SET", "k", "v"); err != nil || r.IsErr() {
				t.Fatalf("SET: %v, %v", r, err)
			}
			r, err := conn.Do("WAIT", "2", "5000")
			if err != nil || r.Int() != 2 {
				t.Fatalf("WAIT 2 = %v, %v", r, err)
			}
		}
		if r, _ := conn.Do("WAITAOF", "1", "2", "5000"); r.Raw != "*2\r\n:1\r\n:2\r\n" {
			t.Errorf("WAITAOF 1 2 = %v", r)
		}
	}
	silent := c.Follower()
	conn := raw(t, c.Leader())
	silent.Pause()
	defer silent.Resume()
	conn.Do("SET", "k", "w")
	began := time.Now()
	if r, err := conn.Do("WAIT", "1", "0"); err != nil || r.Int() != 1 {
		t.Errorf("WAIT 1 with one of three stopped = %v, %v", r, err)
	}
	r, err := conn.Do("WAIT", "2", "300")
	if err != nil || r.Int() != 1 || time.Since(began) < 300*time.Millisecond {
		t.Errorf("WAIT 2 with one of three stopped = %v, %v after %s", r, err, time.Since(began))
	}
}

func TestShutdownCommand(t *testing.T) {
	c := node.Start(t, node.Options{})
	n := c.Nodes[0]
	must(t, client(t, n).Set(bg, "k", "v", 0).Err())
	n.ExpectExit()
	raw(t, n).Do("SHUTDOWN", "NOSAVE")
	if code, err := n.Proc.WaitExit(20 * time.Second); code != 0 || err != nil {
		t.Fatalf("after SHUTDOWN: exit code %d, %v", code, err)
	}
	n.Start()
	if v, err := client(t, n).Get(bg, "k").Result(); v != "v" || err != nil {
		t.Errorf("after the restart: %q, %v", v, err)
	}
}

// What go-redis sends for Redis 8.4's compare-and-set.
func TestCompareAndSetWithGoRedis(t *testing.T) {
	eachSize(t, func(t *testing.T, _ *node.Cluster, via *node.Node) {
		c := client(t, via)
		must(t, c.Set(bg, "k", "Hello world", 0).Err())
		digest, err := c.Digest(bg, "k").Result()
		if digest != 0xb6acb9d84a38ff74 || err != nil {
			t.Errorf("DIGEST = %x, %v", digest, err)
		}
		if err := c.SetIFEQ(bg, "k", "a", "other", 0).Err(); !errors.Is(err, redis.Nil) {
			t.Errorf("SET IFEQ of another value: %v", err)
		}
		must(t, c.SetIFDEQ(bg, "k", "a", digest, time.Minute).Err())
		must(t, c.SetIFEQ(bg, "k", "b", "a", 0).Err())
		must(t, c.SetIFNE(bg, "k", "c", "a", 0).Err())
		if v := c.Get(bg, "k").Val(); v != "c" {
			t.Errorf("the value is %q", v)
		}
		if f, err := c.IncrByFloat(bg, "f", 0.1).Result(); f != 0.1 || err != nil {
			t.Errorf("INCRBYFLOAT = %v, %v", f, err)
		}
		must(t, c.Rename(bg, "k", "k2").Err())
		payload, err := c.Dump(bg, "k2").Result()
		must(t, err)
		must(t, c.RestoreReplace(bg, "k3", time.Minute, payload).Err())
		if v := c.GetDel(bg, "k3").Val(); v != "c" {
			t.Errorf("restored %q", v)
		}
	})
}
