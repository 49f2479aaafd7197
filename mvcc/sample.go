package mvcc

// Sample returns a live record near position n of the index, counted in key order and around its end; the
// zero Record iff there is none. It does not hide a key past its deadline. The choice is even as far as dead
// keys, which compaction has not removed yet, are spread evenly: such a key gives its turn to the next live
// one.
func (s *Store) Sample(n uint64) Record {
	rest := Span{Kind: SpanFrom}
	if size := s.indexLen(); size > 0 {
		rest.From, _ = s.keyAt(int(n % uint64(size)))
	}
	wrapped := rest.From == ""
	for {
		r, left, done := s.firstLive(rest)
		switch {
		case r.Exists():
			return r
		case !done:
			rest = left
		case wrapped:
			return Record{}
		default:
			rest, wrapped = Span{Kind: SpanFrom}, true
		}
	}
}

func (s *Store) indexLen() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.at.index.order.Len()
}

func (s *Store) keyAt(i int) (key string, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	key, _, ok = s.mu.at.index.order.GetAt(i)
	return key, ok
}

// firstLive looks at one chunk of a span.
func (s *Store) firstLive(sp Span) (r Record, rest Span, done bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rest, done = s.mu.at.index.walkSome(sp, false, chunkKeys, func(c *chain) {
		if !r.Exists() {
			r = c.live()
		}
	})
	return r, rest, done
}
