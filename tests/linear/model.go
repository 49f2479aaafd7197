package linear

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/anishathalye/porcupine"
)

// KeysPerPartition is the number of keys that one multi-key operation spans; the last one is a counter.
const KeysPerPartition = 3

// Kind is the command of an operation.
type Kind uint8

// The operations of the test; each is one command.
const (
	Get Kind = iota
	Set
	Del
	Incr
	Append
	Mset
	KVPut
	KVRange
	Cas
	KindCount
)

var kindNames = [KindCount]string{
	"GET", "SET", "DEL", "INCR", "APPEND", "MSET", "KV.PUT", "KV.RANGE", "KV.TXN",
}

func (k Kind) String() string { return kindNames[k] }

// IsRead reports whether the operation changes nothing.
func (k Kind) IsRead() bool { return k == Get || k == KVRange }

// Input is one operation as it was asked for.
type Input struct {
	Kind      Kind
	Partition int
	Key       int                      // 0 … KeysPerPartition-1, for operations on one key
	Value     string                   // SET, APPEND, KV.PUT
	Values    [KeysPerPartition]string // MSET
	Expect    string                   // KV.TXN: with it, keys 0 and 1 get Value; else a read
}

// Cell is the content of one key.
type Cell struct {
	Exists bool
	Value  string
}

// State is the content of one partition; comparable, so that the search can recognise it.
type State [KeysPerPartition]Cell

// Output is what the operation was answered. Unknown means that there was no answer.
type Output struct {
	Unknown  bool
	Cell     Cell  // GET, and KV.TXN whose guard failed
	N        int64 // DEL, INCR, APPEND; revision of KV.PUT, KV.RANGE; 1 if KV.TXN's guard held
	NotInt   bool  // INCR refused for the value it met
	Snapshot State // KV.RANGE
}

// Model is the specification: one partition behaves like three variables.
var Model = porcupine.Model{
	Partition: partition,
	Init:      func() any { return State{} },
	Step: func(state, input, output any) (bool, any) {
		return step(state.(State), input.(Input), output.(Output))
	},
	Equal:             func(a, b any) bool { return a.(State) == b.(State) },
	DescribeOperation: func(input, output any) string { return Describe(input.(Input), output.(Output)) },
	DescribeState:     func(state any) string { return fmt.Sprint(state) },
}

func partition(history []porcupine.Operation) [][]porcupine.Operation {
	byPartition := map[int][]porcupine.Operation{}
	for _, op := range history {
		p := op.Input.(Input).Partition
		byPartition[p] = append(byPartition[p], op)
	}
	var out [][]porcupine.Operation
	for _, ops := range byPartition {
		out = append(out, ops)
	}
	return out
}

// step applies one operation; it returns false iff the answer is impossible in that state.
func step(s State, in Input, out Output) (bool, State) {
	if in.Kind.IsRead() {
		return stepRead(s, in, out), s
	}
	next, n, notInt := apply(s, in)
	if out.Unknown {
		return true, next
	}
	switch in.Kind {
	case Cas:
		return out.N == n && (n == 1 || out.Cell == s[in.Key]), next
	case Del, Append:
		return out.N == n, next
	case Incr:
		return out.NotInt == notInt && (notInt || out.N == n), next
	}
	return true, next
}

func stepRead(s State, in Input, out Output) bool {
	if in.Kind == Get {
		return out.Cell == s[in.Key]
	}
	return out.Snapshot == s
}

// apply returns the state after a write, its integer result, and whether INCR refuses the value it meets.
func apply(s State, in Input) (next State, n int64, notInt bool) {
	cell := &s[in.Key]
	switch in.Kind {
	case Set, KVPut:
		*cell = Cell{true, in.Value}
	case Del:
		if cell.Exists {
			n = 1
		}
		*cell = Cell{}
	case Append:
		*cell = Cell{true, cell.Value + in.Value}
		n = int64(len(cell.Value))
	case Incr:
		n, notInt = increment(cell)
	case Cas:
		if *cell == (Cell{true, in.Expect}) {
			s[0], s[1], n = Cell{true, in.Value}, Cell{true, in.Value}, 1
		}
	case Mset:
		for i, v := range in.Values {
			s[i] = Cell{true, v}
		}
	}
	return s, n, notInt
}

func increment(c *Cell) (n int64, notInt bool) {
	if c.Exists {
		v, err := strconv.ParseInt(c.Value, 10, 64)
		if err != nil || v == math.MaxInt64 {
			return 0, true
		}
		n = v
	}
	*c = Cell{true, strconv.FormatInt(n+1, 10)}
	return n + 1, false
}

// Describe renders one operation for a failure message.
func Describe(in Input, out Output) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s p%d", in.Kind, in.Partition)
	switch in.Kind {
	case Mset:
		fmt.Fprintf(&b, " %q", in.Values)
	case Set, Append, KVPut:
		fmt.Fprintf(&b, ".%d %q", in.Key, in.Value)
	case Get, Del, Incr:
		fmt.Fprintf(&b, ".%d", in.Key)
	case Cas:
		fmt.Fprintf(&b, ".%d %q -> %q", in.Key, in.Expect, in.Value)
	}
	switch {
	case out.Unknown:
		b.WriteString(" -> maybe")
	case in.Kind == Get, in.Kind == Cas && out.N == 0:
		fmt.Fprintf(&b, " -> %v", out.Cell)
	case in.Kind == KVRange:
		fmt.Fprintf(&b, " -> %v rev %d", out.Snapshot, out.N)
	case out.NotInt:
		b.WriteString(" -> not an integer")
	default:
		fmt.Fprintf(&b, " -> %d", out.N)
	}
	return b.String()
}
