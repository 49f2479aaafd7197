package pubsub

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/mvcc"
)

// The twin of the hub is a list of all events since the store began. What a watch must be told follows from
// it: every event it wants from its first revision on, in order, once, revisions whole; or, if compaction
// came before it, everything up to some revision and then the news that it was canceled.

// told is one thing a client was told: an event, progress, or the end.
type told struct {
	Kind  string // put delete expire progress canceled
	Rev   mvcc.Revision
	Sub   uint32
	Key   string
	Value string
	Prev  string // value of the record before; "" for none
	Last  bool
}

// plainEncoder writes told as lines, so that a test reads what a client would.
type plainEncoder struct{}

func (plainEncoder) Events(b []byte, _ int, rev mvcc.Revision, events []mvcc.Event) []byte {
	for i := range events {
		r, prev := events[i].Record, ""
		if events[i].Prev.Exists() {
			prev = events[i].Prev.Value()
		}
		b = fmt.Appendf(b, "%s %d %d %q %q %q %v\n", TypeName(r.Kind()), rev, r.Sub(), r.Key(), value(r), prev,
			i == len(events)-1)
	}
	return b
}

func (plainEncoder) Progress(b []byte, _ int, rev mvcc.Revision) []byte {
	return fmt.Appendf(b, "progress %d 0 \"\" \"\" \"\" false\n", rev)
}

func canceled(_ int, compacted mvcc.Revision) []byte {
	return fmt.Appendf(nil, "canceled %d 0 \"\" \"\" \"\" false\n", compacted)
}

func value(r mvcc.Record) string {
	if !r.Exists() {
		return ""
	}
	return r.Value()
}

// queue is a sink that a test reads when it likes.
type queue struct {
	limit  int
	frames []string
	asked  bool // an offer was refused
}

func (q *queue) Proto() int { return 2 }

func (q *queue) Offer(head, body []byte) bool {
	if len(q.frames) >= q.limit {
		q.asked = true
		return false
	}
	q.frames = append(q.frames, string(head)+string(body))
	return true
}

func (q *queue) Post(frame []byte) { q.frames = append(q.frames, string(frame)) }

// watcher is one watch under test.
type watcher struct {
	watch *Watch
	from  mvcc.Revision // the first revision it must be told
	q     *queue
	sub   *Subscription
	got   []told
}

// model runs a hub over a store, by turns, beside the twin.
type model struct {
	store    *mvcc.Store
	hub      *Hub
	log      []mvcc.Event // the twin: everything that ever happened
	watchers []*watcher
	now      mvcc.UnixMilli
	pending  []Applied // applied, and not yet handed over: the window between the store and the hub
}

func newModel() *model {
	s := mvcc.New()
	m := &model{store: s, hub: New(s), now: 1000}
	m.hub.catchup.chunk, m.hub.catchup.frame = 80, 60 // a few records
	return m
}

// apply runs one entry. It is handed over later: in between, the store is ahead of the hub.
func (m *model) apply(txns []*mvcc.Txn, compact mvcc.Revision) {
	m.now++
	events := m.store.Update(m.now, func(b *mvcc.Batch) {
		for _, t := range txns {
			b.Txn(t, nil)
		}
		if compact > 0 {
			_ = b.Compact(compact)
		}
	})
	m.log = append(m.log, events...)
	m.pending = append(m.pending, Applied{Revision: m.store.Revision(), Events: slices.Clone(events)})
}

func (m *model) handOver() {
	for _, a := range m.pending {
		m.hub.Applied(a)
	}
	m.pending = nil
}

var specs = []Spec{
	{Span: mvcc.KeySpan("a")},
	{Span: mvcc.KeySpan("b"), Prev: true},
	{Span: mvcc.PrefixSpan("")},
	{Span: mvcc.PrefixSpan(""), NoPut: true},
	{Span: mvcc.PrefixSpan("a"), NoDelete: true, Prev: true},
	{Span: mvcc.Span{From: "ab", End: "c", Kind: mvcc.SpanRange}},
	{Span: mvcc.PrefixSpan("a"), Match: func(k string) bool { return strings.HasSuffix(k, "b") }},
}

func (m *model) start(spec int, from mvcc.Revision, limit int, progress bool) {
	w := &watcher{q: &queue{limit: limit}, from: from}
	w.watch = &Watch{
		Name: fmt.Sprint(spec), Spec: specs[spec], Encoder: plainEncoder{}, From: from, Canceled: canceled,
	}
	if progress {
		w.watch.Progress = time.Nanosecond
	}
	if from == 0 {
		w.from = m.hub.mu.revision + 1
	}
	w.sub = m.hub.Watch(w.watch, w.q)
	m.watchers = append(m.watchers, w)
}

// read takes everything out of a watcher's queue.
func (m *model) read(w *watcher) {
	for _, line := range strings.Split(strings.Join(w.q.frames, ""), "\n") {
		if line == "" {
			continue
		}
		var g told
		if _, err := fmt.Sscanf(line, "%s %d %d %q %q %q %t", &g.Kind, &g.Rev, &g.Sub, &g.Key, &g.Value, &g.Prev,
			&g.Last); err != nil {
			panic(fmt.Sprintf("%q: %v", line, err))
		}
		w.got = append(w.got, g)
	}
	w.q.frames = nil
	if w.q.asked {
		w.q.asked = false
		m.hub.Room(w.q)
	}
}

// want is what the twin says a watcher must have been told, up to and with a revision.
func (m *model) want(w *watcher, upTo mvcc.Revision) (out []told) {
	spec := &w.watch.Spec
	for i := range m.log {
		r := m.log[i].Record
		if r.ModRevision() < w.from || r.ModRevision() > upTo || !spec.Span.Contains(r.Key()) || !spec.wants(r) {
			continue
		}
		g := told{Kind: TypeName(r.Kind()), Rev: r.ModRevision(), Sub: r.Sub(), Key: r.Key(), Value: value(r)}
		if m.log[i].Prev.Exists() {
			g.Prev = m.log[i].Prev.Value()
		}
		out = append(out, g)
	}
	for i := range out {
		out[i].Last = i+1 == len(out) || out[i+1].Rev != out[i].Rev
	}
	return out
}

// check compares what a watcher was told with what it must have been. complete tells that everything must
// have come.
func (m *model) check(t *rapid.T, w *watcher, complete bool) {
	want := m.want(w, m.store.Revision())
	at, ended := 0, false
	for i, g := range w.got {
		if ended {
			t.Fatalf("%+v follows the end", g)
		}
		switch g.Kind {
		case "progress":
			for _, missing := range want[at:] {
				if missing.Rev <= g.Rev {
					t.Fatalf("progress %d before %+v", g.Rev, missing)
				}
			}
		case "canceled":
			ended = true
			if w.from >= g.Rev || g.Rev > m.store.CompactRevision() {
				t.Fatalf("canceled at %d although revision %d is still there", g.Rev, w.from)
			}
		default:
			if at == len(want) {
				t.Fatalf("%d: %+v is told beyond the end", i, g)
			}
			expect := want[at]
			if g.Prev == "" || !w.watch.Spec.Prev { // compacted meanwhile, or not asked for
				expect.Prev = ""
			}
			if diff := cmp.Diff(expect, g); diff != "" {
				t.Fatalf("told %d (- twin, + hub): %s", i, diff)
			}
			at++
		}
	}
	if complete && !ended && at != len(want) {
		t.Fatalf("%d of %d events were told, next is %+v", at, len(want), want[at])
	}
}

var keys = []string{"", "a", "ab", "abb", "b", "c"}

func drawTxn(t *rapid.T) *mvcc.Txn {
	txn := &mvcc.Txn{}
	for range rapid.IntRange(1, 4).Draw(t, "ops") {
		key := rapid.SampledFrom(keys).Draw(t, "key")
		switch rapid.IntRange(0, 4).Draw(t, "op") {
		case 0:
			txn.Then = append(txn.Then, mvcc.Op{Kind: mvcc.OpDelete, Span: mvcc.PrefixSpan(key)})
		default:
			txn.Then = append(txn.Then, mvcc.Op{
				Kind: mvcc.OpPut, Span: mvcc.KeySpan(key), Value: rapid.StringN(0, 3, 3).Draw(t, "value"),
				Expiry: mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: int64(rapid.IntRange(1, 9).Draw(t, "ttl"))},
			})
		}
	}
	return txn
}

// replace installs a snapshot of a store that is ahead, compacted or not, as a member that was cut off
// gets it.
func (m *model) replace(t *rapid.T) {
	m.handOver()
	ahead := copyOf(m.store)
	txns := make([]*mvcc.Txn, rapid.IntRange(1, 3).Draw(t, "missed"))
	for i := range txns {
		txns[i] = drawTxn(t)
	}
	compact := rapid.IntRange(0, 12).Draw(t, "missed compaction")
	m.now++
	events := ahead.Update(m.now, func(b *mvcc.Batch) {
		for _, txn := range txns {
			b.Txn(txn, nil)
		}
		if compact > 8 {
			_ = b.Compact(b.Revision() - mvcc.Revision(12-compact))
		}
	})
	m.log = append(m.log, events...)
	for ahead.CompactSlice(1000) {
	}
	m.store.Replace(ahead)
	m.hub.Replaced()
}

// copyOf copies a store as a snapshot does.
func copyOf(s *mvcc.Store) *mvcc.Store {
	p := s.Pin()
	defer p.Release()
	l := mvcc.NewLoader(p.Revision, p.CompactRevision)
	p.Ascend(0, -1, 1<<30, func(r mvcc.Record) {
		if err := l.Add(r.ModRevision(), r.Sub(), r.Encoded()); err != nil {
			panic(err)
		}
	})
	fresh, err := l.Finish()
	if err != nil {
		panic(err)
	}
	return fresh
}

func (m *model) someWatcher(t *rapid.T) *watcher {
	if len(m.watchers) == 0 {
		t.Skip("no watcher")
	}
	return m.watchers[rapid.IntRange(0, len(m.watchers)-1).Draw(t, "watcher")]
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"write": func(t *rapid.T) {
			txns := make([]*mvcc.Txn, rapid.IntRange(1, 3).Draw(t, "txns"))
			for i := range txns {
				txns[i] = drawTxn(t)
			}
			m.apply(txns, 0)
		},
		"compact": func(t *rapid.T) {
			back := mvcc.Revision(rapid.IntRange(0, 6).Draw(t, "back"))
			m.apply(nil, max(m.store.Revision()-back, 1))
		},
		"hand over": func(*rapid.T) { m.handOver() },
		"sweep":     func(*rapid.T) { m.store.CompactSlice(3) },
		"watch": func(t *rapid.T) {
			back := mvcc.Revision(rapid.IntRange(-3, 10).Draw(t, "back"))
			from := max(m.store.Revision()-back, 1)
			if rapid.Bool().Draw(t, "now") {
				from = 0
			}
			m.start(rapid.IntRange(0, len(specs)-1).Draw(t, "spec"), from, rapid.IntRange(1, 4).Draw(t, "limit"),
				rapid.Bool().Draw(t, "progress"))
		},
		"read":    func(t *rapid.T) { m.read(m.someWatcher(t)) },
		"turn":    func(*rapid.T) { m.hub.turn() },
		"tick":    func(*rapid.T) { m.hub.progress(time.Now().Add(time.Hour)) },
		"replace": m.replace,
		"overrun": func(t *rapid.T) {
			m.hub.mu.Lock()
			m.hub.mu.bytes = inboxBytes + 1
			m.hub.mu.Unlock()
		},
		"drop": func(t *rapid.T) {
			w := m.someWatcher(t)
			m.hub.post(func() { m.hub.end(w.sub) })
			for m.hub.turn() {
			}
			m.read(w)
			m.check(t, w, false)
			m.watchers = slices.DeleteFunc(m.watchers, func(o *watcher) bool { return o == w })
		},
		"": func(t *rapid.T) {
			for _, w := range m.watchers {
				m.check(t, w, false)
			}
		},
	}
}

// settle lets every watcher read until nothing comes any more.
func (m *model) settle() {
	m.handOver()
	for busy := true; busy; {
		busy = m.hub.turn()
		for _, w := range m.watchers {
			busy = busy || len(w.q.frames) > 0 || w.q.asked
			m.read(w)
		}
	}
}

func TestHubTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		defer m.store.Close()
		t.Repeat(m.actions())
		m.settle()
		for _, w := range m.watchers {
			m.check(t, w, true)
		}
		for _, w := range m.watchers {
			m.hub.post(func() { m.hub.end(w.sub) })
		}
		m.settle()
		w := &m.hub.watches
		if n := m.hub.listening.Load(); n != 0 || len(w.feeds) != 0 || w.index.root != nil ||
			len(w.index.exact) != 0 || len(m.hub.catchup.full) != 0 {
			t.Fatalf("%d subscriptions are left", n)
		}
	})
}

// The index against the naive way: every feed asked in turn.
func TestIndexTwin(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) string {
		b := binary.BigEndian.AppendUint16(nil, rapid.Uint16Range(0, 40).Draw(t, "key"))
		return string(b[1:])
	})
	rapid.Check(t, func(t *rapid.T) {
		x := index{exact: map[string][]*feed{}}
		var all []*feed
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				kind := mvcc.SpanKind(rapid.IntRange(0, 2).Draw(t, "kind"))
				f := &feed{spec: Spec{Span: mvcc.Span{From: key.Draw(t, "from"), Kind: kind}}}
				if kind == mvcc.SpanRange {
					f.spec.Span.End = key.Draw(t, "end")
				}
				x.add(f)
				all = append(all, f)
			},
			"remove": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip("empty")
				}
				i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				x.remove(all[i])
				all = slices.Delete(all, i, i+1)
			},
			"": func(t *rapid.T) {
				k := key.Draw(t, "lookup")
				found := map[*feed]int{}
				x.match(k, func(f *feed) { found[f]++ })
				for _, f := range all {
					if want := f.spec.Span.Contains(k); (found[f] == 1) != want {
						t.Fatalf("%+v and %q: found %d times", f.spec.Span, k, found[f])
					}
				}
			},
		})
	})
}
