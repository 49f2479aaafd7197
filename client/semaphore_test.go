package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// permits answers LOCK.ACQUIRE from a list of names that are taken.
type permits struct {
	waits   func(p *permits, name string) // called, under the lock, when one is waited for
	failing error

	mu struct {
		sync.Mutex
		taken []string
	}
}

func (p *permits) Do(ctx context.Context, args ...any) *redis.Cmd {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := redis.NewCmd(ctx, args...)
	cmd.SetVal(int64(1))
	switch name, _ := args[1].(string); {
	case args[0] == "LEASE.GRANT":
		cmd.SetVal("00000000000000ab")
	case args[0] == "LOCK.ACQUIRE" && p.failing != nil:
		cmd.SetErr(p.failing)
	case args[0] == "LOCK.ACQUIRE" && slices.Contains(p.mu.taken, name):
		if slices.Contains(args, any("WAIT")) {
			p.waits(p, name)
		}
		cmd.SetErr(redis.Nil)
	case args[0] == "LOCK.ACQUIRE":
		cmd.SetVal([]any{name + "/ab", int64(5), "00000000000000ab"})
	}
	return cmd
}

// Who waits for one permit, which is never given back, takes another that is.
func TestSemaphoreTakesThePermitThatIsFree(t *testing.T) {
	p := &permits{waits: func(p *permits, name string) {
		p.mu.taken = []string{name} // all others are given back
	}}
	p.mu.taken = []string{"s#0", "s#1"}
	s := NewSemaphore(p, "s", 2, time.Second)
	if err := s.TryAcquire(context.Background()); !errors.Is(err, ErrHeld) || s.Permit() != nil {
		t.Errorf("both are taken: %v, %v", err, s.Permit())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Acquire(ctx); err != nil || s.Permit() == nil || s.Permit().Token() != 5 {
		t.Fatalf("%v, %v", err, s.Permit())
	}
	if err := s.Release(ctx); err != nil || s.Permit() != nil {
		t.Errorf("%v, %v", err, s.Permit())
	}
}

// An attempt that failed leaves nothing that looks held.
func TestSemaphoreHoldsNothingAfterAnError(t *testing.T) {
	p := &permits{failing: errors.New("broken pipe")}
	s := NewSemaphore(p, "s", 2, 0)
	for _, acquire := range []func(context.Context) error{s.TryAcquire, s.Acquire} {
		if err := acquire(context.Background()); !errors.Is(err, p.failing) || s.Permit() != nil {
			t.Errorf("%v, %v", err, s.Permit())
		}
	}
	if err := s.Release(context.Background()); !errors.Is(err, ErrNotHeld) {
		t.Errorf("released nothing: %v", err)
	}
}
