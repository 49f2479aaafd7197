package discovery

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// client is a tally that is brought up to date before it is looked at.
type client struct {
	*tally
	update func(t testing.TB)
	stop   func()

	acked, reads int // when it was marked
}

// everybody starts all libraries and programs at once, so that one fail-over is the test of all.
func everybody(t *testing.T, w *world) (all []client) {
	for i := range libraries {
		y, stop := libraries[i].start(t, w)
		all = append(all, client{tally: y, update: func(testing.TB) {}, stop: stop})
	}
	for i := range programs {
		r := programs[i].start(t, w)
		all = append(all, client{tally: r.tally, update: r.take, stop: r.process.Kill})
	}
	return all
}

// each runs a check for every client, as a subtest of its name.
func each(t *testing.T, phase string, all []client, check func(t *testing.T, c client)) {
	t.Run(phase, func(t *testing.T) {
		for _, c := range all {
			t.Run(c.name, func(t *testing.T) { check(t, c) })
		}
	})
}

// grow waits until a client has written and read more than it had: n writes, and n/5 reads from replicas.
func (c *client) grow(t testing.TB, deadline time.Time, n int) {
	t.Helper()
	err := node.Poll(time.Until(deadline), func() error {
		c.update(t)
		return c.grown(c.acked+n, c.reads+n/5)
	})
	if err != nil {
		t.Errorf("%v; %s", err, c.lastErrors())
	}
}

// mark is where the next grow counts from.
func mark(t testing.TB, all []client) {
	for i := range all {
		all[i].update(t)
		all[i].acked, all[i].reads = all[i].count()
	}
}

// The leader is killed while eight clients write: each goes on by itself, with nothing lost that was
// acknowledged, and reads from replicas all the while; and when the node is back it is a replica like the
// others.
func TestClientsFollowAFailover(t *testing.T) {
	w := newWorld(t)
	w.settled()
	all := everybody(t, w)
	each(t, "before", all, func(t *testing.T, c client) { c.grow(t, time.Now().Add(60*time.Second), 50) })
	for _, n := range w.Followers() {
		if calls(t, n, "readonly") == 0 || calls(t, n, "get") == 0 {
			t.Errorf("no client has read from the replica %s", n.Name)
		}
	}
	for range 2 {
		victim := w.Leader()
		victim.Kill9()
		killed := time.Now()
		mark(t, all)
		each(t, "killed", all, func(t *testing.T, c client) {
			c.grow(t, killed.Add(followLimit), 20)
			t.Logf("%d writes more within %v of the death of the leader", 20, time.Since(killed))
		})
		victim.Start()
		w.settled()
		before := calls(t, victim, "get")
		node.Eventually(t, 60*time.Second, "clients to read from the node that is back", func() error {
			return more(before, calls(t, victim, "get"))
		})
		mark(t, all)
		back := time.Now().Add(followLimit)
		each(t, "back", all, func(t *testing.T, c client) { c.grow(t, back, 20) })
	}
	each(t, "lost", all, func(t *testing.T, c client) {
		c.stop()
		c.update(t)
		for _, n := range w.Nodes {
			c.check(t, n)
		}
	})
}

// go-redis's ClusterClient reads the table of slots again when a node says MOVED, and else once a minute. A
// dead node says nothing, so its users wait that long for a new leader, with Redis as with us, unless they
// set ClusterStateReloadInterval. It goes on by itself all the same.
func TestGoRedisClusterByDefault(t *testing.T) {
	const reloads = time.Minute
	w := newWorld(t)
	w.settled()
	l := library{"go-redis-default", func(w *world) (main, replica store, err error) {
		o := redis.ClusterOptions{Addrs: w.Addrs()}
		reader := o
		reader.ReadOnly = true
		return goRedis(redis.NewClusterClient(&o)), goRedis(redis.NewClusterClient(&reader)), nil
	}}
	y, stop := l.start(t, w)
	all := []client{{tally: y, update: func(testing.TB) {}, stop: stop}}
	all[0].grow(t, time.Now().Add(60*time.Second), 50)
	w.Leader().Kill9()
	killed := time.Now()
	mark(t, all)
	all[0].grow(t, killed.Add(reloads+followLimit), 20)
	t.Logf("20 writes more within %v of the death of the leader", time.Since(killed))
	stop()
	y.check(t, w.Leader())
}
