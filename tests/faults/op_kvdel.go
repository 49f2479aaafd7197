package faults

import "strconv"

// kvDelKind deletes the whole partition in one revision.
var kvDelKind = &Kind{
	Name: "KV.DEL", Weight: 3,
	Draw: func(*dice, *Op) {},
	Args: func(op *Op) []string { return []string{"KV.DEL", keyName(op.Partition, -1), "PREFIX"} },
	Step: func(c *Cells, op *Op) string {
		n := 0
		for i := range c {
			if c[i].Exists {
				n++
			}
		}
		*c = Cells{}
		return strconv.Itoa(n)
	},
}
