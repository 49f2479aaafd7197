package mvcc

import "github.com/cespare/xxhash/v2"

// The state hash is the sum, modulo 2^64, of the xxHash64 of every live record, stamp included. A sum
// can be kept up to date by adding what comes and subtracting what goes, does not depend on order,
// and lets members compare their whole state by one number. It is not meant to withstand an attacker.

func hashOf(r Record) uint64 { return xxhash.Sum64String(r.enc) }

// Hash returns the store's revision and its state hash.
func (s *Store) Hash() (Revision, uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.at.count.revision, s.mu.at.count.hash
}

// HashAt returns the state hash at a revision (0: now), by walking the index in chunks. The error is
// ErrFutureRevision or a *CompactedError.
func (s *Store) HashAt(rev Revision) (uint64, error) {
	p, err := s.pinAt(rev)
	if err != nil {
		return 0, err
	}
	defer p.Release()
	sum := uint64(0)
	p.walk(Span{Kind: SpanFrom}, false, func(c *chain) {
		if r := c.at(p.at); r.Exists() {
			sum += hashOf(r)
		}
	})
	return sum, nil
}
