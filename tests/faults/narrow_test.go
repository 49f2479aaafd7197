package faults

import (
	"fmt"
	"testing"
	"time"
)

func TestNarrow(t *testing.T) {
	set := func(call, ret int64, v string, more ...func(*Op)) *Op {
		return op(0, call, ret, setKind, "OK", append([]func(*Op){values(v)}, more...)...)
	}
	lost := set(10, 0, "[1.1]", maybe)
	before, after := set(0, 20, "[1.2]"), set(0, 50, "[1.3]")
	late := set(60, 70, "[1.4]")
	a := history(keyA, put(2, "[1.2]"), put(3, "[1.1]"), put(4, "[1.3]"), put(5, "[1.4]"))
	want := map[*Op][2]int64{lost: {10, 50}, before: {0, 20}, after: {10, 50}, late: {60, 70}}
	got := narrow([]*Op{before, lost, after, late}, a)
	if len(got) != len(want) {
		t.Fatalf("%d operations of %d are left", len(got), len(want))
	}
	for _, n := range got {
		for o, times := range want {
			if o.Values[0] == n.Values[0] && (n.Call != times[0] || n.Ret != times[1]) {
				t.Errorf("%s has from %d to %d, not %v", n, n.Call, n.Ret, times)
			}
		}
	}
	if lost.Ret != forever {
		t.Error("the operation itself was changed")
	}
}

// TestNarrowHidesNothing: what the answers forbid stays forbidden, whatever the revisions say.
func TestNarrowHidesNothing(t *testing.T) {
	ops := []*Op{
		op(0, 0, 1, setKind, "OK", values("[1.1]")), op(0, 2, 3, setKind, "OK", values("[1.2]")),
		op(1, 4, 5, getKind, "[1.1]"),
	}
	backwards := history(keyA, put(2, "[1.2]"), put(3, "[1.1]"))
	if checkLinear(narrow(ops, backwards), 0, 10*time.Second) == nil {
		t.Error("an order against time was accepted because the revisions say so")
	}
	if checkLinear(narrow(ops, history(keyA, put(2, "[1.1]"), put(3, "[1.2]"))), 0, 10*time.Second) == nil {
		t.Error("a stale read was accepted")
	}
}

func TestNarrowDropsOnlyWhatChangedNothing(t *testing.T) {
	del := op(0, 10, 0, delKind, "", maybe)
	set := op(1, 0, 5, setKind, "OK", values("[1.1]"))
	if left := narrow([]*Op{del, set}, history(keyA, put(2, "[1.1]"))); len(left) != 1 {
		t.Errorf("a deletion that deleted nothing is kept: %v", left)
	}
	if left := narrow([]*Op{del, set}, history(keyA, put(2, "[1.1]"), version{revision: 3})); len(left) != 2 {
		t.Errorf("a deletion that may have been done is dropped: %v", left)
	}
}

// TestManyMaybes is why narrow exists: without it the search tries all orders of the appends.
func TestManyMaybes(t *testing.T) {
	var ops []*Op
	var versions []version
	text := ""
	for i := range int64(16) {
		mark := fmt.Sprintf("[%d.7]", i)
		ops = append(ops, op(int(i), 100-i, 0, appendKind, "", values(mark), maybe))
		text += mark
		versions = append(versions, put(2+i, text))
	}
	a := history(keyA, versions...)
	ops = append(ops, op(1, 1000, 1001, getKind, text))
	if err := checkLinear(narrow(ops, a), 0, 20*time.Second); err != nil {
		t.Error(err)
	}
	ops[len(ops)-1] = op(1, 1000, 1001, getKind, text[5:])
	if checkLinear(narrow(ops, a), 0, 20*time.Second) == nil {
		t.Error("a read of another order was accepted")
	}
}
