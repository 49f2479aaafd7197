package mvcc

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// refusesTogether is why linked puts are refused; an operation by itself never is by this. The twin knows no
// queues and no leases, so the quota alone is left.
func (t *twin) refusesTogether(ops []Op) error {
	if len(ops) == 1 {
		return nil
	}
	bytes := int64(0)
	for i := range ops {
		t.get(ops[i].Span.From)
		bytes += int64(len(ops[i].Span.From) + len(ops[i].Value) + 57 + recordOverhead)
	}
	if t.quota > 0 && t.stateBytes()+bytes > t.quota+quotaSlack {
		return ErrQuota
	}
	return nil
}

// step runs a step of a script: at another time, and as if it were a transaction by itself.
func (t *twin) step(op *Op) *twinResult {
	now := t.now
	t.now = UnixMilli(op.Expiry.MS)
	ok, outcomes := t.holds(op.Txn.Compares), map[*Op]bool{}
	t.firstGuards(op.Txn, ok, outcomes)
	res := t.run(op.Txn, ok, outcomes)
	res.Revision = t.seen()
	t.now = now
	return res
}

// linkSome links puts that can be, by chance.
func linkSome(t *rapid.T, ops []Op) []Op {
	for i := range ops[:max(len(ops)-1, 0)] {
		if ops[i].linkable() && ops[i+1].linkable() && rapid.Bool().Draw(t, "linked") {
			ops[i].Flags |= FlagWithNext
		}
	}
	return ops
}

// Linked puts are all done, or none is and all have the same error: over places in a queue, with leases that
// are there or not, above the quota and below it, one key several times.
func TestLinkedPutsAreOneWrite(t *testing.T) {
	defer keepBounds()()
	errs := map[error]int{}
	rapid.Check(t, func(t *rapid.T) {
		drawBounds(t)
		s, leases := New(), &ledger{live: map[LeaseID]bool{1: true, 2: true}}
		defer s.Close()
		s.Attach(leases, line{})
		place := Op{Kind: OpModify, Modify: ModifyQueueJoin, Span: KeySpan("m"), Lease: 1}
		leased := Op{Kind: OpPut, Span: KeySpan("leased"), Value: "long enough to matter", Lease: 2,
			Expiry: Expiry{Mode: ExpiryIn, MS: 50}}
		s.Update(1000, func(b *Batch) { b.Txn(&Txn{Then: []Op{place, leased}}, nil) })
		for i := range 20 {
			puts, quota := drawLinked(t), s.StateBytes()+int64(rapid.IntRange(0, 2000).Draw(t, "room"))
			other := Op{Kind: OpModify, Modify: ModifyAppend, Span: KeySpan("other"), Value: "x"}
			var res Result
			events := s.Update(UnixMilli(1000+10*i), func(b *Batch) {
				b.SetQuota(quota)
				b.Txn(&Txn{Then: append(append([]Op{other}, puts...), other)}, &res)
			})
			for _, op := range []OpResult{res.Ops[0], res.Ops[len(puts)+1]} {
				if op.Err == nil {
					equal(t, "the other write", op.Record.Key(), "other")
				}
			}
			events = slices.DeleteFunc(slices.Clone(events), func(e Event) bool {
				return e.Record.Kind() == KindExpire || e.Record.Key() == "other"
			})
			checkOneFate(t, puts, res.Ops[1:len(puts)+1], events)
			errs[res.Ops[1].Err]++
			equal(t, "invariants", s.Check(), error(nil))
		}
	})
	for _, err := range []error{nil, ErrQuota, ErrQueueKey, ErrNoLease} {
		if errs[err] == 0 {
			t.Errorf("never met: %v; the others: %v", err, errs)
		}
	}
}

// checkOneFate compares what linked puts answered with what they did.
func checkOneFate(t *rapid.T, puts []Op, got []OpResult, events []Event) {
	fate := got[0].Err
	if fate != nil {
		equal(t, "what was written by those refused", len(events), 0)
	} else {
		equal(t, "what was written", len(events), len(puts))
	}
	for i := range got {
		equal(t, "fate of each", got[i].Err, fate)
		if fate == nil {
			equal(t, "record", []string{got[i].Record.Key(), got[i].Record.Value()},
				[]string{puts[i].Span.From, puts[i].Value})
		}
	}
}

func drawLinked(t *rapid.T) []Op {
	keys := []string{"a", "b", "c", "d", "leased", QueueKey("m", 1), QueueKey("m", 2)}
	puts := make([]Op, rapid.IntRange(2, 5).Draw(t, "puts"))
	for i := range puts {
		puts[i] = Op{Kind: OpPut, Span: KeySpan(rapid.SampledFrom(keys).Draw(t, "key")), Flags: FlagWithNext,
			Value: rapid.SampledFrom(twinValues).Draw(t, "value")}
		switch rapid.IntRange(0, 9).Draw(t, "how") {
		case 0:
			puts[i].Lease = LeaseID(rapid.IntRange(1, 3).Draw(t, "lease"))
		case 1:
			puts[i].Flags |= FlagLeaseIfAny
			puts[i].Expiry.Mode = ExpiryKeep
		}
	}
	puts[len(puts)-1].Flags &^= FlagWithNext
	return puts
}

// Only puts that bring everything along can be linked: what else there is may fail behind one that was done.
func TestCheckLinks(t *testing.T) {
	put := Op{Kind: OpPut, Span: KeySpan("k"), Value: "v"}
	linked := func(op Op) Op {
		op.Flags |= FlagWithNext
		return op
	}
	keep, lease, deadline, modify := put, put, put, Op{Kind: OpModify, Modify: ModifyAppend, Value: "v"}
	keep.Flags, lease.Flags, deadline.Flags = FlagKeepValue, FlagKeepLease, FlagKeepLease|FlagLeaseIfAny
	for _, tc := range []struct {
		ops  []Op
		want bool
	}{
		{nil, true}, {[]Op{put, modify}, true}, {[]Op{linked(put), put, modify}, true},
		{[]Op{linked(put), linked(deadline), put, linked(put), put}, true},
		{[]Op{linked(put)}, false}, {[]Op{put, linked(put)}, false}, {[]Op{linked(put), modify}, false},
		{[]Op{linked(modify), put}, false}, {[]Op{linked(put), keep}, false}, {[]Op{linked(keep), put}, false},
		{[]Op{linked(put), lease}, false}, {[]Op{linked(put), {Kind: OpDelete}}, false},
	} {
		if got := CheckLinks(tc.ops); got != tc.want {
			t.Errorf("%+v: %v", tc.ops, got)
		}
	}
}
