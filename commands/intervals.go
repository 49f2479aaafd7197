package commands

import (
	"slices"
	"sort"
	"strings"

	"github.com/redkeep/redkeep/mvcc"
)

// etcd's rule for transactions: one branch must not write a key twice, nor write and delete it, so that the
// order of a branch's writes never matters. The two branches of a nested transaction exclude each other, so
// what one writes the other may write or delete; against everything else both count. Deletions may overlap.
//
// Not as etcd: there a nested transaction may delete what an earlier one beside it put, because the check
// looks at each only once. Here the order in which they stand makes no difference.

// effects are what a list of operations does to keys. A source is one operation of the list; what a nested
// transaction does has that transaction's source.
type effects struct {
	puts []effect // span is the key alone
	dels []effect
}

type effect struct {
	span   mvcc.Span
	source int
}

// writesTwice reports whether a branch of t, or of a transaction in it, breaks the rule.
func writesTwice(t *mvcc.Txn) bool {
	for _, branch := range [2][]mvcc.Op{t.Then, t.Else} {
		if _, twice := effectsOf(branch); twice {
			return true
		}
	}
	return false
}

// effectsOf gathers what a list does, and reports whether two of its operations meet at a key.
func effectsOf(ops []mvcc.Op) (e effects, twice bool) {
	for i := range ops {
		op := &ops[i]
		switch op.Kind {
		case mvcc.OpPut, mvcc.OpModify:
			e.puts = append(e.puts, effect{mvcc.KeySpan(op.Span.From), i})
		case mvcc.OpDelete:
			e.dels = append(e.dels, effect{op.Span, i})
		case mvcc.OpTxn:
			if e.nested(op.Txn, i) {
				return e, true
			}
		}
	}
	return e, e.meet()
}

// nested adds what either branch of a nested transaction does.
func (e *effects) nested(t *mvcc.Txn, source int) (twice bool) {
	for _, branch := range [2][]mvcc.Op{t.Then, t.Else} {
		inner, twice := effectsOf(branch)
		if twice {
			return true
		}
		for _, p := range inner.puts {
			e.puts = append(e.puts, effect{p.span, source})
		}
		for _, d := range inner.dels {
			e.dels = append(e.dels, effect{d.span, source})
		}
	}
	return false
}

// meet reports whether two sources put one key, or one deletes what another puts. It sorts the puts.
func (e *effects) meet() bool {
	slices.SortFunc(e.puts, func(a, b effect) int { return strings.Compare(a.span.From, b.span.From) })
	for i := 1; i < len(e.puts); i++ {
		if e.puts[i].span.From == e.puts[i-1].span.From && e.puts[i].source != e.puts[i-1].source {
			return true
		}
	}
	change := e.changes()
	for _, d := range e.dels {
		from := sort.Search(len(e.puts), func(i int) bool { return e.puts[i].span.From >= d.span.From })
		to := from + sort.Search(len(e.puts)-from, func(i int) bool {
			return !d.span.Contains(e.puts[from+i].span.From)
		})
		if from < to && (e.puts[from].source != d.source || change[from] < to) {
			return true
		}
	}
	return false
}

// changes tells for each put where the next one of another source stands.
func (e *effects) changes() []int {
	next := make([]int, len(e.puts))
	for i := len(e.puts) - 1; i >= 0; i-- {
		switch {
		case i == len(e.puts)-1:
			next[i] = len(e.puts)
		case e.puts[i].source == e.puts[i+1].source:
			next[i] = next[i+1]
		default:
			next[i] = i + 1
		}
	}
	return next
}
