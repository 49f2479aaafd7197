package pubsub

import (
	"sync"

	"github.com/redkeep/redkeep/mvcc"
)

// Kind is what a subscription listens to.
type Kind uint8

const (
	KindWatch   Kind = iota
	KindChannel      // messages to one channel
	KindPattern      // messages to the channels that match a glob
	KindShard        // messages to one sharded channel, a name space of its own
)

// Listener makes the frames of a channel's or a pattern's messages. Those of one name make the same.
type Listener struct {
	Kind  Kind
	Name  string
	Match func(channel string) bool // KindPattern
	Owed  bool                      // messages that are owed may be among those that reach it
	// Frame returns one message as a frame.
	Frame func(proto int, channel, payload string) []byte
}

// channels are the subscriptions that are no watches. A pattern's literal beginning puts it into an interval
// tree, as a watch's does.
type channels struct {
	byName   [KindShard + 1]map[string]*audience
	patterns index
}

// audience is everybody who listens to one name.
type audience struct {
	listener Listener
	feed     *feed // KindPattern: its place in the tree
	members  []*Subscription
}

func (c *channels) init() {
	for kind := range c.byName {
		c.byName[kind] = map[string]*audience{}
	}
	c.patterns.exact = map[string][]*feed{}
}

// Listen subscribes to a channel or a pattern. span holds every channel that a pattern can match.
func (h *Hub) Listen(l Listener, span mvcc.Span, sink Sink) *Subscription {
	s := &Subscription{sink: sink, kind: l.Kind, name: l.Name}
	h.listening.Add(1)
	h.registry.add(&l, +1)
	h.post(func() { h.channels.join(s, l, span) })
	return s
}

// Drop ends subscriptions. When it returns nothing more is offered or posted for them.
func (h *Hub) Drop(list ...*Subscription) {
	for _, s := range list {
		if s.kind != KindWatch {
			h.registry.add(&Listener{Kind: s.kind, Name: s.name}, -1)
		}
	}
	h.wait(func() {
		for _, s := range list {
			if s.kind == KindWatch {
				h.end(s)
				continue
			}
			h.channels.leave(s)
			h.listening.Add(-1)
		}
	})
}

// Cancel ends a watch for another reason than its owner's wish: frame is what its client is told, as the last
// of it. A watch that has ended already is left alone. Safe for concurrent use.
func (h *Hub) Cancel(s *Subscription, frame func(proto int) []byte) {
	h.wait(func() {
		if s.state == stateGone {
			return
		}
		h.stats.Canceled.Add(1)
		h.end(s)
		s.sink.Post(frame(s.sink.Proto()))
	})
}

func (c *channels) join(s *Subscription, l Listener, span mvcc.Span) {
	a := c.byName[l.Kind][l.Name]
	if a == nil {
		a = &audience{listener: l}
		c.byName[l.Kind][l.Name] = a
		if l.Kind == KindPattern {
			a.feed = &feed{name: l.Name, spec: Spec{Span: span}, audience: a}
			c.patterns.add(a.feed)
		}
	}
	a.members = append(a.members, s)
}

func (c *channels) leave(s *Subscription) {
	a := c.byName[s.kind][s.name]
	if a.members = without(a.members, s); len(a.members) > 0 {
		return
	}
	delete(c.byName[s.kind], s.name)
	if a.feed != nil {
		c.patterns.remove(a.feed)
	}
}

// publish posts a message to everybody it concerns.
func (c *channels) publish(m *Message) {
	if a := c.byName[m.Kind][m.Channel]; a != nil {
		a.post(m)
	}
	if m.Kind != KindChannel || len(c.byName[KindPattern]) == 0 {
		return
	}
	c.patterns.match(m.Channel, func(f *feed) {
		if f.audience.listener.Match(m.Channel) {
			f.audience.post(m)
		}
	})
}

// gap tells everybody who may have missed messages that are owed.
func (c *channels) gap(rev mvcc.Revision) {
	payload := string(AppendGap(nil, rev))
	for _, kind := range [...]Kind{KindChannel, KindPattern} {
		for name, a := range c.byName[kind] {
			if a.listener.Owed {
				a.post(&Message{Channel: name, Payload: payload, Kind: KindChannel})
			}
		}
	}
}

func (a *audience) post(m *Message) {
	var frames [4][]byte
	for _, s := range a.members {
		proto := s.sink.Proto()
		if frames[proto] == nil {
			frames[proto] = a.listener.Frame(proto, m.Channel, m.Payload)
		}
		s.sink.Post(frames[proto])
	}
}

// registry counts who listens, for those who ask and for the reply to PUBLISH, which cannot wait for the hub.
type registry struct {
	mu struct {
		sync.Mutex
		names    [KindShard + 1]map[string]int
		patterns map[string]func(string) bool
	}
}

func (r *registry) init() {
	for kind := range r.mu.names {
		r.mu.names[kind] = map[string]int{}
	}
	r.mu.patterns = map[string]func(string) bool{}
}

func (r *registry) add(l *Listener, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := r.mu.names[l.Kind]
	if names[l.Name] += n; names[l.Name] == 0 {
		delete(names, l.Name)
		if l.Kind == KindPattern { // a channel may have the same name
			delete(r.mu.patterns, l.Name)
		}
	} else if l.Kind == KindPattern && n > 0 {
		r.mu.patterns[l.Name] = l.Match
	}
}

// Receivers returns how many subscriptions of this member a message reaches now.
func (h *Hub) Receivers(kind Kind, channel string) (n int64) {
	r := &h.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	n = int64(r.mu.names[kind][channel])
	if kind != KindChannel {
		return n
	}
	for name, match := range r.mu.patterns {
		if match(channel) {
			n += int64(r.mu.names[KindPattern][name])
		}
	}
	return n
}

// Listeners returns how many subscriptions a channel has, without patterns.
func (h *Hub) Listeners(kind Kind, channel string) int64 {
	h.registry.mu.Lock()
	defer h.registry.mu.Unlock()
	return int64(h.registry.mu.names[kind][channel])
}

// Names returns the channels or patterns that somebody listens to, in no order.
func (h *Hub) Names(kind Kind) []string {
	h.registry.mu.Lock()
	defer h.registry.mu.Unlock()
	names := make([]string, 0, len(h.registry.mu.names[kind]))
	for name := range h.registry.mu.names[kind] {
		names = append(names, name)
	}
	return names
}

// notifications posts the keyspace notifications of an entry, if they are on and anybody listens.
func (h *Hub) notifications(events []mvcc.Event) {
	on := Notify(h.notify.Load())
	if on&(NotifyKeyspace|NotifyKeyevent) == 0 || len(h.channels.byName[KindChannel])+
		len(h.channels.byName[KindPattern]) == 0 {
		return
	}
	for i := range events {
		e := &events[i]
		names, n := namesOf(e)
		for _, name := range names[:n] {
			if on&name.class == 0 {
				continue
			}
			key := e.Record.Key()
			if on&NotifyKeyspace != 0 {
				h.channels.publish(&Message{Channel: "__keyspace@0__:" + key, Payload: name.name, Kind: KindChannel})
			}
			if on&NotifyKeyevent != 0 {
				h.channels.publish(&Message{Channel: "__keyevent@0__:" + name.name, Payload: key, Kind: KindChannel})
			}
		}
	}
}

// Subscriptions returns how many subscriptions of all kinds there are.
func (h *Hub) Subscriptions() int64 { return h.listening.Load() }
