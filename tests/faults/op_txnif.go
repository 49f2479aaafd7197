package faults

import (
	"strings"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// txnIfKind is etcd's transaction as a MULTI: if the key is still what a read has shown, the commands up to
// TXN.ELSE, else those behind it. EXEC has one element for each command, and nothing for those not taken.
var txnIfKind = &Kind{
	Name: "TXN.IF", Weight: 7,
	Draw: func(d *dice, op *Op) {
		op.Key = d.IntN(2)
		part := func(k *Kind, key int, values ...string) *Op {
			return &Op{Kind: k, Partition: op.Partition, Client: d.client, Key: key, Values: values}
		}
		op.Parts = []*Op{
			part(setKind, op.Key, d.value()), part(incrKind, counter), part(getKind, 1-op.Key),
			part(kvRangeKind, 0), part(setKind, 1-op.Key, d.value()), part(getKind, op.Key),
		}
	},
	Look:     func(op *Op) *Op { return &Op{Kind: getKind, Key: op.Key} },
	Args:     func(op *Op) []string { return append(txnIfGuard(op), blockWords(op.Parts)...) },
	Commands: txnIfCommands,
	Answer:   txnIfAnswer,
	Marks:    kvTxnKind.Marks,
	Step: func(c *Cells, op *Op) string {
		holds := c[op.Key].String() == op.Seen
		return branchName(holds) + stepBlock(c, branch(op, holds))
	},
}

func txnIfGuard(op *Op) []string {
	if op.Seen == "nil" {
		return []string{"TXN.IF", "version", op.key(), "=", "0"}
	}
	return []string{"TXN.IF", "value", op.key(), "=", op.Seen}
}

func txnIfCommands(op *Op) [][]string {
	out := [][]string{{"MULTI"}, txnIfGuard(op)}
	for i, p := range op.Parts {
		if i == len(op.Parts)/2 {
			out = append(out, []string{"TXN.ELSE"})
		}
		out = append(out, p.Kind.Args(p))
	}
	return append(out, []string{"EXEC"})
}

func txnIfAnswer(op *Op, r wire.Reply) (string, int64, bool) {
	half := len(op.Parts) / 2
	if len(r.Elems) != len(op.Parts)+2 || r.Elems[1+half].Text != "OK" {
		return "", 0, false
	}
	then := r.Elems[0].Int() == 1
	taken, other := r.Elems[1:1+half], r.Elems[2+half:]
	if !then {
		taken, other = other, taken
	}
	for _, e := range other {
		if !e.Null {
			return "", 0, false
		}
	}
	text, ok := blockAnswer(branch(op, then), taken)
	return branchName(then) + text, 0, ok && (then || strings.HasPrefix(r.Elems[0].Text, "0"))
}
