package mvcc

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A scratch is checked against the store itself: steps run on it one by one must give what the same steps
// give in one transaction on the store, however much later, and its guards must hold exactly if what it
// has read is unchanged.

var scratchKeys = []string{"a", "b", "ba", "bb", "c", ""}

func drawScratchStep(t *rapid.T) Txn {
	key := KeySpan(rapid.SampledFrom(scratchKeys).Draw(t, "key"))
	span := rapid.SampledFrom([]Span{key, PrefixSpan("b"), PrefixSpan(""),
		{From: "b", End: "c", Kind: SpanRange}, {From: "c", End: "a", Kind: SpanRange}}).Draw(t, "span")
	op := rapid.SampledFrom([]Op{
		{Kind: OpPut, Span: key, Value: "v", Flags: FlagPrev}, {Kind: OpRange, Span: span},
		{Kind: OpPut, Span: key, Value: "w", Expiry: Expiry{Mode: ExpiryIn, MS: 50}},
		{Kind: OpDelete, Span: span, Flags: FlagPrev},
		{Kind: OpModify, Modify: ModifyAppend, Span: key, Value: "x"},
		{Kind: OpModify, Modify: ModifyIncrBy, Span: key, Delta: 1},
		{Kind: OpModify, Modify: ModifySetDeadline, Span: key, Expiry: Expiry{Mode: ExpiryIn, MS: 70}},
		{Kind: OpModify, Modify: ModifyPersist, Span: key},
		{Kind: OpModify, Modify: ModifyMove, Span: key, Value: "b"},
		{Kind: OpTxn, Flags: FlagGuardsFirst, Txn: &Txn{
			Compares: []Compare{{Span: key, Target: TargetVersion, Op: CmpGreater, Num: 1}},
			Then:     []Op{{Kind: OpPut, Span: KeySpan("a"), Value: "first"}},
			Else:     []Op{{Kind: OpDelete, Span: KeySpan("c"), Flags: FlagPrev}}}},
	}).Draw(t, "op")
	txn := Txn{Then: []Op{op}, Else: []Op{{Kind: OpRange, Span: key}}}
	if op.Kind == OpTxn { // whose guard must not see what stands before it
		txn.Then = []Op{{Kind: OpPut, Span: key, Value: "before"}, op}
	}
	if rapid.Bool().Draw(t, "guarded") {
		txn.Compares = []Compare{{Span: span, Target: TargetVersion, Op: CmpGreater, Num: 0}}
	}
	return txn
}

func shownResult(r *Result) string {
	out := fmt.Sprint(r.Succeeded)
	for _, op := range r.Ops {
		out += fmt.Sprint(" ", op.Err, " ", op.N, shownRecords(op.Prev, op.Record), shownRecords(op.Prevs...),
			shownRecords(op.Range.Records...), op.Range.Count)
		if op.Txn != nil {
			out += "(" + shownResult(op.Txn) + ")"
		}
	}
	return out
}

func shownRecords(rs ...Record) (out []string) {
	for _, r := range rs {
		if r.enc == "" {
			out = append(out, "none")
			continue
		}
		out = append(out, fmt.Sprintf("%d %q", r.ModRevision(), r.enc[kindOffset:]))
	}
	return out
}

// fillScratchBase writes random keys, some of them due at time 1000.
func fillScratchBase(t *rapid.T, s *Store) {
	var txns []Txn
	for range rapid.IntRange(0, 12).Draw(t, "writes") {
		txns = append(txns, drawScratchStep(t))
	}
	for i := range txns {
		s.Update(UnixMilli(900+10*i), func(b *Batch) { b.Txn(&txns[i], nil) })
	}
}

func TestScratchIsTheNextTransaction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New()
		defer s.Close()
		fillScratchBase(t, s)
		const now = 1000
		x := s.NewScratch(now, 100)
		defer x.Close()
		var whole Txn
		var got []string
		changed := false
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			step := drawScratchStep(t)
			step.Resolve(now)
			var res Result
			changed = x.Txn(&step, &res) || changed
			got = append(got, shownResult(&res))
			whole.Then = append(whole.Then, StepOp(&step, now))
		}
		others := drawOthers(t)
		for i := range others {
			s.Update(now, func(b *Batch) { b.Txn(&others[i], nil) })
		}
		if len(others) > 0 {
			checkScratchGuards(t, s, x, now)
			return
		}
		whole.Compares = x.Guards() // they meet keys that are due first: sub numbers may differ, no more
		later := UnixMilli(now + rapid.IntRange(0, 100).Draw(t, "later"))
		gone := slices.ContainsFunc(x.seen, func(k ExpireKey) bool { return k.Mod != 0 && s.Get(k.Key).due(later) })
		var res Result
		s.Update(later, func(b *Batch) { b.Txn(&whole, &res) })
		switch {
		case res.Succeeded == gone:
			t.Fatalf("guards hold: %v, meanwhile a key is due: %v; %v, %v", res.Succeeded, gone, x.seen, x.spans)
		case gone:
			return
		}
		for i := range got {
			if want := shownResult(res.Ops[i].Txn); want != got[i] {
				t.Fatalf("step %d\n scratch %s\n store   %s", i, got[i], want)
			}
		}
		for _, key := range scratchKeys {
			a, b := shownRecords(x.Store().Get(key)), shownRecords(s.Get(key))
			if !slices.Equal(a, b) {
				t.Fatalf("%q is %q in the scratch, %q in the store", key, a, b)
			}
		}
		if wrote := s.Revision() > x.pin.Revision; changed && !wrote {
			t.Fatal("the scratch says that it changed something, the store has no new revision")
		}
	})
}

func drawOthers(t *rapid.T) (out []Txn) {
	for range rapid.IntRange(0, 2).Draw(t, "others") {
		out = append(out, drawScratchStep(t))
	}
	return out
}

// checkScratchGuards compares the guards with a naive look at all that was read.
func checkScratchGuards(t *rapid.T, s *Store, x *Scratch, now UnixMilli) {
	want := true
	modNow := func(key string) Revision {
		if r := s.Get(key); r.Exists() && !r.due(now) {
			return r.ModRevision()
		}
		return 0
	}
	for _, key := range scratchKeys {
		i := slices.IndexFunc(x.seen, func(k ExpireKey) bool { return k.Key == key })
		switch {
		case i >= 0:
			want = want && modNow(key) == x.seen[i].Mod
		case x.covered(key):
			want = want && modNow(key) == 0
		}
	}
	guarded := Txn{Compares: x.Guards(), Then: []Op{{Kind: OpRange, Span: KeySpan("a")}}}
	var res Result
	s.Update(now, func(b *Batch) { b.Txn(&guarded, &res) })
	if res.Succeeded != want {
		t.Fatalf("guards hold: %v, unchanged: %v; seen %v, spans %v", res.Succeeded, want, x.seen, x.spans)
	}
}

// Reads outside of transactions show of a scratch what they show of a store that has made its steps.
func TestScratchReads(t *testing.T) {
	s := New()
	defer s.Close()
	put := func(key, value string) Txn {
		return Txn{Then: []Op{{Kind: OpPut, Span: KeySpan(key), Value: value}}}
	}
	for i := range 700 {
		txn := put(fmt.Sprintf("k%03d", i), "v")
		s.Update(1, func(b *Batch) { b.Txn(&txn, nil) })
	}
	x := s.NewScratch(1, 1000)
	defer x.Close()
	later := put("k001", "later") // behind the pin: not to be seen
	s.Update(1, func(b *Batch) { b.Txn(&later, nil) })
	var res Result
	own := put("own", "v")
	x.Txn(&own, &res)
	in := x.Store()
	if n := in.Len(); n != 701 {
		t.Errorf("%d keys", n)
	}
	if v := in.Get("k001").Value(); v != "v" {
		t.Errorf("the scratch shows a later write: %q", v)
	}
	found, err := in.Range(PrefixSpan("k"), RangeOptions{})
	if err != nil || found.Count != 700 {
		t.Errorf("%d keys, %v", found.Count, err)
	}
	var scanned []string
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		cursor = in.Scan(cursor, 10, func(r Record) { scanned = append(scanned, r.Key()) })
	}
	slices.Sort(scanned)
	if len(slices.Compact(scanned)) != 701 {
		t.Errorf("scanned %d keys", len(scanned))
	}
	if past, err := in.GetAt("k500", 2); err != nil || past.Exists() {
		t.Errorf("k500 at revision 2: %v, %v", past, err)
	}
}

func TestScratchLimit(t *testing.T) {
	s := New()
	defer s.Close()
	x := s.NewScratch(1, 2)
	defer x.Close()
	for i, key := range []string{"a", "b", "c"} {
		x.Store().Get(key)
		if full := i >= 2; x.Full() != full {
			t.Errorf("after %s: full %v", key, x.Full())
		}
	}
}

// A scratch knows nothing of leases and queues: it does not take what asks for them, and otherwise treats a
// key on a lease, and a place in a queue, as any key.
func TestScratchBesideLeases(t *testing.T) {
	s := New()
	defer s.Close()
	leased := Txn{Then: []Op{{Kind: OpPut, Span: KeySpan("k"), Value: "1", Lease: 7}}}
	join := Txn{Then: []Op{{Kind: OpModify, Modify: ModifyQueueJoin, Span: KeySpan("m"), Lease: 7}}}
	s.Update(1, func(b *Batch) {
		b.Txn(&leased, nil)
		b.Txn(&join, nil)
	})
	x := s.NewScratch(1, 10)
	defer x.Close()
	step := Txn{Then: []Op{
		{Kind: OpPut, Span: KeySpan("k"), Value: "2", Flags: FlagKeepLease},
		{Kind: OpDelete, Span: PrefixSpan("m/")},
	}}
	var res Result
	if !x.Txn(&step, &res) || res.Ops[0].Err != nil || res.Ops[0].Record.Lease() != 7 || res.Ops[1].N != 1 {
		t.Errorf("%+v", res)
	}
	fenced := Txn{Compares: []Compare{{Target: TargetLock, Span: KeySpan("m")}}}
	for _, tc := range []struct {
		txn  *Txn
		asks bool
	}{{&leased, true}, {&join, true}, {&fenced, true}, {&step, false},
		{&Txn{Else: []Op{{Kind: OpTxn, Txn: &fenced}}}, true}} {
		if tc.txn.AsksOthers() != tc.asks {
			t.Errorf("%+v: AsksOthers is not %v", tc.txn, tc.asks)
		}
	}
}
