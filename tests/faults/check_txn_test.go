package faults

import (
	"testing"
	"time"
)

// parts puts a SET of keyA, INCR and a read of all into a transaction.
func parts(o *Op) {
	o.Parts = []*Op{{Kind: setKind, Values: []string{"x"}}, {Kind: incrKind, Key: counter}, {Kind: kvRangeKind}}
}

// branches puts SET of keyA into one branch of a KV.TXN, and of keyB into the other.
func branches(o *Op) {
	o.Values = []string{"0"}
	o.Parts = []*Op{{Kind: setKind, Values: []string{"x"}}, {Kind: setKind, Key: keyB, Values: []string{"y"}}}
}

// nested puts SET of keyB, a KV.TXN with SET of keyA or GET of it, and SET of another key into a KV.TXN.
func nested(o *Op) {
	o.Parts = []*Op{{Kind: setKind, Key: keyB, Values: []string{"y"}}, {Kind: setKind, Values: []string{"x"}},
		{Kind: getKind}, {Kind: setKind, Key: fading, Values: []string{"z"}}}
}

func TestLinearCheckerKnowsTransactions(t *testing.T) {
	set := func(call, ret int64, v string) *Op { return op(0, call, ret, setKind, "OK", values(v)) }
	get := func(call, ret int64, v string, more ...func(*Op)) *Op {
		return op(1, call, ret, getKind, v, more...)
	}
	cas := func(call, ret int64, seen_, v, answer string) *Op {
		return op(2, call, ret, casKind, answer, seen(seen_), values(v))
	}
	watch := func(call, ret int64) *Op { return op(3, call, ret, watchKind, "OK") }
	exec := func(call, ret int64, answer string, more ...func(*Op)) *Op {
		return op(3, call, ret, watchedKind, answer, append([]func(*Op){parts}, more...)...)
	}
	multi := func(call, ret int64, answer string) *Op { return op(3, call, ret, multiKind, answer, parts) }
	txn := func(call, ret int64, seen_, answer string) *Op {
		return op(4, call, ret, kvTxnKind, answer, branches, seen(seen_))
	}
	ifElse := func(call, ret int64, seen_, answer string) *Op {
		return op(4, call, ret, txnIfKind, answer, branches, seen(seen_))
	}
	inner := func(call, ret int64, seen_, answer string) *Op {
		return op(4, call, ret, nestedKind, answer, nested, seen(seen_))
	}
	eval := func(call, ret int64, answer string) *Op {
		return op(5, call, ret, evalKind, answer, values("x"), on(keyB))
	}
	del := func(call, ret int64) *Op { return op(0, call, ret, delKind, "1") }
	again := func(call, ret int64) *Op { // the counter is gone and comes back as it was, in one transaction
		return op(5, call, ret, multiKind, "1 | 1", func(o *Op) {
			o.Parts = []*Op{{Kind: delKind, Key: counter}, {Kind: incrKind, Key: counter}}
		})
	}
	one := func(call, ret int64) *Op { return op(0, call, ret, incrKind, "1", on(counter)) }
	look := func(call, ret int64) *Op { return op(3, call, ret, watchKind, "OK", on(counter)) }
	const done = "OK | 1 | x nil 1 nil"
	for _, tc := range []struct {
		name string
		ok   bool
		ops  []*Op
	}{
		{"a value compared and set", true, []*Op{set(0, 1, "a"), cas(2, 3, "a", "b", "OK"), get(4, 5, "b")}},
		{"set though it was another", false, []*Op{set(0, 1, "a"), cas(2, 3, "c", "b", "OK")}},
		{"not set though it was the same", false, []*Op{set(0, 1, "a"), cas(2, 3, "a", "b", "nil")}},
		{"two who both replaced one value", false,
			[]*Op{set(0, 1, "a"), cas(2, 9, "a", "b", "OK"), cas(2, 9, "a", "c", "OK")}},
		{"a transaction as a whole", true, []*Op{multi(0, 1, done), get(2, 3, "x")}},
		{"another's write between its commands", false, []*Op{multi(0, 9, "OK | 1 | a nil 1 nil"), set(0, 9, "a")}},
		{"half of a transaction seen", false, []*Op{multi(0, 9, done),
			op(1, 1, 2, kvRangeKind, "x nil nil nil")}},
		{"nothing happened to what was watched", true, []*Op{set(0, 1, "a"), watch(2, 3), exec(4, 5, done)}},
		{"done though it had changed", false, []*Op{watch(0, 1), set(2, 3, "a"), exec(4, 5, done)}},
		{"done though it came, went and came back", false, []*Op{set(0, 1, "a"), watch(2, 3), del(4, 5),
			set(6, 7, "a"), exec(8, 9, done)}},
		{"missing again is unchanged", true, []*Op{watch(0, 1), set(2, 3, "a"), del(4, 5), exec(6, 7, done)}},
		{"not done, for it went and came back in one transaction", true, []*Op{one(0, 1), look(2, 3), again(4, 5),
			exec(6, 7, "nil", on(counter))}},
		{"done though it went and came back in one transaction", false, []*Op{one(0, 1), look(2, 3), again(4, 5),
			exec(6, 7, "OK | 2 | x nil 2 nil", on(counter))}},
		{"not done though nothing changed", false, []*Op{set(0, 1, "a"), watch(2, 3), exec(4, 5, "nil")}},
		{"not done for a write that came in between", true, []*Op{watch(0, 1), set(2, 3, "a"), exec(4, 5, "nil"),
			get(6, 7, "a")}},
		{"a maybe that lost the race is not done", false, []*Op{watch(0, 1), set(2, 3, "a"), exec(4, 0, "", maybe),
			get(5, 6, "x")}},
		{"a maybe that won it", true, []*Op{watch(0, 1), exec(4, 0, "", maybe), get(5, 6, "x")}},
		{"the first branch", true, []*Op{set(0, 1, "a"), txn(2, 3, "a", "then OK"), get(4, 5, "x")}},
		{"the other branch", true, []*Op{set(0, 1, "b"), txn(2, 3, "a", "else OK"), get(4, 5, "y", on(keyB))}},
		{"the wrong branch", false, []*Op{set(0, 1, "b"), txn(2, 3, "a", "then OK")}},
		{"both branches", false, []*Op{set(0, 1, "a"), txn(2, 3, "a", "then OK"), get(4, 5, "y", on(keyB))}},
		{"the commands of TXN.IF", true, []*Op{set(0, 1, "a"), ifElse(2, 3, "a", "then OK"), get(4, 5, "x")}},
		{"those of TXN.ELSE though it holds", false, []*Op{set(0, 1, "a"), ifElse(2, 3, "a", "else OK")}},
		{"an inner guard that saw the state before", true, []*Op{set(0, 1, "a"),
			inner(2, 3, "a", "then else OK | a"), get(4, 5, "a"), get(6, 7, "y", on(keyB))}},
		{"an inner guard that saw the write before it", false, []*Op{set(0, 1, "a"),
			inner(2, 3, "a", "then then OK | OK")}},
		{"an inner guard that holds", true, []*Op{set(0, 1, "a"), op(0, 2, 3, setKind, "OK", values("b"), on(keyB)),
			inner(4, 5, "a", "then then OK | OK"), get(6, 7, "x")}},
		{"the outer guard does not", true, []*Op{set(0, 1, "b"), inner(2, 3, "a", "else OK"),
			get(4, 5, "nil", on(keyB))}},
		{"a script in its turn", true, []*Op{set(0, 1, "a"), eval(2, 3, "a 1 ax"), get(4, 5, "ax", on(keyB))}},
		{"a script that read too early", false, []*Op{set(0, 1, "a"), set(2, 3, "b"), eval(4, 5, "a 1 ax")}},
		{"a script that wrote by an old read", false, []*Op{set(0, 1, "a"), set(2, 9, "b"), eval(2, 9, "b 1 bx"),
			get(10, 11, "ax", on(keyB))}},
	} {
		if err := checkLinear(tc.ops, slack(5*time.Millisecond), 10*time.Second); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestWholeChecker(t *testing.T) {
	mset := op(0, 0, 1, msetKind, "OK", values("[1.1]", "[1.2]", "7000"))
	lost := op(0, 0, 1, watchedKind, notDone, parts)
	for _, tc := range []struct {
		name    string
		ok      bool
		checked int
		op      *Op
		b       []version
	}{
		{"one revision", true, 1, mset, []version{put(5, "[1.2]"), put(6, "3")}},
		{"two revisions", false, 0, mset, []version{put(6, "[1.2]")}},
		{"only one of them known", true, 0, mset, nil},
		{"not done, and so without marks", true, 0, lost, nil},
	} {
		h := history(keyA, put(5, "[1.1]"))
		h.versions[keyName(0, keyB)] = tc.b
		checked, err := checkWhole([]*Op{tc.op}, h)
		if (err == nil) != tc.ok || checked != tc.checked {
			t.Errorf("%s: %d, %v", tc.name, checked, err)
		}
	}
}

// A condition that did not hold promises that nothing was done; what chooses is judged by what it chose.
func TestMarksOfConditionalOperations(t *testing.T) {
	txn := op(0, 0, 1, kvTxnKind, "", branches, seen("a"))
	for answer, want := range map[string]int{"": 2, "then OK": 1, "else OK": 1} {
		txn.Answer = answer
		if got := txn.marks(); len(got) != want {
			t.Errorf("KV.TXN answered %q leaves %v", answer, got)
		}
	}
	cas := op(0, 0, 1, casKind, notDone, values("[1.1]"))
	if got := cas.marks(); got != nil {
		t.Errorf("a SET that was not done leaves %v", got)
	}
	maybe(cas)
	if got := cas.marks(); len(got) != 1 {
		t.Errorf("a SET that may have been done leaves %v", got)
	}
	undecided := op(0, 0, 0, multiKind, "", maybe)
	undecided.Parts = []*Op{{Kind: incrKind, Key: counter}}
	if left, _ := decideMaybes([]*Op{undecided}, history(keyA)); len(left) != 1 {
		t.Error("a transaction without a mark was taken for one that was never done")
	}
}

// A key that was written twice at one revision is shown as it was left.
func TestArchiveOfSeveralWritesAtOneRevision(t *testing.T) {
	h := history(keyA, put(2, "a"), put(5, "b"), version{revision: 5}, put(5, "c"), put(7, "d"))
	for revision, want := range map[int64]string{2: "a", 4: "a", 5: "c", 6: "c", 7: "d"} {
		if v, ok := h.at(keyName(0, keyA), revision); !ok || v.value != want {
			t.Errorf("at %d: %+v", revision, v)
		}
	}
}
