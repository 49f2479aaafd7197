package faults

import (
	"strconv"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// evalScript derives one key from another and counts: each of its reads decides what it writes.
const evalScript = `
	local seen = redis.call('GET', KEYS[1])
	if not seen then seen = 'nil' end
	local n = redis.pcall('INCR', KEYS[3])
	if type(n) == 'table' then n = -1 end
	redis.call('SET', KEYS[2], seen .. ARGV[1])
	return {seen, n, redis.call('GET', KEYS[2])}`

var evalKind = &Kind{
	Name: "EVAL", Weight: 9,
	Draw:     func(d *dice, op *Op) { op.Key, op.Values = d.IntN(2), []string{d.value()} },
	Args:     func(op *Op) []string { return evalWords(op, "…") },
	Commands: func(op *Op) [][]string { return [][]string{evalWords(op, evalScript)} },
	Answer: func(_ *Op, r wire.Reply) (string, int64, bool) {
		if len(r.Elems) != 3 {
			return "", 0, false
		}
		return r.Elems[0].Text + " " + r.Elems[1].Text + " " + r.Elems[2].Text, 0, true
	},
	Marks: func(op *Op) []Mark { return []Mark{{op.Key, op.Values[0]}} },
	Step: func(c *Cells, op *Op) string {
		seen := c[1-op.Key].String()
		n := incrKind.Step(c, &Op{Kind: incrKind, Key: counter})
		if n == notInteger {
			n = strconv.Itoa(-1)
		}
		c[op.Key] = Cell{Exists: true, Value: seen + op.Values[0]}
		return seen + " " + n + " " + c[op.Key].Value
	},
}

func evalWords(op *Op, script string) []string {
	return []string{"EVAL", script, "3", keyName(op.Partition, 1-op.Key), op.key(),
		keyName(op.Partition, counter), op.Values[0]}
}
