package mvcc

import (
	"slices"
	"strings"
)

// A scan walks the history in the order of its records and passes on those that are heads: the live
// keys, by their last change. Its cursor is the position of the next record to examine, so it means the
// same on every member and after a restart. A key that is there all the time is always returned: at
// any moment its head is either behind the cursor, and was met, or still ahead of it. One that is
// written during the scan moves ahead and may be met again.
//
// The cursor has 53 bits, as some clients hold it in a float: 40 for the main revision and 13 for the
// place inside the revision. The first scanExact places are exact. Above them only every
// scanGranule-th can be named, so a page that is there runs on to the next such place or to the end
// of the revision; and above the last of these, at 16 million records in one revision, to its end.
// Counting coarser for large revisions keeps a page bounded after a FLUSHALL of millions of keys.
//
// COUNT bounds what a page returns and roughly the work for it. A superseded record counts for a part of a
// live one (scanDead): a store of a few keys that are written all the time holds a hundred thousand of them,
// and its client would get thousands of empty pages.
const (
	scanDead = 64 // so many superseded records count as one

	scanSubBits  = 13
	scanMainBits = 40
	scanSubs     = 1 << scanSubBits
	scanExact    = scanSubs - 1024
	scanGranule  = 1 << 14
)

// Scan calls fn with the live records from cursor on, at most count of them (more only as described above),
// examining not many more records than that or than scanDead times as many superseded ones, and returns the
// cursor of the next page; 0 starts and 0 ends. A page may be empty. Keys past their deadline are not hidden.
// fn runs without the lock.
func (s *Store) Scan(cursor uint64, count int, fn func(Record)) (next uint64) {
	if s.scratch != nil {
		return s.scratch.scan(cursor, count, fn)
	}
	p, left := fromCursor(cursor), scanDead*max(count, 1)
	for {
		page := s.scanChunk(p, left)
		for _, r := range page.heads {
			fn(r)
		}
		if !page.more {
			return 0
		}
		left -= page.spent
		if c, ok := page.rest.cursor(); ok && left <= 0 {
			return c
		}
		p = page.rest
	}
}

type scanPage struct {
	heads    []Record
	examined int
	spent    int      // scanDead for each head, 1 for each other record
	rest     position // of the next record, if there are more
	more     bool
}

// scanChunk examines records from p on: until so much is spent, then on to a place that a cursor can name,
// but never more than chunkRecords.
func (s *Store) scanChunk(p position, left int) (page scanPage) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := s.mu.at
	st.history.ascend(p, func(r Record) bool {
		if page.spent >= left || page.examined >= chunkRecords {
			page.rest, page.more = positionOf(r), true
			if _, ok := page.rest.cursor(); ok || page.examined >= chunkRecords {
				return false
			}
			page.more = false
		}
		page.examined++
		page.spent++
		if r.Exists() && st.isHead(r) {
			page.heads = append(page.heads, r)
			page.spent += scanDead - 1
		}
		return true
	})
	return page
}

// isHead reports whether a record is its key's newest.
func (st *state) isHead(r Record) bool {
	c, ok := st.index.get(r.Key())
	return ok && positionOf(c.head) == positionOf(r)
}

// cursor encodes a position iff it has an exact encoding. Revisions of more than 40 bits have none.
func (p position) cursor() (c uint64, ok bool) {
	if p.main >= 1<<scanMainBits {
		return 0, false
	}
	main := uint64(p.main) << scanSubBits
	if p.sub < scanExact {
		return main | uint64(p.sub), true
	}
	step, odd := (p.sub-scanExact)/scanGranule, (p.sub-scanExact)%scanGranule
	return main | uint64(scanExact+step), odd == 0 && scanExact+step < scanSubs
}

func fromCursor(c uint64) position {
	p := position{Revision(c >> scanSubBits & (1<<scanMainBits - 1)), uint32(c % scanSubs)}
	if p.sub >= scanExact {
		p.sub = scanExact + (p.sub-scanExact)*scanGranule
	}
	return p
}

// ScanRevision is the lowest main revision that a page from cursor on can hold.
func ScanRevision(cursor uint64) Revision { return fromCursor(cursor).main }

// ScanPage takes the page of a scan from the live records that a range in a transaction gave, of all keys and
// from ScanRevision on; it sorts them. Its cursors mean what those of Scan mean.
func ScanPage(live []Record, cursor uint64, count int) (page []Record, next uint64) {
	slices.SortFunc(live, func(a, b Record) int {
		return strings.Compare(a.enc[:stampBytes],
			b.enc[:stampBytes])
	})
	from := fromCursor(cursor)
	for i, r := range live {
		at := positionOf(r)
		if at.main < from.main || at.main == from.main && at.sub < from.sub {
			continue
		}
		if c, ok := at.cursor(); ok && len(page) >= max(count, 1) {
			return page, c
		}
		page = append(page, live[i])
	}
	return page, 0
}
