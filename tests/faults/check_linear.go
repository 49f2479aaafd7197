package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// checkLinear looks for a linear order of each partition. It returns an error that shows the first
// partition without one, or says that the search did not end in time.
func checkLinear(ops []*Op, tolerance slack, timeout time.Duration) error {
	spec := model(tolerance)
	end := time.Now().Add(timeout)
	byPartition := map[int][]porcupine.Operation{}
	for _, op := range ops {
		byPartition[op.Partition] = append(byPartition[op.Partition], operation(op))
	}
	for p, list := range byPartition {
		left := time.Until(end)
		if left <= 0 {
			return fmt.Errorf("the search for a linear order did not end in %v", timeout)
		}
		switch porcupine.CheckOperationsTimeout(spec, list, left) {
		case porcupine.Illegal:
			return fmt.Errorf("partition %d is not linearizable:\n%s", p, transcript(shrink(spec, list)))
		case porcupine.Unknown:
			return fmt.Errorf("the search for a linear order of %d operations did not end in %v", len(list), timeout)
		}
	}
	return nil
}

func operation(op *Op) porcupine.Operation {
	return porcupine.Operation{ClientId: op.Client, Input: op, Call: op.Call, Return: op.Ret}
}

// decideMaybes drops writes of unknown outcome whose unique value is nowhere in the history that the nodes
// keep: they were never done. Each maybe left doubles the search, in the worst case.
//
// REQUIRES: the archive is complete and nothing is under way any more.
func decideMaybes(ops []*Op, a *archive) (left []*Op, dropped int) {
	for _, op := range ops {
		if op.Unknown && len(op.marks()) > 0 && !a.hasAny(op) {
			dropped++
			continue
		}
		left = append(left, op)
	}
	return left, dropped
}

func (a *archive) hasAny(op *Op) bool {
	for _, m := range op.marks() {
		if a.has(op.Partition, m) {
			return true
		}
	}
	return false
}

// shrink cuts an illegal history down to the shortest prefix (by return time) that is still illegal, so
// that the end of the transcript is where it broke.
func shrink(spec porcupine.Model, ops []porcupine.Operation) []porcupine.Operation {
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return compare(a.Return, b.Return) })
	legal, illegal := 0, len(ops)
	for illegal-legal > 1 {
		mid := (legal + illegal) / 2
		if porcupine.CheckOperationsTimeout(spec, prefix(ops, mid), 10*time.Second) == porcupine.Illegal {
			illegal = mid
		} else {
			legal = mid
		}
	}
	return prefix(ops, illegal)
}

// prefix keeps the first n operations by return, and every write that had been called by then as a maybe.
func prefix(ops []porcupine.Operation, n int) []porcupine.Operation {
	out := slices.Clone(ops[:n])
	end := ops[n-1].Return
	for _, o := range ops[n:] {
		op := o.Input.(*Op)
		if o.Call > end || op.Kind.Reads {
			continue
		}
		maybe := *op
		maybe.Unknown, maybe.Ret, maybe.Pos = true, forever, 0
		out = append(out, operation(&maybe))
	}
	return out
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// transcript lists the last operations of a history in order of their calls.
func transcript(ops []porcupine.Operation) string {
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return compare(a.Call, b.Call) })
	var b strings.Builder
	for _, o := range ops[max(0, len(ops)-80):] {
		ret := "…"
		if o.Return != forever {
			ret = time.Duration(o.Return).String()
		}
		fmt.Fprintf(&b, "  client %2d  %14v  %14s  %s\n", o.ClientId, time.Duration(o.Call), ret, o.Input)
	}
	return b.String()
}
