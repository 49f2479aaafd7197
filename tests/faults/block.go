package faults

import (
	"strings"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// A block is the commands of a transaction, each an operation of another kind. To the model it is one
// operation: its commands take effect one after the other, with nobody between them, and its answer is
// theirs.

// blockKinds are what a block draws from. Kinds with a deadline are not among them: it is counted from the
// call of the operation itself.
var blockKinds = []*Kind{setKind, getKind, incrKind, appendKind, delKind, msetKind, kvRangeKind}

// part makes a command of a block.
func (d *dice) part(partition int, k *Kind) *Op {
	op := &Op{Kind: k, Partition: partition, Client: d.client}
	k.Draw(d, op)
	return op
}

// block draws one to four commands around a SET of a key, which leaves a mark.
func (d *dice) block(partition, key int) (parts []*Op) {
	set := &Op{Kind: setKind, Partition: partition, Client: d.client, Key: key, Values: []string{d.value()}}
	if key == counter {
		set.Values[0] = d.number()
	}
	parts = append(parts, set)
	for range 1 + d.IntN(4) {
		parts = append(parts, d.part(partition, blockKinds[d.IntN(len(blockKinds))]))
	}
	d.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return parts
}

// pass counts which keys one command of a block has changed.
func (c *Cells) pass(before *Cells) {
	for i := range c {
		c[i].Passed = before[i].Passed
		if c[i] != before[i] {
			c[i].Passed++
		}
	}
}

// stepBlock applies the commands and returns their answers.
func stepBlock(c *Cells, parts []*Op) string {
	out := make([]string, len(parts))
	for i, p := range parts {
		before := *c
		out[i] = p.Kind.Step(c, p)
		c.pass(&before)
	}
	return strings.Join(out, " | ")
}

// blockAnswer renders the replies to the commands as stepBlock does.
func blockAnswer(parts []*Op, replies []wire.Reply) (text string, ok bool) {
	if len(replies) != len(parts) {
		return "", false
	}
	out := make([]string, len(parts))
	ok = true
	for i, p := range parts {
		good := false
		if out[i], good = partAnswer(p, replies[i]); !good {
			ok = false
		}
	}
	return strings.Join(out, " | "), ok
}

func partAnswer(p *Op, r wire.Reply) (text string, ok bool) {
	switch {
	case r.IsErr():
		return r.Text, p.Kind.IsAnswer != nil && p.Kind.IsAnswer(r.Text)
	case p.Kind.Answer != nil:
		text, _, ok = p.Kind.Answer(p, r)
		return text, ok
	}
	text, _, ok = plainAnswer(p, r)
	return text, ok
}

func blockMarks(parts []*Op) (out []Mark) {
	for _, p := range parts {
		out = append(out, p.marks()...)
	}
	return out
}

// blockWords are the commands with semicolons between, for a transcript.
func blockWords(parts []*Op) (out []string) {
	for _, p := range parts {
		out = append(append(out, p.Kind.Args(p)...), ";")
	}
	return out
}
