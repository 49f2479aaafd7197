package faults

import "github.com/redkeep/redkeep/tests/internal/wire"

// kvRangeKind reads the whole partition at one revision.
var kvRangeKind = &Kind{
	Name: "KV.RANGE", Weight: 14, Reads: true,
	Draw: func(*dice, *Op) {},
	Args: func(op *Op) []string { return []string{"KV.RANGE", keyName(op.Partition, -1), "PREFIX"} },
	Answer: func(op *Op, r wire.Reply) (string, int64, bool) {
		cells, rev, ok := readRange(op.Partition, r)
		return cells.text(), rev, ok
	},
	Step: func(c *Cells, op *Op) string { return c.text() },
}

// readRange reads KV.RANGE's reply for a partition.
func readRange(partition int, r wire.Reply) (c Cells, revision int64, ok bool) {
	rev, _ := r.Field("revision")
	kvs, ok := r.Field("kvs")
	for _, kv := range kvs.Elems {
		key, _ := kv.Field("key")
		value, _ := kv.Field("value")
		known := false
		for i := range c {
			if key.Text == keyName(partition, i) {
				c[i], known = Cell{Exists: true, Value: value.Text}, true
			}
		}
		ok = ok && known
	}
	return c, rev.Int(), ok && rev.Int() > 0
}
