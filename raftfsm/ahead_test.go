package raftfsm

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/redkeep/redkeep/mvcc"
)

// What has been decoded beforehand is the transaction that the request holds, in its turn; all else is left
// to apply.
func TestLookaheadGivesEachRequestItsOwn(t *testing.T) {
	s := &Submission{}
	want := []string{}
	for i := range 3*aheadKeys + 7 {
		switch i % 9 {
		case 4:
			s.AddCompact(mvcc.Revision(i + 1))
			want = append(want, "")
		case 6: // damaged: apply says so
			s.add(ReqTxn, func(b []byte) []byte { return binary.AppendUvarint(b, 1<<40) })
			want = append(want, "")
		default:
			key := fmt.Sprintf("key%d", i)
			txn := mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: mvcc.KeySpan(key), Value: "v"}}}
			for j := range i % 5 {
				txn.Then = append(txn.Then, mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan(fmt.Sprint(key, "-", j))})
			}
			s.AddTxn(&txn)
			want = append(want, fmt.Sprint(key, " ", len(txn.Then)))
		}
	}
	store := mvcc.New()
	defer store.Close()
	var a lookahead
	for range 2 { // the second time with what the first has left
		var got []string
		a.start(s.buf)
		store.Update(1, func(b *mvcc.Batch) {
			for range want {
				if txn := a.step(b); txn != nil {
					got = append(got, fmt.Sprint(txn.Then[0].Span.From, " ", len(txn.Then)))
				} else {
					got = append(got, "")
				}
			}
			if a.step(b) != nil {
				t.Error("a request behind the last")
			}
		})
		if d := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); d != "" {
			t.Fatal(d)
		}
	}
	a.start(s.buf[:aheadBytes-1])
	store.Update(1, func(b *mvcc.Batch) {
		if a.step(b) != nil {
			t.Error("a small entry is looked at")
		}
	})
	if len(a.txns[aheadKeys-1].Then) > 0 && a.txns[aheadKeys-1].Then[0].Span.From != "" {
		t.Error("an entry is held that was applied")
	}
}
