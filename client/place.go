package client

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/redis/go-redis/v9"
)

// place is what a Mutex, a candidate and a permit are alike: a key in a queue, held by a lease of its own.
//
// A call that waits for its turn would run into the client's read timeout, so it is made on a copy of the
// client with a longer one, where the client can make one (redis.Client can). Others wait in pieces, and go
// to the end of the queue with each. go-redis does not interrupt a call whose context is canceled; the lease
// is closed instead, which ends the call at the server.
type place struct {
	lease *Lease
	key   string
	token int64
}

// waitPiece is how long a call waits at the server at a time, forever the wait of who does not give up.
const (
	waitPiece = 24 * time.Hour
	forever   = time.Duration(math.MaxInt64)
)

// take grants a lease and takes a place with it. It waits for its turn so long, then it returns ErrHeld; wait
// 0 takes the place only if it holds at once.
func take(ctx context.Context, c doer, ttl, wait time.Duration, words ...any) (*place, error) {
	l, err := Grant(ctx, c, ttl)
	if err != nil {
		return nil, err
	}
	p := &place{lease: l}
	if err := p.wait(ctx, c, wait, append(words, "LEASE", l.id)); err != nil {
		limit, stop := context.WithTimeout(context.WithoutCancel(ctx), ttl)
		defer stop()
		return nil, errors.Join(err, l.Close(limit))
	}
	return p, nil
}

func (p *place) wait(ctx context.Context, c doer, wait time.Duration, words []any) error {
	if wait == 0 {
		return p.ask(ctx, c, words)
	}
	c, piece := patient(c, min(wait, waitPiece))
	words = append(words, "WAIT", piece.Milliseconds())
	for began := time.Now(); ; {
		err := p.ask(ctx, c, words)
		if !errors.Is(err, ErrHeld) || time.Since(began) >= wait {
			return err
		}
	}
}

// patient returns a client that waits so long, and how long to ask it to wait.
func patient(c doer, wait time.Duration) (doer, time.Duration) {
	if one, ok := c.(interface {
		WithTimeout(time.Duration) *redis.Client
	}); ok {
		return one.WithTimeout(wait + 10*time.Second), wait
	}
	return c, min(wait, time.Second)
}

// ask makes one call and gives it up when ctx is done or the lease is lost.
func (p *place) ask(ctx context.Context, c doer, words []any) error {
	answer := make(chan error, 1)
	go func() { answer <- p.parse(c.Do(context.WithoutCancel(ctx), words...)) }()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
	case <-p.lease.held.Done():
	}
	limit, stop := context.WithTimeout(context.Background(), p.lease.ttl)
	defer stop()
	_ = p.lease.Close(limit) // the call ends with it, here or at the server
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return ErrLost
}

// parse reads [key, token, lease].
func (p *place) parse(cmd *redis.Cmd) error {
	list, err := cmd.Slice()
	switch {
	case errors.Is(err, redis.Nil):
		return ErrHeld
	case hasPrefix(err, "NOLEASE"), hasPrefix(err, "LOCKLOST"):
		return lost(err)
	case err != nil:
		return err
	case len(list) != 3:
		return errReply
	}
	key, isKey := list[0].(string)
	token, isToken := list[1].(int64)
	if !isKey || !isToken {
		return errReply
	}
	p.key, p.token = key, token
	return nil
}
