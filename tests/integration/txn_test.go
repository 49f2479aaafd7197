package integration

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// Rows 8 and 9 of the walk-through with go-redis, whose helpers know nothing of TXN.IF.
func TestTransactionWithGoRedis(t *testing.T) {
	eachSize(t, func(t *testing.T, _ *node.Cluster, via *node.Node) {
		for _, protocol := range []int{2, 3} {
			c := client(t, via, func(o *redis.Options) { o.Protocol = protocol })
			must(t, c.Set(bg, "user1", "bad", 0).Err())
			got, err := change(c, "bad", "good", "2222")
			if want := "[1 bad OK OK <nil>]"; err != nil || fmt.Sprint(got) != want {
				t.Errorf("RESP%d, then-branch: %v, %v; want %s", protocol, got, err, want)
			}
			got, err = change(c, "111", "good", "2222")
			if want := "[0 <nil> <nil> OK OK]"; err != nil || fmt.Sprint(got) != want {
				t.Errorf("RESP%d, else-branch: %v, %v; want %s", protocol, got, err, want)
			}
			if v := c.Get(bg, "user1").Val(); v != "2222" {
				t.Errorf("RESP%d: user1 is %q", protocol, v)
			}
		}
	})
}

// change runs the transaction of the walk-through and returns its elements.
func change(c *redis.Client, from, to, otherwise string) ([]any, error) {
	cmds, err := c.TxPipelined(bg, func(p redis.Pipeliner) error {
		p.Do(bg, "TXN.IF", "value", "user1", "=", from)
		p.Do(bg, "GET", "user1")
		p.Do(bg, "SET", "user1", to)
		p.Do(bg, "TXN.ELSE")
		p.Do(bg, "SET", "user1", otherwise)
		return nil
	})
	if errors.Is(err, redis.Nil) { // of the branch not taken
		err = nil
	}
	var got []any
	for _, cmd := range cmds {
		got = append(got, cmd.(*redis.Cmd).Val())
	}
	return got, err
}

// go-redis's Watch, which tries again until nobody interfered: many clients through all members lose no
// increment.
func TestWatchWithGoRedis(t *testing.T) {
	eachSize(t, func(t *testing.T, c *node.Cluster, via *node.Node) {
		const clients, each = 6, 20
		var all sync.WaitGroup
		for i := range clients {
			cl := client(t, c.Nodes[i%len(c.Nodes)])
			all.Go(func() {
				for range each {
					increment(t, cl)
				}
			})
		}
		all.Wait()
		if got, want := client(t, via).Get(bg, "n").Val(), fmt.Sprint(clients*each); got != want {
			t.Errorf("n is %s after %s increments", got, want)
		}
	})
}

func increment(t *testing.T, c *redis.Client) {
	for {
		err := c.Watch(bg, func(tx *redis.Tx) error {
			n, err := tx.Get(bg, "n").Int()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			_, err = tx.TxPipelined(bg, func(p redis.Pipeliner) error {
				p.Set(bg, "n", n+1, 0)
				p.Incr(bg, "steps")
				return nil
			})
			return err
		}, "n")
		if errors.Is(err, redis.TxFailedErr) {
			continue
		}
		if err != nil {
			t.Error(err)
		}
		return
	}
}

// A transaction is one revision on every member, whichever member took it.
func TestTransactionIsOneRevision(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	for i, n := range c.Nodes {
		cl := client(t, n)
		_, err := cl.TxPipelined(bg, func(p redis.Pipeliner) error {
			for j := range 1000 {
				p.Set(bg, key(j), i, 0)
			}
			return nil
		})
		must(t, err)
		for _, reader := range c.Nodes {
			first, _ := reader.Do("KV.GET", key(0)).Field("mod_revision")
			last, _ := reader.Do("KV.GET", key(999)).Field("mod_revision")
			if first.Text != last.Text || first.Text == "" {
				t.Errorf("written through %s, read on %s: revisions %s and %s", n.Name, reader.Name, first.Text,
					last.Text)
			}
		}
	}
	sameState(t, c)
}
