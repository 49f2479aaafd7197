package faults

import (
	"fmt"
	"strings"
)

// checkAcknowledged checks what clients were told about writes against the history that the nodes keep:
// every acknowledged write is in it, no refused one is, and none is in it twice.
//
// REQUIRES: the archive is complete.
func checkAcknowledged(ops, refused []*Op, a *archive) (checked int, err error) {
	for _, op := range ops {
		if op.Unknown {
			continue
		}
		for _, m := range op.marks() {
			checked++
			if !a.has(op.Partition, m) {
				return checked, fmt.Errorf("acknowledged but lost: client %d %v", op.Client, op)
			}
			if a.doubled(op.Partition, m) {
				return checked, fmt.Errorf("done twice: client %d %v", op.Client, op)
			}
		}
	}
	for _, op := range refused {
		checked += min(1, len(op.marks()))
		if a.hasAny(op) {
			return checked, fmt.Errorf("refused as definitely not done, but done: client %d %v", op.Client,
				op.Kind.Args(op))
		}
	}
	return checked, nil
}

// doubled reports whether a mark was put or appended more than once. A key that fades is left out: another
// deadline is another version of the same value.
func (a *archive) doubled(partition int, m Mark) bool {
	if m.Key == fading {
		return false
	}
	writes := 0
	for _, v := range a.versions[keyName(partition, m.Key)] {
		if !v.exists {
			continue
		}
		if marked(v.value, m) {
			writes++
		}
		if strings.Contains(v.value, m.Value+m.Value) {
			return true
		}
	}
	return writes > 1
}
