package locks

import (
	"errors"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/mvcc"
)

// A place that the quota refuses in the middle of a transaction is refused, and nothing else: the book, the
// lease that would have come with it and the place that asks again stay as they were.
func TestQuotaInTheMiddleOfATransaction(t *testing.T) {
	const slack = 64 << 20 // of the quota, inside a transaction
	for _, mine := range []bool{false, true} {
		s, book, lives := mvcc.New(), NewBook(), granted{1: true}
		s.Attach(lives, book)
		q := mvcc.Queue{Name: "m", Election: true}
		join := opOn(q, mvcc.ModifyQueueJoin)
		join.Lease, join.Value = 1, "short"
		r := &room{store: s}
		r.do(join)
		if join.Value = strings.Repeat("v", 2<<20); !mine {
			join.Lease, join.Delta = 2, 1000
		}
		grow := mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifySetRange, Span: mvcc.KeySpan("k"),
			Delta: slack - 1<<20, Value: "x"}
		var res mvcc.Result
		s.Update(1, func(b *mvcc.Batch) {
			b.SetQuota(s.StateBytes() + 1000)
			b.Txn(&mvcc.Txn{Then: []mvcc.Op{grow, join}}, &res)
		})
		if res.Err != nil || res.Ops[0].Err != nil || !errors.Is(res.Ops[1].Err, mvcc.ErrQuota) {
			t.Fatalf("again %v: %v, %v, %v", mine, res.Err, res.Ops[0].Err, res.Ops[1].Err)
		}
		holders, waiters := book.Places(q)
		if len(holders) != 1 || holders[0].Value() != "short" || len(waiters) != 0 || lives[2] {
			t.Errorf("again %v: %d hold, %d wait, leases %v", mine, len(holders), len(waiters), lives)
		}
		s.Close()
	}
}

// What cannot arrive at a place has not left either.
func TestNothingMovesOntoAPlace(t *testing.T) {
	s, book := mvcc.New(), NewBook()
	defer s.Close()
	s.Attach(granted{1: true}, book)
	r := &room{store: s}
	join := opOn(mvcc.Queue{Name: "m"}, mvcc.ModifyQueueJoin)
	join.Lease = 1
	r.do(join)
	r.do(mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan("k"), Value: "v"})
	for _, kind := range []mvcc.ModifyKind{mvcc.ModifyMove, mvcc.ModifyCopy} {
		rev := s.Revision()
		op := mvcc.Op{Kind: mvcc.OpModify, Modify: kind, Span: mvcc.KeySpan("k"), Value: mvcc.QueueKey("m", 1)}
		if got := r.do(op); !errors.Is(got.Err, mvcc.ErrQueueKey) || s.Revision() != rev {
			t.Errorf("kind %d: %v, revision %d after %d", kind, got.Err, s.Revision(), rev)
		}
	}
	if got := s.Get("k"); !got.Exists() || got.Value() != "v" {
		t.Errorf("k is %v", got)
	}
}
