package lease

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/mvcc"
)

// naive finds what is due by looking at every key of the store.
func naive(s *mvcc.Store, now mvcc.UnixMilli) (due []mvcc.ExpireKey, next mvcc.UnixMilli, all int) {
	found, err := s.Range(mvcc.PrefixSpan(""), mvcc.RangeOptions{})
	if err != nil {
		panic(err)
	}
	records := slices.DeleteFunc(found.Records, func(r mvcc.Record) bool { return r.Deadline() == 0 })
	slices.SortFunc(records, func(a, b mvcc.Record) int {
		if a.Deadline() != b.Deadline() {
			return int(a.Deadline() - b.Deadline())
		}
		return strings.Compare(a.Key(), b.Key())
	})
	for _, r := range records {
		if r.Deadline() <= now {
			due = append(due, mvcc.ExpireKey{Key: r.Key(), Mod: r.ModRevision()})
		}
	}
	if len(records) > 0 {
		next = records[0].Deadline()
	}
	return due, next, len(records)
}

func drawTxn(t *rapid.T) *mvcc.Txn {
	span := mvcc.KeySpan(fmt.Sprint("k", rapid.IntRange(0, 8).Draw(t, "key")))
	in := mvcc.Expiry{Mode: mvcc.ExpiryMode(rapid.IntRange(0, 3).Draw(t, "mode")),
		MS: rapid.Int64Range(1, 100).Draw(t, "ms")}
	op := rapid.SampledFrom([]mvcc.Op{
		{Kind: mvcc.OpPut, Span: span, Value: "v", Expiry: in},
		{Kind: mvcc.OpDelete, Span: span},
		{Kind: mvcc.OpDelete, Span: mvcc.PrefixSpan("")},
		{Kind: mvcc.OpModify, Modify: mvcc.ModifyAppend, Span: span, Value: "x"},
		{Kind: mvcc.OpModify, Modify: mvcc.ModifyPersist, Span: span},
		{Kind: mvcc.OpModify, Modify: mvcc.ModifySetDeadline, Span: span, Expiry: in},
	}).Draw(t, "op")
	return &mvcc.Txn{Then: []mvcc.Op{op}}
}

// The index always says what a look at every key says, whatever changes the keys.
func TestDeadlinesAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, d := mvcc.New(), NewDeadlines()
		defer s.Close()
		now := mvcc.UnixMilli(1)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += mvcc.UnixMilli(rapid.IntRange(0, 20).Draw(t, "later"))
			txns := rapid.SliceOfN(rapid.Custom(drawTxn), 1, 3).Draw(t, "txns") // not inside Update: Draw may panic
			expire, _ := d.Due(now, rapid.IntRange(0, 3).Draw(t, "expire"), 100)
			d.Observe(s.Update(now, func(b *mvcc.Batch) {
				for _, txn := range txns {
					b.Txn(txn, nil)
				}
				b.Expire(expire)
			}))
			due, next, all := naive(s, now)
			if got, more := d.Due(now, 100, 1000); !slices.Equal(got, due) || more {
				t.Fatalf("due at %d: %v, want %v; more: %v", now, got, due, more)
			}
			if d.Next() != next || d.Len() != all {
				t.Fatalf("next %d of %d, want %d of %d", d.Next(), d.Len(), next, all)
			}
		}
		rebuilt := NewDeadlines()
		for cursor := s.Scan(0, 5, rebuilt.Add); cursor != 0; {
			cursor = s.Scan(cursor, 5, rebuilt.Add)
		}
		d.Replace(rebuilt)
		if _, next, all := naive(s, now); d.Next() != next || d.Len() != all {
			t.Fatalf("rebuilt: next %d of %d, want %d of %d", d.Next(), d.Len(), next, all)
		}
	})
}

// Due gives the earliest first, no more than asked for in keys and in bytes, and says whether that was all.
func TestDueIsLimited(t *testing.T) {
	s, d := mvcc.New(), NewDeadlines()
	defer s.Close()
	d.Observe(s.Update(1, func(b *mvcc.Batch) {
		for i := range 10 {
			b.Txn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: mvcc.KeySpan(fmt.Sprint(i)),
				Expiry: mvcc.Expiry{Mode: mvcc.ExpiryAt, MS: int64(100 - i)}}}}, nil)
		}
	}))
	for _, c := range []struct {
		most, bytes, want int
		more              bool
	}{{3, 100, 3, true}, {100, 2, 2, true}, {100, 0, 1, true}, {5, 100, 5, false}, {100, 5, 5, false}} {
		got, more := d.Due(95, c.most, c.bytes)
		if len(got) != c.want || got[0].Key != "9" || more != c.more {
			t.Errorf("at most %d keys of %d bytes: due %v, more %v", c.most, c.bytes, got, more)
		}
	}
	if due, more := d.Due(90, 3, 100); due != nil || more {
		t.Error("something is due before its time")
	}
}
