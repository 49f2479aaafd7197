package pubsub

import (
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/mvcc"
)

// Spec is what a watch wants.
type Spec struct {
	Span     mvcc.Span
	Match    func(key string) bool // nil: every key of Span
	NoPut    bool
	NoDelete bool // deletes and expiries
	Prev     bool // events carry the record before, where it is still known
}

// wants reports whether an event is for the watch. REQUIRES: Span was found by the index.
func (s *Spec) wants(r mvcc.Record) bool {
	if put := r.Exists(); put && s.NoPut || !put && s.NoDelete {
		return false
	}
	return s.Match == nil || s.Match(r.Key())
}

// Encoder makes the frames of one kind of watch. What it appends is shared by all clients of the feed.
type Encoder interface {
	// Events appends what tells the events of one revision; they are in order and at least one.
	Events(b []byte, proto int, rev mvcc.Revision, events []mvcc.Event) []byte
	// Progress appends the news that everything up to rev has been told.
	Progress(b []byte, proto int, rev mvcc.Revision) []byte
}

// Watch asks for the changes of keys. Name tells feeds apart: two watches with the same name share their
// encoding, so they must have equal specs and encoders that make the same frames.
type Watch struct {
	Name     string
	Spec     Spec
	Encoder  Encoder
	From     mvcc.Revision // the first revision wanted; 0: what comes after now
	Progress time.Duration // how often to tell it when nothing else is told; 0: never
	// Head returns what stands before each frame of this client alone; nil for nothing.
	Head func(proto int) []byte
	// Canceled returns the frame that ends the watch: the history it needs is compacted.
	Canceled func(proto int, compacted mvcc.Revision) []byte
}

// Subscription is one watch, channel or pattern of one client. Its fields belong to the hub's goroutine,
// but for ended.
type Subscription struct {
	sink Sink
	kind Kind
	name string

	watch *Watch
	feed  *feed
	next  mvcc.Revision // the first revision that has not been offered
	state state
	at    int // place in feed.synced, when synced
	last  time.Time
	ended atomic.Bool // canceled, or dropped by its owner
}

// Ended reports whether the watch was canceled or dropped. Safe for concurrent use.
func (s *Subscription) Ended() bool { return s.ended.Load() }

// state of a watch. A subscription to a channel stays at stateSynced.
type state uint8

const (
	stateSynced state = iota // fed from the inbox
	stateBehind              // fed from history
	stateFull                // behind, and its sink has no room
	stateGone
)

// watches are all watches, grouped into feeds.
type watches struct {
	feeds    map[string]*feed
	index    index
	progress []*Subscription // those that want it

	touched []*feed // scratch of live
}

// feed is what watches of one name share.
type feed struct {
	name   string
	spec   Spec
	enc    Encoder
	refs   int
	synced []*Subscription

	audience *audience // of a pattern over channels, which shares the index; all else is unset then

	events []mvcc.Event // scratch: those of the revision being delivered
}

// Watch starts a watch. It takes effect in the order of the log: what is applied after this call is told.
func (h *Hub) Watch(w *Watch, sink Sink) *Subscription {
	s := &Subscription{sink: sink, kind: KindWatch, name: w.Name, watch: w}
	h.listening.Add(1)
	h.post(func() { h.begin(s) })
	return s
}

func (h *Hub) begin(s *Subscription) {
	w := s.watch
	f := h.watches.feeds[w.Name]
	if f == nil {
		f = &feed{name: w.Name, spec: w.Spec, enc: w.Encoder}
		h.watches.feeds[w.Name] = f
		h.watches.index.add(f)
	}
	f.refs++
	s.feed, s.next = f, w.From
	if s.next == 0 {
		s.next = h.position + 1
	}
	if w.Progress > 0 {
		s.last = time.Now()
		h.watches.progress = append(h.watches.progress, s)
		h.timer.Reset(progressTick)
	}
	if s.next > h.position {
		f.sync(s)
	} else {
		h.catchup.add(s)
	}
}

// end takes a watch out of everything. It is idempotent.
func (h *Hub) end(s *Subscription) {
	switch s.state {
	case stateGone:
		return
	case stateSynced:
		s.feed.unsync(s)
	case stateBehind:
		h.catchup.drop(s)
	case stateFull:
		h.catchup.dropFull(s)
	}
	s.state = stateGone
	s.ended.Store(true)
	if s.watch.Progress > 0 {
		h.watches.progress = without(h.watches.progress, s)
	}
	if s.feed.refs--; s.feed.refs == 0 {
		delete(h.watches.feeds, s.feed.name)
		h.watches.index.remove(s.feed)
	}
	h.listening.Add(-1)
}

func (f *feed) sync(s *Subscription) {
	s.state, s.at = stateSynced, len(f.synced)
	f.synced = append(f.synced, s)
}

func (f *feed) unsync(s *Subscription) {
	last := len(f.synced) - 1
	f.synced[s.at] = f.synced[last]
	f.synced[s.at].at = s.at
	f.synced[last] = nil
	f.synced = f.synced[:last]
}

// live delivers the events of one entry, revision by revision. Those not above before were processed.
func (h *Hub) live(events []mvcc.Event, before mvcc.Revision) {
	for len(events) > 0 {
		rev, n := events[0].Record.ModRevision(), 1
		for n < len(events) && events[n].Record.ModRevision() == rev {
			n++
		}
		if rev > before {
			h.revision(rev, events[:n])
		}
		events = events[n:]
	}
}

func (h *Hub) revision(rev mvcc.Revision, events []mvcc.Event) {
	w := &h.watches
	for i := range events {
		e := &events[i]
		w.index.match(e.Record.Key(), func(f *feed) {
			if len(f.synced) == 0 || !f.spec.wants(e.Record) {
				return
			}
			if len(f.events) == 0 {
				w.touched = append(w.touched, f)
			}
			f.events = append(f.events, *e)
			if !f.spec.Prev {
				f.events[len(f.events)-1].Prev = mvcc.Record{}
			}
		})
	}
	for i, f := range w.touched {
		h.deliver(f, rev)
		clear(f.events)
		if f.events = f.events[:0]; cap(f.events) > 1024 {
			f.events = nil
		}
		w.touched[i] = nil
	}
	w.touched = w.touched[:0]
}

// deliver offers f.events to the synced watches of a feed. It goes backwards: a watch whose sink refuses
// leaves the list.
func (h *Hub) deliver(f *feed, rev mvcc.Revision) {
	var body [4][]byte // by protocol
	for i := len(f.synced) - 1; i >= 0; i-- {
		s := f.synced[i]
		if s.next > rev {
			continue // it asked for a later revision
		}
		proto := s.sink.Proto()
		if body[proto] == nil {
			body[proto] = f.enc.Events(nil, proto, rev, f.events)
		}
		if !s.sink.Offer(s.head(proto), body[proto]) {
			h.stats.Fell.Add(1)
			f.unsync(s)
			s.next = rev
			h.catchup.wait(s)
			continue
		}
		h.stats.Delivered.Add(1)
		s.told()
	}
}

func (s *Subscription) head(proto int) []byte {
	if s.watch.Head == nil {
		return nil
	}
	return s.watch.Head(proto)
}

// told notes when the client was last told anything, for progress.
func (s *Subscription) told() {
	if s.watch.Progress > 0 {
		s.last = time.Now()
	}
}

// allBehind puts every synced watch behind the position: what follows has to be read from the history.
func (h *Hub) allBehind() {
	for _, f := range h.watches.feeds {
		for len(f.synced) > 0 {
			s := f.synced[len(f.synced)-1]
			f.unsync(s)
			s.next = max(s.next, h.position+1)
			h.catchup.add(s)
		}
	}
}

// progressTick is the grain of progress.
const progressTick = 50 * time.Millisecond

// progress tells it to those who have heard nothing for their interval. A watch that waits for a revision
// in the future is not told: its events up to the position were not asked for.
func (h *Hub) progress(now time.Time) {
	for _, s := range h.watches.progress {
		if s.state != stateSynced || s.next > h.position+1 || now.Sub(s.last) < s.watch.Progress {
			continue
		}
		proto := s.sink.Proto()
		if s.sink.Offer(s.head(proto), s.feed.enc.Progress(nil, proto, h.position)) {
			s.last = now
		}
	}
	if len(h.watches.progress) > 0 {
		h.timer.Reset(progressTick)
	}
}
