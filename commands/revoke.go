package commands

import (
	"slices"

	"github.com/redkeep/redkeep/acl"
	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/resp"
)

// Rights that are taken away from a connection that only listens.
//
// A command asks before it runs, but a watch asked when it began. So the guard, a goroutine of the
// dispatcher's, looks at all connections when users have changed. It cuts those of a user who is gone or
// turned off, or was made again since; those that subscribe to channels that are no longer allowed, as in
// Redis; and those that go on being told of keys (CLIENT TRACKING … BCAST) or of commands (MONITOR) without
// the right to it. A watch whose keys or channel are no longer allowed ends alone, with a canceled message,
// and the connection stays: the client must be able to tell this from a lost connection, after which it would
// watch again.
//
// A subscription is remembered by its name, beside what the connection's goroutine knows of it, because that
// belongs to that goroutine.
type claim struct {
	sub  *pubsub.Subscription // nil for what is none
	kind int                  // of name, or one of those below
	name string               // channel or pattern
	span mvcc.Span
	gone func(proto int) []byte // the frame that ends a watch; nil where the connection ends instead
}

// What is listened to without a name.
const (
	listWatch    = -1 // KV.WATCH
	listTracking = -2 // a prefix of CLIENT TRACKING … BCAST
	listMonitor  = -3
)

// revokedReason is the reason in the message that ends a watch.
const revokedReason = "permission denied"

// stake remembers a subscription. Users who changed while it began were perhaps looked at before it was
// remembered, so it looks itself.
func (s *session) stake(d *Dispatcher, c claim) {
	s.mu.Lock()
	s.mu.claims = append(s.mu.claims, c)
	s.mu.Unlock()
	was, dir := s.who.user.Load(), d.directory()
	if dir == s.who.dir || was == nil {
		return
	}
	if u := dir.now(was); u != nil {
		d.review(s, u)
	}
}

// unstake forgets ended subscriptions.
func (s *session) unstake(subs []*pubsub.Subscription) {
	gone := make(map[*pubsub.Subscription]bool, len(subs))
	for _, sub := range subs {
		gone[sub] = true
	}
	s.forget(func(c *claim) bool { return gone[c.sub] })
}

// unstakeAll forgets what is of a kind that is none of names.
func (s *session) unstakeAll(kind int) {
	s.forget(func(c *claim) bool { return c.kind == kind })
}

func (s *session) forget(ended func(*claim) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.claims = slices.DeleteFunc(s.mu.claims, func(c claim) bool { return ended(&c) })
}

// claims returns a copy of what the connection listens to.
func (s *session) claims() []claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]claim(nil), s.mu.claims...)
}

// guardUsers is the guard's goroutine.
func (d *Dispatcher) guardUsers(news <-chan struct{}) {
	defer close(d.guarded)
	for {
		select {
		case <-news:
			d.revoke()
		case <-d.stop:
			return
		}
	}
}

// revoke looks at all connections.
func (d *Dispatcher) revoke() {
	dir := d.directory()
	for _, s := range d.sessions() {
		was := s.who.user.Load()
		if was == nil {
			continue
		}
		switch u := dir.now(was); {
		case u != nil:
			d.review(s, u)
		case !s.revising.Load():
			d.users.log.cut(s, was.Name)
			s.conn.Kill()
		}
	}
}

// review ends what the connection listens to and may not any more.
func (d *Dispatcher) review(s *session, u *account) {
	if u.unbounded {
		return
	}
	var canceled []*pubsub.Subscription
	for _, c := range s.claims() {
		q := c.query(d, u)
		if denied, _ := u.Check(&q); denied == acl.Allowed {
			continue
		}
		if c.gone == nil {
			d.users.log.cut(s, u.Name)
			s.conn.Kill()
			return
		}
		d.engine.Hub().Cancel(c.sub, c.gone)
		canceled = append(canceled, c.sub)
		d.users.log.canceled(s, c)
	}
	if len(canceled) > 0 {
		s.unstake(canceled)
	}
}

// query is what was asked for when it began, but for the right to the command, unless that is all there is.
func (c *claim) query(d *Dispatcher, _ *account) (q acl.Query) {
	q.Command, q.Free = d.table.Lookup([]byte("subscribe")).id, true
	switch c.kind {
	case listWatch, listTracking:
		use(&q, c.span, acl.Read)
	case listMonitor:
		q.Command, q.Free = d.table.Lookup([]byte("monitor")).id, false
	default:
		hear(&q, c.kind, c.name)
	}
	return q
}

func (a *slogAudit) cut(s *session, user string) {
	a.log.Warn("connection cut: its user may no longer do what it does", "user", user,
		"client", s.conn.RemoteAddr(), "id", s.id)
}

func (a *slogAudit) canceled(s *session, c claim) {
	a.log.Warn("watch ended: its user may no longer read the keys", "user", s.userName(), "channel", c.name,
		"from", c.span.From, "client", s.conn.RemoteAddr(), "id", s.id)
}

// revoked is the frame that ends a watch channel.
func (f channelForm) revoked(proto int) []byte {
	return resp.AppendBulk(f.control(nil, proto), pubsub.AppendCanceledFor(nil, revokedReason, 0))
}

// revokedChannel is revoked for what a channel watches; nil if it watches nothing.
func revokedChannel(w *pubsub.Watch) func(proto int) []byte {
	if w == nil {
		return nil
	}
	return w.Encoder.(channelForm).revoked
}

// revokedWatch is the frame that ends a KV.WATCH.
func revokedWatch(id int64) func(proto int) []byte {
	return func(proto int) []byte {
		return resp.AppendInt(resp.AppendBulk(watchHead(proto, "watch-canceled", id), revokedReason), 0)
	}
}
