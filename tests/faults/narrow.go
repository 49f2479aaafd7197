package faults

import (
	"cmp"
	"slices"
)

// The search for a linear order tries the orders of what may have overlapped, and a write of unknown outcome
// overlaps everything after it: a dozen of them on one partition and the search does not end. But the nodes'
// history says when a write that left its mark took effect: before every write of a higher revision, and
// so before any of those was answered; and after every write of a lower revision, and so after all of those
// were asked for. narrow gives each such write the time that is left to it by the others, and its revision,
// against which the search takes no order.
//
// In a store that is right revisions rise with time, so nothing that happened is excluded; and nothing is
// added, so no order that the answers forbid becomes possible. Where the times would contradict each other
// they are left as they were, and the search finds that no order suits both times and revisions.
//
// Writes that leave no mark (a deletion, an increment) keep their times, with one exception: where the
// history has no change of their keys that could be theirs, they were done without effect, or not at all.

// placed is a write whose revision is known.
type placed struct {
	op       *Op
	revision int64
}

// narrow returns the operations with narrower times, as copies where it knows more of them, and without
// those of unknown outcome that changed nothing.
//
// REQUIRES: the archive is complete, and writes that were never done have been left out (decideMaybes).
func narrow(ops []*Op, a *archive) []*Op {
	byPartition := map[int][]*Op{}
	for _, op := range ops {
		byPartition[op.Partition] = append(byPartition[op.Partition], op)
	}
	var out []*Op
	for p, list := range byPartition {
		known := placedOf(list, a)
		for _, op := range list {
			if !op.Unknown || len(op.marks()) > 0 || op.Kind.Reads || mayHaveChanged(op, p, known, a) {
				out = append(out, narrowed(op, known))
			}
		}
	}
	return out
}

// placedOf returns the writes of a partition whose revision is known, in its order.
func placedOf(ops []*Op, a *archive) (known []placed) {
	for _, op := range ops {
		for _, m := range op.marks() {
			if revision, ok := a.firstOf(op.Partition, m); ok {
				known = append(known, placed{op, revision})
				break
			}
		}
	}
	slices.SortStableFunc(known, func(x, y placed) int { return cmp.Compare(x.revision, y.revision) })
	return known
}

func narrowed(op *Op, known []placed) *Op {
	at := slices.IndexFunc(known, func(w placed) bool { return w.op == op })
	if at < 0 {
		return op
	}
	c, revision := *op, known[at].revision
	c.Order = revision
	for _, w := range known {
		switch {
		case w.revision < revision:
			c.Call = max(c.Call, w.op.Call)
		case w.revision > revision:
			c.Ret = min(c.Ret, w.op.Ret)
		}
	}
	if c.Call > c.Ret {
		c.Call, c.Ret = op.Call, op.Ret
	}
	return &c
}

// mayHaveChanged reports whether one of the partition's keys has a change, no mark's, which the operation
// could have made: one behind every write that was answered before the operation was called.
func mayHaveChanged(op *Op, partition int, known []placed, a *archive) bool {
	after := int64(0)
	claimed := map[int64]bool{}
	for _, w := range known {
		claimed[w.revision] = true
		if w.op.Ret < op.Call {
			after = max(after, w.revision)
		}
	}
	for k := range keysPerPartition {
		for _, v := range a.versions[keyName(partition, k)] {
			if v.revision > after && !claimed[v.revision] {
				return true
			}
		}
	}
	return false
}
