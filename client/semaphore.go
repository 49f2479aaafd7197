package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Semaphore lets at most so many holders in at a time. Each permit is a lock of its own, named after the
// semaphore: a free one is taken at once, and if there is none, one of them is waited for a while, then
// another. So nobody is shut out, but who waits is not served in the order of coming. A value is for one
// goroutine at a time. All users of one name have to agree on the number of permits.
type Semaphore struct {
	c       doer
	name    string
	permits int
	ttl     time.Duration
	held    *Mutex
}

// semaphorePiece is how long one permit is waited for.
const semaphorePiece = 250 * time.Millisecond

// NewSemaphore returns a semaphore of that name, not held. A ttl of 0 is DefaultTTL. REQUIRES: permits > 0.
func NewSemaphore(c doer, name string, permits int, ttl time.Duration) *Semaphore {
	return &Semaphore{c: c, name: name, permits: permits, ttl: ttl}
}

// Acquire waits for a permit.
func (s *Semaphore) Acquire(ctx context.Context) error {
	at := rand.IntN(s.permits)
	err := s.around(ctx, at, 0)
	for errors.Is(err, ErrHeld) {
		err = s.around(ctx, at, semaphorePiece)
	}
	return err
}

// TryAcquire returns ErrHeld if there is no free permit.
func (s *Semaphore) TryAcquire(ctx context.Context) error {
	return s.around(ctx, rand.IntN(s.permits), 0)
}

// around tries each permit once, from one on, and waits for each so long; ErrHeld: in vain.
func (s *Semaphore) around(ctx context.Context, at int, wait time.Duration) error {
	for i := range s.permits {
		m := NewMutex(s.c, fmt.Sprintf("%s#%d", s.name, (at+i)%s.permits), s.ttl)
		err := m.lock(ctx, wait)
		if err == nil {
			s.held = m
		}
		if !errors.Is(err, ErrHeld) {
			return err
		}
	}
	return ErrHeld
}

// Release gives the permit back.
func (s *Semaphore) Release(ctx context.Context) error {
	if s.held == nil {
		return ErrNotHeld
	}
	m := s.held
	s.held = nil
	return m.Unlock(ctx)
}

// Permit is the lock that is held, for its token and its context; nil if none is.
func (s *Semaphore) Permit() *Mutex { return s.held }
