package faults

// kvTxnReadKind only compares and reads: if a key is missing, the other key and the counter, else everything.
var kvTxnReadKind = &Kind{
	Name: "KV.TXN read", Weight: 5, Reads: true,
	Draw: func(d *dice, op *Op) {
		op.Key = d.IntN(2)
		part := func(k *Kind, key int) *Op {
			return &Op{Kind: k, Partition: op.Partition, Client: d.client, Key: key}
		}
		op.Values, op.Seen = []string{"0"}, "nil"
		op.Parts = []*Op{part(getKind, 1-op.Key), part(getKind, counter),
			part(kvRangeKind, 0), part(getKind, op.Key)}
	},
	Args:   kvTxnArgs,
	Answer: kvTxnAnswer,
	Step: func(c *Cells, op *Op) string {
		holds := !c[op.Key].Exists
		return branchName(holds) + stepBlock(c, branch(op, holds))
	},
}
