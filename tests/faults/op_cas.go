package faults

// notDone is the answer of an operation whose condition did not hold.
const notDone = "nil"

// unlessNotDone returns marks, none if the operation is known not to have been done.
func unlessNotDone(op *Op, marks []Mark) []Mark {
	if !op.Unknown && op.Answer == notDone {
		return nil
	}
	return marks
}

// casKind is compare-and-set: GET, then SET if the value is still the one that was read.
var casKind = &Kind{
	Name: "SET IFEQ", Weight: 9,
	Draw: func(d *dice, op *Op) { op.Key, op.Values = d.stringKey(), []string{d.value()} },
	Look: func(op *Op) *Op { return &Op{Kind: getKind, Key: op.Key} },
	Args: func(op *Op) []string {
		if op.Seen == "nil" {
			return []string{"SET", op.key(), op.Values[0], "NX"}
		}
		return []string{"SET", op.key(), op.Values[0], "IFEQ", op.Seen}
	},
	Marks: func(op *Op) []Mark { return unlessNotDone(op, []Mark{{op.Key, op.Values[0]}}) },
	Step: func(c *Cells, op *Op) string {
		if c[op.Key].String() != op.Seen {
			return notDone
		}
		c[op.Key] = Cell{Exists: true, Value: op.Values[0]}
		return "OK"
	},
}
