package pubsub

import (
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/mvcc"
)

func lineFrame(_ int, channel, payload string) []byte { return []byte(channel + " " + payload + "\n") }

// listen subscribes without the hub's goroutine.
func (q *queue) listen(h *Hub, kind Kind, name string, owed bool) {
	all := func(string) bool { return true }
	h.Listen(Listener{Kind: kind, Name: name, Match: all, Owed: owed, Frame: lineFrame}, mvcc.PrefixSpan(""), q)
}

// What was owed and got lost is told as a gap, before anything later, once, and only to those it may have
// been for. What was not owed is lost in silence.
func TestAGapIsTold(t *testing.T) {
	s := mvcc.New()
	defer s.Close()
	owed := func(payload string) Message {
		return Message{Kind: KindChannel, Channel: "lock:m", Payload: payload, Owed: true}
	}
	plain := Message{Kind: KindChannel, Channel: "news", Payload: "plain"}
	for name, c := range map[string]struct {
		lost []Applied
		want bool
	}{
		"overrun":                {[]Applied{{Messages: []Message{plain}}, {Messages: []Message{owed("2")}}}, true},
		"nothing owed":           {[]Applied{{Messages: []Message{plain}}}, false},
		"replayed after a start": {[]Applied{{Messages: []Message{owed("2")}, Quiet: true}}, true},
		"nothing owed there":     {[]Applied{{Messages: []Message{plain}, Quiet: true}}, false},
		"replaced":               {nil, true},
	} {
		h := New(s)
		lock, news, both := &queue{limit: 9}, &queue{limit: 9}, &queue{limit: 9}
		lock.listen(h, KindChannel, "lock:m", true)
		news.listen(h, KindChannel, "news", false)
		both.listen(h, KindPattern, "*", true)
		h.turn()
		if strings.HasPrefix(name, "overrun") || name == "nothing owed" {
			h.mu.bytes = inboxBytes + 1
		}
		for _, a := range c.lost {
			a.Revision = s.Revision()
			h.Applied(a)
		}
		if c.lost == nil {
			h.Replaced()
		}
		h.mu.bytes = 0
		h.Applied(Applied{Revision: s.Revision(), Messages: []Message{owed("3"), plain}})
		h.turn()
		gap := `{"type":"gap","revision":1}` + "\n"
		wantLock, wantBoth := "lock:m 3\n", "lock:m 3\nnews plain\n"
		if c.want {
			wantLock, wantBoth = "lock:m "+gap+wantLock, "* "+gap+wantBoth
		}
		for q, want := range map[*queue]string{lock: wantLock, news: "news plain\n", both: wantBoth} {
			if got := strings.Join(q.frames, ""); got != want {
				t.Errorf("%s: told %q, want %q", name, got, want)
			}
		}
	}
}

// A gap is told at once, not with the next message.
func TestAGapIsToldAtOnce(t *testing.T) {
	s := mvcc.New()
	defer s.Close()
	h, q := New(s), &queue{limit: 9}
	q.listen(h, KindChannel, "lock:m", true)
	h.Replaced()
	h.turn()
	if len(q.frames) != 1 {
		t.Errorf("told %q", q.frames)
	}
}

// A channel may be called like a pattern: when it has no subscriber any more, the pattern still has.
func TestAChannelNamedLikeAPattern(t *testing.T) {
	s := mvcc.New()
	defer s.Close()
	h := New(s)
	h.Start()
	defer h.Close()
	l := Listener{Name: "a*", Frame: lineFrame, Match: func(c string) bool { return strings.HasPrefix(c, "a") }}
	l.Kind = KindPattern
	pattern := h.Listen(l, mvcc.PrefixSpan("a"), &queue{limit: 9})
	l.Kind = KindChannel
	channel := h.Listen(l, mvcc.KeySpan("a*"), &queue{limit: 9})
	h.Drop(channel)
	if n := h.Receivers(KindChannel, "ab"); n != 1 {
		t.Errorf("a message has %d receivers", n)
	}
	if h.Drop(pattern); h.Receivers(KindChannel, "ab") != 0 {
		t.Error("a message has receivers still")
	}
}

// sinkFunc is a sink that always has room.
type sinkFunc struct{ offered func(body string) }

func (*sinkFunc) Proto() int { return 2 }

func (f *sinkFunc) Offer(_, body []byte) bool {
	f.offered(string(body))
	return true
}

func (*sinkFunc) Post([]byte) {}

// A watch that never stops being behind does not keep progress from one that is not.
func TestProgressBesideOneThatIsBehind(t *testing.T) {
	s := mvcc.New()
	defer s.Close()
	h := New(s)
	h.catchup.chunk = 1
	write := func() {
		events := s.Update(1, func(b *mvcc.Batch) {
			b.Txn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: mvcc.KeySpan("a")}}}, nil)
		})
		h.Applied(Applied{Revision: s.Revision(), Events: events})
	}
	for range 10 {
		write()
	}
	told := make(chan struct{}, 1)
	watch := func(key string, from mvcc.Revision, every time.Duration, sink Sink) {
		h.Watch(&Watch{Name: key, Spec: Spec{Span: mvcc.KeySpan(key)}, Encoder: plainEncoder{}, From: from,
			Progress: every, Canceled: canceled}, sink)
	}
	watch("b", 0, time.Millisecond, &sinkFunc{func(string) { wake(told) }})
	ended := false                            // of the hub's goroutine
	watch("a", 2, 0, &sinkFunc{func(string) { // each time it is told one revision there is another
		if ended = ended || len(told) > 0; !ended {
			write()
		}
	}})
	h.Start()
	defer h.Close()
	select {
	case <-told:
		wake(told) // ends the writes
	case <-time.After(5 * time.Second):
		t.Error("no progress")
	}
}
