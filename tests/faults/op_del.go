package faults

var delKind = &Kind{
	Name: "DEL", Weight: 6,
	Draw: func(d *dice, op *Op) { op.Key = d.IntN(keysPerPartition) },
	Args: func(op *Op) []string { return []string{"DEL", op.key()} },
	Step: func(c *Cells, op *Op) string {
		existed := c[op.Key].Exists
		c[op.Key] = Cell{}
		if existed {
			return "1"
		}
		return "0"
	},
}
