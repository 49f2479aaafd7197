package client

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Election is an election that all clients of the cluster share by its name. A value is one candidate, for
// one goroutine at a time.
type Election struct {
	c    doer
	name string
	ttl  time.Duration
	held *place
}

// NewElection returns a candidate that has not run yet. A ttl of 0 is DefaultTTL.
func NewElection(c doer, name string, ttl time.Duration) *Election {
	if ttl == 0 {
		ttl = DefaultTTL
	}
	return &Election{c: c, name: name, ttl: ttl}
}

// Campaign waits to lead. value is what others see of the leader.
func (e *Election) Campaign(ctx context.Context, value string) error {
	p, err := take(ctx, e.c, e.ttl, forever, "ELECTION.CAMPAIGN", e.name, value)
	if err == nil {
		e.held = p
		p.lease.proveBy(func(ctx context.Context) error { return keepLeading(ctx, e.c, e.name, p) })
	}
	return err
}

// keepLeading renews the lease of a leader and asks who leads. If that is not answered, the next renewal
// asks again: the lease at least is renewed.
func keepLeading(ctx context.Context, c doer, name string, p *place) error {
	if err := p.lease.keepAlive(ctx); err != nil {
		return err
	}
	now, err := leaderOf(c.Do(ctx, "ELECTION.LEADER", name))
	if errors.Is(err, ErrNoLeader) || (err == nil && now.Token != p.token) {
		return ErrLost
	}
	return nil
}

// Proclaim shows others another value. ErrLost: somebody else leads.
func (e *Election) Proclaim(ctx context.Context, value string) error {
	if e.held == nil {
		return ErrNotHeld
	}
	err := e.c.Do(ctx, "ELECTION.PROCLAIM", e.name, e.held.token, value).Err()
	if hasPrefix(err, "NOTLEADER") {
		return lost(err)
	}
	return err
}

// Resign gives leadership up. After an error it ends within the TTL.
func (e *Election) Resign(ctx context.Context) error {
	p := e.held
	if p == nil {
		return ErrNotHeld
	}
	e.held = nil
	err := once(ctx, e.c, "ELECTION.RESIGN", e.name, p.token).Err()
	if closed := p.lease.Close(ctx); err == nil {
		err = closed
	}
	if hasPrefix(err, "NOTLEADER") {
		return lost(err)
	}
	return err
}

// Token is the term of this leader, a fencing token; 0 if it does not lead.
func (e *Election) Token() int64 {
	if e.held == nil {
		return 0
	}
	return e.held.token
}

// Context is done when leadership is lost or resigned; see Mutex.Context. REQUIRES: Campaign succeeded.
func (e *Election) Context() context.Context { return e.held.lease.held }

// Leader is who leads an election.
type Leader struct {
	Key, Value, Lease string
	Token             int64
}

// Leader returns who leads now, or ErrNoLeader.
func (e *Election) Leader(ctx context.Context) (Leader, error) {
	return leaderOf(e.c.Do(ctx, "ELECTION.LEADER", e.name))
}

func leaderOf(cmd *redis.Cmd) (Leader, error) {
	reply, err := cmd.Result()
	switch {
	case errors.Is(err, redis.Nil):
		return Leader{}, ErrNoLeader
	case err != nil:
		return Leader{}, err
	}
	f := fieldsOf(reply)
	l := Leader{}
	l.Key, _ = f["key"].(string)
	l.Value, _ = f["value"].(string)
	l.Lease, _ = f["lease"].(string)
	l.Token, _ = f["token"].(int64)
	if l.Token == 0 {
		return Leader{}, errReply
	}
	return l, nil
}

// fieldsOf reads a map, which in RESP2 is a flat list.
func fieldsOf(reply any) map[string]any {
	f := map[string]any{}
	switch r := reply.(type) {
	case map[any]any:
		for k, v := range r {
			if name, ok := k.(string); ok {
				f[name] = v
			}
		}
	case []any:
		for i := 0; i+1 < len(r); i += 2 {
			if name, ok := r[i].(string); ok {
				f[name] = r[i+1]
			}
		}
	}
	return f
}
