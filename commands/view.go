package commands

import "github.com/redkeep/redkeep/mvcc"

// view is what a read command sees of the store. It never shows a key past its deadline.
//
// A linearizable read must do more than hide such a key: another node's clock may be slower, and a later read
// there would show the key again. So the view remembers what it hid, the dispatcher gets the expiry of these
// keys committed, and runs the reads again. The leader's clock decides (now is a barrier round's point). A
// local read (READONLY, SERIALIZABLE) hides by this node's clock and proposes nothing.
type view struct {
	store  *mvcc.Store
	now    mvcc.UnixMilli
	linear bool

	expired      []mvcc.ExpireKey // linear reads: what was hidden
	leases       leaseTimes
	wanted       []mvcc.LeaseID // linear reads: leases whose time the leader has to tell
	hits, misses int64          // of single-key lookups, for INFO
}

func (v *view) begin(store *mvcc.Store, now mvcc.UnixMilli, linear bool) {
	v.store, v.now, v.linear, v.leases.told = store, now, linear, nil
	v.again()
}

// again forgets what a first run of the reads has gathered.
func (v *view) again() { v.expired, v.wanted, v.hits, v.misses = v.expired[:0], v.wanted[:0], 0, 0 }

// alive returns r, or the zero Record when r is past its deadline.
func (v *view) alive(r mvcc.Record) mvcc.Record {
	if !r.Exists() {
		return mvcc.Record{}
	}
	deadline := r.Deadline()
	if deadline == 0 || deadline > v.now {
		return r
	}
	if v.linear {
		v.expired = append(v.expired, mvcc.ExpireKey{Key: r.Key(), Mod: r.ModRevision()})
	}
	return mvcc.Record{}
}

// get returns the live record of key, or the zero Record.
func (v *view) get(key string) mvcc.Record {
	var r mvcc.Record
	v.store.View(func(s *mvcc.View) { r = s.Get(key) })
	return v.count(v.alive(r))
}

// each calls fn with the live record, or the zero Record, of each key; all from one revision.
func (v *view) each(keys [][]byte, fn func(mvcc.Record)) {
	v.store.View(func(s *mvcc.View) {
		for _, key := range keys {
			fn(v.count(v.alive(s.Get(alias(key)))))
		}
	})
}

func (v *view) count(r mvcc.Record) mvcc.Record {
	if r.Exists() {
		v.hits++
	} else {
		v.misses++
	}
	return r
}

// rangeNow reads a span as it is now, as if keys past their deadline were not there.
func (v *view) rangeNow(span mvcc.Span, o mvcc.RangeOptions) (mvcc.RangeResult, error) {
	if o.At != 0 {
		return v.store.Range(span, o) // what was at a past revision does not change
	}
	return v.store.RangeWithout(func(r mvcc.Record) bool { return !v.alive(r).Exists() }, span, o)
}
