package raftfsm

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/mvcc"
)

// drawLinked makes puts that are linked.
func drawLinked(t *rapid.T) (puts []mvcc.Op) {
	for range rapid.IntRange(2, 4).Draw(t, "puts") {
		puts = append(puts, mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan(drawString(t, "key")),
			Value: drawString(t, "value"), Flags: mvcc.FlagWithNext})
	}
	puts[len(puts)-1].Flags = 0
	return puts
}

// goldenLinked holds what MSET and a script write.
func goldenLinked() []byte {
	put := func(key, value string, flags mvcc.OpFlags) mvcc.Op {
		return mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan(key), Value: value, Flags: flags}
	}
	var s Submission
	s.AddTxn(&mvcc.Txn{Then: []mvcc.Op{
		put("a", "1", mvcc.FlagWithNext), put("b", "2", mvcc.FlagWithNext|mvcc.FlagLeaseIfAny), put("c", "3", 0),
	}})
	s.AddTxn(&mvcc.Txn{
		Compares: []mvcc.Compare{{Span: mvcc.KeySpan("a"), Target: mvcc.TargetMod, Op: mvcc.CmpEqual, Num: 7}},
		Then:     []mvcc.Op{mvcc.StepOp(&mvcc.Txn{Then: []mvcc.Op{put("a", "2", 0)}}, 1700000000000)},
	})
	entry := append(make([]byte, headerSize), s.buf...)
	putHeader(entry, Header{Origin: 1, Batch: 2, Term: 3, Time: 1700000000000, Count: uint32(s.n)})
	return entry
}

// The bytes of linked puts and of steps never change: an old log must stay readable.
func TestGoldenLinked(t *testing.T) {
	entry, path := goldenLinked(), filepath.Join("testdata", "linked-v2.hex")
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
		t.Errorf("linked puts are encoded differently:\n%s", diff)
	}
}

// Apply trusts links that were decoded: what could not be done as a whole must not come so far.
func TestDecodeRefusesLinks(t *testing.T) {
	put := mvcc.Op{Kind: mvcc.OpPut, Span: mvcc.KeySpan("k"), Value: "v"}
	linked, keeping := put, put
	linked.Flags, keeping.Flags = mvcc.FlagWithNext, mvcc.FlagKeepValue
	for name, ops := range map[string][]mvcc.Op{
		"to nothing":       {put, linked},
		"to a delete":      {linked, {Kind: mvcc.OpDelete, Span: mvcc.KeySpan("k")}},
		"to another value": {linked, keeping},
	} {
		if decodeTxn(&mvcc.Txn{Then: ops}) == nil || decodeTxn(&mvcc.Txn{Else: ops}) == nil {
			t.Errorf("linked %s: accepted", name)
		}
	}
	if err := decodeTxn(&mvcc.Txn{Then: []mvcc.Op{linked, linked, put, put}}); err != nil {
		t.Errorf("linked puts: %v", err)
	}
}
