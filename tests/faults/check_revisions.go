package faults

import (
	"fmt"
	"slices"
)

// checkRevisions checks what the store revision promises across all partitions: a revision given to a
// write is given once, and a revision seen by an operation is not below one that was seen by an operation
// which had returned before.
func checkRevisions(ops []*Op) (checked int, err error) {
	var all []*Op
	given := map[int64]*Op{}
	for _, op := range ops {
		if op.Unknown || op.Revision == 0 {
			continue
		}
		all = append(all, op)
		if op.Kind.Reads {
			continue
		}
		if other := given[op.Revision]; other != nil {
			return len(all), fmt.Errorf("revision %d was given twice: %v; %v", op.Revision, other, op)
		}
		given[op.Revision] = op
	}
	byReturn := slices.Clone(all)
	slices.SortFunc(all, func(a, b *Op) int { return compare(a.Call, b.Call) })
	slices.SortFunc(byReturn, func(a, b *Op) int { return compare(a.Ret, b.Ret) })
	next, best := 0, int64(0)
	for _, op := range all {
		for next < len(byReturn) && byReturn[next].Ret < op.Call {
			best = max(best, byReturn[next].Revision)
			next++
		}
		if op.Revision < best || op.Revision == best && !op.Kind.Reads {
			return len(all), fmt.Errorf("revision went back: client %d %v, after %d had been seen", op.Client,
				op, best)
		}
	}
	return len(all), nil
}
