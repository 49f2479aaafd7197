package faults

import (
	"slices"
	"strconv"
	"strings"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// nestedKind is a KV.TXN inside a KV.TXN. The guard of the inner one is about a key that the outer one writes
// before its turn, and sees that key as it was before the whole.
var nestedKind = &Kind{
	Name: "KV.TXN nested", Weight: 6,
	Draw: func(d *dice, op *Op) {
		op.Key = d.IntN(2)
		part := func(k *Kind, key int, values ...string) *Op {
			return &Op{Kind: k, Partition: op.Partition, Client: d.client, Key: key, Values: values}
		}
		op.Parts = []*Op{
			part(setKind, 1-op.Key, d.value()), part(setKind, op.Key, d.value()), part(getKind, op.Key),
			part(setKind, fading, d.value()),
		}
	},
	Look:   func(op *Op) *Op { return &Op{Kind: getKind, Key: op.Key} },
	Args:   nestedArgs,
	Answer: nestedAnswer,
	Marks: func(op *Op) []Mark {
		switch op.Answer {
		case "":
			return blockMarks(op.Parts)
		case "else OK":
			return blockMarks(op.Parts[3:])
		}
		if strings.HasPrefix(op.Answer, "then then ") {
			return blockMarks(op.Parts[:2])
		}
		return blockMarks(op.Parts[:1])
	},
	Step: func(c *Cells, op *Op) string {
		holds, there := c[op.Key].String() == op.Seen, c[1-op.Key].Exists
		if !holds {
			return "else " + stepBlock(c, op.Parts[3:])
		}
		inner := op.Parts[2:3]
		first := stepBlock(c, op.Parts[:1])
		if there {
			inner = op.Parts[1:2]
		}
		return "then " + branchName(there) + first + " | " + stepBlock(c, inner)
	},
}

// counted is a command as KV.TXN wants it: the number of its words in front.
func counted(words ...string) []string { return append([]string{strconv.Itoa(len(words))}, words...) }

func nestedArgs(op *Op) []string {
	part := func(i int) []string { return counted(op.Parts[i].Kind.Args(op.Parts[i])...) }
	guard := []string{"value", op.key(), "=", op.Seen}
	if op.Seen == "nil" {
		guard = []string{"version", op.key(), "=", "0"}
	}
	there := []string{"create", keyName(op.Partition, 1-op.Key), ">", "0"}
	inner := slices.Concat([]string{"KV.TXN", "1"}, there, []string{"1"}, part(1), []string{"1"}, part(2))
	return slices.Concat([]string{"KV.TXN", "1"}, guard, []string{"2"}, part(0), counted(inner...),
		[]string{"1"}, part(3))
}

func nestedAnswer(op *Op, r wire.Reply) (string, int64, bool) {
	succeeded, _ := r.Field("succeeded")
	revision, _ := r.Field("revision")
	responses, ok := r.Field("responses")
	if succeeded.Int() != 1 {
		text, good := blockAnswer(op.Parts[3:], responses.Elems)
		return "else " + text, revision.Int(), ok && good
	}
	if len(responses.Elems) != 2 {
		return "", 0, false
	}
	first, good := blockAnswer(op.Parts[:1], responses.Elems[:1])
	there, _ := responses.Elems[1].Field("succeeded")
	within, found := responses.Elems[1].Field("responses")
	inner := op.Parts[2:3]
	if there.Int() == 1 {
		inner = op.Parts[1:2]
	}
	second, fine := blockAnswer(inner, within.Elems)
	return "then " + branchName(there.Int() == 1) + first + " | " + second, revision.Int(),
		ok && good && found && fine
}
