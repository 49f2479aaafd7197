package pubsub

import (
	"cmp"
	"slices"

	"github.com/redkeep/redkeep/mvcc"
)

// Catching up: watches that are behind are fed from the store's history, in chunks.
//
// Idea. It goes in rounds. The watches that are behind are sorted by where they are. One chunk of history
// is read from where the last of them is, and serves every watch that is inside its stretch; the next watch
// beyond it gets a chunk of its own, in the same round, so a watch far back does not hold up one that is
// nearly there. Inside a chunk, each feed is matched and encoded once, for all its watches. When the inbox
// has something, it goes on after the next chunk.
//
// No pin is held. A chunk is read under the store's lock, and the compacted revision is read after it: if
// that is not above where the chunk began, nothing of the chunk can have been removed. So a compaction is
// never held up by a slow client, and a client that it has overtaken is told.
//
// A chunk ends with a whole revision, however large: a revision is offered whole or not at all.
type catchup struct {
	round  []*Subscription          // behind, sorted, and not served in this round yet
	behind []*Subscription          // behind, for the next round
	full   map[Sink][]*Subscription // their sinks have refused and not reported room

	chunk int // bytes of records read at once: chunkBytes
	frame int // bytes of revisions in one frame: offerBytes

	records []mvcc.Record // scratch
	events  []mvcc.Event  // scratch
	buf     []byte        // scratch
}

const (
	chunkBytes = 256 << 10
	offerBytes = 64 << 10 // several revisions in one frame, where the client's frames allow it
)

// add puts a watch behind. REQUIRES: it is in no list.
func (c *catchup) add(s *Subscription) {
	s.state = stateBehind
	c.behind = append(c.behind, s)
}

// wait puts a watch behind until its sink has room. REQUIRES: it is in no list.
func (c *catchup) wait(s *Subscription) {
	s.state = stateFull
	c.full[s.sink] = append(c.full[s.sink], s)
}

// drop takes a watch that is behind out of the lists.
func (c *catchup) drop(s *Subscription) {
	c.behind = without(c.behind, s)
	c.round = slices.DeleteFunc(c.round, func(o *Subscription) bool { return o == s })
}

func (c *catchup) room(sink Sink) {
	for _, s := range c.full[sink] {
		c.add(s)
	}
	delete(c.full, sink)
}

func (c *catchup) dropFull(s *Subscription) {
	if rest := without(c.full[s.sink], s); len(rest) > 0 {
		c.full[s.sink] = rest
	} else {
		delete(c.full, s.sink)
	}
}

// feedHistory feeds at least one chunk, and goes on to the end of the round unless the inbox fills
// meanwhile; busy tells that some watches are still behind.
func (h *Hub) feedHistory() (busy bool) {
	c := &h.catchup
	if len(c.round) == 0 {
		c.round, c.behind = c.behind, nil
		slices.SortFunc(c.round, func(a, b *Subscription) int { return cmp.Compare(a.next, b.next) })
	}
	for first := true; len(c.round) > 0 && (first || len(h.kick) == 0); first = false {
		todo := c.round
		c.round = todo[h.feedChunk(todo):]
	}
	return len(c.round)+len(c.behind) > 0
}

// feedChunk reads one chunk from where todo[0] is and feeds those inside it; it returns their number. Each
// of them is in another list, or in none, afterwards.
func (h *Hub) feedChunk(todo []*Subscription) (served int) {
	from, until := todo[0].next, h.position
	end := h.readChunk(from, until) // the first revision that was not read
	for served < len(todo) && (served == 0 || todo[served].next < end) {
		served++
	}
	compacted := h.store.CompactRevision()
	alive := todo[:0:served]
	for _, s := range todo[:served] {
		if s.next < compacted {
			h.cancel(s, compacted)
		} else {
			alive = append(alive, s)
		}
	}
	h.feedThose(alive, end)
	h.forget()
	return served
}

// readChunk reads the records of [from, end) into c.records.
func (h *Hub) readChunk(from, until mvcc.Revision) (end mvcc.Revision) {
	c := &h.catchup
	if from > until {
		return from
	}
	keep := func(r mvcc.Record) { c.records = append(c.records, r) }
	more := h.store.Ascend(from, -1, until, c.chunk, keep)
	if !more {
		return until + 1
	}
	last := c.records[len(c.records)-1]
	cut := len(c.records)
	for cut > 0 && c.records[cut-1].ModRevision() == last.ModRevision() {
		cut--
	}
	if cut > 0 {
		c.records = c.records[:cut]
		return last.ModRevision()
	}
	for rev := last.ModRevision(); more; { // one revision larger than a chunk
		more = h.store.Ascend(rev, int64(last.Sub()), rev, c.chunk, keep)
		last = c.records[len(c.records)-1]
	}
	return last.ModRevision() + 1
}

func (h *Hub) forget() {
	c := &h.catchup
	clear(c.records)
	c.records = c.records[:0]
	clear(c.events)
	c.events = c.events[:0]
	if cap(c.records) > 64<<10 {
		c.records, c.events = nil, nil
	}
}

// feedThose feeds watches from the chunk that was read, feed by feed.
func (h *Hub) feedThose(alive []*Subscription, end mvcc.Revision) {
	for i, first := range alive {
		if first == nil {
			continue
		}
		var pages [4]*page
		for j := i; j < len(alive); j++ {
			s := alive[j]
			if s == nil || s.feed != first.feed {
				continue
			}
			alive[j] = nil
			proto := s.sink.Proto()
			if pages[proto] == nil {
				pages[proto] = h.encodeChunk(first.feed, proto, s.next)
			}
			h.feedOne(s, pages[proto], end)
		}
	}
}

// page is what a feed gets of a chunk, encoded once.
type page struct {
	body []byte
	revs []mvcc.Revision // those with events, and where each begins
	at   []int
}

// encodeChunk encodes what the chunk has for a feed from a revision on. REQUIRES: none of the feed's
// watches in the chunk wants an earlier one, which the order of the watches sees to.
func (h *Hub) encodeChunk(f *feed, proto int, from mvcc.Revision) *page {
	c := &h.catchup
	p := &page{}
	body := c.buf[:0]
	for records := c.records; len(records) > 0; {
		rev, n := records[0].ModRevision(), 1
		for n < len(records) && records[n].ModRevision() == rev {
			n++
		}
		if rev >= from {
			c.events = h.choose(c.events[:0], f, records[:n])
			if len(c.events) > 0 {
				p.revs, p.at = append(p.revs, rev), append(p.at, len(body))
				body = f.enc.Events(body, proto, rev, c.events)
			}
		}
		records = records[n:]
	}
	p.body = append([]byte(nil), body...)
	if c.buf = body; cap(body) > 4*chunkBytes {
		c.buf = nil
	}
	return p
}

// choose appends the events of one revision that a feed wants.
func (h *Hub) choose(events []mvcc.Event, f *feed, group []mvcc.Record) []mvcc.Event {
	for i, r := range group {
		if !f.spec.Span.Contains(r.Key()) || !f.spec.wants(r) {
			continue
		}
		e := mvcc.Event{Record: r}
		if f.spec.Prev {
			e.Prev = h.before(group[:i], r)
		}
		events = append(events, e)
	}
	return events
}

// before returns the record that r superseded, or the zero Record if there was none or it is compacted.
func (h *Hub) before(earlier []mvcc.Record, r mvcc.Record) mvcc.Record {
	if r.Version() == 1 {
		return mvcc.Record{}
	}
	for _, e := range slices.Backward(earlier) {
		if e.Key() == r.Key() {
			return e
		}
	}
	prev, err := h.store.GetAt(r.Key(), r.ModRevision()-1)
	if err != nil {
		return mvcc.Record{}
	}
	return prev
}

// feedOne offers a page to one watch and decides where it goes on.
func (h *Hub) feedOne(s *Subscription, p *page, end mvcc.Revision) {
	for i := 0; i < len(p.revs); {
		if p.revs[i] < s.next {
			i++
			continue
		}
		j := h.catchup.together(s, p, i)
		proto := s.sink.Proto()
		if !s.sink.Offer(s.head(proto), p.body[p.at[i]:p.start(j)]) {
			s.next = p.revs[i]
			h.catchup.wait(s)
			return
		}
		h.stats.CaughtUp.Add(int64(j - i))
		s.told()
		i = j
	}
	s.next = max(s.next, end)
	if s.next > h.position {
		s.feed.sync(s)
		return
	}
	h.catchup.add(s)
}

// together returns the end of the revisions that go into one frame with revision i.
func (c *catchup) together(s *Subscription, p *page, i int) int {
	j := i + 1
	for s.watch.Head == nil && j < len(p.revs) && p.start(j+1)-p.at[i] <= c.frame {
		j++
	}
	return j
}

// start is where revision i of the page begins; behind the last one, the page's end.
func (p *page) start(i int) int {
	if i < len(p.at) {
		return p.at[i]
	}
	return len(p.body)
}

// cancel ends a watch whose history is compacted.
func (h *Hub) cancel(s *Subscription, compacted mvcc.Revision) {
	if !s.sink.Offer(nil, s.watch.Canceled(s.sink.Proto(), compacted)) {
		h.catchup.wait(s)
		return
	}
	h.stats.Canceled.Add(1)
	s.state = stateSynced
	s.feed.sync(s) // end takes it out of where it is
	h.end(s)
}
