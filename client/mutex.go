package client

import (
	"context"
	"time"
)

// DefaultTTL is the TTL of what is made without one: how long a lock outlives its holder's process.
const DefaultTTL = 10 * time.Second

// Mutex is a lock that all clients of the cluster share by its name. The zero value is not usable; a value is
// for one goroutine at a time.
type Mutex struct {
	c      doer
	name   string
	ttl    time.Duration
	shared bool
	held   *place
}

// NewMutex returns a mutex of that name that is not held. A ttl of 0 is DefaultTTL.
func NewMutex(c doer, name string, ttl time.Duration) *Mutex {
	if ttl == 0 {
		ttl = DefaultTTL
	}
	return &Mutex{c: c, name: name, ttl: ttl}
}

// Lock waits for its turn. Whoever came earlier has it earlier.
func (m *Mutex) Lock(ctx context.Context) error { return m.lock(ctx, forever) }

// TryLock returns ErrHeld if the lock is not free.
func (m *Mutex) TryLock(ctx context.Context) error { return m.lock(ctx, 0) }

func (m *Mutex) lock(ctx context.Context, wait time.Duration) error {
	words := []any{"LOCK.ACQUIRE", m.name}
	if m.shared {
		words = append(words, "SHARED")
	}
	p, err := take(ctx, m.c, m.ttl, wait, words...)
	if err == nil {
		m.held = p
		p.lease.proveBy(func(ctx context.Context) error { return keepLock(ctx, m.c, m.name, p.token) })
	}
	return err
}

// keepLock renews the lease of a lock that is held.
func keepLock(ctx context.Context, c doer, name string, token int64) error {
	err := c.Do(ctx, "LOCK.KEEPALIVE", name, token).Err()
	if hasPrefix(err, "LOCKLOST") {
		return ErrLost
	}
	return err
}

// Unlock releases the lock. After an error it is free within its TTL. Of a lock that was lost it returns
// ErrLost: what was done last may not have been under it.
func (m *Mutex) Unlock(ctx context.Context) error {
	p := m.held
	if p == nil {
		return ErrNotHeld
	}
	m.held = nil
	err := once(ctx, m.c, "LOCK.RELEASE", m.name, p.token).Err()
	if closed := p.lease.Close(ctx); err == nil {
		err = closed
	}
	if hasPrefix(err, "LOCKLOST") {
		return lost(err)
	}
	return err
}

// Token is the fencing token: it rises with each acquisition of the lock. 0 if it is not held.
func (m *Mutex) Token() int64 {
	if m.held == nil {
		return 0
	}
	return m.held.token
}

// Key is the key by which the lock is held; "" if it is not.
func (m *Mutex) Key() string {
	if m.held == nil {
		return ""
	}
	return m.held.key
}

// Context is done when the lock is lost or unlocked. It is lost when its lease could not be renewed in
// time, and when somebody deleted its key, which shows at the next renewal, within a third of the TTL.
// REQUIRES: it is held.
func (m *Mutex) Context() context.Context { return m.held.lease.held }

// RWMutex is a lock that any number of readers or one writer can hold. Readers and writers stand in one
// queue, so neither starves. A value is for one goroutine at a time, and holds for reading or for writing.
type RWMutex struct{ w, r *Mutex }

// NewRWMutex returns a mutex of that name that is not held. A ttl of 0 is DefaultTTL.
func NewRWMutex(c doer, name string, ttl time.Duration) *RWMutex {
	m := &RWMutex{w: NewMutex(c, name, ttl), r: NewMutex(c, name, ttl)}
	m.r.shared = true
	return m
}

// Lock waits to hold it alone; Unlock ends that.
func (m *RWMutex) Lock(ctx context.Context) error   { return m.w.Lock(ctx) }
func (m *RWMutex) Unlock(ctx context.Context) error { return m.w.Unlock(ctx) }

// RLock waits to hold it together with other readers; RUnlock ends that.
func (m *RWMutex) RLock(ctx context.Context) error   { return m.r.Lock(ctx) }
func (m *RWMutex) RUnlock(ctx context.Context) error { return m.r.Unlock(ctx) }

// Writer and Reader give the token and the context of what is held.
func (m *RWMutex) Writer() *Mutex { return m.w }
func (m *RWMutex) Reader() *Mutex { return m.r }
