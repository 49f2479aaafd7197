package faults

import "strconv"

var appendKind = &Kind{
	Name: "APPEND", Weight: 10,
	Draw:  func(d *dice, op *Op) { op.Key, op.Values = d.stringKey(), []string{d.value()} },
	Args:  func(op *Op) []string { return []string{"APPEND", op.key(), op.Values[0]} },
	Marks: func(op *Op) []Mark { return []Mark{{op.Key, op.Values[0]}} },
	Step: func(c *Cells, op *Op) string {
		c[op.Key] = Cell{Exists: true, Value: c[op.Key].Value + op.Values[0]}
		return strconv.Itoa(len(c[op.Key].Value))
	},
}
