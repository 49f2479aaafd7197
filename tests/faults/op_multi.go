package faults

import "github.com/redkeep/redkeep/tests/internal/wire"

// multiKind is several reads and writes in one transaction.
var multiKind = &Kind{
	Name: "MULTI", Weight: 9,
	Draw:     func(d *dice, op *Op) { op.Parts = d.block(op.Partition, d.IntN(2)) },
	Args:     func(op *Op) []string { return append([]string{"MULTI", ";"}, blockWords(op.Parts)...) },
	Commands: multiCommands,
	Answer:   execAnswer,
	Marks:    func(op *Op) []Mark { return blockMarks(op.Parts) },
	Step:     func(c *Cells, op *Op) string { return stepBlock(c, op.Parts) },
}

func multiCommands(op *Op) [][]string {
	out := [][]string{{"MULTI"}}
	for _, p := range op.Parts {
		out = append(out, p.Kind.Args(p))
	}
	return append(out, []string{"EXEC"})
}

// execAnswer reads EXEC's reply; a transaction whose guards did not hold is answered nil.
func execAnswer(op *Op, r wire.Reply) (string, int64, bool) {
	if r.Null {
		return notDone, 0, true
	}
	text, ok := blockAnswer(op.Parts, r.Elems)
	return text, 0, ok
}
