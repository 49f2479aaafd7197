package faults

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// The keys of a partition, which the multi-key operations span.
const (
	keyA    = iota // strings
	keyB           //
	counter        // a number, for INCR
	fading         // a string that may have a deadline
	keysPerPartition
)

// forever is the return time of an operation that may still take effect: after everything else.
const forever = math.MaxInt64

// Cell is the content of one key. A deadline is known only as a window, since it is counted from the moment
// the write took effect: Early is 0 iff there is none.
type Cell struct {
	Exists      bool
	Value       string
	Early, Late int64 // nanoseconds since the start of the run

	// Passed counts contents that the key had between the commands of one block; 0 outside of blocks.
	Passed uint16
}

// Cells is the content of one partition.
type Cells [keysPerPartition]Cell

// maxPipelining bounds the clients that send pipelines, so that State stays comparable.
const maxPipelining = 32

// State is a partition together with how far each client's pipeline has come in it, and what it watches.
// Writes counts the changes of each key, its ends included, so that a value which comes back is told from one
// that has never gone. It is by key and not for all, because the order of writes to different keys leaves no
// trace: else the search would take each such order for a state of its own.
type State struct {
	Cells   Cells
	Place   [maxPipelining]uint8
	Writes  [keysPerPartition]uint16
	Watched [maxPipelining]uint16 // what version said when the client watched
	Order   int64                 // of the last write that has one
}

// version tells one content of a key from all others it has had: 0 for none.
func (s *State) version(key int) uint16 {
	if !s.Cells[key].Exists {
		return 0
	}
	return s.Writes[key]
}

// take applies an operation and returns the answer it must get.
func (s *State) take(op *Op) (text string) {
	before := s.Cells
	if op.Kind.Turn != nil {
		text = op.Kind.Turn(s, op)
	} else {
		text = op.Kind.Step(&s.Cells, op)
	}
	for i := range s.Cells {
		if s.Cells[i] != before[i] {
			s.Writes[i]++ // also if a block has deleted it and made it again as it was
		}
		s.Cells[i].Passed = 0
	}
	return text
}

// slack is how far the clocks of nodes and test may differ where a deadline is judged. A run with clock
// jumps sets it wider, before it checks.
type slack time.Duration

// model is the specification that a history is checked against: one partition behaves like four variables.
func model(s slack) porcupine.Model {
	return porcupine.Model{
		Init:  func() any { return State{} },
		Step:  func(state, input, _ any) (bool, any) { return step(state.(State), input.(*Op), s) },
		Equal: func(a, b any) bool { return a.(State) == b.(State) },
	}
}

// step applies one operation; it returns false iff its answer is impossible in that state.
func step(s State, op *Op, tolerance slack) (bool, any) {
	if op.Order != 0 && op.Order <= s.Order {
		return false, s
	}
	s.Order = max(s.Order, op.Order)
	if op.Pos > 1 && s.Place[op.Client%maxPipelining] != op.Pos-1 {
		return false, s
	}
	if op.Pos > 0 {
		s.Place[op.Client%maxPipelining] = op.Pos
	}
	live, gone := mayLive(s.Cells[fading], op, tolerance), mayBeGone(s.Cells[fading], op, tolerance)
	if live {
		next := s
		if text := next.take(op); op.Unknown || text == op.Answer {
			return true, next
		}
	}
	if gone {
		next := s
		next.Cells[fading] = Cell{}
		if text := next.take(op); op.Unknown || text == op.Answer {
			return true, next
		}
	}
	return false, s
}

// mayLive reports whether the operation may have met the cell before its deadline.
func mayLive(c Cell, op *Op, tolerance slack) bool {
	return c.Early == 0 || c.Late == forever || op.Call <= c.Late+int64(tolerance)
}

// mayBeGone reports whether the operation may have met the cell after its deadline.
func mayBeGone(c Cell, op *Op, tolerance slack) bool {
	return c.Early != 0 && (op.Ret == forever || op.Ret >= c.Early-int64(tolerance))
}

// deadline returns the window of a deadline that the operation sets ttl after it takes effect.
func deadline(op *Op) (early, late int64) {
	if op.Ret == forever {
		return op.Call + int64(op.TTL), forever
	}
	return op.Call + int64(op.TTL), op.Ret + int64(op.TTL)
}

func (c Cell) String() string {
	if !c.Exists {
		return "nil"
	}
	return c.Value
}

// text renders a partition as KV.RANGE shows it.
func (c Cells) text() string {
	return fmt.Sprintf("%v %v %v %v", c[keyA], c[keyB], c[counter], c[fading])
}
