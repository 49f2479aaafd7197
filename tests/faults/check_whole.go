package faults

import "fmt"

// checkWhole checks that an operation which writes several keys is one change: everything it has left is at
// one revision. (That all of it is there, is the matter of checkAcknowledged and of the linear order.)
//
// REQUIRES: the archive is complete.
func checkWhole(ops []*Op, a *archive) (checked int, err error) {
	for _, op := range ops {
		at := int64(0)
		for i, m := range op.marks() {
			revision, ok := a.firstOf(op.Partition, m)
			switch {
			case !ok:
				continue
			case at != 0 && revision != at:
				return checked, fmt.Errorf("one operation at two revisions, %d and %d: client %d %v", at, revision,
					op.Client, op)
			case i > 0 && at != 0:
				checked++
			}
			at = revision
		}
	}
	return checked, nil
}
