package mvcc

import (
	"sync"
	"sync/atomic"
)

// Store is a key-value store with revisions. One goroutine writes (Update, CompactSlice and Replace are
// not meant to race each other, though they may); any number read. All methods are safe for
// concurrent use.
//
// Lock order: Store.mu, then buntdb's own, which is never held without Store.mu. The longest holds are
// Update, for one log entry, and chunks of at most chunkKeys keys or chunkRecords records.
type Store struct {
	published published

	batch Batch // only inside Update: under mu

	scratch *Scratch // nil but in a scratch's own store

	mu struct {
		sync.RWMutex
		at *state
	}
}

// published are the numbers that can be read without the lock. They are set once a change is complete
// and before the lock is released; one of them may be newer than another.
type published struct {
	revision, compacted, keys, expiring, stateBytes, historyBytes atomic.Int64
}

// The most that a read looks at before it lets writers pass.
const (
	chunkKeys    = 256
	chunkRecords = 256
)

// New returns an empty store at revision 1.
func New() *Store { return newStore(newState(1, 0)) }

func newStore(st *state) *Store {
	s := &Store{batch: Batch{leases: anyLease{}, queues: noQueue{}}}
	s.mu.at = st
	s.publish()
	return s
}

// Close lets go of the store's memory and of buntdb's goroutine, which ends within a second.
// REQUIRES: no other call is running or follows.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.at.history.close()
}

// Update applies one log entry: fn calls the batch's methods, each of which sees what earlier ones did.
// Readers see all of it or nothing. The events are in the order of their records and valid until the
// next Update; the records in them may be kept. now is the entry's stamped time.
//
// REQUIRES: fn keeps nothing of b. If fn panics, the index is half written: the lock stays held so
// that nobody reads it, and the process has to end.
func (s *Store) Update(now UnixMilli, fn func(b *Batch)) []Event {
	s.mu.Lock()
	b := &s.batch
	b.begin(s.mu.at, now)
	fn(b)
	if len(b.events) > 0 {
		b.st.history.save()
	}
	s.publish()
	s.mu.Unlock()
	return b.events
}

// publish copies the counters to where they are read without the lock.
func (s *Store) publish() {
	st, p := s.mu.at, &s.published
	p.revision.Store(int64(st.count.revision))
	p.compacted.Store(int64(st.count.compacted))
	p.keys.Store(st.count.keys)
	p.expiring.Store(st.count.expiring)
	p.stateBytes.Store(st.count.stateBytes)
	p.historyBytes.Store(st.garbage.bytes())
}

// Revision returns the store's revision. It takes no lock.
func (s *Store) Revision() Revision { return Revision(s.published.revision.Load()) }

// CompactRevision returns the oldest readable revision; 0 before any compaction. It takes no lock.
func (s *Store) CompactRevision() Revision { return Revision(s.published.compacted.Load()) }

// Len returns the number of live keys, those past their deadline but not yet expired included. It
// takes no lock.
func (s *Store) Len() int64 {
	if s.scratch != nil {
		s.scratch.loadAll()
	}
	return s.published.keys.Load()
}

// Expiring returns the number of live keys that have a deadline. It takes no lock.
func (s *Store) Expiring() int64 { return s.published.expiring.Load() }

// StateBytes returns the memory counted for the live keys. It takes no lock.
func (s *Store) StateBytes() int64 { return s.published.stateBytes.Load() }

// HistoryBytes returns the memory counted for superseded records, deletes and expiries that have not
// been removed. It takes no lock.
func (s *Store) HistoryBytes() int64 { return s.published.historyBytes.Load() }

// View is a consistent read of the newest state, valid inside the callback it is given to.
type View struct{ st *state }

// View calls fn with the newest state under the read lock. fn has to be short and must not call the
// store: a waiting writer would stop it for ever.
func (s *Store) View(fn func(v *View)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	fn(&s.mu.at.view)
}

// Get returns the record of a key, or the zero Record. It does not hide a key past its deadline.
func (v *View) Get(key string) Record {
	c, ok := v.st.index.get(key)
	if !ok {
		return Record{}
	}
	return c.live()
}

// Revision returns the store's revision.
func (v *View) Revision() Revision { return v.st.count.revision }

// CompactRevision returns the oldest readable revision.
func (v *View) CompactRevision() Revision { return v.st.count.compacted }

// Len returns the number of live keys.
func (v *View) Len() int64 { return v.st.count.keys }

// Get returns the record of a key, or the zero Record. It does not hide a key past its deadline.
func (s *Store) Get(key string) Record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.at.view.Get(key)
}

// GetAt returns the record of a key as it was at a revision (0: now), or the zero Record. The error is
// ErrFutureRevision or a *CompactedError.
func (s *Store) GetAt(key string, rev Revision) (Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, err := s.mu.at.readable(rev)
	if err != nil {
		return Record{}, err
	}
	c, ok := s.mu.at.index.get(key)
	if !ok {
		return Record{}, nil
	}
	if r := c.at(at); r.Exists() {
		return r, nil
	}
	return Record{}, nil
}

// History returns the records of a key, deletes and expiries too, newest first, back to the one that
// the compacted revision shows; at most limit of them, 0 for all. The answer is the same on every
// member, however far the physical part of a compaction has come.
func (s *Store) History(key string, limit int) ([]Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, ok := s.mu.at.index.get(key)
	if !ok {
		return nil, nil
	}
	rs := visibleSince(c, s.mu.at.count.compacted)
	if limit > 0 && len(rs) > limit {
		rs = rs[:limit]
	}
	return rs, nil
}

// visibleSince returns, newest first, the records of a chain that some revision from floor on shows,
// and the deletes and expiries above floor.
func visibleSince(c *chain, floor Revision) []Record {
	var rs []Record
	add := func(r Record) (more bool) {
		above := r.ModRevision() > floor
		if above || r.Exists() {
			rs = append(rs, r)
		}
		return above
	}
	more := add(c.head)
	for old := c.older(); more && len(old) > 0; old = old[:len(old)-1] {
		more = add(old[len(old)-1])
	}
	return rs
}
