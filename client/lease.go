package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// doer is what this package needs of a client; every go-redis client has it.
type doer interface {
	Do(ctx context.Context, args ...any) *redis.Cmd
}

// Lease is a lease that is kept alive in the background. It is lost when the server says so, and when it
// could not be renewed for its TTL, counted from when the last successful renewal was sent: so it is lost
// here before it ends there.
type Lease struct {
	c   doer
	id  string
	ttl time.Duration

	held   context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the goroutine has ended
	once   sync.Once
}

// Grant grants a lease and keeps it alive until Close. ttl is at least 100 ms.
func Grant(ctx context.Context, c doer, ttl time.Duration) (*Lease, error) {
	asked := time.Now()
	id, err := c.Do(ctx, "LEASE.GRANT", ttl.Milliseconds()).Text()
	if err != nil {
		return nil, err
	}
	l := &Lease{c: c, id: id, ttl: ttl, done: make(chan struct{})}
	l.held, l.cancel = context.WithCancelCause(context.Background())
	go l.keep(asked)
	return l, nil
}

// ID is the lease's id, 16 hexadecimal digits, for SET … LEASE and the like.
func (l *Lease) ID() string { return l.id }

// Context is done when the lease is lost or closed; context.Cause tells which: ErrLost or context.Canceled.
func (l *Lease) Context() context.Context { return l.held }

// Close ends the lease and everything that hangs on it. It may be called more than once; the error is the
// server's, after which the lease runs out by itself.
func (l *Lease) Close(ctx context.Context) (err error) {
	l.once.Do(func() {
		l.cancel(context.Canceled)
		<-l.done
		if err = l.c.Do(ctx, "LEASE.REVOKE", l.id).Err(); hasPrefix(err, "NOLEASE") {
			err = nil
		}
	})
	return err
}

// keep renews three times in a TTL.
func (l *Lease) keep(asked time.Time) {
	defer close(l.done)
	tick := time.NewTicker(max(l.ttl/3, time.Millisecond))
	defer tick.Stop()
	end := time.NewTimer(time.Until(asked.Add(l.ttl)))
	defer end.Stop()
	for {
		select {
		case <-tick.C:
		case <-end.C:
			l.cancel(ErrLost)
			return
		case <-l.held.Done():
			return
		}
		asked = time.Now()
		limit, stop := context.WithTimeout(l.held, l.ttl)
		err := l.c.Do(limit, "LEASE.KEEPALIVE", l.id).Err()
		stop()
		switch {
		case err == nil:
			end.Reset(time.Until(asked.Add(l.ttl)))
		case hasPrefix(err, "NOLEASE"):
			l.cancel(ErrLost)
			return
		}
	}
}

// lost is ErrLost with what the server said.
func lost(err error) error { return fmt.Errorf("%w: %w", ErrLost, err) }
