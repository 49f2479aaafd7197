package mvcc

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

// benchBatch is the number of transactions per entry: about what a loaded proposer packs.
const benchBatch = 64

func benchKeys(n int) []string {
	rnd := rand.New(rand.NewPCG(1, 2))
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%015d", rnd.Int64N(1e15))
	}
	return keys
}

// putAll writes every key once, in entries of benchBatch, with reused requests and results.
func putAll(s *Store, keys []string, value string) {
	op := []Op{{Kind: OpPut, Value: value}}
	txn, res := &Txn{Then: op}, &Result{}
	for len(keys) > 0 {
		n := min(benchBatch, len(keys))
		s.Update(1, func(b *Batch) {
			for _, k := range keys[:n] {
				op[0].Span.From = k
				b.Txn(txn, res)
			}
		})
		keys = keys[n:]
	}
}

func BenchmarkPutNew(b *testing.B) {
	keys, value := benchKeys(b.N), strings.Repeat("v", 128)
	s := New()
	defer s.Close()
	b.ReportAllocs()
	b.ResetTimer()
	putAll(s, keys, value)
}

// BenchmarkPutOverwrite compacts as it goes, a slice for each entry, so both are in the number.
func BenchmarkPutOverwrite(b *testing.B) {
	keys, value := benchKeys(100_000), strings.Repeat("v", 128)
	s := New()
	defer s.Close()
	putAll(s, keys, value)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += benchBatch {
		from := done % (len(keys) - benchBatch)
		putAll(s, keys[from:from+benchBatch], value)
		if rev := s.Revision() - 100_000; rev > s.CompactRevision() {
			s.Update(1, func(b *Batch) { _ = b.Compact(rev) })
		}
		s.CompactSlice(2 * benchBatch)
	}
}

func BenchmarkGet(b *testing.B) {
	keys := benchKeys(1_000_000)
	s := New()
	defer s.Close()
	putAll(s, keys, strings.Repeat("v", 128))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if !s.Get(keys[i%len(keys)]).Exists() {
			b.Fatal("missing")
		}
	}
}

func BenchmarkLoader(b *testing.B) {
	s := New()
	defer s.Close()
	putAll(s, benchKeys(1_000_000), strings.Repeat("v", 128))
	p := s.Pin()
	defer p.Release()
	var records []Record
	for more := true; more; {
		last := Revision(0)
		if len(records) > 0 {
			last = records[len(records)-1].ModRevision()
		}
		more = p.Ascend(last, 1<<32, 1<<18, func(r Record) { records = append(records, r) })
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		l := NewLoader(p.Revision, p.CompactRevision)
		l.Expect(p.Keys)
		for _, r := range records {
			if err := l.Add(r.ModRevision(), r.Sub(), r.Encoded()); err != nil {
				b.Fatal(err)
			}
		}
		fresh, err := l.Finish()
		if err != nil {
			b.Fatal(err)
		}
		fresh.Close()
	}
}

// TestMemoryPerKey measures a million keys of 16 bytes with values of 128.
func TestMemoryPerKey(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a million keys")
	}
	const n, limit = 1_000_000, 400
	keys, value := benchKeys(n), strings.Repeat("v", 128)
	before := heap()
	s := New()
	defer s.Close()
	start := time.Now()
	putAll(s, keys, value)
	perKey := float64(heap()-before) / n
	t.Logf("%.0f heap bytes per key, %d counted; filled in %v", perKey, s.StateBytes()/n, time.Since(start))
	if perKey > limit {
		t.Errorf("%.0f heap bytes per key, want at most %d", perKey, limit)
	}
	runtime.KeepAlive(keys)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkApplyRandom is what apply does under load: entries of random keys among a million, with the
// keys looked at beforehand, or not.
func BenchmarkApplyRandom(b *testing.B) {
	keys, value := benchKeys(1_000_000), strings.Repeat("v", 128)
	for _, warm := range []bool{false, true} {
		b.Run(fmt.Sprintf("warm=%v", warm), func(b *testing.B) {
			s := New()
			defer s.Close()
			putAll(s, keys, value)
			runtime.GC()
			rnd := rand.New(rand.NewPCG(3, 4))
			op := []Op{{Kind: OpPut, Value: value}}
			txn, res := &Txn{Then: op}, &Result{}
			entry := make([]string, benchBatch)
			b.ResetTimer()
			for done := 0; done < b.N; done += benchBatch {
				for i := range entry {
					entry[i] = keys[rnd.IntN(len(keys))]
				}
				s.Update(1, func(b *Batch) {
					if warm {
						b.Warm(entry)
					}
					for _, k := range entry {
						op[0].Span.From = k
						b.Txn(txn, res)
					}
				})
			}
		})
	}
}
