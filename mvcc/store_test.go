package mvcc

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
)

func put(s *Store, keys []string, value string) {
	txn := &Txn{}
	for _, k := range keys {
		txn.Then = append(txn.Then, Op{Kind: OpPut, Span: KeySpan(k), Value: value})
	}
	s.Update(1, func(b *Batch) { b.Txn(txn, nil) })
}

func numbered(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%06d", i)
	}
	return keys
}

// TestScanLargeRevision: one revision far larger than a cursor can address exactly, half of it dead.
func TestScanLargeRevision(t *testing.T) {
	s := New()
	defer s.Close()
	keys := numbered(3*scanGranule + 500)
	put(s, keys, "v")
	put(s, keys[:len(keys)/2], "w")
	seen := map[string]int{}
	pages, most, empty := 0, 0, 0
	for cursor, done := uint64(0), false; !done; done = cursor == 0 {
		n := 0
		cursor = s.Scan(cursor, 100, func(r Record) {
			seen[r.Key()]++
			n++
		})
		pages++
		most = max(most, n)
		if n == 0 {
			empty++ // dead records count, too, if little
		}
	}
	if len(seen) != len(keys) {
		t.Errorf("%d keys seen of %d", len(seen), len(keys))
	}
	for k, n := range seen {
		if n != 1 {
			t.Fatalf("%q seen %d times", k, n)
		}
	}
	if pages < scanExact/100 || most > scanGranule+100 || empty > scanExact/100/10 {
		t.Errorf("%d pages, %d of them empty, the largest of %d", pages, empty, most)
	}
}

// TestScanOfFewKeysWrittenOften: what a key was before takes few pages, and a page looks at a bounded number
// of it.
func TestScanOfFewKeysWrittenOften(t *testing.T) {
	s := New()
	defer s.Close()
	keys := numbered(26)
	for range 2000 {
		put(s, keys, "v")
	}
	pages, seen := 0, 0
	for cursor, done := uint64(0), false; !done; done = cursor == 0 {
		cursor = s.Scan(cursor, 10, func(Record) { seen++ })
		pages++
	}
	if seen != len(keys) || pages < 40 || pages > 160 {
		t.Errorf("%d keys in %d pages, want %d in about 81", seen, pages, len(keys))
	}
}

// TestNestedGuards: a guard of a nested transaction sees what is written before it, or not, as its
// flag says.
func TestNestedGuards(t *testing.T) {
	for _, c := range []struct {
		flags OpFlags
		want  bool
	}{{0, true}, {FlagGuardsFirst, false}} {
		s := New()
		exists := Compare{Span: KeySpan("a"), Target: TargetVersion, Op: CmpEqual, Num: 1}
		inner := &Txn{Compares: []Compare{exists}, Then: []Op{{Kind: OpPut, Span: KeySpan("b")}}}
		outer := &Txn{Then: []Op{
			{Kind: OpPut, Span: KeySpan("a")},
			{Kind: OpTxn, Flags: c.flags, Txn: &Txn{Then: []Op{{Kind: OpTxn, Flags: c.flags, Txn: inner}}}},
		}}
		var res Result
		s.Update(1, func(b *Batch) { b.Txn(outer, &res) })
		if got := res.Ops[1].Txn.Ops[0].Txn.Succeeded; got != c.want || s.Get("b").Exists() != c.want {
			t.Errorf("flags %b: succeeded %v, want %v", c.flags, got, c.want)
		}
		s.Close()
	}
}

// TestRangeChunks: ranges longer than a chunk, in both directions, now and in the past.
func TestRangeChunks(t *testing.T) {
	s := New()
	defer s.Close()
	keys := numbered(3*chunkKeys + 7)
	put(s, keys, "1")
	put(s, keys[:2*chunkKeys], "2")
	s.Update(1, func(b *Batch) {
		b.Txn(&Txn{Then: []Op{{Kind: OpDelete, Span: Span{keys[10], keys[600], SpanRange}}}}, nil)
	})
	backwards := slices.Clone(keys)
	slices.Reverse(backwards)
	for _, c := range []struct {
		sp   Span
		o    RangeOptions
		want []string
	}{
		{Span{Kind: SpanFrom}, RangeOptions{At: 2}, keys},
		{Span{Kind: SpanFrom}, RangeOptions{At: 3, Desc: true}, backwards},
		{PrefixSpan("k"), RangeOptions{At: 3, Desc: true}, backwards},
		{PrefixSpan("k"), RangeOptions{}, append(slices.Clone(keys[:10]), keys[600:]...)},
		{Span{keys[1], keys[700], SpanRange}, RangeOptions{At: 2, Limit: 3, Desc: true}, []string{
			keys[699], keys[698], keys[697]}},
	} {
		res, err := s.Range(c.sp, c.o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range res.Records {
			got = append(got, r.Key())
		}
		if !slices.Equal(got, c.want) || res.More != (c.o.Limit > 0) {
			t.Errorf("%+v %+v: %d keys, want %d", c.sp, c.o, len(got), len(c.want))
		}
	}
}

// TestStoreCopiesStrings: requests alias a buffer that is used again.
func TestStoreCopiesStrings(t *testing.T) {
	s := New()
	defer s.Close()
	buf := []byte("keyvalue")
	op := Op{Kind: OpPut, Span: KeySpan(aliased(buf[:3])), Value: aliased(buf[3:])}
	s.Update(1, func(b *Batch) { b.Txn(&Txn{Then: []Op{op}}, nil) })
	copy(buf, "XXXXXXXX")
	if got := s.Get("key").Value(); got != "value" {
		t.Errorf("value is %q", got)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	if res, _ := s.Range(Span{Kind: SpanFrom}, RangeOptions{}); res.Records[0].Key() != "key" {
		t.Errorf("range has %q", res.Records[0].Key())
	}
}

func TestLoaderRefuses(t *testing.T) {
	rec := func(mod, create Revision, version int64, key string) Record {
		return (&fields{mod: mod, kind: KindPut, create: create, version: version, key: key}).encodeAlone()
	}
	gone := func(mod Revision, key string) Record {
		return (&fields{mod: mod, kind: KindDelete, key: key}).encodeAlone()
	}
	for name, rs := range map[string][]Record{
		"falling revision":   {rec(3, 3, 1, "a"), rec(2, 2, 1, "b")},
		"same stamp":         {rec(3, 3, 1, "a"), rec(3, 3, 1, "b")},
		"above the revision": {rec(11, 11, 1, "a")},
		"version jumps":      {rec(2, 2, 1, "a"), rec(3, 2, 3, "a")},
		"other creation":     {rec(2, 2, 1, "a"), rec(4, 3, 2, "a")},
		"delete twice":       {rec(2, 2, 1, "a"), gone(3, "a"), gone(4, "a")},
		"old after delete":   {rec(2, 2, 1, "a"), gone(3, "a"), rec(4, 2, 2, "a")},
	} {
		l := NewLoader(10, 0)
		var err error
		for _, r := range rs {
			err = errors.Join(err, l.Add(r.ModRevision(), r.Sub(), r.Encoded()))
		}
		if !errors.Is(err, ErrBadOrder) {
			t.Errorf("%s: %v", name, err)
		}
		l.Abort()
	}
	for _, revs := range [][2]Revision{{0, 0}, {5, 6}, {5, -1}} {
		l := NewLoader(revs[0], revs[1])
		if _, err := l.Finish(); !errors.Is(err, ErrBadOrder) {
			t.Errorf("revisions %v: %v", revs, err)
		}
		l.Abort()
	}
}

// TestConcurrentReaders: in every revision all keys have one value, so any read that mixes two shows it.
// Compaction runs close behind, and the contents are replaced by their own copy in between.
func TestConcurrentReaders(t *testing.T) {
	const revisions = 300
	s := New()
	keys := numbered(2*chunkKeys + 50)
	put(s, keys, "0")
	var readers sync.WaitGroup
	done := make(chan struct{})
	for _, read := range []func() error{
		func() error { return readRange(s, len(keys)) },
		func() error { return readPin(s, len(keys)) },
		func() error { return readScan(s, len(keys)) },
		func() error { return readPoints(s, keys) },
	} {
		readers.Go(func() {
			for {
				if err := read(); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range revisions {
		put(s, keys, fmt.Sprint(i))
		s.Update(1, func(b *Batch) { _ = b.Compact(b.Revision() - 2) })
		s.CompactSlice(1000)
		if i%50 == 49 {
			s.Replace(copyOf(t, s))
		}
	}
	close(done)
	readers.Wait()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	s.Close()
}

func copyOf(t *testing.T, s *Store) *Store {
	p := s.Pin()
	defer p.Release()
	l := NewLoader(p.Revision, p.CompactRevision)
	p.Ascend(0, -1, math.MaxInt, func(r Record) {
		if err := l.Add(r.ModRevision(), r.Sub(), r.Encoded()); err != nil {
			t.Error(err)
		}
	})
	fresh, err := l.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

// oneState checks that the records are those of one revision.
func oneState(rs []Record, n int) error {
	if len(rs) != n {
		return fmt.Errorf("%d records, want %d", len(rs), n)
	}
	for _, r := range rs {
		if r.Value() != rs[0].Value() || r.ModRevision() != rs[0].ModRevision() {
			return fmt.Errorf("%s beside %s", show(r), show(rs[0]))
		}
	}
	return nil
}

func readRange(s *Store, n int) error {
	for _, o := range []RangeOptions{{}, {Desc: true}, {At: s.Revision()}} {
		res, err := s.Range(Span{Kind: SpanFrom}, o)
		if _, compacted := errors.AsType[*CompactedError](err); compacted && o.At != 0 {
			continue
		}
		if err = errors.Join(err, oneState(res.Records, n)); err != nil {
			return err
		}
	}
	return nil
}

func readPin(s *Store, n int) error {
	p := s.Pin()
	defer p.Release()
	var last []Record
	count, main, sub := int64(0), Revision(0), int64(-1)
	for more := true; more; {
		more = p.Ascend(main, sub, 4096, func(r Record) {
			count, main, sub = count+1, r.ModRevision(), int64(r.Sub())
			if main == p.Revision {
				last = append(last, r)
			}
		})
	}
	if count != p.Records {
		return fmt.Errorf("%d records of %d pinned", count, p.Records)
	}
	return oneState(last, n)
}

// readScan checks that no key is missed though all are being rewritten.
func readScan(s *Store, n int) error {
	seen := map[string]bool{}
	for cursor, done := uint64(0), false; !done; done = cursor == 0 {
		cursor = s.Scan(cursor, 100, func(r Record) { seen[r.Key()] = true })
	}
	if len(seen) != n {
		return fmt.Errorf("scan saw %d of %d keys", len(seen), n)
	}
	return nil
}

func readPoints(s *Store, keys []string) error {
	var rs []Record
	s.View(func(v *View) {
		for _, k := range keys {
			rs = append(rs, v.Get(k))
		}
	})
	_, err := s.HashAt(0)
	return errors.Join(err, oneState(rs, len(keys)))
}
