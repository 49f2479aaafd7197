package integration

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// Through a follower, which cannot know what the log has before it, a command of several writes that meets a
// place in a queue has written nothing, on any node; a pipeline goes on behind it.
func TestSeveralWritesAreOneThroughAFollower(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	via := client(t, c.Follower())
	must(t, via.Do(bg, "LEASE.GRANT", 600_000, "ID", "7").Err())
	const place = "m/0000000000000007"
	p := via.Pipeline() // planned before the first of it has its turn
	p.Do(bg, "LOCK.ACQUIRE", "m", "LEASE", "7")
	writes := []*redis.Cmd{p.Do(bg, "MSET", "a", 1, place, 2, "b", 3),
		p.Do(bg, "MSETEX", 3, "a", 1, "b", 2, place, 3, "EX", 100)}
	after := p.Do(bg, "MSET", "c", 1, "d", 2)
	_, _ = p.Exec(bg) // the error of the first that fails
	for _, w := range writes {
		if err := w.Err(); err == nil || !strings.HasSuffix(err.Error(), "nothing was written") {
			t.Errorf("%v: %v", w.Args(), err)
		}
	}
	must(t, after.Err())
	err := via.Eval(bg, `redis.call('SET', 'a', '1') return redis.call('MSET', 'b', '1', KEYS[1], '2')`,
		[]string{place}).Err()
	if err == nil || !strings.Contains(err.Error(), "nothing was written") {
		t.Errorf("EVAL: %v", err)
	}
	for i, n := range c.Nodes {
		got, err := client(t, n).MGet(bg, "a", "b", "c", "d").Result()
		must(t, err)
		if got[0] != nil || got[1] != nil || got[2] != "1" || got[3] != "2" {
			t.Errorf("node %d: %v", i+1, got)
		}
	}
	if holder, err := via.Get(bg, place).Result(); err != nil || holder != "" {
		t.Errorf("the place is %q, %v", holder, err)
	}
}
