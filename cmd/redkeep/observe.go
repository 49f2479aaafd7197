package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// observer prints each leader of an election, and each value that it proclaims.
//
// It listens to the election's channel, where changes come once and in order, and reads the record that
// a change has made as of its revision. A channel has no history: so when a subscription begins, at first or
// at another node after a break, and when the node says that it could not tell some changes (a gap), the
// leader of that moment is asked for. A leader that came and went meanwhile is not shown.
type observer struct {
	c       *client
	name    string
	printed int64 // revision of the last record shown
	reached bool  // some node has answered
}

const (
	observeQuiet = 2 * time.Second        // after that the node is asked whether it is there
	observeAgain = 100 * time.Millisecond // between attempts, when no node answers
)

func (c *client) observe(ctx context.Context, name string) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	o := observer{c: c, name: name}
	for {
		var tried error
		for _, endpoint := range c.endpoints {
			err := o.listen(ctx, endpoint)
			switch {
			case ctx.Err() != nil:
				return nil
			case said(err):
				return err
			}
			tried = andThen(tried, describe(endpoint, err, nil))
		}
		if !o.reached {
			return tried
		}
		select {
		case <-time.After(observeAgain):
		case <-ctx.Done():
			return nil
		}
	}
}

// listen observes through one node until that fails.
func (o *observer) listen(ctx context.Context, endpoint string) error {
	conn := o.c.connectFor(endpoint, o.c.timeout)
	defer conn.Close()
	sub := conn.Subscribe(ctx, "election:"+o.name)
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { sub.Close() })()
	for quiet := false; ; {
		message, err := sub.ReceiveTimeout(ctx, observeQuiet)
		if late, ok := err.(net.Error); ok && late.Timeout() && !quiet && ctx.Err() == nil {
			quiet = true
			if err = sub.Ping(ctx); err == nil {
				continue
			}
		}
		if err == nil {
			err = o.told(ctx, message)
		}
		if err != nil {
			return err
		}
		quiet = false
	}
}

// told follows one message of the subscription.
func (o *observer) told(ctx context.Context, message any) error {
	switch m := message.(type) {
	case *redis.Subscription:
		o.reached = true
		return o.now(ctx)
	case *redis.Message:
		return o.changed(ctx, m.Payload)
	}
	return nil
}

// now prints the leader of this moment.
func (o *observer) now(ctx context.Context) error {
	raw, _, err := o.c.ask(ctx, true, "ELECTION.LEADER", o.name)
	if err != nil || raw == nil {
		return err
	}
	f, err := fieldsOf(raw)
	if err != nil {
		return err
	}
	return o.print(ctx, "KV.GET", f.text("key"))
}

// leaderChange is what the channel tells, as far as it matters here.
type leaderChange struct {
	Type     string `json:"type"`
	Key      string `json:"key"`
	KeyB64   string `json:"key_b64"`
	Revision int64  `json:"revision"`
}

func (o *observer) changed(ctx context.Context, payload string) error {
	var c leaderChange
	if err := json.Unmarshal([]byte(payload), &c); err != nil {
		return unexpected("election message")
	}
	if c.Type == "gap" {
		return o.now(ctx)
	}
	if c.Type != "elected" && c.Type != "proclaimed" || c.Revision <= o.printed {
		return nil
	}
	if key, err := base64.StdEncoding.DecodeString(c.KeyB64); err == nil && len(key) > 0 {
		c.Key = string(key)
	}
	err := o.print(ctx, "KV.GET", c.Key, "AT", c.Revision)
	var reply redis.Error
	if errors.As(err, &reply) && strings.HasPrefix(reply.Error(), "COMPACTED ") {
		return o.now(ctx)
	}
	return err
}

// print prints a record, unless it was printed or is gone.
func (o *observer) print(ctx context.Context, get ...any) error {
	raw, h, err := o.c.ask(ctx, true, get...)
	if err != nil || raw == nil {
		return err
	}
	kv, err := recordOf(raw)
	if err != nil || kv.ModRevision <= o.printed {
		return err
	}
	o.printed = kv.ModRevision
	return o.c.print(rangeReply{Header: h, Kvs: []keyValue{kv}})
}
