package commands

import "github.com/redkeep/redkeep/mvcc"

// A sweep goes through a range of keys or through the past: KEYS, SCAN, DBSIZE, RANDOMKEY, FLUSHALL, a guard,
// read or delete of a range, KV.HISTORY, a read AT a revision. Its cost has nothing to do with the bytes that
// ask for it: a list of the keys found is held until the reply is written, and a sweep inside a transaction
// may have to walk its span on every member while the entry is applied. So a block holds no more of them than
// --max-txn-ops, as a KV.TXN anyway does, and a run of writes ends after runSweeps of them. Everything else a
// block may hold as often as fits into a request. Sweeps outside transactions are bounded where they are read
// (reads.go).

// runSweeps is how many sweeps one run of writes takes before its replies are sent.
const runSweeps = 8

// sweeps returns how many the planned command makes.
func (c *call) sweeps() int { return c.lateSweeps + sweepsOf(&c.txn) }

// sweepsOf counts those that are operations or guards, in the dearer branch.
func sweepsOf(t *mvcc.Txn) (n int) {
	for i := range t.Compares {
		if t.Compares[i].Span.Kind != mvcc.SpanKey {
			n++
		}
	}
	return n + max(sweepsIn(t.Then), sweepsIn(t.Else))
}

func sweepsIn(ops []mvcc.Op) (n int) {
	for i := range ops {
		switch op := &ops[i]; op.Kind {
		case mvcc.OpTxn:
			n += sweepsOf(op.Txn)
		case mvcc.OpRange, mvcc.OpDelete:
			if op.Span.Kind != mvcc.SpanKey {
				n++
			}
		}
	}
	return n
}
