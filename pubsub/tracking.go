package pubsub

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redkeep/redkeep/mvcc"
)

// Tracking: clients that cache what they have read are told when it is stale.
//
// Idea. The table holds, for each key that a client has read, who did. Apply looks every changed key up,
// on its own goroutine, and queues the news before the writer's reply can be sent; so no client of this
// member is stale once a write on this member was acknowledged. (What is queued reaches a client between
// its replies: before the reply to any command that it sends later.) A key is told once and then
// forgotten, until it is read again. Broadcast mode needs no table: a client has prefixes, and each
// entry's keys are compared with them.
//
// Invariants.
//  1. A client is in the table for a key before it reads the value that it will cache; so a change that it
//     has not seen finds it there.
//  2. The table holds at most its limit of keys, and trackingBytes: to make room, some keys are told and
//     forgotten. While nobody tracks it is empty.
//  3. After the state was replaced as a whole, every client is told that everything is stale.
//
// Rejected: the hub's goroutine as the sender (the acknowledgement could overtake it). Drawback: apply
// pays a lookup per event while any client tracks, and nothing while none does.
type Tracker struct {
	active atomic.Int64 // clients that track: without any, apply does nothing

	mu struct {
		sync.Mutex
		limit    int
		most     int // bytes
		bytes    int // of keys
		keys     map[string]map[*Tracking]struct{}
		prefixes map[string]map[*Tracking]struct{}
		lengths  map[int]int // of the prefixes
		clients  map[*Tracking]struct{}
	}
}

// Invalidated tells a client which keys are stale; nil: all of them. It must not block.
type Invalidated func(keys []string)

// Tracking is one client's tracking. From Start on its fields belong to the Tracker, but for ID.
type Tracking struct {
	ID uint64 // of the connection, to know its own writes
	TrackingOptions
}

// TrackingOptions are what a client may change while it tracks.
type TrackingOptions struct {
	NoLoop   bool // its own writes are not told
	Prefixes []string
	Tell     Invalidated
}

// TrackingKeys is Redis's default of tracking-table-max-keys.
const TrackingKeys = 1_000_000

// trackingBytes bounds the memory of the table, roughly: a key's bytes, and trackingEntry for each client
// that has read it. With keys of ordinary length the bound of keys is reached first.
const (
	trackingBytes = 256 << 20
	trackingEntry = 128
)

func newTracker() *Tracker {
	t := &Tracker{}
	t.mu.limit, t.mu.most = TrackingKeys, trackingBytes
	t.mu.keys = map[string]map[*Tracking]struct{}{}
	t.mu.prefixes = map[string]map[*Tracking]struct{}{}
	t.mu.lengths = map[int]int{}
	t.mu.clients = map[*Tracking]struct{}{}
	return t
}

// Start begins a client's tracking.
func (t *Tracker) Start(c *Tracking) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.active.Add(1)
	t.mu.clients[c] = struct{}{}
	t.listenLocked(c)
}

// Change gives a client that tracks other options. What it has read stays noted.
func (t *Tracker) Change(c *Tracking, o TrackingOptions) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unlistenLocked(c)
	c.TrackingOptions = o
	t.listenLocked(c)
}

// Stop ends it. The table forgets the client key by key, as keys change, and holds nothing of it but its
// place; when it was the last client the table forgets everything.
func (t *Tracker) Stop(c *Tracking) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.active.Add(-1)
	delete(t.mu.clients, c)
	t.unlistenLocked(c)
	c.TrackingOptions = TrackingOptions{Tell: func([]string) {}}
	if len(t.mu.clients) == 0 {
		t.clearLocked()
	}
}

// listenLocked enters the prefixes of a client.
func (t *Tracker) listenLocked(c *Tracking) {
	for _, p := range c.Prefixes {
		addTo(t.mu.prefixes, p, c)
		t.mu.lengths[len(p)]++
	}
}

func (t *Tracker) unlistenLocked(c *Tracking) {
	for _, p := range c.Prefixes {
		removeFrom(t.mu.prefixes, p, c)
		if t.mu.lengths[len(p)]--; t.mu.lengths[len(p)] == 0 {
			delete(t.mu.lengths, len(p))
		}
	}
}

// clearLocked empties the table of keys and gives its memory back.
func (t *Tracker) clearLocked() {
	t.mu.keys, t.mu.bytes = map[string]map[*Tracking]struct{}{}, 0
}

// takeLocked takes a key out of the table and returns who had read it.
func (t *Tracker) takeLocked(key string) map[*Tracking]struct{} {
	clients, known := t.mu.keys[key]
	if known {
		t.mu.bytes -= len(key) + trackingEntry*len(clients)
		delete(t.mu.keys, key)
	}
	return clients
}

func addTo(m map[string]map[*Tracking]struct{}, key string, c *Tracking) {
	if m[key] == nil {
		m[key] = make(map[*Tracking]struct{}, 1)
	}
	m[key][c] = struct{}{}
}

func removeFrom(m map[string]map[*Tracking]struct{}, key string, c *Tracking) {
	if delete(m[key], c); len(m[key]) == 0 {
		delete(m, key)
	}
}

// Read notes that a client is about to read a key and to cache it.
func (t *Tracker) Read(c *Tracking, key string) {
	t.mu.Lock()
	clients, known := t.mu.keys[key]
	if !known {
		clients, key = make(map[*Tracking]struct{}, 1), strings.Clone(key)
		t.mu.keys[key] = clients
		t.mu.bytes += len(key)
	}
	if _, noted := clients[c]; !noted {
		clients[c] = struct{}{}
		t.mu.bytes += trackingEntry
	}
	told := t.evictLocked(key)
	t.mu.Unlock()
	spread(told)
}

func spread(all []news) {
	for _, n := range all {
		n.tell(n.keys)
	}
}

// evictLocked forgets keys other than keep until the table is within its bounds.
func (t *Tracker) evictLocked(keep string) (told []news) {
	if !t.fullLocked() {
		return nil
	}
	for key := range t.mu.keys {
		if key == keep {
			continue
		}
		for c := range t.takeLocked(key) {
			told = append(told, news{c.Tell, []string{key}})
		}
		if !t.fullLocked() {
			break
		}
	}
	return told
}

func (t *Tracker) fullLocked() bool {
	return t.mu.limit > 0 && len(t.mu.keys) > t.mu.limit || t.mu.bytes > t.mu.most
}

// SetLimit bounds the keys of the table; 0 for no bound.
func (t *Tracker) SetLimit(keys int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.limit = keys
}

// Limit returns the bound that SetLimit sets; 0 means none.
func (t *Tracker) Limit() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.limit
}

// Clients returns how many clients track.
func (t *Tracker) Clients() int64 { return t.active.Load() }

// Keys returns how many keys are in the table.
func (t *Tracker) Keys() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.mu.keys)
}

// Active reports whether any client tracks.
func (t *Tracker) Active() bool { return t.active.Load() > 0 }

// Writer tells which connection of this member made the events up to an index; 0: none of them.
type Writer struct {
	Upto int
	ID   uint64
}

// news is what one client is to be told.
type news struct {
	tell Invalidated
	keys []string
}

// Changed tells clients what an entry made stale. Apply calls it before it answers the writer.
func (t *Tracker) Changed(events []mvcc.Event, writers []Writer) {
	if !t.Active() {
		return
	}
	spread(t.gather(events, writers))
}

// gather collects the news, in the order of the events for each client.
func (t *Tracker) gather(events []mvcc.Event, writers []Writer) (all []news) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := map[*Tracking]int{}
	tell := func(c *Tracking, key string, writer uint64) {
		if c.NoLoop && writer == c.ID {
			return
		}
		i, known := at[c]
		if !known {
			i = len(all)
			at[c] = i
			all = append(all, news{tell: c.Tell})
		}
		all[i].keys = append(all[i].keys, key)
	}
	for i := range events {
		for len(writers) > 0 && writers[0].Upto <= i {
			writers = writers[1:]
		}
		writer := uint64(0)
		if len(writers) > 0 {
			writer = writers[0].ID
		}
		t.staleLocked(events[i].Record.Key(), writer, tell)
	}
	return all
}

// staleLocked tells about one key, and forgets it.
func (t *Tracker) staleLocked(key string, writer uint64, tell func(*Tracking, string, uint64)) {
	for c := range t.takeLocked(key) {
		tell(c, key, writer)
	}
	for n := range t.mu.lengths {
		if n > len(key) {
			continue
		}
		for c := range t.mu.prefixes[key[:n]] {
			tell(c, key, writer)
		}
	}
}

// Flush tells every client that everything is stale.
func (t *Tracker) Flush() {
	t.mu.Lock()
	t.clearLocked()
	var all []news
	for c := range t.mu.clients {
		all = append(all, news{tell: c.Tell})
	}
	t.mu.Unlock()
	spread(all)
}
