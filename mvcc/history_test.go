package mvcc

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestPagesAreLetGo: whatever order keys are overwritten in, a store whose past is compacted holds at most
// three times the memory of what lives in it, mostly much less.
func TestPagesAreLetGo(t *testing.T) {
	const keys, writes = 2000, 60_000
	names := numbered(keys)
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, next := range map[string]func(i int) int{
		"one key":        func(int) int { return 7 },
		"one after one":  func(i int) int { return i % keys },
		"random":         func(int) int { return rnd.IntN(keys) },
		"few often":      func(int) int { return min(rnd.IntN(keys), rnd.IntN(keys), rnd.IntN(keys)) },
		"half never":     func(int) int { return 2 * rnd.IntN(keys/2) },
		"in large steps": func(i int) int { return i * 331 % keys },
	} {
		t.Run(name, func(t *testing.T) {
			s := New()
			defer s.Close()
			value := strings.Repeat("v", 100)
			put(s, names, value)
			for i := range writes {
				put(s, names[next(i):][:1], value)
				if i%50 == 0 {
					s.Update(1, func(b *Batch) { _ = b.Compact(s.mu.at.count.revision) })
					for s.CompactSlice(16) {
					}
				}
			}
			held, pages := 0, 0
			for _, p := range s.mu.at.history.pages {
				held += cap(p.data)
				if p.at != nil {
					pages++
				}
			}
			live := int(s.StateBytes()) - keys*recordOverhead
			t.Logf("%d pages of %d, %.2f of the living bytes", pages, len(s.mu.at.history.pages),
				float64(held)/float64(live))
			if held > 3*live || len(s.mu.at.history.pages) > keys/8 {
				t.Errorf("%d bytes in %d pages hold %d living ones", held, pages, live)
			}
			if err := s.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// BenchmarkOverwriteRandom is a steady state: random keys, a past of ten times the keys, compaction all the
// time.
func BenchmarkOverwriteRandom(b *testing.B) {
	const keys, past = 100_000, 1_000_000
	names, value := benchKeys(keys), strings.Repeat("v", 128)
	rnd := rand.New(rand.NewPCG(1, 2))
	s := New()
	defer s.Close()
	batch := make([]string, 512)
	step := func() {
		for i := range batch {
			batch[i] = names[rnd.IntN(keys)]
		}
		putAll(s, batch, value)
		if rev := s.Revision() - past; rev > s.CompactRevision() {
			s.Update(1, func(b *Batch) { _ = b.Compact(rev) })
			s.CompactSlice(2 * len(batch))
		}
	}
	for s.Revision() < past+2*keys {
		step()
	}
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/record")
}
