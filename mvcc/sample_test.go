package mvcc

import (
	"fmt"
	"testing"
)

// Every position of a store gives a live key, and every live key is given by some position.
func TestSample(t *testing.T) {
	s := New()
	defer s.Close()
	if r := s.Sample(7); r.Exists() {
		t.Fatalf("an empty store has %q", r.Key())
	}
	const keys = 3 * chunkKeys
	live := map[string]bool{}
	for i := range keys {
		key := fmt.Sprintf("%04d", i)
		put(s, []string{key}, "v")
		if i%100 != 50 {
			s.Update(0, func(b *Batch) { b.Txn(&Txn{Then: []Op{{Kind: OpDelete, Span: KeySpan(key)}}}, nil) })
			continue
		}
		live[key] = true
	}
	seen := map[string]bool{}
	for n := range uint64(2 * keys) {
		r := s.Sample(n)
		if !live[r.Key()] {
			t.Fatalf("position %d has %q", n, r.Key())
		}
		seen[r.Key()] = true
	}
	if len(seen) != len(live) {
		t.Errorf("%d of %d live keys are ever given", len(seen), len(live))
	}
}

// What is hidden takes no place under a limit and is not counted, in short and in long ranges.
func TestRangeWithout(t *testing.T) {
	s := New()
	defer s.Close()
	keys := numbered(3*chunkKeys + 7)
	put(s, keys, "v")
	hidden := func(r Record) bool { return r.Key() < keys[300] }
	for _, o := range []RangeOptions{{Limit: 2}, {CountOnly: true}, {Limit: 2, Sort: SortMod}} {
		for _, from := range []string{"", keys[290]} {
			res, err := s.RangeWithout(hidden, Span{From: from, Kind: SpanFrom}, o)
			if err != nil || res.Count != int64(len(keys)-300) {
				t.Errorf("%+v from %q: count %d, %v", o, from, res.Count, err)
			}
			if !o.CountOnly && (len(res.Records) != 2 || res.Records[0].Key() != keys[300] || !res.More) {
				t.Errorf("%+v from %q: %d records", o, from, len(res.Records))
			}
		}
	}
}
