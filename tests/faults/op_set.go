package faults

var setKind = &Kind{
	Name: "SET", Weight: 12,
	Draw:  func(d *dice, op *Op) { op.Key, op.Values = d.stringKey(), []string{d.value()} },
	Args:  func(op *Op) []string { return []string{"SET", op.key(), op.Values[0]} },
	Marks: func(op *Op) []Mark { return []Mark{{op.Key, op.Values[0]}} },
	Step: func(c *Cells, op *Op) string {
		c[op.Key] = Cell{Exists: true, Value: op.Values[0]}
		return "OK"
	},
}
