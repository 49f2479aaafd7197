package faults

import (
	"strings"
	"testing"
	"time"
)

// op builds an answered operation of partition 0 for a hand-made history.
func op(client int, call, ret int64, k *Kind, answer string, change ...func(*Op)) *Op {
	o := &Op{Kind: k, Client: client, Call: call, Ret: ret, Answer: answer}
	for _, c := range change {
		c(o)
	}
	return o
}

func maybe(o *Op) { o.Unknown, o.Ret = true, forever }

func on(key int) func(*Op) { return func(o *Op) { o.Key = key } }

func values(v ...string) func(*Op) { return func(o *Op) { o.Values = v } }

func seen(v string) func(*Op) { return func(o *Op) { o.Seen = v } }

func at(revision int64) func(*Op) { return func(o *Op) { o.Revision = revision } }

func place(pos uint8) func(*Op) { return func(o *Op) { o.Pos = pos } }

func lasting100ms(o *Op) { o.Key, o.TTL = fading, 100*time.Millisecond }

const ms = int64(time.Millisecond)

func TestLinearCheckerTellsGoodFromBad(t *testing.T) {
	set := func(client int, call, ret int64, v string, more ...func(*Op)) *Op {
		return op(client, call, ret, setKind, "OK", append([]func(*Op){values(v)}, more...)...)
	}
	get := func(call, ret int64, v string, more ...func(*Op)) *Op {
		return op(1, call, ret, getKind, v, more...)
	}
	fade := func(call, ret int64, more ...func(*Op)) *Op {
		return op(0, call, ret, setPxKind, "OK", append([]func(*Op){values("f"), lasting100ms}, more...)...)
	}
	whole := func(call, ret int64, text string) *Op { return op(1, call, ret, kvRangeKind, text) }
	mset := op(0, 0, 1, msetKind, "OK", values("a", "b", "7"))
	for _, tc := range []struct {
		name string
		ok   bool
		ops  []*Op
	}{
		{"read of the last write", true, []*Op{set(0, 0, 1, "a"), get(2, 3, "a")}},
		{"stale read", false, []*Op{set(0, 0, 1, "a"), set(0, 2, 3, "b"), get(4, 5, "a")}},
		{"lost write", false, []*Op{set(0, 0, 1, "a"), get(2, 3, "nil")}},
		{"concurrent read may see either", true, []*Op{set(0, 0, 9, "a"), get(1, 2, "nil"), get(3, 4, "a")}},
		{"reads must not go back", false, []*Op{set(0, 0, 9, "a"), get(1, 2, "a"), get(3, 4, "nil")}},
		{"a maybe that took effect late", true, []*Op{set(0, 0, 0, "a", maybe), get(1, 2, "nil"), get(3, 4, "a")}},
		{"a maybe that never took effect", true, []*Op{set(0, 0, 0, "a", maybe), get(1, 2, "nil")}},
		{"a maybe takes effect once", false, []*Op{set(0, 0, 0, "a", maybe), get(1, 2, "a"), set(0, 3, 4, "b"),
			get(5, 6, "b"), get(7, 8, "a")}},
		{"a read of what nobody wrote", false, []*Op{get(1, 2, "refused")}},
		{"a counter that counted twice", false, []*Op{op(0, 0, 1, incrKind, "1", on(counter)),
			op(1, 2, 3, incrKind, "3", on(counter))}},
		{"a counter with a maybe between", true, []*Op{op(0, 0, 1, incrKind, "1", on(counter)),
			op(0, 2, 0, incrKind, "", on(counter), maybe), op(1, 3, 4, incrKind, "3", on(counter))}},
		{"all of MSET", true, []*Op{mset, whole(2, 3, "a b 7 nil")}},
		{"half of MSET", false, []*Op{mset, whole(2, 3, "a nil nil nil")}},
		{"append to what was there", false, []*Op{set(0, 0, 1, "abc"), op(0, 2, 3, appendKind, "1", values("d"))}},
		{"delete of nothing", false, []*Op{op(0, 0, 1, delKind, "1")}},
		{"delete of all", true, []*Op{mset, op(0, 2, 3, kvDelKind, "3"), whole(4, 5, "nil nil nil nil")}},
		{"increment of a word", true, []*Op{set(0, 0, 1, "abc"), op(0, 2, 3, incrKind, notInteger)}},
		{"gone after its deadline", true, []*Op{fade(0, ms), get(200*ms, 201*ms, "nil", on(fading))}},
		{"gone before its deadline", false, []*Op{fade(0, ms), get(20*ms, 21*ms, "nil", on(fading))}},
		{"seen long after its deadline", false, []*Op{fade(0, ms), get(200*ms, 201*ms, "f", on(fading))}},
		{"back after its end", false, []*Op{fade(0, ms), get(80*ms, 105*ms, "nil", on(fading)),
			get(106*ms, 107*ms, "f", on(fading))}},
		{"a new deadline in time", true, []*Op{fade(0, ms), op(0, 50*ms, 51*ms, expireKind, "1", lasting100ms),
			get(120*ms, 121*ms, "f", on(fading))}},
		{"a pipeline in order", true, []*Op{set(0, 0, 5, "a", place(1)), op(0, 0, 5, getKind, "a", place(2))}},
		{"a pipeline whose read came first", false, []*Op{set(0, 0, 5, "a", place(1)),
			op(0, 0, 5, getKind, "nil", place(2))}},
	} {
		if err := checkLinear(tc.ops, slack(5*time.Millisecond), 10*time.Second); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestTranscriptEndsWhereItBroke(t *testing.T) {
	ops := []*Op{op(0, 0, 1, setKind, "OK", values("a")), op(1, 2, 3, getKind, "wrong")}
	for i := range int64(50) {
		ops = append(ops, op(0, 10+2*i, 11+2*i, setKind, "OK", values("later")))
	}
	err := checkLinear(ops, 0, 10*time.Second)
	if err == nil || strings.Contains(err.Error(), "later") || !strings.Contains(err.Error(), "wrong") {
		t.Errorf("transcript:\n%v", err)
	}
}

func TestPartitionsDoNotMix(t *testing.T) {
	other := op(0, 2, 3, setKind, "OK", values("b"))
	other.Partition = 1
	ops := []*Op{op(0, 0, 1, setKind, "OK", values("a")), other, op(1, 4, 5, getKind, "a")}
	if err := checkLinear(ops, 0, 10*time.Second); err != nil {
		t.Error(err)
	}
}

func TestRevisionChecker(t *testing.T) {
	put := func(call, ret, rev int64) *Op { return op(0, call, ret, kvPutKind, "put", values("x"), at(rev)) }
	read := func(call, ret, rev int64) *Op { return op(1, call, ret, kvRangeKind, "", at(rev)) }
	for _, tc := range []struct {
		name string
		ok   bool
		ops  []*Op
	}{
		{"rising", true, []*Op{put(0, 1, 2), read(2, 3, 2)}},
		{"concurrent in any order", true, []*Op{put(0, 9, 3), put(1, 8, 2)}},
		{"given twice", false, []*Op{put(0, 9, 3), put(1, 8, 3)}},
		{"gone back", false, []*Op{read(0, 1, 5), read(2, 3, 4)}},
		{"write at a revision already seen", false, []*Op{read(0, 1, 5), put(2, 3, 5)}},
	} {
		if _, err := checkRevisions(tc.ops); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// history is an archive of one key of partition 0.
func history(key int, versions ...version) *archive {
	return &archive{versions: map[string][]version{keyName(0, key): versions}}
}

func put(revision int64, value string) version {
	return version{revision: revision, exists: true, value: value}
}

func TestAcknowledgedChecker(t *testing.T) {
	set := op(0, 0, 1, setKind, "OK", values("[1.1]"))
	appended := op(0, 0, 1, appendKind, "5", values("[1.1]"))
	for _, tc := range []struct {
		name         string
		ok           bool
		ops, refused []*Op
		archive      *archive
	}{
		{"found", true, []*Op{set}, nil, history(keyA, put(2, "[1.1]"), version{revision: 3})},
		{"lost", false, []*Op{set}, nil, history(keyA, put(2, "[2.1]"))},
		{"another's value ends like it", false, []*Op{set}, nil, history(keyA, put(2, "1[11.1]"))},
		{"refused and not done", true, nil, []*Op{set}, history(keyA, put(2, "[2.1]"))},
		{"refused but done", false, nil, []*Op{set}, history(keyA, put(2, "[1.1]"))},
		{"done twice", false, []*Op{set}, nil, history(keyA, put(2, "[1.1]"), put(3, "[2.2]"), put(4, "[1.1]"))},
		{"appended twice in a row", false, []*Op{appended}, nil, history(keyA, put(2, "[1.1][1.1]"))},
	} {
		if _, err := checkAcknowledged(tc.ops, tc.refused, tc.archive); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestMaybesAreDecidedByTheHistory(t *testing.T) {
	lost := op(0, 0, 0, setKind, "", values("[1.1]"), maybe)
	kept := op(0, 0, 0, setKind, "", values("[1.2]"), maybe)
	counted := op(0, 0, 0, incrKind, "", on(counter), maybe) // leaves no mark: stays a maybe
	left, dropped := decideMaybes([]*Op{lost, kept, counted}, history(keyA, put(2, "[1.2]")))
	if dropped != 1 || len(left) != 2 || left[0] != kept || left[1] != counted {
		t.Errorf("dropped %d, left %v", dropped, left)
	}
}

func TestLocalReadChecker(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	h := history(keyA, put(2, "a"), put(5, "b"), version{revision: 7}, put(9, "c"))
	h.versions[keyName(0, fading)] = []version{{revision: 3, exists: true, value: "f", expires: 1_000_000 + 500}}
	whole := func(revision int64, a, f string) localRead {
		r := localRead{conn: 1, key: -1, revision: revision, wall: now}
		r.cells[keyA] = Cell{Exists: a != "", Value: a}
		r.cells[fading] = Cell{Exists: f != "", Value: f}
		return r
	}
	one := func(text string) localRead { return localRead{conn: 1, key: keyA, text: text, wall: now} }
	for _, tc := range []struct {
		name  string
		ok    bool
		reads []localRead
	}{
		{"the states at their revisions", true,
			[]localRead{whole(2, "a", ""), whole(6, "b", "f"), whole(8, "", "f")}},
		{"another state", false, []localRead{whole(6, "a", "f")}},
		{"hidden before its deadline", false, []localRead{whole(6, "b", "")}},
		{"back in time", false, []localRead{whole(6, "b", "f"), whole(5, "b", "f")}},
		{"values in order", true, []localRead{one("nil"), one("a"), one("b"), one("nil"), one("c")}},
		{"values out of order", false, []localRead{one("b"), one("a")}},
		{"a value nobody wrote", false, []localRead{one("x")}},
		{"an old value after a range that was newer", false, []localRead{whole(6, "b", "f"), one("a")}},
	} {
		if _, err := checkLocal(tc.reads, h, slack(50*time.Millisecond)); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	late := whole(6, "b", "")
	late.wall = now.Add(time.Second)
	if _, err := checkLocal([]localRead{late}, h, 0); err != nil {
		t.Errorf("hidden after its deadline: %v", err)
	}
}
