package faults

// msetKind writes both strings and the counter, so that half of it would show.
var msetKind = &Kind{
	Name: "MSET", Weight: 7,
	Draw: func(d *dice, op *Op) { op.Values = []string{d.value(), d.value(), d.number()} },
	Args: func(op *Op) []string {
		out := []string{"MSET"}
		for i, v := range op.Values {
			out = append(out, keyName(op.Partition, i), v)
		}
		return out
	},
	Marks: func(op *Op) (out []Mark) {
		for i, v := range op.Values {
			out = append(out, Mark{i, v})
		}
		return out
	},
	Step: func(c *Cells, op *Op) string {
		for i, v := range op.Values {
			c[i] = Cell{Exists: true, Value: v}
		}
		return "OK"
	},
}
