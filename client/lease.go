package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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

	proof atomic.Pointer[proof] // nil while it is the lease alone that counts
}

// proof renews a lease and asks whether the place on it is held still. Whoever deletes the key of a place
// takes it away from its holder while the lease lives on. It returns ErrLost if the place is not held any
// more.
type proof func(ctx context.Context) error

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
		err := l.renew()
		switch {
		case err == nil:
			l.end.Reset(time.Until(asked.Add(l.ttl)))
		case errors.Is(err, ErrLost):
			l.cancel(ErrLost)
		}
	}
}

func (l *Lease) renew() error {
	if p := l.proof.Load(); p != nil {
		return (*p)(l.held)
	}
	return l.keepAlive(l.held)
}

func (l *Lease) keepAlive(ctx context.Context) error {
	err := l.c.Do(ctx, "LEASE.KEEPALIVE", l.id).Err()
	if hasPrefix(err, "NOLEASE") {
		return ErrLost
	}
	return err
}

// proveBy makes each renewal from now on one of the place, too.
func (l *Lease) proveBy(p proof) { l.proof.Store(&p) }

// lost is ErrLost with what the server said.
func lost(err error) error { return fmt.Errorf("%w: %w", ErrLost, err) }
