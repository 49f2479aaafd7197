//go:build faults

package mvcc

import "unsafe"

// Flip changes one bit of a key's value behind everybody's back, in index, history and hash, as a defect of
// memory or of apply would. It returns false iff there is no such key or its value is empty. It exists only
// in binaries built with the tag "faults": a test uses it to show that a member which differs is found.
func (s *Store) Flip(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.mu.at.index.get(key)
	if !ok || !c.head.Exists() || c.head.Value() == "" {
		return false
	}
	s.mu.at.count.hash -= hashOf(c.head)
	bytes := unsafe.Slice(unsafe.StringData(c.head.enc), len(c.head.enc))
	bytes[len(bytes)-1] ^= 1
	s.mu.at.count.hash += hashOf(c.head)
	return true
}
