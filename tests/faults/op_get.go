package faults

var getKind = &Kind{
	Name: "GET", Weight: 22, Reads: true,
	Draw: func(d *dice, op *Op) { op.Key = d.IntN(keysPerPartition) },
	Args: func(op *Op) []string { return []string{"GET", op.key()} },
	Step: func(c *Cells, op *Op) string { return c[op.Key].String() },
}
