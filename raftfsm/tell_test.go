package raftfsm

import (
	"slices"
	"sync"
	"testing"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/pubsub"
)

// listener is a sink that keeps what it is posted.
type listener struct {
	mu struct {
		sync.Mutex
		frames []string
	}
}

func (l *listener) Proto() int                { return 2 }
func (l *listener) Offer(_, body []byte) bool { l.Post(body); return true }
func (l *listener) Post(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.frames = append(l.mu.frames, string(frame))
}

func (l *listener) got() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.mu.frames)
}

func subscribeAll(h *pubsub.Hub, l *listener, kind pubsub.Kind, name string) *pubsub.Subscription {
	frame := func(_ int, channel, payload string) []byte { return []byte(channel + "=" + payload) }
	return h.Listen(pubsub.Listener{Kind: kind, Name: name, Frame: frame}, mvcc.KeySpan(name), l)
}

func message(kind pubsub.Kind, payload string) pubsub.Message {
	return pubsub.Message{Kind: kind, Channel: "c", Payload: payload}
}

// Messages are told in the order of the log, and the log of the last run is applied in silence.
func TestPublishIsToldOnceInOrder(t *testing.T) {
	l := newLone(t)
	l.hub = pubsub.New(l.store)
	l.hub.Start()
	defer l.hub.Close()
	channel, shard := &listener{}, &listener{}
	subs := []*pubsub.Subscription{
		subscribeAll(l.hub, channel, pubsub.KindChannel, "c"), subscribeAll(l.hub, shard, pubsub.KindShard, "c"),
	}
	l.entry(1000, 1, func(s *Submission) { s.AddPublish(message(pubsub.KindChannel, "of the last run")) })
	l.quiet.Store(1)
	sub := l.entry(1000, 1, func(s *Submission) {
		s.AddPublish(message(pubsub.KindChannel, "1"))
		s.AddTxn(put("a", "1", mvcc.Expiry{}))
		s.AddPublish(message(pubsub.KindShard, "s"))
		s.AddPublish(message(pubsub.KindChannel, "2"))
	})
	l.term = 2
	l.entry(1000, 1, func(s *Submission) { s.AddPublish(message(pubsub.KindChannel, "void")) })
	if sub.Err() != nil || sub.Result(1).Revision != 2 || len(sub.Result(0).Ops) != 0 {
		t.Errorf("%v, results %+v", sub.Err(), sub.results)
	}
	l.hub.Drop(subs...)
	if got := channel.got(); !slices.Equal(got, []string{"c=1", "c=2"}) {
		t.Errorf("the channel was told %q", got)
	}
	if got := shard.got(); !slices.Equal(got, []string{"c=s"}) {
		t.Errorf("the sharded channel was told %q", got)
	}
}

// A message in a transaction is sent if its turn comes, and once.
func TestPublishInATransaction(t *testing.T) {
	l := newLone(t)
	l.hub = pubsub.New(l.store)
	l.hub.Start()
	defer l.hub.Close()
	l.quiet.Store(0)
	channel, shard := &listener{}, &listener{}
	subs := []*pubsub.Subscription{
		subscribeAll(l.hub, channel, pubsub.KindChannel, "c"), subscribeAll(l.hub, shard, pubsub.KindShard, "c"),
	}
	say := func(kind pubsub.Kind, text string) mvcc.Op { return PublishOp(message(kind, text)) }
	inner := mvcc.Txn{Then: []mvcc.Op{say(pubsub.KindShard, "nested")}}
	missing := []mvcc.Compare{{Span: mvcc.KeySpan("a"), Target: mvcc.TargetVersion, Op: mvcc.CmpEqual}}
	for range 2 {
		l.entry(1000, 1, func(s *Submission) {
			s.AddTxn(&mvcc.Txn{
				Compares: missing,
				Then: []mvcc.Op{say(pubsub.KindChannel, "first"), {Kind: mvcc.OpPut, Span: mvcc.KeySpan("a"), Value: "1"},
					{Kind: mvcc.OpTxn, Txn: &inner}},
				Else: []mvcc.Op{say(pubsub.KindChannel, "else")},
			})
			s.AddPublish(message(pubsub.KindChannel, "alone"))
		})
	}
	l.hub.Drop(subs...)
	if got := channel.got(); !slices.Equal(got, []string{"c=first", "c=alone", "c=else", "c=alone"}) {
		t.Errorf("the channel was told %q", got)
	}
	if got := shard.got(); !slices.Equal(got, []string{"c=nested"}) {
		t.Errorf("the sharded channel was told %q", got)
	}
}

// A client that reads and caches is told before the writer is answered; not of its own writes if it says so.
func TestTrackedReaderIsToldBeforeTheWriterIsAnswered(t *testing.T) {
	l := newLone(t)
	l.hub = pubsub.New(l.store)
	var told []string
	var writer *Submission
	track := func(id uint64, noLoop bool) *pubsub.Tracking {
		c := &pubsub.Tracking{ID: id, TrackingOptions: pubsub.TrackingOptions{NoLoop: noLoop}}
		c.Tell = func(keys []string) {
			told = append(told, keys...)
			if len(writer.done) > 0 {
				t.Error("the writer was answered first")
			}
		}
		l.hub.Tracker().Start(c)
		return c
	}
	own, other := track(7, true), track(8, false)
	l.hub.Tracker().Read(own, "mine")
	l.hub.Tracker().Read(other, "a")
	l.hub.Tracker().Read(other, "b")
	l.entry(1000, 1, func(s *Submission) {
		writer, s.Owner = s, 7
		s.AddTxn(put("b", "1", mvcc.Expiry{}))
		s.AddTxn(put("mine", "1", mvcc.Expiry{}))
		s.AddTxn(put("a", "1", mvcc.Expiry{}))
	})
	if want := []string{"b", "a"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
