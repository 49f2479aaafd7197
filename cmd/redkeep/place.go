package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// place is what lock and elect hold: a lease of their own and a place in a queue on it.
//
// The lease is renewed in the background, through whichever endpoint answers. Waiting has a connection of its
// own, without a time limit; when it breaks, the next endpoint is asked with the same lease, which finds its
// place in the queue where it was. An interrupt revokes the lease, and with it the place.
//
// Whoever deletes the key of a place takes it away from its holder while the lease lives on. So from the
// moment that the place holds, each renewal asks for it, too.
type place struct {
	c     *client
	lease string
	ttl   time.Duration

	// Written before holds is set, and not changed after that.
	election bool
	name     string
	key      string
	token    int64
	holds    atomic.Bool

	lost context.Context         // done when the lease or the place is gone; its cause tells which
	stop context.CancelCauseFunc // ends the renewals
	done chan struct{}           // closed when they have ended
}

// What was held may be another's now.
var (
	errSessionLost = errors.New("the lease is lost, and what was held with it")
	errPlaceLost   = errors.New("what was held is lost: its key was deleted")
)

// openPlace grants a lease and keeps it.
func (c *client) openPlace(ctx context.Context, ttl time.Duration) (*place, error) {
	asked := time.Now()
	raw, _, err := c.ask(ctx, false, "LEASE.GRANT", ttl.Milliseconds())
	if err != nil {
		return nil, err
	}
	id, ok := raw.(string)
	if !ok {
		return nil, unexpected("lease id")
	}
	lost, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	p := &place{c: c, lease: id, ttl: ttl, lost: lost, stop: stop, done: make(chan struct{})}
	go p.keep(asked.Add(ttl))
	return p, nil
}

// keep renews the lease until stop, or until it is gone: by the node's word, or because it was not renewed
// for its TTL, counted from before the last successful request was sent. Up to there, sure, the lease cannot
// have ended; a timer of its own tells that it may have, whatever a call is waiting for.
func (p *place) keep(sure time.Time) {
	defer close(p.done)
	defer p.stop(errSessionLost)
	end := time.AfterFunc(time.Until(sure), func() { p.stop(errSessionLost) })
	defer end.Stop()
	tick := time.NewTicker(max(p.ttl/3, 20*time.Millisecond))
	defer tick.Stop()
	for p.lost.Err() == nil {
		select {
		case <-tick.C:
		case <-p.lost.Done():
			return
		}
		asked := time.Now()
		limit, stop := context.WithDeadline(p.lost, sure) // shared by the endpoints
		err := p.renew(limit)
		stop()
		switch {
		case err == nil:
			sure = asked.Add(p.ttl)
			end.Reset(time.Until(sure))
		case errors.Is(err, errPlaceLost):
			p.stop(err)
		case isNoLease(err):
			return
		}
	}
}

// renew renews the lease, and once the place holds, asks whether it does still.
func (p *place) renew(ctx context.Context) error {
	holds := p.holds.Load()
	if holds && !p.election {
		_, _, err := p.c.ask(ctx, true, "LOCK.KEEPALIVE", p.name, p.token)
		if saidKind(err, "LOCKLOST ") {
			return errPlaceLost
		}
		return err
	}
	if _, _, err := p.c.keepAlive(ctx, p.lease); err != nil || !holds {
		return err
	}
	raw, _, err := p.c.ask(ctx, true, "ELECTION.LEADER", p.name)
	if err != nil {
		return nil // the lease is renewed; who leads, the next renewal asks again
	}
	if f, err := fieldsOf(raw); raw == nil || (err == nil && f.num("token") != p.token) {
		return errPlaceLost
	}
	return nil
}

// close gives everything back. It is called however the verb ends, so it has a context of its own.
func (p *place) close() {
	p.stop(nil)
	<-p.done
	ctx, cancel := context.WithTimeout(context.Background(), p.c.timeout)
	defer cancel()
	_, _, _ = p.c.ask(ctx, false, "LEASE.REVOKE", p.lease) // if it fails, the lease runs out
}

// wait takes a place in the queue and waits until it holds.
func (p *place) wait(ctx context.Context, words ...any) error {
	const year = int64(365 * 24 * time.Hour / time.Millisecond)
	words = append(words, "LEASE", p.lease, "WAIT", year)
	for {
		var tried error
		for i, endpoint := range p.c.endpoints {
			reply, err := p.waitAt(ctx, endpoint, len(p.c.endpoints)-i, words)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case p.lost.Err() != nil:
				return errSessionLost
			case err == nil:
				return p.took(words, reply)
			case !mayTryNext(err, true) || said(err):
				return err
			}
			tried = andThen(tried, err)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return tried
		case <-p.lost.Done():
			return tried
		}
	}
}

// said tells that the node itself refused, for a reason that does not pass.
func said(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && !mayTryNext(err, false)
}

// waitAt asks one endpoint of which so many are left, as long as it takes, if it answers at all; it ends when
// the lease is lost.
func (p *place) waitAt(ctx context.Context, endpoint string, left int, words []any) (reply any, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.lost, cancel)()
	conn := p.c.connectFor(endpoint, -1)
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if left > 1 {
		limit, stop := context.WithTimeout(ctx, p.c.timeout/time.Duration(left))
		defer stop()
		if err := greet(limit, conn, endpoint); err != nil {
			return nil, err
		}
	}
	if reply, err = conn.Do(ctx, words...).Result(); err != nil {
		return nil, describe(endpoint, err, nil)
	}
	return reply, nil
}

// took notes what is held from now on: the answer to words is [key, token, lease].
func (p *place) took(words []any, reply any) error {
	list, _ := reply.([]any)
	if len(list) != 3 {
		return unexpected("place")
	}
	p.election = words[0] == "ELECTION.CAMPAIGN"
	p.name, _ = words[1].(string)
	p.key, _ = list[0].(string)
	p.token, _ = list[1].(int64)
	p.holds.Store(true)
	return nil
}

// held prints the key and its value as get does.
func (p *place) held(ctx context.Context) error {
	return p.c.get(ctx, getOptions{consistency: "l"}, []string{p.key})
}

// interruptible returns a context that an interrupt or a termination ends.
func interruptible(ctx context.Context) (context.Context, func()) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

func (p *place) tokenText() string { return strconv.FormatInt(p.token, 10) }
