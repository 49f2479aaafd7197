package raftfsm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/mvcc"
)

var update = flag.Bool("update", false, "rewrite golden files")

func drawString(t *rapid.T, label string) string {
	return string(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, label))
}

func drawSpan(t *rapid.T) mvcc.Span {
	s := mvcc.Span{Kind: mvcc.SpanKind(rapid.IntRange(0, 2).Draw(t, "span")), From: drawString(t, "from")}
	if s.Kind == mvcc.SpanRange {
		s.End = drawString(t, "end")
	}
	return s
}

func drawCompare(t *rapid.T) mvcc.Compare {
	c := mvcc.Compare{
		Span: drawSpan(t), Target: mvcc.CompareTarget(rapid.IntRange(1, 7).Draw(t, "target")),
		Op: mvcc.CompareOp(rapid.IntRange(1, 4).Draw(t, "op")),
	}
	if c.Target == mvcc.TargetValue {
		c.Value = drawString(t, "value")
	} else {
		c.Num = rapid.Int64().Draw(t, "num")
	}
	return c
}

// modifications are all kinds that have a meaning.
var modifications = []mvcc.ModifyKind{1, 2, 3, 4, 40, 41, 42, 43}

func drawOp(t *rapid.T, depth int) mvcc.Op {
	o := mvcc.Op{
		Kind: mvcc.OpKind(rapid.IntRange(1, 6).Draw(t, "kind")), Span: drawSpan(t),
		Flags: mvcc.OpFlags(rapid.IntRange(0, 1<<9-1).Draw(t, "flags") |
			rapid.IntRange(0, 7).Draw(t, "queue flags")<<13),
		Value: drawString(t, "value"), Delta: rapid.Int64().Draw(t, "delta"),
		Lease: mvcc.LeaseID(rapid.Int64().Draw(t, "lease")),
	}
	o.Expiry.Mode = mvcc.ExpiryMode(rapid.IntRange(0, 3).Draw(t, "mode"))
	o.Expiry.MS = rapid.Int64().Draw(t, "ms")
	switch {
	case o.Kind == mvcc.OpModify:
		o.Modify = rapid.SampledFrom(modifications).Draw(t, "modify")
		drawModify(t, &o)
	case o.Kind == mvcc.OpPublish:
		o.Span, o.Delta = mvcc.KeySpan(o.Span.From), int64(rapid.IntRange(0, 1).Draw(t, "sharded"))
	case o.Kind == mvcc.OpRange:
		o.Range = mvcc.RangeOptions{
			Limit: rapid.Int64().Draw(t, "limit"), Desc: rapid.Bool().Draw(t, "desc"),
			Sort:   mvcc.SortTarget(rapid.IntRange(0, 4).Draw(t, "sort")),
			MinMod: mvcc.Revision(rapid.Int64Range(0, 1<<62).Draw(t, "min")), CountOnly: rapid.Bool().Draw(t, "count"),
		}
	case o.Kind == mvcc.OpTxn && depth < maxNesting:
		nested := drawTxn(t, depth+1)
		o.Txn = &nested
	case o.Kind == mvcc.OpTxn:
		o.Kind = mvcc.OpDelete
	}
	return o
}

func drawTxn(t *rapid.T, depth int) mvcc.Txn {
	var x mvcc.Txn
	limit := 4 / depth
	for range rapid.IntRange(0, limit).Draw(t, "compares") {
		x.Compares = append(x.Compares, drawCompare(t))
	}
	for range rapid.IntRange(0, limit).Draw(t, "then") {
		x.Then = append(x.Then, drawOp(t, depth))
	}
	for range rapid.IntRange(0, limit).Draw(t, "else") {
		x.Else = append(x.Else, drawOp(t, depth))
	}
	if rapid.Bool().Draw(t, "linked") {
		x.Then = append(x.Then, drawLinked(t)...)
	}
	return x
}

// What is encoded comes back the same, into a used transaction too.
func TestTxnRoundTrip(t *testing.T) {
	var used mvcc.Txn
	rapid.Check(t, func(t *rapid.T) {
		want := drawTxn(t, 1)
		b := appendRequest(nil, ReqTxn, func(b []byte) []byte { return appendTxn(b, &want) })
		r := reader{b: b}
		kind, body, more := r.request()
		if kind != ReqTxn || !more {
			t.Fatalf("request() = %v, %v", kind, more)
		}
		body.txn(&used, 1)
		if err := errors.Join(body.end(), r.end()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, used, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// goldenEntry holds one of everything that the log can say.
func goldenEntry() []byte {
	var s Submission
	s.AddTxn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: mvcc.KeySpan("key"), Value: "value"}}})
	s.AddTxn(&mvcc.Txn{
		Compares: []mvcc.Compare{
			{Span: mvcc.KeySpan("k"), Target: mvcc.TargetVersion, Op: mvcc.CmpEqual},
			{Span: mvcc.PrefixSpan("p"), Target: mvcc.TargetValue, Op: mvcc.CmpLess, Value: "v"},
		},
		Then: []mvcc.Op{
			{Kind: mvcc.OpPut, Span: mvcc.KeySpan("k"), Value: strings.Repeat("x", 130), Lease: 7,
				Expiry: mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: 1500}, Flags: mvcc.FlagPrev},
			{Kind: mvcc.OpModify, Modify: mvcc.ModifyIncrBy, Span: mvcc.KeySpan("n"), Delta: -3},
			{Kind: mvcc.OpTxn, Flags: mvcc.FlagGuardsFirst, Txn: &mvcc.Txn{Then: []mvcc.Op{
				{Kind: mvcc.OpDelete, Span: mvcc.Span{From: "", Kind: mvcc.SpanFrom}, Flags: mvcc.FlagPrev}}}},
		},
		Else: []mvcc.Op{{Kind: mvcc.OpRange, Span: mvcc.Span{From: "a", End: "b", Kind: mvcc.SpanRange},
			Range: mvcc.RangeOptions{Limit: 5, Desc: true, Sort: mvcc.SortMod, MinMod: 2, MaxMod: 9}}},
	})
	s.AddExpire([]mvcc.ExpireKey{{Key: "old", Mod: 300}})
	s.AddCompact(1 << 40)
	s.addMember(memberRecord{ID: 0xabc, Name: "n1", ClientAddr: "127.0.0.1:6379"})
	entry := append(make([]byte, headerSize), s.buf...)
	putHeader(entry, Header{Origin: 1, Batch: 2, Term: 3, Time: 1700000000000, Count: uint32(s.n),
		Quota: 1 << 31})
	return entry
}

// unhex reads what hex.Dump wrote.
func unhex(t *testing.T, path string) (b []byte) {
	dump, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(dump)) {
		digits, _, _ := strings.Cut(line[8:], "|")
		row, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, row...)
	}
	return b
}

// A log of version 1, whose header had no quota, is still read.
func TestVersion1(t *testing.T) {
	for file, want := range map[string][]byte{"entry-v1.hex": goldenEntry(), "strings-v1.hex": goldenStrings()} {
		h, requests, err := readHeader(unhex(t, filepath.Join("testdata", file)))
		if err != nil || !bytes.Equal(requests, want[headerSize:]) {
			t.Errorf("%s: %v, %d bytes of requests", file, err, len(requests))
		}
		now, _, _ := readHeader(want)
		if now.Quota = 0; h != now {
			t.Errorf("%s: header %+v, want %+v", file, h, now)
		}
	}
}

// The bytes of version 2 never change: an old log must stay readable.
func TestGoldenEntry(t *testing.T) {
	entry, path := goldenEntry(), filepath.Join("testdata", "entry-v2.hex")
	if *update {
		if err := os.WriteFile(path, []byte(hex.Dump(entry)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), hex.Dump(entry)); diff != "" {
		t.Errorf("version 2 is encoded differently (a change needs version 3):\n%s", diff)
	}
}

// Every flipped bit and every truncation of an entry is noticed.
func TestEntryDamage(t *testing.T) {
	entry := goldenEntry()
	if h, _, err := readHeader(entry); err != nil || h.Term != 3 || h.Batch != 2 {
		t.Fatalf("readHeader() = %+v, %v", h, err)
	}
	for i := range entry {
		bad := bytes.Clone(entry)
		bad[i] ^= 1 << (i % 8)
		if CheckEntry(bad) == nil {
			t.Errorf("flip in byte %d not noticed", i)
		}
		if CheckEntry(entry[:i]) == nil {
			t.Errorf("truncation to %d bytes not noticed", i)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"long uvarint":     {byte(ReqTxn), 0x83, 0x00, 0, 0, 0},
		"count too large":  {byte(ReqTxn), 3, 0xff, 0x7f, 0},
		"unknown op":       {byte(ReqTxn), 7, 0, 1, 9, 0, 0, 0, 0},
		"zero field":       {byte(ReqTxn), 8, 0, 1, byte(mvcc.OpPut), fieldDelta, 0, 0, 0, 0},
		"modify of no op":  {byte(ReqTxn), 8, 0, 1, byte(mvcc.OpPut), fieldModify, 0, 0, 1, 0},
		"bytes after end":  {byte(ReqTxn), 4, 0, 0, 0, 0},
		"request cut":      {byte(ReqTxn), 9, 0, 0, 0},
		"unknown span":     {byte(ReqTxn), 7, 0, 1, byte(mvcc.OpPut), 0, 3, 0, 0},
		"unknown compare":  {byte(ReqTxn), 8, 1, 200, 1, 0, 0, 0, 0, 0},
		"message to keys":  {byte(ReqTxn), 7, 0, 1, byte(mvcc.OpPublish), 0, byte(mvcc.SpanFrom), 0, 0},
		"unknown message":  {byte(ReqTxn), 8, 0, 1, byte(mvcc.OpPublish), fieldDelta, 0, 0, 4, 0},
		"txn without body": {byte(ReqTxn), 7, 0, 1, byte(mvcc.OpTxn), 0, 0, 0, 0},
	} {
		r := reader{b: b}
		_, body, more := r.request()
		if more {
			body.txn(&mvcc.Txn{}, 1)
		}
		if errors.Join(body.end(), r.end()) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzRequests feeds arbitrary bytes to the decoder: it must not panic, not ask for much memory, and
// what it accepts must encode to the same bytes.
func FuzzRequests(f *testing.F) {
	f.Add(goldenEntry()[headerSize:])
	f.Add(goldenStrings()[headerSize:])
	f.Add(goldenLinked()[headerSize:])
	f.Add(goldenLeases())
	f.Add(goldenUsers())
	f.Add([]byte{byte(ReqTxn), 3, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		r := reader{b: in}
		var out []byte
		for kind, body, more := r.request(); more; kind, body, more = r.request() {
			again, err := reencode(kind, body)
			if err != nil {
				return
			}
			out = append(out, again...)
		}
		if r.end() == nil && !bytes.Equal(in, out) {
			t.Errorf("not canonical:\n%x\n%x", in, out)
		}
	})
}

func reencode(kind RequestKind, body reader) ([]byte, error) {
	var s Submission
	switch kind {
	case ReqTxn:
		var x mvcc.Txn
		body.txn(&x, 1)
		s.AddTxn(&x)
	case ReqExpire:
		s.AddExpire(body.expire(nil))
	case ReqCompact:
		s.AddCompact(body.revision())
	case ReqMember:
		s.addMember(body.member())
	case ReqLeaseGrant, ReqLeaseRevoke, ReqLeaseCheckpoint:
		reencodeLease(&s, kind, &body)
	case ReqUser:
		s.AddUsers(body.userChanges())
	default:
		return nil, ErrCodec
	}
	return s.buf, body.end()
}

func BenchmarkEncodeDecodeSet(b *testing.B) {
	put := mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan("key:0000000001"), Value: strings.Repeat("v", 128)}
	txn := mvcc.Txn{Then: []mvcc.Op{put}}
	var s Submission
	var out mvcc.Txn
	b.ReportAllocs()
	for b.Loop() {
		s.Reset()
		s.AddTxn(&txn)
		r := reader{b: s.buf}
		_, body, _ := r.request()
		body.txn(&out, 1)
		if body.end() != nil {
			b.Fatal(body.err)
		}
	}
}
