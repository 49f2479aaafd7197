package pubsub

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redkeep/redkeep/mvcc"
)

// jsonEncoder is what watch channels use, but for the frame around it.
type jsonEncoder struct{}

func (jsonEncoder) Events(b []byte, _ int, _ mvcc.Revision, events []mvcc.Event) []byte {
	for i := range events {
		b = AppendJSON(b, &events[i], i == len(events)-1)
	}
	return b
}

func (jsonEncoder) Progress(b []byte, _ int, rev mvcc.Revision) []byte { return AppendProgress(b, rev) }

// counter is a sink that takes everything and keeps nothing.
type counter struct{ bytes, frames atomic.Int64 }

func (c *counter) Proto() int { return 2 }
func (c *counter) Offer(_, body []byte) bool {
	c.bytes.Add(int64(len(body)))
	c.frames.Add(1)
	return true
}
func (c *counter) Post(frame []byte) { c.Offer(nil, frame) }

func bigWatch(from mvcc.Revision) *Watch {
	return &Watch{Name: "all", Spec: Spec{Span: mvcc.PrefixSpan("")}, Encoder: jsonEncoder{}, From: from,
		Canceled: canceled}
}

func fill(s *mvcc.Store, n int) {
	value := strings.Repeat("v", 128)
	for i := 0; i < n; i += 1000 {
		s.Update(1, func(b *mvcc.Batch) {
			for j := range 1000 {
				b.Txn(&mvcc.Txn{Then: []mvcc.Op{{
					Kind: mvcc.OpPut, Span: mvcc.KeySpan(fmt.Sprintf("key%07d", i+j)), Value: value,
				}}}, nil)
			}
		})
	}
}

// BenchmarkCatchUp: one watch reads a million revisions of history.
func BenchmarkCatchUp(b *testing.B) {
	const events = 1_000_000
	s := mvcc.New()
	defer s.Close()
	fill(s, events)
	for b.Loop() {
		h := New(s)
		sink := &counter{}
		h.Watch(bigWatch(2), sink)
		for h.turn() {
		}
		if h.stats.CaughtUp.Load() != events {
			b.Fatalf("%d revisions", h.stats.CaughtUp.Load())
		}
	}
	b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkLive: one event to a thousand watches of one prefix.
func BenchmarkLive(b *testing.B) {
	s := mvcc.New()
	defer s.Close()
	h := New(s)
	sinks := make([]counter, 1000)
	for i := range sinks {
		h.Watch(bigWatch(0), &sinks[i])
	}
	h.turn()
	b.ReportAllocs()
	for b.Loop() {
		events := s.Update(1, func(bt *mvcc.Batch) {
			bt.Txn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: mvcc.KeySpan("k"), Value: "v"}}}, nil)
		})
		h.Applied(Applied{Revision: s.Revision(), Events: events})
		h.turn()
	}
}

// TestIdleWatchesAreCheap: ten thousand watches of different keys, without their connections.
func TestIdleWatchesAreCheap(t *testing.T) {
	const count, most = 10_000, 2 << 10
	s := mvcc.New()
	defer s.Close()
	h := New(s)
	sinks := make([]counter, count)
	before := heap()
	for i := range sinks {
		w := &Watch{Name: fmt.Sprint("watch:", i), Spec: Spec{Span: mvcc.KeySpan(fmt.Sprint(i))},
			Encoder: jsonEncoder{}, Canceled: canceled}
		h.Watch(w, &sinks[i])
	}
	h.turn()
	each := (heap() - before) / count
	t.Logf("%d bytes for each watch", each)
	if each > most {
		t.Errorf("%d bytes for each watch, want at most %d", each, most)
	}
	runtime.KeepAlive(h)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Apply outruns a hub whose goroutine gets no turn: the inbox stays bounded, and the history has the rest.
func TestInboxIsBounded(t *testing.T) {
	s := mvcc.New()
	defer s.Close()
	h := New(s)
	sink := &counter{}
	h.Watch(bigWatch(0), sink)
	value := strings.Repeat("v", 1<<20)
	const events = 80
	for i := range events {
		applied := s.Update(1, func(b *mvcc.Batch) {
			b.Txn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: mvcc.KeySpan(fmt.Sprint(i)), Value: value}}}, nil)
		})
		h.Applied(Applied{Revision: s.Revision(), Events: applied})
	}
	if h.mu.bytes > inboxBytes+1<<21 || h.stats.Overrun.Load() == 0 {
		t.Errorf("%d bytes in the inbox, %d times overrun", h.mu.bytes, h.stats.Overrun.Load())
	}
	for h.turn() {
	}
	if n := h.stats.Delivered.Load() + h.stats.CaughtUp.Load(); n != events {
		t.Errorf("%d of %d revisions were told", n, events)
	}
}

// Many goroutines subscribe, write and leave at once; run it with -race. Close ends it all.
func TestHubUnderConcurrency(t *testing.T) {
	s := mvcc.New()
	defer s.Close()
	h := New(s)
	h.Start()
	var running sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				sink := &counter{}
				frame := func(int, string, string) []byte { return []byte("x") }
				sub := h.Listen(Listener{Kind: KindPattern, Name: "p", Match: func(string) bool { return true },
					Frame: frame}, mvcc.PrefixSpan(""), sink)
				h.Drop(h.Watch(bigWatch(mvcc.Revision(n%3)*s.Revision()/2), sink), sub)
				c := &Tracking{TrackingOptions: TrackingOptions{Tell: func([]string) {}}}
				h.Tracker().Read(c, fmt.Sprint(i, n%10))
			}
		})
	}
	deadline := time.Now().Add(300 * time.Millisecond)
	for i := 0; time.Now().Before(deadline); i++ {
		events := s.Update(1, func(b *mvcc.Batch) {
			b.Txn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: mvcc.KeySpan(fmt.Sprint(i % 50))}}}, nil)
			_ = b.Compact(b.Revision() - 20)
		})
		said := []Message{{Channel: "c", Payload: "p", Kind: KindChannel}}
		h.Applied(Applied{Revision: s.Revision(), Events: events, Messages: said})
		h.Tracker().Changed(events, nil)
		s.CompactSlice(50)
	}
	close(stop)
	running.Wait()
	if n := h.Subscriptions(); n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
	h.Close()
	h.Close()
}
