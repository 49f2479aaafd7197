package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// borrower is a client that takes a lock with one of the lock libraries of Go, as it is. These know no
// fencing token: what they promise is that nobody else has the lock until the holder gives it back or its
// time is over, by its own clock.
type borrower struct {
	run   *run
	rng   *rand.Rand
	id    int
	redis *redis.Client
	spans []tenure
	fails int
}

// tenure is the time in which a library says that its user has the lock.
type tenure struct {
	name     string
	client   int
	from, to int64
}

const borrowTime = 1200 * time.Millisecond

func (r *run) newBorrower(addr string) *borrower {
	id := len(r.borrowers)
	b := &borrower{run: r, id: id, rng: rand.New(rand.NewPCG(r.seed+uint64(r.first)<<32, uint64(11000+id)))}
	b.redis = redis.NewClient(&redis.Options{
		Addr: addr, PoolSize: 2, MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: clientTimeout,
		Protocol: 2 + id%2, DisableIdentity: true, TLSConfig: wire.TLSFor(addr), Password: wire.PasswordFor(addr),
	})
	r.borrowers = append(r.borrowers, b)
	return b
}

// drive takes locks until the run ends, every other client with the other library.
func (b *borrower) drive() {
	defer b.redis.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tick := time.NewTicker(b.run.profile.Pace)
	defer tick.Stop()
	for {
		select {
		case <-b.run.stop:
			return
		case <-tick.C:
		}
		if b.id%2 == 0 {
			b.redsync(ctx)
		} else {
			b.redislock(ctx)
		}
	}
}

// hold is what the user does, until soon before the library's time is over. giveBack is called by then.
func (b *borrower) hold(name string, until time.Time, giveBack func() error) {
	from, last := b.run.now(), b.run.now()+int64(time.Until(until))
	work := time.Duration(1+b.rng.IntN(10)) * time.Millisecond
	forgets := b.rng.IntN(40) == 0
	if !forgets {
		hold(min(work, max(time.Until(until), 0)))
		last = min(last, b.run.now())
	}
	if last > from {
		b.spans = append(b.spans, tenure{name, b.id, from, last})
	}
	if !forgets && giveBack() != nil {
		b.fails++
	}
}

func (b *borrower) redsync(ctx context.Context) {
	m := redsync.New(goredis.NewPool(b.redis)).NewMutex("borrowed:redsync", redsync.WithExpiry(borrowTime),
		redsync.WithTries(40), redsync.WithRetryDelay(5*time.Millisecond))
	if m.LockContext(ctx) != nil {
		b.fails++
		return
	}
	b.hold("redsync", m.Until(), func() error {
		_, err := m.UnlockContext(ctx)
		return err
	})
}

func (b *borrower) redislock(ctx context.Context) {
	began := time.Now() // the library does not tell at which attempt it got the lock: there is only one
	l, err := redislock.New(b.redis).Obtain(ctx, "borrowed:redislock", borrowTime, nil)
	if err != nil {
		b.fails++
		return
	}
	b.hold("redislock", began.Add(borrowTime), func() error { return l.Release(ctx) })
}

// checkTenures demands that no two had one lock at a time.
func checkTenures(all []tenure) error {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b tenure) int { return compare(a.from, b.from) })
	last := map[string]tenure{}
	for _, t := range all {
		before, there := last[t.name]
		if there && t.from < before.to {
			return fmt.Errorf("clients %d and %d both had the lock of %s for %v", before.client, t.client, t.name,
				time.Duration(min(before.to, t.to)-t.from))
		}
		last[t.name] = t
	}
	return nil
}
