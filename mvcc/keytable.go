package mvcc

import (
	"hash/maphash"
	"math/bits"
)

// The key table finds a key's chain by hash. It is what nearly every request goes through, and among a
// million keys each step of a search is a cache miss, so it is made for few of them: a slot is the whole
// hash and the chain, the key itself stands in the chain's head, which the request is going to look at
// anyway.
//
// Idea: extendible hashing (Fagin et al., 1979). The leading bits of the hash choose a segment in the
// directory, the trailing ones a place in it, from which slots are looked at in turn. A segment that is
// seven eighths full is split in two by the next leading bit; when all bits of the directory are used up,
// that is doubled first. So no write ever moves more than one segment.
//
// Invariants, checked by Check:
//
//  12. A segment of depth d stands at the 2^(bits-d) neighbouring places of the directory that begin with
//     the d leading bits which the hashes of all its slots share.
//  13. Between the place a hash asks for and the slot it is in, no slot is empty.
//
// Rejected: Go's map. Its slots hold the key's address besides, which costs a miss to compare and half as
// much memory again, and it cannot be asked in steps: see Warm.
//
// Drawback: a table does not shrink when keys are removed.
type keyTable struct {
	seed  maphash.Seed
	shift uint8 // 64 less the bits of the directory
	dir   []*segment
	len   int
}

// segment is a part of the table. The number of slots is a power of two.
type segment struct {
	depth uint8
	used  int
	slots []slot
}

// slot is empty iff its chain is nil.
type slot struct {
	hash  uint64
	chain *chain
}

const (
	firstSlots   = 8   // of a table that is new
	segmentSlots = 512 // a segment of so many is split, a smaller one doubled
)

// newKeyTable returns a table with room for so many keys.
func newKeyTable(keys int) keyTable {
	t := keyTable{seed: maphash.MakeSeed(), shift: 64}
	if keys <= segmentSlots/2 {
		t.dir = []*segment{{slots: make([]slot, firstSlots)}}
		return t
	}
	depth := bits.Len(uint(keys / (segmentSlots / 2)))
	t.shift -= uint8(depth)
	t.dir = make([]*segment, 1<<depth)
	for i := range t.dir {
		t.dir[i] = &segment{depth: uint8(depth), slots: make([]slot, segmentSlots)}
	}
	return t
}

func (t *keyTable) hashOf(key string) uint64 { return maphash.String(t.seed, key) }

func (t *keyTable) segmentOf(hash uint64) *segment { return t.dir[hash>>t.shift] }

// get returns the chain of a key; nil if there is none.
func (t *keyTable) get(key string) *chain {
	hash := t.hashOf(key)
	s := t.segmentOf(hash)
	for i := s.home(hash); s.slots[i].chain != nil; i = s.next(i) {
		if s.slots[i].hash == hash && s.slots[i].chain.key() == key {
			return s.slots[i].chain
		}
	}
	return nil
}

// add takes a chain for a key that has none. Until it has a head, only other keys may be looked for.
func (t *keyTable) add(key string, c *chain) {
	hash := t.hashOf(key)
	s := t.segmentOf(hash)
	for 8*(s.used+1) > 7*len(s.slots) {
		t.grow(s, hash)
		s = t.segmentOf(hash)
	}
	s.put(slot{hash, c})
	t.len++
}

// remove takes out the chain of a key.
func (t *keyTable) remove(key string) (ok bool) {
	hash := t.hashOf(key)
	s := t.segmentOf(hash)
	for i := s.home(hash); s.slots[i].chain != nil; i = s.next(i) {
		if s.slots[i].hash == hash && s.slots[i].chain.key() == key {
			s.take(i)
			t.len--
			return true
		}
	}
	return false
}

// grow makes room in the segment of a hash.
func (t *keyTable) grow(s *segment, hash uint64) {
	if len(s.slots) < segmentSlots {
		t.refill(s, 2*len(s.slots))
		return
	}
	if s.depth == 64-t.shift {
		t.double()
	}
	s.depth++
	sibling := &segment{depth: s.depth, slots: make([]slot, segmentSlots)}
	old := s.slots
	s.slots, s.used = make([]slot, segmentSlots), 0
	bit := uint64(1) << (64 - s.depth)
	for _, sl := range old {
		switch {
		case sl.chain == nil:
		case sl.hash&bit != 0:
			sibling.put(sl)
		default:
			s.put(sl)
		}
	}
	// The sibling's places are the upper half of those that were the segment's.
	n := len(t.dir) >> s.depth
	from := int((hash|bit)>>(64-s.depth)) * n
	for i := range n {
		t.dir[from+i] = sibling
	}
}

// double gives the directory one more bit.
func (t *keyTable) double() {
	dir := make([]*segment, 2*len(t.dir))
	for i, s := range t.dir {
		dir[2*i], dir[2*i+1] = s, s
	}
	t.dir = dir
	t.shift--
}

func (t *keyTable) refill(s *segment, n int) {
	old := s.slots
	s.slots, s.used = make([]slot, n), 0
	for _, sl := range old {
		if sl.chain != nil {
			s.put(sl)
		}
	}
}

func (s *segment) home(hash uint64) int { return int(hash) & (len(s.slots) - 1) }
func (s *segment) next(i int) int       { return (i + 1) & (len(s.slots) - 1) }

// put takes a slot. REQUIRES: there is room.
func (s *segment) put(sl slot) {
	i := s.home(sl.hash)
	for s.slots[i].chain != nil {
		i = s.next(i)
	}
	s.slots[i] = sl
	s.used++
}

// take empties slot i and moves up what stands behind it only because it was taken (Knuth, TAOCP 6.4,
// algorithm R), so that no mark of a removal is needed.
func (s *segment) take(i int) {
	s.used--
	mask := len(s.slots) - 1
	for j := s.next(i); s.slots[j].chain != nil; j = s.next(j) {
		if (j-s.home(s.slots[j].hash))&mask >= (j-i)&mask {
			s.slots[i] = s.slots[j]
			i = j
		}
	}
	s.slots[i] = slot{}
}

// check verifies invariants 12 and 13 and that each chain is found by its key.
func (t *keyTable) check(require func(ok bool, invariant int, format string, args ...any)) {
	n := 0
	for at := 0; at < len(t.dir); {
		s := t.dir[at]
		places := len(t.dir) >> s.depth
		for i := range places {
			require(at%places == 0 && t.dir[at+i] == s, 12, "segment of place %d is not at %d", at, at+i)
		}
		used := 0
		for i, sl := range s.slots {
			if sl.chain == nil {
				continue
			}
			used++
			require(int(sl.hash>>t.shift)/places == at/places, 12, "a hash is in the segment of another")
			require(sl.hash == t.hashOf(sl.chain.key()), 12, "%q is under another hash", sl.chain.key())
			for j := s.home(sl.hash); j != i; j = s.next(j) {
				require(s.slots[j].chain != nil, 13, "%q stands behind an empty slot", sl.chain.key())
			}
		}
		require(used == s.used, 12, "%d slots used, counted %d", used, s.used)
		n += used
		at += places
	}
	require(n == t.len, 12, "%d keys in the table, counted %d", n, t.len)
}

// key is the key of a chain that has a head.
func (c *chain) key() string { return c.head.Key() }
