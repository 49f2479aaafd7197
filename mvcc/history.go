package mvcc

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/tidwall/buntdb"
)

// The history holds every record that compaction has not removed, in the order they were written. It feeds
// what reads by revision: SCAN, watches that catch up, snapshots.
//
// Idea: records come in the order of their stamps and go in nearly that order, so they are kept by the page:
// up to pageRecords of them, one behind the other in one piece of memory. A buntdb database in memory holds
// the pages, key the stamp of the first record, value the bytes. Beside it the directory, a sorted slice,
// knows where in its page each record begins and which of them are dead. Writing a record is copying its
// bytes behind the last one; removing it is setting a bit. A page whose records are all dead goes; what dead
// records hold in others is won back by evacuation (clean.go).
//
// Invariants, checked by Check:
//
//  9. The directory is sorted, and its pages that are not empty are the items of the database.
//  10. The strings that chains hold lie in their pages, so a record's place there follows from its address.
//  11. held and dead are the bytes of the closed pages, and of the dead records in them.
//
// Rejected: an item of the database per record. Its tree then has a million items, of which each insertion
// and each removal touches a dozen, and the collector looks at all of them: 2 of 3.4 microseconds that a
// write with the removal of its predecessor cost.
//
// The drawback: a record that somebody keeps, be it a result or an event, keeps its page's memory; and dead
// records stay in memory, uncounted, until their page goes or is evacuated.
//
// Rules that buntdb forces: one Update per applied entry, and nothing in it that can fail, because a
// panic inside an Update commits what was done so far; Views in short chunks, because a View stops the
// writer; never its expiry, which reads the clock; never one transaction inside another.
//
// buntdb starts a goroutine of its own, which here only ticks once a second; it ends within a second
// after Close.
type history struct {
	db     *buntdb.DB
	pages  []*page    // the directory; the last one is open, all others are closed
	firsts []position // of each page: what find searches, in one piece
	empty  int        // pages of the directory that have gone
	saved  int        // the first page that the database may not have as it is

	cleaning
}

// Tests make these smaller.
var (
	pageRecords       = 64 // bounds the records of a page: the bits of page.dead
	smallestDirectory = 64 // pages that have gone are left in a smaller one
)

const (
	pageBytes = 8 << 10
	// smallestRoom is what must be left of a page's memory for the next page to begin there.
	smallestRoom = 512
)

// page is a run of records.
type page struct {
	first position
	data  []byte   // within the capacity it was made with: it never moves
	at    []uint16 // where each record begins; nil: the page has gone
	dead  uint64   // bit i: record i was removed
	waste int      // bytes of those
}

func (p *page) record(i int) Record {
	to := len(p.data)
	if i+1 < len(p.at) {
		to = int(p.at[i+1])
	}
	return Record{enc: p.text()[p.at[i]:to]}
}

// text is the page's bytes; those that are there are not written again.
func (p *page) text() string { return unsafe.String(unsafe.SliceData(p.data), len(p.data)) }

func (p *page) key() string { return p.text()[:stampBytes] }

// fits reports whether a record of so many bytes may be appended.
func (p *page) fits(size int) bool {
	return len(p.at) < pageRecords && len(p.data)+size <= cap(p.data)
}

// append makes room for a record and returns it, empty. REQUIRES: it fits.
func (p *page) append(size int) []byte {
	from := len(p.data)
	p.at = append(p.at, uint16(from))
	p.data = p.data[:from+size]
	return p.data[from : from : from+size]
}

// each calls fn with the records from position p on that live, until fn returns false.
func (p *page) each(from position, fn func(Record) bool) (more bool) {
	for i := range p.at {
		if r := p.record(i); p.dead&(1<<i) == 0 && !positionOf(r).before(from) && !fn(r) {
			return false
		}
	}
	return true
}

// place finds a record by its address: invariant 10.
func (p *page) place(r Record) int {
	base := uintptr(unsafe.Pointer(unsafe.SliceData(p.data)))
	offset := uintptr(unsafe.Pointer(unsafe.StringData(r.enc))) - base
	low, high := 0, len(p.at)
	for low < high {
		if mid := (low + high) / 2; uintptr(p.at[mid]) < offset {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == len(p.at) || uintptr(p.at[low]) != offset || p.dead&(1<<low) != 0 {
		panic(fmt.Sprintf("mvcc: record (%d, %d) is not in its page", r.ModRevision(), r.Sub()))
	}
	return low
}

func newHistory() history {
	db, err := buntdb.Open(":memory:")
	if err != nil {
		panic("mvcc: opening the history in memory: " + err.Error())
	}
	return history{db: db}
}

func (h *history) close() { _ = h.db.Close() } // in memory: the only error is a second Close

// room makes room for the next record, which the caller has to encode there before anybody reads.
func (h *history) room(next position, size int) []byte {
	last := len(h.pages) - 1
	if last < 0 || !h.pages[last].fits(size) {
		records := 1 // as many as in the last page, at first
		if last >= 0 {
			records = max(records, len(h.pages[last].at))
		}
		h.pages = append(h.pages, &page{first: next, data: h.memory(size), at: make([]uint16, 0, records)})
		h.firsts = append(h.firsts, next)
		last++
	}
	h.saved = min(h.saved, last)
	return h.pages[last].append(size)
}

// memory returns what is left of the last page's memory, or new memory.
func (h *history) memory(size int) []byte {
	if n := len(h.pages); n > 0 {
		last := h.pages[n-1].data
		if rest := last[len(last):]; cap(rest) >= max(size, smallestRoom) {
			return rest
		}
	}
	return make([]byte, 0, max(size, pageBytes))
}

// save brings the database up to date with what was appended.
func (h *history) save() {
	if h.saved < len(h.pages) {
		h.update(h.saveTo)
	}
}

func (h *history) saveTo(tx *buntdb.Tx) error {
	for _, p := range h.pages[h.saved:] {
		if err := set(tx, p); err != nil {
			return err
		}
	}
	h.saved = len(h.pages)
	return nil
}

func set(tx *buntdb.Tx, p *page) error {
	_, _, err := tx.Set(p.key(), p.text(), nil)
	return err
}

func (h *history) update(fn func(tx *buntdb.Tx) error) {
	if err := h.db.Update(fn); err != nil {
		panic("mvcc: history and directory disagree, or the store is closed: " + err.Error())
	}
}

// find returns the index of the page that has, or would have, a position: -1 if it is before all. What a page
// that has gone still had when it went is in the next one on its left.
func (h *history) find(p position) int {
	low, high := 0, len(h.firsts)
	for low < high {
		if mid := (low + high) / 2; p.before(h.firsts[mid]) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	at := low - 1
	for at >= 0 && h.pages[at].at == nil {
		at--
	}
	return at
}

// ascend calls fn with the records from position p on, until fn returns false.
func (h *history) ascend(p position, fn func(Record) bool) {
	at := max(h.find(p), 0)
	for at < len(h.pages) && h.pages[at].at == nil {
		at++
	}
	if at == len(h.pages) {
		return
	}
	err := h.db.View(func(tx *buntdb.Tx) error {
		return tx.AscendGreaterOrEqual("", h.pages[at].key(), func(key, _ string) bool {
			for h.pages[at].at == nil {
				at++
			}
			at++
			return h.pages[at-1].each(p, fn)
		})
	})
	if err != nil {
		panic("mvcc: the store is closed: " + err.Error())
	}
}

// position is a place in the history: the first record that may stand there.
type position struct {
	main Revision
	sub  uint32
}

// after is the position behind (main, sub); a sub below 0 means before the first, one above all
// subs behind the last.
func after(main Revision, sub int64) position {
	switch {
	case sub < 0:
		return position{main, 0}
	case sub >= math.MaxUint32:
		return position{main + 1, 0}
	default:
		return position{main, uint32(sub) + 1}
	}
}

func (p position) before(o position) bool {
	return p.main < o.main || p.main == o.main && p.sub < o.sub
}

func positionOf(r Record) position { return position{r.ModRevision(), r.Sub()} }
