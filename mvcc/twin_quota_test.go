package mvcc

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The twin's quota and its bound of what an entry copies.

// keepBounds returns what puts the bounds back that a test makes smaller.
func keepBounds() (restore func()) {
	quota, bound, slack, of, free := quotaSlack, copyBound, copySlack, bitOpBound, freeBytes
	return func() { quotaSlack, copyBound, copySlack, bitOpBound, freeBytes = quota, bound, slack, of, free }
}

func drawBounds(t *rapid.T) {
	quotaSlack = rapid.SampledFrom([]int64{64 << 20, 0, 60}).Draw(t, "quota slack")
	copyBound = rapid.SampledFrom([]int64{256 << 20, 0, 100}).Draw(t, "copy bound")
	copySlack = rapid.SampledFrom([]int64{256 << 20, 0, 100}).Draw(t, "copy slack")
	bitOpBound = rapid.SampledFrom([]int{1 << 30, 8}).Draw(t, "sources")
	freeBytes = rapid.SampledFrom([]int{128, 0}).Draw(t, "free bytes")
}

// begin begins a batch with so much room below the quota; above 300 there is no quota.
func (t *twin) begin(room int) {
	t.before, t.since, t.quota = 0, 0, 0
	if room <= 300 {
		t.quota = max(t.stateBytes()+int64(room), 1)
	}
}

func (t *twin) stateBytes() (bytes int64) {
	for _, r := range t.keys {
		bytes += r.cost()
	}
	return bytes
}

var (
	twinNeverGrows = []ModifyKind{ModifySetDeadline, ModifyPersist, ModifyMove, ModifyQueueLeave,
		ModifyQueueRelease}
	twinCopies = []ModifyKind{ModifyAppend, ModifySetDeadline, ModifyPersist, ModifySetRange, ModifySetBit,
		ModifyBitfield, ModifyBitOp, ModifyMove, ModifyCopy}
)

func twinGrows(op *Op) bool {
	return op.Kind == OpPut || op.Kind == OpModify && !slices.Contains(twinNeverGrows, op.Modify)
}

func twinMayCopy(op *Op) bool {
	return op.Kind == OpPut && op.Flags&FlagKeepValue != 0 ||
		op.Kind == OpModify && slices.Contains(twinCopies, op.Modify)
}

// twinAny reports whether an operation of either branch is so, at any depth.
func twinAny(x *Txn, is func(*Op) bool) bool {
	return slices.ContainsFunc(slices.Concat(x.Then, x.Else), func(op Op) bool {
		return is(&op) || op.Kind == OpTxn && twinAny(op.Txn, is)
	})
}

// refusal is why a transaction is refused whole.
func (t *twin) refusal(x *Txn) error {
	if t.quota > 0 && t.stateBytes() > t.quota && twinAny(x, twinGrows) {
		return ErrQuota
	}
	if t.before > copyBound && twinAny(x, twinMayCopy) {
		return ErrCopied
	}
	return nil
}

// objection is why an operation fails that would replace old by n.
func (t *twin) objection(op *Op, old, n twinRecord) error {
	n.Mod, n.Sub = t.main(), t.sub
	grown := n.cost()
	if old.exists() {
		grown -= old.cost()
	}
	if t.quota > 0 && twinGrows(op) && grown > 0 && t.stateBytes()+grown > t.quota+quotaSlack {
		return ErrQuota
	}
	if more := twinCopied(op, n); more > 0 && t.since > 0 && t.since+more > copySlack {
		return ErrCopied
	}
	return nil
}

// twinCopied is what a record has that the operation did not bring.
func twinCopied(op *Op, n twinRecord) int64 {
	if op.Kind == OpPut && !twinMayCopy(op) {
		return 0
	}
	return max(n.cost()-recordOverhead-int64(len(op.Span.From)+len(op.Value)+freeBytes), 0)
}

// line is a lock's queue in which everybody holds.
type line map[Revision]Record

func (l line) Changed(prev, next Record, _ QueueCause) {
	if prev.Queued() {
		delete(l, prev.CreateRevision())
	}
	if next.Queued() {
		l[next.CreateRevision()] = next
	}
}
func (l line) Free(Queue, bool) bool { return true }
func (l line) Last(Queue) Revision   { return 0 }
func (l line) Find(q Queue, token Revision) (r Record, holds, ok bool) {
	r, ok = l[token]
	ok = ok && r.Queue() == q
	return r, ok, ok
}

// ledger counts what it is told.
type ledger struct {
	live    map[LeaseID]bool
	changes int
}

func (l *ledger) Granted(id LeaseID) bool { return l.live[id] }
func (l *ledger) Grant(id LeaseID, _ int64) {
	l.changes++
	l.live[id] = true
}
func (l *ledger) End(id LeaseID) {
	l.changes++
	delete(l.live, id)
}

// genQueueOp makes an operation of any kind, on keys some of which are places in a queue.
func genQueueOp() *rapid.Generator[Op] {
	return rapid.Custom(func(t *rapid.T) Op {
		keys := []string{"a", "b", QueueKey("m", 1), QueueKey("m", 2)}
		key := rapid.SampledFrom(keys).Draw(t, "key")
		if rapid.Bool().Draw(t, "of a queue") {
			return Op{
				Kind: OpModify, Span: KeySpan("m"), Lease: LeaseID(rapid.IntRange(1, 3).Draw(t, "lease")),
				Modify: ModifyKind(rapid.IntRange(int(ModifyQueueJoin), int(lastModify)).Draw(t, "modify")),
				Flags:  FlagElection, Value: rapid.SampledFrom(twinValues).Draw(t, "value"),
				Delta: rapid.SampledFrom([]int64{0, 2, 3, 4, 1000}).Draw(t, "delta"),
			}
		}
		op := genOp(0).Draw(t, "op")
		op.Span = KeySpan(key)
		if rapid.Bool().Draw(t, "a modification") {
			op.Kind, op.Modify = OpModify, rapid.SampledFrom(twinCopies).Draw(t, "kind")
			genModify(t, &op)
		}
		switch {
		case op.Kind == OpModify && op.Modify == ModifyBitOp:
			op.Value = string(AppendKey(AppendKey(nil, "copied"), key))
		case op.Modify == ModifyMove, op.Modify == ModifyCopy:
			op.Value = rapid.SampledFrom(keys).Draw(t, "to")
		}
		return op
	})
}

// An operation that answers an error has changed nothing, but for ending keys past their deadline.
func TestAnErrorMeansNothingChanged(t *testing.T) {
	defer keepBounds()()
	errs := map[error]int{}
	rapid.Check(t, func(t *rapid.T) {
		drawBounds(t)
		s, leases := New(), &ledger{live: map[LeaseID]bool{1: true, 2: true}}
		s.Attach(leases, line{})
		copying := Op{Kind: OpPut, Span: KeySpan("copied"), Flags: FlagKeepValue}
		s.Update(1000, func(b *Batch) {
			b.Txn(&Txn{Then: []Op{{Kind: OpPut, Span: KeySpan("copied"), Value: twinValues[8]}}}, nil)
		})
		for i := range rapid.IntRange(20, 60).Draw(t, "steps") {
			op := genQueueOp().Draw(t, "op")
			quota := s.StateBytes() + int64(rapid.IntRange(0, 400).Draw(t, "room"))
			changes := leases.changes
			var res Result
			events := s.Update(UnixMilli(1000+20*i), func(b *Batch) {
				b.SetQuota(quota)
				b.Txn(&Txn{Then: []Op{copying, op}}, &res)
			})
			equal(t, "fate of all", res.Err, error(nil))
			if err := res.Ops[1].Err; err != nil {
				errs[err]++
				rest := slices.DeleteFunc(slices.Clone(events[1:]), func(e Event) bool {
					return e.Record.Kind() == KindExpire
				})
				equal(t, "changes with "+err.Error(), []int{len(rest), leases.changes}, []int{0, changes})
			}
			equal(t, "invariants", s.Check(), error(nil))
		}
		s.Close()
	})
	for _, err := range []error{ErrQuota, ErrCopied, ErrQueueKey, ErrPlaceTaken, ErrSourcesLong, ErrNotHolder} {
		if errs[err] == 0 {
			t.Errorf("never met: %v; the others: %v", err, errs)
		}
	}
}

// However much an entry's requests would copy, it copies so much and no more; the next one begins anew.
func TestAnEntryCopiesSoMuch(t *testing.T) {
	defer keepBounds()()
	copyBound, copySlack = 100_000, 50_000
	s := New()
	defer s.Close()
	setRange := Op{Kind: OpModify, Modify: ModifySetRange, Span: KeySpan("k"), Delta: 9_999, Value: "x"}
	source := string(AppendKey(nil, "k"))
	for range 9 {
		source += source[:len("?k")]
	}
	combine := Op{Kind: OpModify, Modify: ModifyBitOp, Span: KeySpan("r"), Value: source}
	combine.Delta = int64(CombineOr)
	s.Update(1, func(b *Batch) { b.Txn(&Txn{Then: []Op{setRange}}, nil) }) // for the combination to read
	for name, c := range map[string]struct {
		ops  []Op
		most int // of transactions
	}{
		"one each":    {[]Op{setRange}, 12},
		"three each":  {[]Op{setRange, setRange, setRange}, 5},
		"combination": {[]Op{combine}, 2},
	} {
		for range 2 {
			done, res := 0, Result{}
			s.Update(1, func(b *Batch) {
				for range 50 {
					if b.Txn(&Txn{Then: c.ops}, &res); res.Err == nil {
						done++
					}
				}
				b.Txn(&Txn{Then: []Op{{Kind: OpPut, Span: KeySpan("other"), Value: "v"}}}, nil)
			})
			if done == 0 || done > c.most || res.Err != ErrCopied || !s.Get("other").Exists() {
				t.Errorf("%s: %d of 50 were done, at most %d may be; %v", name, done, c.most, res.Err)
			}
		}
	}
	var res Result
	s.Update(1, func(b *Batch) {
		b.Txn(&Txn{Then: slices.Repeat([]Op{setRange}, 20)}, &res)
	})
	if res.Ops[0].Err != nil || res.Ops[3].Err != nil || res.Ops[5].Err != ErrCopied {
		t.Errorf("twenty in one: %v, %v, %v", res.Ops[0].Err, res.Ops[3].Err, res.Ops[5].Err)
	}
}
