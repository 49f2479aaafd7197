package faults

import (
	"math"
	"strconv"
)

const notInteger = "ERR value is not an integer or out of range"

var incrKind = &Kind{
	Name: "INCR", Weight: 12,
	Draw: func(d *dice, op *Op) {
		op.Key = counter
		if d.IntN(25) == 0 {
			op.Key = keyA
		}
	},
	Args:     func(op *Op) []string { return []string{"INCR", op.key()} },
	IsAnswer: func(text string) bool { return text == notInteger },
	Step: func(c *Cells, op *Op) string {
		n := int64(0)
		if cell := c[op.Key]; cell.Exists {
			v, err := strconv.ParseInt(cell.Value, 10, 64)
			if err != nil || v == math.MaxInt64 {
				return notInteger
			}
			n = v
		}
		text := strconv.FormatInt(n+1, 10)
		c[op.Key] = Cell{Exists: true, Value: text}
		return text
	},
}
