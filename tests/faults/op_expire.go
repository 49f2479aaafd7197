package faults

import (
	"strconv"
	"time"
)

// drawTTL draws times that end within an epoch as often as after it.
func drawTTL(d *dice) time.Duration {
	return time.Duration(100+d.IntN(1400)) * time.Millisecond
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// setPxKind writes the key that fades.
var setPxKind = &Kind{
	Name: "SET PX", Weight: 6,
	Draw: func(d *dice, op *Op) {
		op.Key, op.Values, op.TTL = fading, []string{d.value()}, drawTTL(d)
	},
	Args:  func(op *Op) []string { return []string{"SET", op.key(), op.Values[0], "PX", millis(op.TTL)} },
	Marks: func(op *Op) []Mark { return []Mark{{op.Key, op.Values[0]}} },
	Step: func(c *Cells, op *Op) string {
		early, late := deadline(op)
		c[op.Key] = Cell{Exists: true, Value: op.Values[0], Early: early, Late: late}
		return "OK"
	},
}

// expireKind gives the key that fades another deadline. Without an answer the old deadline may still
// hold, so the window then spans both.
var expireKind = &Kind{
	Name: "PEXPIRE", Weight: 4,
	Draw: func(d *dice, op *Op) { op.Key, op.TTL = fading, drawTTL(d) },
	Args: func(op *Op) []string { return []string{"PEXPIRE", op.key(), millis(op.TTL)} },
	Step: func(c *Cells, op *Op) string {
		cell := &c[op.Key]
		if !cell.Exists {
			return "0"
		}
		early, late := deadline(op)
		if op.Unknown && cell.Early != 0 {
			early = min(early, cell.Early)
		}
		cell.Early, cell.Late = early, late
		return "1"
	},
}
