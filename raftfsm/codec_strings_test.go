package raftfsm

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/mvcc"
)

// drawModify gives the modifications that do not take everything something that they take.
func drawModify(t *rapid.T, o *mvcc.Op) {
	switch o.Modify {
	case mvcc.ModifySetRange, mvcc.ModifySetBit:
		o.Delta = rapid.Int64Range(0, 1<<62).Draw(t, "offset")
		if o.Modify == mvcc.ModifySetBit {
			o.Value = rapid.SampledFrom([]string{"", "1"}).Draw(t, "bit")
		}
	case mvcc.ModifyBitOp:
		o.Delta, o.Value = rapid.Int64Range(1, 8).Draw(t, "combine"), ""
		for range rapid.IntRange(1, 3).Draw(t, "keys") {
			o.Value = string(mvcc.AppendKey([]byte(o.Value), drawString(t, "key")))
		}
	case mvcc.ModifyBitfield:
		o.Value = ""
		for range rapid.IntRange(0, 3).Draw(t, "ops") {
			o.Value = string(mvcc.AppendBitOp([]byte(o.Value), drawBitOp(t)))
		}
	}
}

func drawBitOp(t *rapid.T) mvcc.BitOp {
	o := mvcc.BitOp{
		Action:   mvcc.BitAction(rapid.IntRange(0, 2).Draw(t, "action")),
		Overflow: mvcc.BitOverflow(rapid.IntRange(0, 2).Draw(t, "overflow")),
		Signed:   rapid.Bool().Draw(t, "signed"), Width: uint8(rapid.IntRange(1, 63).Draw(t, "width")),
		Offset: rapid.Int64Range(0, 1<<62).Draw(t, "offset"),
	}
	if o.Action != mvcc.BitGet {
		o.Number = rapid.Int64().Draw(t, "number")
	}
	return o
}

// goldenStrings holds one of each modification and compare that strings need beyond the first four.
func goldenStrings() []byte {
	var s Submission
	bits := mvcc.AppendBitOp(nil, mvcc.BitOp{Width: 8, Offset: 300})
	bits = mvcc.AppendBitOp(bits, mvcc.BitOp{
		Action: mvcc.BitIncrBy, Overflow: mvcc.BitFail, Signed: true, Width: 64, Number: -7,
	})
	keys := mvcc.AppendKey(mvcc.AppendKey(nil, "one"), "")
	then := []mvcc.Op{
		{Modify: mvcc.ModifyIncrByFloat, Value: "0.1"},
		{Modify: mvcc.ModifySetRange, Value: "abc", Delta: 300},
		{Modify: mvcc.ModifySetBit, Value: "1", Delta: 7},
		{Modify: mvcc.ModifySetBit, Delta: 1 << 20},
		{Modify: mvcc.ModifyBitfield, Value: string(bits)},
		{Modify: mvcc.ModifyBitOp, Value: string(keys), Delta: int64(mvcc.CombineOne)},
		{Modify: mvcc.ModifyMove, Value: "to"},
		{Modify: mvcc.ModifyCopy, Value: "to"},
	}
	for i := range then {
		then[i].Kind, then[i].Span = mvcc.OpModify, mvcc.KeySpan("k")
	}
	s.AddTxn(&mvcc.Txn{
		Compares: []mvcc.Compare{{Span: mvcc.KeySpan("k"), Target: mvcc.TargetDigest, Op: mvcc.CmpEqual, Num: -2}},
		Then:     then,
	})
	entry := append(make([]byte, headerSize), s.buf...)
	putHeader(entry, Header{Origin: 1, Batch: 2, Term: 3, Time: 1700000000000, Count: uint32(s.n)})
	return entry
}

// The bytes of string modifications never change: an old log must stay readable.
func TestGoldenStrings(t *testing.T) {
	entry, path := goldenStrings(), filepath.Join("testdata", "strings-v2.hex")
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
		t.Errorf("string modifications are encoded differently:\n%s", diff)
	}
}

// Apply trusts a modification that was decoded: what it cannot carry out must not come so far.
func TestDecodeRefusesModifications(t *testing.T) {
	for name, o := range map[string]mvcc.Op{
		"unknown kind":        {Modify: 39},
		"negative offset":     {Modify: mvcc.ModifySetRange, Delta: -1, Value: "x"},
		"negative bit":        {Modify: mvcc.ModifySetBit, Delta: -1},
		"neither 0 nor 1":     {Modify: mvcc.ModifySetBit, Value: "0"},
		"unknown combination": {Modify: mvcc.ModifyBitOp, Delta: 9, Value: "\x01k"},
		"no combination":      {Modify: mvcc.ModifyBitOp, Value: "\x01k"},
		"no source":           {Modify: mvcc.ModifyBitOp, Delta: 1},
		"source cut":          {Modify: mvcc.ModifyBitOp, Delta: 1, Value: "\x02k"},
		"unknown action":      {Modify: mvcc.ModifyBitfield, Value: "\x03\x00\x08\x00\x00"},
		"unknown overflow":    {Modify: mvcc.ModifyBitfield, Value: "\x00\x03\x08\x00"},
		"no width":            {Modify: mvcc.ModifyBitfield, Value: "\x00\x00\x00\x00"},
		"too wide":            {Modify: mvcc.ModifyBitfield, Value: "\x00\x00\xc1\x00"},
		"too wide, unsigned":  {Modify: mvcc.ModifyBitfield, Value: "\x00\x00\x40\x00"},
		"bit field cut":       {Modify: mvcc.ModifyBitfield, Value: "\x01\x00\x08\x00"},
		"offset beyond int64": {Modify: mvcc.ModifyBitfield,
			Value: "\x00\x00\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
	} {
		o.Kind, o.Span = mvcc.OpModify, mvcc.KeySpan("k")
		if decodeOne(o) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	good := mvcc.Op{Kind: mvcc.OpModify, Span: mvcc.KeySpan("k"), Modify: mvcc.ModifyBitfield,
		Value: "\x00\x00\xc0\x00"}
	if err := decodeOne(good); err != nil {
		t.Errorf("a signed field of 64 bits: %v", err)
	}
	reserved := mvcc.Txn{Compares: []mvcc.Compare{{Target: 8, Op: mvcc.CmpEqual}}}
	if decodeTxn(&reserved) == nil {
		t.Error("a compare of an unknown target: accepted")
	}
}

func decodeOne(o mvcc.Op) error { return decodeTxn(&mvcc.Txn{Then: []mvcc.Op{o}}) }

func decodeTxn(x *mvcc.Txn) error {
	r := reader{b: appendRequest(nil, ReqTxn, func(b []byte) []byte { return appendTxn(b, x) })}
	_, body, _ := r.request()
	body.txn(&mvcc.Txn{}, 1)
	return errors.Join(body.end(), r.end())
}
