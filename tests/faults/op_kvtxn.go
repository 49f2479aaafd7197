package faults

import (
	"slices"
	"strconv"
	"strings"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// kvTxnKind is etcd's transaction: if the key is still what a read has shown and (in every other) another key
// exists, one list of commands, else another. Both write, so each has a revision of its own.
var kvTxnKind = &Kind{
	Name: "KV.TXN", Weight: 9,
	Draw: func(d *dice, op *Op) {
		op.Key = d.IntN(2)
		op.Values = []string{strconv.Itoa(d.IntN(2))}
		part := func(k *Kind, key int, values ...string) *Op {
			return &Op{Kind: k, Partition: op.Partition, Client: d.client, Key: key, Values: values}
		}
		op.Parts = []*Op{
			part(getKind, op.Key), part(setKind, op.Key, d.value()), part(incrKind, counter), part(kvRangeKind, 0),
			part(setKind, 1-op.Key, d.value()), part(getKind, op.Key), part(delKind, fading), part(kvRangeKind, 0),
		}
	},
	Look:   func(op *Op) *Op { return &Op{Kind: getKind, Key: op.Key} },
	Args:   kvTxnArgs,
	Answer: kvTxnAnswer,
	Marks: func(op *Op) []Mark {
		switch {
		case strings.HasPrefix(op.Answer, "then"):
			return blockMarks(branch(op, true))
		case strings.HasPrefix(op.Answer, "else"):
			return blockMarks(branch(op, false))
		}
		return blockMarks(op.Parts)
	},
	Step: func(c *Cells, op *Op) string {
		holds := c[op.Key].String() == op.Seen && (!wantsOther(op) || c[1-op.Key].Exists)
		return branchName(holds) + stepBlock(c, branch(op, holds))
	},
}

// wantsOther reports whether the other key must exist.
func wantsOther(op *Op) bool { return op.Values[0] == "1" }

func branch(op *Op, then bool) []*Op {
	half := len(op.Parts) / 2
	if then {
		return op.Parts[:half]
	}
	return op.Parts[half:]
}

func branchName(then bool) string {
	if then {
		return "then "
	}
	return "else "
}

func kvTxnArgs(op *Op) []string {
	guards := []string{"value", op.key(), "=", op.Seen}
	if op.Seen == "nil" {
		guards = []string{"version", op.key(), "=", "0"}
	}
	if wantsOther(op) {
		guards = append(guards, "create", keyName(op.Partition, 1-op.Key), "!=", "0")
	}
	out := slices.Concat([]string{"KV.TXN", strconv.Itoa(len(guards) / 4)}, guards)
	for _, then := range []bool{true, false} {
		list := branch(op, then)
		out = append(out, strconv.Itoa(len(list)))
		for _, p := range list {
			words := p.Kind.Args(p)
			out = append(append(out, strconv.Itoa(len(words))), words...)
		}
	}
	return out
}

func kvTxnAnswer(op *Op, r wire.Reply) (string, int64, bool) {
	succeeded, _ := r.Field("succeeded")
	revision, _ := r.Field("revision")
	responses, ok := r.Field("responses")
	then := succeeded.Int() == 1
	text, good := blockAnswer(branch(op, then), responses.Elems)
	return branchName(then) + text, revision.Int(), ok && good && revision.Int() > 1
}
