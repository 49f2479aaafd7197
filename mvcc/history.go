package mvcc

import (
	"math"
	"unsafe"

	"github.com/tidwall/buntdb"
)

// The history holds every record that compaction has not removed, in the order they were written: a
// buntdb database in memory whose key is a record's stamp and whose value is the record. It feeds
// what reads by revision: SCAN, watches that catch up, snapshots.
//
// Rules that buntdb forces: one Update per applied entry, and nothing in it that can fail, because a
// panic inside an Update commits what was done so far; Views in short chunks, because a View stops the
// writer; never its expiry, which reads the clock; never one transaction inside another.
//
// buntdb starts a goroutine of its own, which here only ticks once a second; it ends within a second
// after Close.
type history struct{ db *buntdb.DB }

func newHistory() history {
	db, err := buntdb.Open(":memory:")
	if err != nil {
		panic("mvcc: opening the history in memory: " + err.Error())
	}
	return history{db}
}

func (h history) close() { _ = h.db.Close() } // in memory: the only error is a second Close

// append adds the records of a batch's events.
func (h history) append(events []Event) {
	h.update(func(tx *buntdb.Tx) error {
		for i := range events {
			if err := set(tx, events[i].Record); err != nil {
				return err
			}
		}
		return nil
	})
}

func set(tx *buntdb.Tx, r Record) error {
	_, _, err := tx.Set(r.enc[:stampBytes], r.enc, nil)
	return err
}

func (h history) remove(rs []Record) {
	h.update(func(tx *buntdb.Tx) error {
		for _, r := range rs {
			if _, err := tx.Delete(r.enc[:stampBytes]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h history) update(fn func(tx *buntdb.Tx) error) {
	if err := h.db.Update(fn); err != nil {
		panic("mvcc: history and index disagree, or the store is closed: " + err.Error())
	}
}

// ascend calls fn with the records from position p on, until fn returns false.
func (h history) ascend(p position, fn func(Record) bool) {
	err := h.db.View(func(tx *buntdb.Tx) error {
		return tx.AscendGreaterOrEqual("", p.stamp(), func(_, enc string) bool {
			return fn(Record{enc: enc})
		})
	})
	if err != nil {
		panic("mvcc: the store is closed: " + err.Error())
	}
}

func (h history) len() (n int) {
	_ = h.db.View(func(tx *buntdb.Tx) (err error) {
		n, err = tx.Len()
		return err
	})
	return n
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

func positionOf(r Record) position { return position{r.ModRevision(), r.Sub()} }

func (p position) stamp() string {
	b := append64(make([]byte, 0, stampBytes), uint64(max(p.main, 0)))
	b = append(b, byte(p.sub>>24), byte(p.sub>>16), byte(p.sub>>8), byte(p.sub))
	return unsafe.String(&b[0], len(b)) // b is not written again
}
