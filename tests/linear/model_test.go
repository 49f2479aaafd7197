package linear

import (
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// op builds an operation of partition 0 for a hand-made history.
func op(client int, call, ret int64, in Input, out Output) porcupine.Operation {
	if out.Unknown {
		ret = forever
	}
	return porcupine.Operation{ClientId: client, Call: call, Return: ret, Input: in, Output: out}
}

func set(v string) Input { return Input{Kind: Set, Value: v} }

func saw(v string) Output { return Output{Cell: Cell{true, v}} }

var (
	get     = Input{Kind: Get}
	incr    = Input{Kind: Incr, Key: 2}
	rng     = Input{Kind: KVRange}
	nothing = Output{}
	maybe   = Output{Unknown: true}
)

func TestCheckerTellsGoodFromBad(t *testing.T) {
	mset := Input{Kind: Mset, Values: [3]string{"a", "b", "7"}}
	all := Output{Snapshot: State{{true, "a"}, {true, "b"}, {true, "7"}}}
	half := Output{Snapshot: State{{true, "a"}, {}, {}}}
	for _, tc := range []struct {
		name string
		ok   bool
		ops  []porcupine.Operation
	}{
		{"read of the last write", true, []porcupine.Operation{
			op(0, 0, 1, set("a"), nothing), op(1, 2, 3, get, saw("a"))}},
		{"stale read", false, []porcupine.Operation{
			op(0, 0, 1, set("a"), nothing), op(0, 2, 3, set("b"), nothing), op(1, 4, 5, get, saw("a"))}},
		{"lost write", false, []porcupine.Operation{
			op(0, 0, 1, set("a"), nothing), op(1, 2, 3, get, nothing)}},
		{"concurrent read may see either", true, []porcupine.Operation{
			op(0, 0, 9, set("a"), nothing), op(1, 1, 2, get, nothing), op(1, 3, 4, get, saw("a"))}},
		{"reads must not go back", false, []porcupine.Operation{
			op(0, 0, 9, set("a"), nothing), op(1, 1, 2, get, saw("a")), op(1, 3, 4, get, nothing)}},
		{"a maybe that took effect late", true, []porcupine.Operation{
			op(0, 0, 0, set("a"), maybe), op(1, 1, 2, get, nothing), op(1, 3, 4, get, saw("a"))}},
		{"a maybe that never took effect", true, []porcupine.Operation{
			op(0, 0, 0, set("a"), maybe), op(1, 1, 2, get, nothing)}},
		{"a maybe takes effect once", false, []porcupine.Operation{
			op(0, 0, 0, set("a"), maybe), op(1, 1, 2, get, saw("a")), op(1, 3, 4, set("b"), nothing),
			op(1, 5, 6, get, saw("b")), op(1, 7, 8, get, saw("a"))}},
		{"a read of what nobody wrote, as when a refused write was done", false, []porcupine.Operation{
			op(1, 1, 2, get, saw("refused"))}},
		{"a counter that counted twice", false, []porcupine.Operation{
			op(0, 0, 1, incr, Output{N: 1}), op(1, 2, 3, incr, Output{N: 3})}},
		{"a counter with a maybe between", true, []porcupine.Operation{
			op(0, 0, 1, incr, Output{N: 1}), op(0, 2, 0, incr, maybe), op(1, 3, 4, incr, Output{N: 3})}},
		{"all of MSET", true, []porcupine.Operation{op(0, 0, 1, mset, nothing), op(1, 2, 3, rng, all)}},
		{"half of MSET", false, []porcupine.Operation{op(0, 0, 9, mset, nothing), op(1, 2, 3, rng, half)}},
		{"append to what was there", false, []porcupine.Operation{
			op(0, 0, 1, set("abc"), nothing), op(0, 2, 3, Input{Kind: Append, Value: "d"}, Output{N: 1})}},
		{"delete of nothing", false, []porcupine.Operation{op(0, 0, 1, Input{Kind: Del}, Output{N: 1})}},
		{"a guard that holds writes both", true, []porcupine.Operation{op(0, 0, 1, set("a"), nothing),
			op(0, 2, 3, cas("a", "b"), Output{N: 1}), op(1, 4, 5, rng, Output{Snapshot: both})}},
		{"a guard that holds writes one", false, []porcupine.Operation{op(0, 0, 1, set("a"), nothing),
			op(0, 2, 3, cas("a", "b"), Output{N: 1}), op(1, 4, 5, rng, Output{Snapshot: State{{true, "b"}}})}},
		{"a guard on what was not there", false, []porcupine.Operation{op(0, 0, 1, set("a"), nothing),
			op(0, 2, 3, cas("x", "b"), Output{N: 1})}},
		{"a guard that must hold", false, []porcupine.Operation{op(0, 0, 1, set("a"), nothing),
			op(0, 2, 3, cas("a", "b"), saw("a"))}},
		{"a stale read in the other branch", false, []porcupine.Operation{op(0, 0, 1, set("a"), nothing),
			op(0, 2, 3, set("c"), nothing), op(0, 4, 5, cas("x", "b"), saw("a"))}},
		{"increment of a word", true, []porcupine.Operation{
			op(0, 0, 1, set("abc"), nothing), op(0, 2, 3, Input{Kind: Incr}, Output{NotInt: true})}},
	} {
		err := CheckHistory(tc.ops, 10*time.Second)
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func cas(expect, value string) Input { return Input{Kind: Cas, Expect: expect, Value: value} }

var both = State{{true, "b"}, {true, "b"}}

func TestTranscriptEndsWhereItBroke(t *testing.T) {
	ops := []porcupine.Operation{op(0, 0, 1, set("a"), nothing), op(1, 2, 3, get, saw("x"))}
	for i := range int64(50) {
		ops = append(ops, op(0, 10+2*i, 11+2*i, set("later"), nothing))
	}
	err := CheckHistory(ops, 10*time.Second)
	if err == nil || strings.Contains(err.Error(), "later") || !strings.Contains(err.Error(), "{true x}") {
		t.Errorf("transcript:\n%v", err)
	}
}

func TestPartitionsDoNotMix(t *testing.T) {
	other := set("b")
	other.Partition = 1
	ops := []porcupine.Operation{
		op(0, 0, 1, set("a"), nothing), op(0, 2, 3, other, nothing), op(1, 4, 5, get, saw("a")),
	}
	if err := CheckHistory(ops, 10*time.Second); err != nil {
		t.Error(err)
	}
}

func TestCheckRevisions(t *testing.T) {
	put := Input{Kind: KVPut}
	for _, tc := range []struct {
		name string
		ok   bool
		ops  []porcupine.Operation
	}{
		{"rising", true, []porcupine.Operation{op(0, 0, 1, put, Output{N: 2}), op(1, 2, 3, rng, Output{N: 2})}},
		{"concurrent in any order", true, []porcupine.Operation{
			op(0, 0, 9, put, Output{N: 3}), op(1, 1, 8, put, Output{N: 2})}},
		{"given twice", false, []porcupine.Operation{
			op(0, 0, 9, put, Output{N: 3}), op(1, 1, 8, put, Output{N: 3})}},
		{"gone back", false, []porcupine.Operation{op(0, 0, 1, rng, Output{N: 5}), op(1, 2, 3, rng, Output{N: 4})}},
		{"write at a revision already seen", false, []porcupine.Operation{
			op(0, 0, 1, rng, Output{N: 5}), op(1, 2, 3, put, Output{N: 5})}},
	} {
		if err := CheckRevisions(tc.ops); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestDrawnOperationsAreUniqueAndMixed(t *testing.T) {
	r := &run{}
	var seen [KindCount]int
	values := map[string]bool{}
	for range 2 {
		c := r.newClient("")
		for range 2000 {
			in := c.next(0)
			seen[in.Kind]++
			if in.Kind == Set && values[in.Value] {
				t.Fatalf("value %s is written twice", in.Value)
			}
			values[in.Value] = true
		}
	}
	for k, n := range seen {
		if n < 100 {
			t.Errorf("%v was drawn only %d times of 4000", Kind(k), n)
		}
	}
}
