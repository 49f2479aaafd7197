package pubsub

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/mvcc"
)

// The hub stands between apply, which must not wait, and clients, who may.
//
// Idea. Apply puts a copy of an entry's events into the inbox and goes on. One goroutine owns everything
// else: it takes the inbox in order, finds the watches that each event concerns, and offers frames to
// their sinks. A watch is synced (it has been offered everything up to the hub's position, so it is fed
// from the inbox) or behind (it is fed from the store's history, catchup.go, until it has reached the
// position; then it is synced). A sink that refuses puts its watch behind, at the revision it refused;
// nothing of it is kept in memory. Subscribing is an item in the inbox like any other, so its place among
// the events is exact.
//
// Invariants.
//  1. position is the newest revision handed over by apply and processed. All of the history up to it is
//     in the store, and everything above it comes through the inbox. So a watch fed from history up to
//     position goes on with the inbox without gap and without repetition: this is the only seam.
//  2. A synced watch has been offered every event it wants up to position; one that is behind, every one
//     below its next revision. A revision is offered whole or not at all.
//  3. Progress says position, and only to a synced watch, through the same queue: so never before events.
//  4. A watch ends only when it is told why. Only compaction ends one: it needs a revision below the
//     compacted.
//  5. The inbox is bounded. When apply outruns the hub, events are dropped from the inbox and all watches
//     put behind; they are in the history. What is nowhere else (messages, keyspace notifications) is
//     at-most-once by contract, and is lost then. Of messages that are owed (changes of locks and elections)
//     it is told that some are missing, before anything later is told.
//
// Rejected: delivering on apply's goroutine (every write would pay for all watchers); a lock around the
// watches (delivery under a lock, or a copy of the watchers per event); a goroutine per watcher (a stack
// each); a queue of events per watcher (memory grows with the slowest).
//
// Drawback: one goroutine matches and encodes for all clients of the member. Encoding happens once per
// distinct watch and protocol, so it is seldom what limits; writing to sockets happens elsewhere.

// Sink is one client's queue. Its methods never block. A Sink is a comparable handle.
type Sink interface {
	// Proto is the protocol of the client's frames now: 2 or 3.
	Proto() int
	// Offer queues one frame in two parts, or takes nothing and returns false because the queue is full.
	// The caller then hears Hub.Room once there is room.
	Offer(head, body []byte) bool
	// Post queues a frame that is kept nowhere else; a client that does not read is cut off.
	Post(frame []byte)
}

// Message is one published message. Its strings may be kept.
type Message struct {
	Channel, Payload string
	Kind             Kind // KindChannel, also reaching patterns, or KindShard
	Owed             bool // those that it would have reached are told if it gets lost
}

// Applied is what one log entry did.
type Applied struct {
	Revision mvcc.Revision // of the store after it
	Events   []mvcc.Event  // valid during the call; the records in them may be kept
	Messages []Message     // the same
	Quiet    bool          // replayed at start: nobody is told of messages and notifications again
}

// Hub serves the subscriptions of one member. All methods are safe for concurrent use.
type Hub struct {
	store    *mvcc.Store
	tracker  *Tracker
	registry registry
	notify   atomic.Uint32 // Notify flags
	stats    Stats
	kick     chan struct{} // one slot: the inbox is not empty
	stop     chan struct{}
	done     chan struct{}

	listening atomic.Int64 // subscriptions: without any, apply copies nothing

	// Owned by the hub's goroutine.
	position mvcc.Revision
	watches  watches
	catchup  catchup
	channels channels
	missed   bool        // messages that are owed got lost, and nobody has been told yet
	timer    *time.Timer // armed while a watch wants progress

	mu struct {
		sync.Mutex
		inbox    []item
		bytes    int
		revision mvcc.Revision // of the last Applied or Replaced
		started  bool
		closed   bool
	}
}

// Stats are totals since the hub began.
type Stats struct {
	Delivered atomic.Int64 // revisions offered to watches from the inbox
	CaughtUp  atomic.Int64 // revisions offered to watches from history
	Fell      atomic.Int64 // times a watch fell behind because its client's queue was full
	Overrun   atomic.Int64 // times the inbox was full
	Canceled  atomic.Int64 // watches ended by compaction
}

// item is one step of the hub: what an entry did, or something to do. revision is that of the store when it
// was put in.
type item struct {
	revision mvcc.Revision
	events   []mvcc.Event
	messages []Message
	quiet    bool
	missed   bool // messages that are owed got lost
	lost     bool // its events are only in the history
	replaced bool // the store's contents were replaced
	do       func()
}

// inboxBytes bounds the records that wait in the inbox.
const inboxBytes = 64 << 20

// New returns a hub over a store that exists for its whole life. It takes what is applied from now on, and
// serves nobody until Start.
func New(store *mvcc.Store) *Hub {
	h := &Hub{
		store: store, tracker: newTracker(),
		kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		timer: time.NewTimer(time.Hour),
	}
	h.timer.Stop()
	h.position = store.Revision()
	h.mu.revision = h.position
	h.watches.feeds = map[string]*feed{}
	h.watches.index.exact = map[string][]*feed{}
	h.catchup.chunk, h.catchup.frame = chunkBytes, offerBytes
	h.catchup.full = map[Sink][]*Subscription{}
	h.channels.init()
	h.registry.init()
	return h
}

// Start starts the hub's goroutine. Close ends it.
func (h *Hub) Start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.mu.started && !h.mu.closed {
		h.mu.started = true
		go h.run()
	}
}

// Close ends the hub's goroutine and waits for it. Calls that follow do nothing.
func (h *Hub) Close() {
	h.mu.Lock()
	first, started := !h.mu.closed, h.mu.started
	h.mu.closed = true
	h.mu.Unlock()
	if first {
		close(h.stop)
	}
	if started {
		<-h.done
	}
}

// Tracker returns the table of cached keys.
func (h *Hub) Tracker() *Tracker { return h.tracker }

// Stats returns the counters.
func (h *Hub) Stats() *Stats { return &h.stats }

// Applied hands over what an entry did. Apply calls it in order, before it answers those who wait for the
// entry; it never waits.
func (h *Hub) Applied(a Applied) {
	events, messages := a.Events, a.Messages
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.revision = a.Revision
	// Under the lock: a subscription counts itself before it takes its place in the inbox.
	if h.listening.Load() == 0 || len(events)+len(messages) == 0 || h.mu.closed {
		return
	}
	it := item{revision: a.Revision, quiet: a.Quiet}
	owed := slices.ContainsFunc(messages, func(m Message) bool { return m.Owed })
	size := sizeOf(events, messages)
	if h.mu.bytes+size > inboxBytes && h.mu.bytes > 0 {
		it.missed = owed
		h.overrunLocked(it)
	} else {
		it.missed = owed && a.Quiet
		it.events = append(it.events, events...)
		it.messages = append(it.messages, messages...)
		h.mu.bytes += size
		h.mu.inbox = append(h.mu.inbox, it)
	}
	wake(h.kick)
}

// overrunLocked notes that an entry's events are to be read from the history. Neighbours share an item.
func (h *Hub) overrunLocked(it item) {
	h.stats.Overrun.Add(1)
	if n := len(h.mu.inbox); n > 0 && h.mu.inbox[n-1].lost {
		h.mu.inbox[n-1].revision = it.revision
		h.mu.inbox[n-1].missed = h.mu.inbox[n-1].missed || it.missed
		return
	}
	it.lost = true
	h.mu.inbox = append(h.mu.inbox, it)
}

func sizeOf(events []mvcc.Event, messages []Message) (n int) {
	for i := range events {
		n += len(events[i].Record.Encoded()) + eventOverhead
	}
	for i := range messages {
		n += len(messages[i].Channel) + len(messages[i].Payload) + eventOverhead
	}
	return n
}

const eventOverhead = 64

// Replaced tells that the store's contents were replaced: what watches have not seen is in the new
// history, or compacted there.
func (h *Hub) Replaced() {
	h.tracker.Flush()
	h.put(item{revision: h.store.Revision(), replaced: true, missed: true})
}

// Room tells that a sink that refused a frame has room again.
func (h *Hub) Room(s Sink) { h.post(func() { h.catchup.room(s) }) }

// post puts something to do into the inbox.
func (h *Hub) post(do func()) { h.put(item{do: do}) }

func (h *Hub) put(it item) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.closed {
		return
	}
	if it.revision > 0 {
		h.mu.revision = it.revision
	}
	it.revision = h.mu.revision
	h.mu.inbox = append(h.mu.inbox, it)
	wake(h.kick)
}

// wait is post, and waits until it is done or the hub has ended.
func (h *Hub) wait(do func()) {
	done := make(chan struct{})
	h.post(func() { do(); close(done) })
	select {
	case <-done:
	case <-h.stop:
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run is the hub's goroutine.
func (h *Hub) run() {
	defer close(h.done)
	defer h.timer.Stop()
	for {
		busy := h.turn()
		if busy {
			select {
			case <-h.stop:
				return
			case now := <-h.timer.C: // those that are behind do not keep progress from the others
				h.progress(now)
			default:
			}
			continue
		}
		select {
		case <-h.kick:
		case now := <-h.timer.C:
			h.progress(now)
		case <-h.stop:
			return
		}
	}
}

// turn empties the inbox and feeds one chunk of history; busy tells that there is more to do.
func (h *Hub) turn() (busy bool) {
	select {
	case <-h.kick: // what it was for is in the inbox
	default:
	}
	h.mu.Lock()
	inbox := h.mu.inbox
	h.mu.inbox, h.mu.bytes = nil, 0
	h.mu.Unlock()
	for i := range inbox {
		h.process(&inbox[i])
	}
	h.tellGap()
	return h.feedHistory()
}

func (h *Hub) process(it *item) {
	switch {
	case it.lost:
		h.allBehind()
	case it.replaced:
		h.allBehind()
	}
	before := h.position
	h.position = max(h.position, it.revision)
	if it.replaced {
		h.position = it.revision
	}
	if len(it.events) > 0 {
		h.live(it.events, before)
		if !it.quiet {
			h.notifications(it.events)
		}
	}
	h.missed = h.missed || it.missed
	if !it.quiet && len(it.messages) > 0 {
		h.tellGap()
		for i := range it.messages {
			h.channels.publish(&it.messages[i])
		}
	}
	if it.do != nil {
		it.do()
	}
}

// tellGap tells that messages that are owed got lost, once for all that did since it was told last.
func (h *Hub) tellGap() {
	if h.missed {
		h.missed = false
		h.channels.gap(h.position)
	}
}
