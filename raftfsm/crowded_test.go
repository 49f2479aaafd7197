package raftfsm

import (
	"errors"
	"testing"

	"github.com/redkeep/redkeep/mvcc"
)

// Far above the bound of the history, what may copy long values waits; everything else goes on, above all
// what makes room.
func TestCopiesWaitForCompaction(t *testing.T) {
	crowded := true
	p := &proposer{stats: &Stats{}, limits: limits{queueBytes: 64 << 10, maxRequest: 64 << 10},
		crowded: func() bool { return crowded }}
	enqueue := func(fill func(*Submission)) error {
		s := &Submission{done: make(chan struct{}, 1)}
		fill(s)
		return p.enqueue(s)
	}
	modify := func(kind mvcc.ModifyKind) func(*Submission) {
		op := mvcc.Op{Kind: mvcc.OpModify, Modify: kind, Span: mvcc.KeySpan("k"), Value: "1"}
		return func(s *Submission) {
			s.AddTxn(&mvcc.Txn{Else: []mvcc.Op{{Kind: mvcc.OpTxn, Txn: &mvcc.Txn{Then: []mvcc.Op{op}}}}})
		}
	}
	for _, kind := range []mvcc.ModifyKind{mvcc.ModifySetRange, mvcc.ModifySetDeadline, mvcc.ModifyBitOp} {
		if err := enqueue(modify(kind)); !errors.Is(err, ErrBusy) {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
	for name, fill := range map[string]func(*Submission){
		"compact": func(s *Submission) { s.AddCompact(2) },
		"delete":  func(s *Submission) { s.AddTxn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpDelete}}}) },
		"put":     func(s *Submission) { s.AddTxn(put("k", "v", mvcc.Expiry{})) },
		"release": modify(mvcc.ModifyQueueRelease),
		"incr":    modify(mvcc.ModifyIncrBy),
	} {
		if err := enqueue(fill); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	crowded = false
	if err := enqueue(modify(mvcc.ModifySetRange)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
