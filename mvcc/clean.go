package mvcc

import (
	"math/bits"
	"slices"

	"github.com/tidwall/buntdb"
)

// Winning back the memory of dead records.
//
// Idea: a page of records that were written together empties by itself, for its keys are written again. So a
// page is left alone while little is dead in all of them together. Only when a quarter is, a hand that goes
// round and round over the pages, from the oldest on, evacuates those that are at least half dead: what lives
// is copied, together with the left neighbour if both fit into one page, and the old memory let go. So dead
// records never take more memory than living ones, half of that mostly, and nothing is copied at all where
// keys are written again within the bounds of the history.
//
// Rejected: evacuating each page as soon as a third of it lives. Of two records one was copied once more in
// its life, in most stores shortly before it died: half of the cost of removing.
//
// The drawback: in a store whose every page is just under half dead the hand goes round for nothing. It looks
// at cleanVisits pages for each slice of garbage, which is little beside removing it.
type cleaning struct {
	closed int   // pages before this one are closed, and counted in held and dead
	held   int64 // bytes of closed pages
	dead   int64 // bytes of dead records in them
	hand   int   // the page to be looked at next

	// ahead is told the keys of records that are about to be moved; nil for nobody.
	ahead func(keys []string)
	keys  []string // scratch
	sum   int      // of what was looked at early, so that it is not left out
}

// cleanVisits is how many pages one call of clean looks at.
const cleanVisits = 256

// remove makes records dead, warmKeys of them at most, and pages go in which nothing lives any more. The
// records must not be used afterwards. All pages are looked up before the first is touched: see warm.go.
func (h *history) remove(tx *buntdb.Tx, records []Record) error {
	var found [warmKeys]int
	for i, r := range records {
		found[i] = h.find(positionOf(r))
	}
	for i := range records {
		h.sum += len(h.pages[found[i]].at)
	}
	for i := range records {
		if at := h.pages[found[i]].at; len(at) > 0 {
			h.sum += int(at[len(at)/2])
		}
	}
	for i, r := range records {
		if err := h.kill(tx, found[i], r); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) kill(tx *buntdb.Tx, at int, r Record) error {
	p := h.pages[at]
	p.dead |= 1 << p.place(r)
	p.waste += len(r.enc)
	if at >= h.closed {
		return nil // open, or closed since settle ran
	}
	h.dead += int64(len(r.enc))
	if p.living() == 0 {
		return h.drop(tx, p)
	}
	return nil
}

// settle looks after the pages that have been closed since it last ran.
func (h *history) settle(tx *buntdb.Tx) error {
	for ; h.closed < len(h.pages)-1; h.closed++ {
		p := h.pages[h.closed]
		h.count(p, 1)
		if p.living() == 0 {
			if err := h.drop(tx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// count adds a closed page to the sums, or takes it out.
func (h *history) count(p *page, sign int64) {
	h.held += sign * int64(len(p.data))
	h.dead += sign * int64(p.waste)
}

// clean evacuates pages until little is dead, or for long enough. moved is called for every record that was
// copied. REQUIRES: all pages are settled.
func (h *history) clean(tx *buntdb.Tx, moved func(old, r Record)) error {
	for range min(cleanVisits, h.closed) {
		if 4*h.dead <= h.held {
			return nil
		}
		if h.hand >= h.closed {
			h.hand = 0
		}
		if p := h.pages[h.hand]; p.at != nil && 2*p.waste >= len(p.data) {
			if err := h.evacuate(tx, h.hand, moved); err != nil {
				return err
			}
		}
		h.hand++
	}
	return nil
}

// drop lets a closed page go.
func (h *history) drop(tx *buntdb.Tx, p *page) error {
	_, err := tx.Delete(p.key())
	h.count(p, -1)
	p.data, p.at, p.dead, p.waste = nil, nil, 0, 0
	h.empty++
	return err
}

// evacuate copies the living records of a page, and those of the page on its left if there is room.
func (h *history) evacuate(tx *buntdb.Tx, at int, moved func(old, r Record)) error {
	from := []*page{h.pages[at]}
	if left := h.left(at); left != nil && fitTogether(left, from[0]) {
		from = []*page{left, from[0]}
	}
	into, size := &page{first: from[0].first}, 0
	for _, p := range from {
		size += p.livingBytes()
	}
	h.lookAhead(from)
	into.data, into.at = make([]byte, 0, size), make([]uint16, 0, pageRecords)
	for _, p := range from {
		p.each(position{}, func(r Record) bool {
			_ = append(into.append(len(r.enc)), r.enc...)
			moved(r, into.record(len(into.at)-1))
			return true
		})
		if err := h.drop(tx, p); err != nil {
			return err
		}
	}
	into.at = slices.Clip(into.at)
	h.empty--
	*from[0] = *into // where the directory looks for it
	h.count(from[0], 1)
	return set(tx, from[0])
}

// lookAhead tells whose keys are about to be moved.
func (h *history) lookAhead(from []*page) {
	if h.ahead == nil {
		return
	}
	h.keys = h.keys[:0]
	for _, p := range from {
		p.each(position{}, func(r Record) bool {
			h.keys = append(h.keys, r.Key())
			return true
		})
	}
	h.ahead(h.keys)
	clear(h.keys) // they hold the old memory
}

func fitTogether(a, b *page) bool {
	return a.living()+b.living() <= pageRecords && a.livingBytes()+b.livingBytes() <= pageBytes
}

func (p *page) living() int { return len(p.at) - bits.OnesCount64(p.dead) }

func (p *page) livingBytes() int { return len(p.data) - p.waste }

// left returns the nearest page before index at that has not gone.
func (h *history) left(at int) *page {
	for at--; at >= 0; at-- {
		if p := h.pages[at]; p.at != nil {
			return p
		}
	}
	return nil
}

// tidy shortens the directory when a quarter of it has gone. REQUIRES: all pages are saved and settled.
func (h *history) tidy() {
	if h.empty < smallestDirectory || 4*h.empty < len(h.pages) {
		return
	}
	n, hand := 0, 0
	for i, p := range h.pages {
		if i == h.hand {
			hand = n
		}
		if p.at != nil {
			h.pages[n], h.firsts[n] = p, h.firsts[i]
			n++
		}
	}
	clear(h.pages[n:])
	h.pages, h.firsts = h.pages[:n], h.firsts[:n]
	h.saved, h.closed, h.empty, h.hand = n, max(n-1, 0), 0, hand
}
