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
// here before it ends there. A timer of its own tells that, for a call whose node hangs may take longer than
// the lease: go-redis waits for its own time limits and looks at a context only between attempts.
type Lease struct {
	c   doer
	id  string
	ttl time.Duration

	held   context.Context
	cancel context.CancelCauseFunc
	end    *time.Timer   // cancels when the lease may have ended at the server
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
	l.end = time.AfterFunc(time.Until(asked.Add(ttl)), func() { l.cancel(ErrLost) })
	go l.keep()
	return l, nil
}

// ID is the lease's id, 16 hexadecimal digits, for SET … LEASE and the like.
func (l *Lease) ID() string { return l.id }

// Context is done when the lease is lost or closed; context.Cause tells which: ErrLost or context.Canceled.
func (l *Lease) Context() context.Context { return l.held }

// Close ends the lease and everything that hangs on it. It may be called more than once. After an error,
// which is the server's, the connection's or that of ctx, the lease runs out by itself. It waits for its
// goroutine, but not longer than ctx allows: a call that hangs then ends with the client's own time limits.
func (l *Lease) Close(ctx context.Context) (err error) {
	l.once.Do(func() {
		l.cancel(context.Canceled)
		revoked := make(chan error, 1)
		go func() {
			<-l.done
			revoked <- l.c.Do(ctx, "LEASE.REVOKE", l.id).Err()
		}()
		select {
		case err = <-revoked:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if hasPrefix(err, "NOLEASE") {
			err = nil
		}
	})
	return err
}

// keep renews three times in a TTL.
func (l *Lease) keep() {
	defer close(l.done)
	defer l.end.Stop()
	tick := time.NewTicker(max(l.ttl/3, time.Millisecond))
	defer tick.Stop()
	for l.held.Err() == nil {
		select {
		case <-tick.C:
		case <-l.held.Done():
			return
		}
		asked := time.Now()
		err := l.c.Do(l.held, "LEASE.KEEPALIVE", l.id).Err()
		switch {
		case err == nil:
			l.end.Reset(time.Until(asked.Add(l.ttl)))
		case hasPrefix(err, "NOLEASE"):
			l.cancel(ErrLost)
		}
	}
}

// lost is ErrLost with what the server said.
func lost(err error) error { return fmt.Errorf("%w: %w", ErrLost, err) }
