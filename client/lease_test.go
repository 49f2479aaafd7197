package client

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// hanging grants leases and then answers nothing, whatever the context says: go-redis with a node that is
// stopped. Calls end when release is closed.
type hanging struct {
	release  chan struct{}
	renewals atomic.Int64 // that are answered before it hangs
	asked    atomic.Int64
}

func (h *hanging) Do(ctx context.Context, args ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx, args...)
	switch {
	case args[0] == "LEASE.GRANT":
		cmd.SetVal("00000000000000ab")
	case args[0] == "LEASE.KEEPALIVE" && h.asked.Add(1) <= h.renewals.Load():
		cmd.SetVal(int64(1))
	default:
		<-h.release
		cmd.SetErr(errors.New("i/o timeout"))
	}
	return cmd
}

// said is an error reply.
type said string

func (e said) Error() string { return string(e) }
func (said) RedisError()     {}

// refusing grants leases that are gone when they are to be renewed.
type refusing struct{}

func (refusing) Do(ctx context.Context, args ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx, args...)
	if cmd.SetVal("00000000000000ab"); args[0] != "LEASE.GRANT" {
		cmd.SetErr(said("NOLEASE lease not found"))
	}
	return cmd
}

// What the server says of a lease is told at once, not when its time would have been over.
func TestTheServersWordOfALossIsTold(t *testing.T) {
	const ttl = 3 * time.Second
	began := time.Now()
	l, err := Grant(context.Background(), refusing{}, ttl)
	if err != nil {
		t.Fatal(err)
	}
	<-l.Context().Done()
	if took := time.Since(began); took >= ttl || !errors.Is(context.Cause(l.Context()), ErrLost) {
		t.Errorf("after %v: %v", took, context.Cause(l.Context()))
	}
	if err := l.Close(context.Background()); err != nil {
		t.Errorf("close of a lease that is gone: %v", err)
	}
}

// The holder learns of the loss when the TTL is over, not when the call that hangs has ended; a renewal moves
// that by as much as it moved the lease.
func TestLossIsToldInTime(t *testing.T) {
	for _, renewals := range []int64{0, 2} {
		h := &hanging{release: make(chan struct{})}
		h.renewals.Store(renewals)
		const ttl = 300 * time.Millisecond
		began := time.Now()
		l, err := Grant(context.Background(), h, ttl)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-l.Context().Done():
		case <-time.After(10 * time.Second):
			t.Fatal("the call that hangs keeps the loss a secret")
		}
		least := ttl + time.Duration(renewals)*ttl/3
		if took := time.Since(began); took < least || !errors.Is(context.Cause(l.Context()), ErrLost) {
			t.Errorf("%d renewals: after %v, not before %v: %v", renewals, took, least, context.Cause(l.Context()))
		}
		soon, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		if err := l.Close(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
		cancel()
		close(h.release)
		<-l.done
	}
}
