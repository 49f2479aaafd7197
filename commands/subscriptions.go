package commands

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/resp"
)

// subscriptions are what a connection listens to. Only the goroutine that serves the connection uses the
// fields, but for those that are atomic.
type subscriptions struct {
	sink      atomic.Pointer[sink] // nil until the first subscription or tracking
	names     [3]map[string]*pubsub.Subscription
	watches   map[int64]*pubsub.Subscription // KV.WATCH, by id
	lastWatch int64
	tracks    tracks
	settled   bool // subscriptions have ended since the last reply

	// For CLIENT LIST.
	shown         [3]atomic.Int64 // how many names
	shownWatches  atomic.Int64
	shownRedirect atomic.Int64 // 0: no tracking; else one more than the id that it redirects to
}

// shownSubscribed reports whether the connection counts as a subscriber; false for no session. Safe for
// concurrent use.
func (s *session) shownSubscribed() bool {
	return s != nil && s.shown[0].Load()+s.shown[1].Load()+s.shown[2].Load()+s.shownWatches.Load() > 0
}

// The kinds of names, in the order of subscriptions.names.
const (
	listChannels = iota
	listPatterns
	listShards
)

// sink is a connection as the hub sees it.
type sink struct {
	conn  *resp.Conn
	limit int
	most  resp.OutputLimits
}

func (k *sink) Proto() int                   { return k.conn.Proto() }
func (k *sink) Offer(head, body []byte) bool { return k.conn.Offer(head, body, k.limit) }
func (k *sink) Post(frame []byte)            { k.conn.Post(frame, k.most) }

// open returns the connection's sink, making it first. Safe for concurrent use: another connection's news may
// be redirected to this one, which never asked for any.
func (s *session) open(d *Dispatcher) *sink {
	if k := s.sink.Load(); k != nil {
		return k
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.sink.Load(); k != nil {
		return k
	}
	k := &sink{conn: s.conn, limit: int(d.cfg.WatchBufferBytes),
		most: cmp.Or(d.cfg.PushLimits, resp.PubSubLimits)}
	hub := d.hub
	s.conn.EnablePushes(func() { hub.Room(k) })
	s.sink.Store(k)
	return k
}

// listening is how many subscriptions SUBSCRIBE counts for kind: channels and patterns together.
func (s *session) listening(kind int) int64 {
	if kind == listShards {
		return int64(len(s.names[listShards]))
	}
	return int64(len(s.names[listChannels]) + len(s.names[listPatterns]))
}

// subscriberMode reports whether replies would be taken for messages: RESP2 with any subscription.
func (s *session) subscriberMode() bool {
	return s.proto < 3 && len(s.names[0])+len(s.names[1])+len(s.names[2])+len(s.watches) > 0
}

func (s *session) remember(kind int, name string, sub *pubsub.Subscription) {
	if s.names[kind] == nil {
		s.names[kind] = map[string]*pubsub.Subscription{}
	}
	s.names[kind][name] = sub
	s.shown[kind].Store(int64(len(s.names[kind])))
}

// drop ends the subscriptions of some names; unknown ones are skipped.
func (s *session) drop(d *Dispatcher, kind int, names []string) {
	var subs []*pubsub.Subscription
	for _, name := range names {
		if sub := s.names[kind][name]; sub != nil {
			subs = append(subs, sub)
			delete(s.names[kind], name)
		}
	}
	s.shown[kind].Store(int64(len(s.names[kind])))
	s.settle(d, subs)
}

func (s *session) settle(d *Dispatcher, subs []*pubsub.Subscription) {
	if len(subs) > 0 {
		d.hub.Drop(subs...)
		s.unstake(subs)
		s.settled = true
	}
}

// sorted returns the names of one kind.
func (s *session) sorted(kind int) []string {
	names := make([]string, 0, len(s.names[kind]))
	for name := range s.names[kind] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// endSubscriptions ends everything the connection listens to.
func (s *session) endSubscriptions(d *Dispatcher) {
	var subs []*pubsub.Subscription
	for kind := range s.names {
		for _, sub := range s.names[kind] {
			subs = append(subs, sub)
		}
		s.names[kind] = nil
		s.shown[kind].Store(0)
	}
	for _, sub := range s.watches {
		subs = append(subs, sub)
	}
	s.watches = nil
	s.shownWatches.Store(0)
	s.settle(d, subs)
	s.stopTracking(d)
}

// subscribers counts the connections that count as subscribers.
func (d *Dispatcher) subscribers() (n int) {
	for _, s := range d.sessions() {
		if s.shownSubscribed() {
			n++
		}
	}
	return n
}
