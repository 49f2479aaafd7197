package mvcc

// Pin holds a moment of the store: what it captured stays readable through it until Release, while
// writing goes on and even if the contents are replaced. Taking one costs the same for any store.
type Pin struct {
	Revision, CompactRevision Revision
	Records                   int64 // in the history up to Revision: how many Ascend gives
	Keys, StateBytes          int64 // live
	Hash                      uint64

	s    *Store
	st   *state
	at   Revision // for reads at an older revision
	keep Revision // in st.pins

	chunk []Record // of Ascend, to be used again
}

// Pin captures the newest state. Nothing is physically compacted until Release.
func (s *Store) Pin() *Pin {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pinLocked(s.mu.at.count.revision, -1)
}

// pinAt captures the state at rev (0: now) for reads by key. Compaction may still remove records that
// were superseded by then, which is nearly all that it wants to.
func (s *Store) pinAt(rev Revision) (*Pin, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, err := s.mu.at.readable(rev)
	if err != nil {
		return nil, err
	}
	return s.pinLocked(at, at), nil
}

func (s *Store) pinLocked(at, keep Revision) *Pin {
	st := s.mu.at
	st.pins = append(st.pins, keep)
	n := &st.count
	return &Pin{
		Revision: n.revision, CompactRevision: n.compacted,
		Records: n.records, Keys: n.keys, StateBytes: n.stateBytes, Hash: n.hash,
		s: s, st: st, at: at, keep: keep,
	}
}

// Release lets compaction go on. A second call does nothing; not safe for concurrent use.
func (p *Pin) Release() {
	if p.st == nil {
		return
	}
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.s.unpinLocked(p.st, p.keep)
	p.st, p.chunk = nil, nil
}

func (s *Store) unpinLocked(st *state, keep Revision) {
	for i, k := range st.pins {
		if k == keep {
			last := len(st.pins) - 1
			st.pins[i] = st.pins[last]
			st.pins = st.pins[:last]
			break
		}
	}
	if st != s.mu.at && len(st.pins) == 0 {
		st.history.close() // replaced meanwhile, and this was its last reader
	}
}

// walk calls fn with the chains of a span, in chunks; fn runs under the read lock.
func (p *Pin) walk(sp Span, desc bool, fn func(c *chain)) {
	for done := false; !done; {
		p.s.mu.RLock()
		sp, done = p.st.index.walkSome(sp, desc, chunkKeys, fn)
		p.s.mu.RUnlock()
	}
}

// Ascend is Store.Ascend over what the pin captured, up to its revision. Not safe for concurrent use, nor
// from fn.
func (p *Pin) Ascend(afterMain Revision, afterSub int64, maxBytes int, fn func(Record)) (more bool) {
	p.s.mu.RLock()
	rs, more := p.st.ascend(p.chunk[:0], after(afterMain, afterSub), p.Revision, maxBytes)
	p.s.mu.RUnlock()
	for _, r := range rs {
		fn(r)
	}
	p.chunk = rs
	return more
}

// Ascend calls fn with the records behind (afterMain, afterSub) and not above upTo, in the order they
// were written, until it has passed on maxBytes of encoded records (at least one), and reports whether
// there are more. An afterSub of -1 starts before the first record of afterMain, one of
// math.MaxUint32 behind its last. It reads one chunk under the read lock; fn runs without it.
//
// It gives what is physically there: below the compacted revision that is not a complete history.
func (s *Store) Ascend(afterMain Revision, afterSub int64, upTo Revision, maxBytes int,
	fn func(Record)) (more bool) {
	s.mu.RLock()
	rs, more := s.mu.at.ascend(nil, after(afterMain, afterSub), upTo, maxBytes)
	s.mu.RUnlock()
	for _, r := range rs {
		fn(r)
	}
	return more
}

// ascend appends to rs.
func (st *state) ascend(rs []Record, p position, upTo Revision, maxBytes int) (_ []Record, more bool) {
	bytes := 0
	st.history.ascend(p, func(r Record) bool {
		switch {
		case r.ModRevision() > upTo:
			return false
		case len(rs) > 0 && bytes >= maxBytes:
			more = true
			return false
		}
		rs = append(rs, r)
		bytes += len(r.enc) - stampBytes
		return true
	})
	return rs, more
}

// Replace gives the store the contents of fresh, which must not be used any more. Reads that run keep
// what they pinned; all others see the new contents, whose revision may be anything.
func (s *Store) Replace(fresh *Store) {
	fresh.mu.Lock()
	st := fresh.mu.at
	fresh.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.mu.at
	s.mu.at = st
	s.publish()
	if len(old.pins) == 0 {
		old.history.close()
	}
}
