package mvcc

// What one entry of the log may copy.
//
// A few bytes in the log can ask for a very long record: an offset far behind the end of a value, one more
// byte for a value of megabytes, another deadline for it. An entry has thousands of requests, each of their
// records has a revision that stays readable, and no compaction comes in between. The quota does not see
// them either: it counts what lives, and of these all but one are superseded. So the bytes of records beyond
// what their operations brought along are counted, from 0 in each entry, and every member comes to the same
// decision:
//
//   - a transaction that may copy is refused whole once those before it have copied copyBound;
//   - inside a transaction an operation fails only if the transaction has copied something already and would
//     come above copySlack. What a script did in its scratch it can do at its turn, too: there it has begun
//     with nothing as well.
//
// So an entry copies at most copyBound, copySlack and one value. A combination of values (BITOP) reads more
// than it writes, which costs time instead of memory; what it reads counts in the same way, and one that
// would read more than bitOpBound is refused.
//
// Rejected: smaller entries (whoever makes them does not know how long the values are), and a bound that an
// operation could not keep by itself (a value would be there that nobody could append to any more).

// Tests make these smaller.
var (
	copyBound  int64 = 256 << 20
	copySlack  int64 = 256 << 20
	bitOpBound       = 1 << 30
	// freeBytes is what a record may have beyond its request without being counted: stamp, number, deadline.
	freeBytes = 128
)

// copied returns how many bytes of a record of that size the operation did not bring along.
func (o *Op) copied(size int) int64 {
	if o.Kind == OpPut && o.Flags&FlagKeepValue == 0 {
		return 0
	}
	return int64(max(size-len(o.Span.From)-len(o.Value)-freeBytes, 0))
}

// mayCopy reports whether the transaction may copy so many bytes more.
func (b *Batch) mayCopy(bytes int64) bool {
	return bytes == 0 || b.copying == 0 || b.copying+bytes <= copySlack
}

// MayCopy reports whether t has an operation that can write much more than it brings along.
func (t *Txn) MayCopy() bool { return anyCopies(t.Then) || anyCopies(t.Else) }

func anyCopies(ops []Op) bool {
	for i := range ops {
		if op := &ops[i]; op.copies() || op.Kind == OpTxn && op.Txn.MayCopy() {
			return true
		}
	}
	return false
}

func (o *Op) copies() bool {
	switch o.Kind {
	case OpPut:
		return o.Flags&FlagKeepValue != 0
	case OpModify:
		return o.Modify < ModifyQueueJoin && o.Modify != ModifyIncrBy && o.Modify != ModifyIncrByFloat
	}
	return false
}
