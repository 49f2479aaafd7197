package faults

import "github.com/redkeep/redkeep/tests/internal/wire"

var kvPutKind = &Kind{
	Name: "KV.PUT", Weight: 8,
	Draw:  func(d *dice, op *Op) { op.Key, op.Values = d.stringKey(), []string{d.value()} },
	Args:  func(op *Op) []string { return []string{"KV.PUT", op.key(), op.Values[0]} },
	Marks: func(op *Op) []Mark { return []Mark{{op.Key, op.Values[0]}} },
	Answer: func(_ *Op, r wire.Reply) (string, int64, bool) {
		return "put", r.Int(), r.Kind == ':' && r.Int() > 1
	},
	Step: func(c *Cells, op *Op) string {
		c[op.Key] = Cell{Exists: true, Value: op.Values[0]}
		return "put"
	},
}
