package mvcc

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// chainOf makes a chain whose head has the key.
func chainOf(key string) *chain {
	f := fields{mod: 2, kind: KindPut, create: 2, version: 1, key: key}
	return &chain{head: f.encode(make([]byte, 0, f.size()))}
}

// TestKeyTable: a table does what a map does, through all sizes of a segment and many splits.
func TestKeyTable(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		table, twin := newKeyTable(rapid.SampledFrom([]int{0, 300, 5000}).Draw(r, "expected")), map[string]*chain{}
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
		for phase := range rapid.IntRange(1, 6).Draw(r, "phases") {
			adds := rapid.IntRange(0, 3000).Draw(r, "adds")
			for range adds {
				key := fmt.Sprintf("key %d", rnd.IntN(6000))
				if twin[key] == nil {
					twin[key] = chainOf(key)
					table.add(key, twin[key])
				}
			}
			keep := rapid.IntRange(0, 100).Draw(r, "keep")
			for _, key := range slices.Sorted(maps.Keys(twin)) {
				if rnd.IntN(100) >= keep {
					if !table.remove(key) || table.remove(key) {
						r.Fatalf("removing %q", key)
					}
					delete(twin, key)
				}
			}
			table.check(func(ok bool, invariant int, format string, args ...any) {
				if !ok {
					r.Fatalf("phase %d, invariant %d: %s", phase, invariant, fmt.Sprintf(format, args...))
				}
			})
			for i := range 6000 {
				key := fmt.Sprintf("key %d", i)
				if table.get(key) != twin[key] {
					r.Fatalf("%q is not what it should be", key)
				}
			}
		}
	})
}

// TestKeyTableWithEqualHashes: keys are told apart by their bytes.
func TestKeyTableWithEqualHashes(t *testing.T) {
	table := newKeyTable(0)
	one, two := chainOf("one"), chainOf("two")
	hash := table.hashOf("one")
	table.segmentOf(hash).put(slot{hash, two})
	table.add("one", one)
	if table.get("one") != one {
		t.Error("the key of another was taken for it")
	}
	if !table.remove("one") || table.get("one") != nil {
		t.Error("not removed")
	}
	if s := table.segmentOf(hash); s.slots[s.home(hash)].chain != two {
		t.Error("the other was removed")
	}
}

// TestWarmChangesNothing, be the keys there, missing, repeated or more than it takes at once.
func TestWarmChangesNothing(t *testing.T) {
	s := New()
	defer s.Close()
	keys := benchKeys(3 * warmKeys)
	putAll(s, keys[:2*warmKeys], "v")
	putAll(s, keys[:warmKeys], "w")
	_, before := s.Hash()
	s.Update(1, func(b *Batch) {
		b.Warm(nil)
		b.Warm(append(keys, keys...))
		b.Warm([]string{"", keys[0]})
	})
	if _, after := s.Hash(); after != before || s.Revision() != 1+3*warmKeys {
		t.Error("the state is another")
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}
