package commands

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/mvcc"
)

func TestTxnScript(t *testing.T) { runScript(t, "txn") }

// txnWords writes a KV.TXN: guards and commands as words separated by spaces.
func txnWords(guards []string, then, otherwise [][]string) []string {
	words := []string{"KV.TXN", strconv.Itoa(len(guards))}
	for _, g := range guards {
		words = append(words, strings.Fields(g)...)
	}
	for _, list := range [][][]string{then, otherwise} {
		words = append(words, strconv.Itoa(len(list)))
		for _, c := range list {
			words = append(append(words, strconv.Itoa(len(c))), c...)
		}
	}
	return words
}

// The deepest transaction that is accepted fits into the log's format.
func TestDeepestTransaction(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	words := []string{"SET", "a", "1", "NX"}
	for range maxTxnDepth {
		words = txnWords([]string{"version b = 0"}, [][]string{words}, nil)
	}
	c.want("OK", "WATCH", "a")
	c.want("OK", "MULTI")
	c.want("QUEUED", "TXN.IF", "version", "a", "=", "0")
	c.want("QUEUED", words...)
	if got := c.do("EXEC"); strings.Count(got, "succeeded") != maxTxnDepth || !strings.Contains(got, "OK") {
		t.Errorf("EXEC: %s", got)
	}
	deeper := txnWords(nil, [][]string{words}, nil)
	c.want("(ERR transactions are nested too deep)", deeper...)
	c.want(`"1"`, "GET", "a")
}

// --max-txn-ops: a list of exactly so many passes, one more does not; a nested list has what the outer ones
// leave; TXN.IF puts a MULTI under the same limit, and one without it is free.
func TestTxnLimits(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	const most, tooMany = 128, "(ERR too many operations in txn request)"
	gets := slices.Repeat([][]string{{"GET", "a"}}, most)
	guards := slices.Repeat([]string{"mod a = 0"}, most)
	if got := c.do(txnWords(guards, gets, gets)...); strings.Count(got, "nil") != most {
		t.Errorf("at the limit: %s", got)
	}
	c.want(tooMany, txnWords(guards, append(gets, gets[0]), nil)...)
	c.want(tooMany, txnWords(guards, nil, append(gets, gets[0]))...)
	c.want(tooMany, txnWords(append(guards, guards[0]), nil, nil)...)
	inner := txnWords(nil, gets[:most-2], nil)
	if got := c.do(txnWords(nil, [][]string{inner, {"GET", "a"}}, nil)...); strings.Count(got, "nil") != most-1 {
		t.Errorf("nested, at the limit: %s", got)
	}
	c.want(tooMany, txnWords(nil, [][]string{inner, {"GET", "a"}, {"GET", "a"}}, nil)...)

	block := func(guards, then, otherwise int, want string) {
		t.Helper()
		c.want("OK", "MULTI")
		last := ""
		for range guards {
			last = c.do("TXN.IF", "mod", "a", "=", "0")
		}
		for range then {
			last = c.do("GET", "a")
		}
		if otherwise > 0 {
			last = c.do("TXN.ELSE")
		}
		for range otherwise {
			last = c.do("GET", "a")
		}
		if last != want {
			t.Errorf("%d guards, %d and %d commands: %s", guards, then, otherwise, last)
		}
		c.do("DISCARD")
	}
	block(most, most, most, "QUEUED")
	block(1, most+1, 0, tooMany)
	block(1, 0, most+1, tooMany)
	block(most+1, 0, 0, tooMany)
	block(0, 3*most, 0, "QUEUED")
}

// The rule about writing twice, against a naive look at every pair.
func TestDuplicatesTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		txn := mvcc.Txn{Then: drawWrites(t, 2), Else: drawWrites(t, 2)}
		_, _, then := naiveEffects(txn.Then)
		_, _, otherwise := naiveEffects(txn.Else)
		if got, want := writesTwice(&txn), then || otherwise; got != want {
			t.Fatalf("writesTwice = %v, want %v", got, want)
		}
	})
}

func drawWrites(t *rapid.T, depth int) []mvcc.Op {
	key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"})
	ops := make([]mvcc.Op, rapid.IntRange(0, 4).Draw(t, "ops"))
	for i := range ops {
		span := mvcc.KeySpan(key.Draw(t, "key"))
		switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
		case kind < 2:
			ops[i] = mvcc.Op{Kind: mvcc.OpPut, Span: span}
		case kind == 2:
			ops[i] = mvcc.Op{Kind: mvcc.OpDelete, Span: span}
		case kind == 3:
			span = mvcc.Span{From: span.From, End: key.Draw(t, "end"), Kind: mvcc.SpanRange}
			ops[i] = mvcc.Op{Kind: mvcc.OpDelete, Span: span}
		case kind == 4 && depth > 0:
			txn := &mvcc.Txn{Then: drawWrites(t, depth-1), Else: drawWrites(t, depth-1)}
			ops[i] = mvcc.Op{Kind: mvcc.OpTxn, Txn: txn}
		default:
			ops[i] = mvcc.Op{Kind: mvcc.OpRange, Span: span}
		}
	}
	return ops
}

// naiveEffects gathers the keys put and the spans deleted, comparing each operation with each before it.
func naiveEffects(ops []mvcc.Op) (puts []string, dels []mvcc.Span, twice bool) {
	for i := range ops {
		p, d, bad := naiveOp(&ops[i])
		twice = twice || bad || naiveMeet(p, puts, dels) || naiveMeet(puts, nil, d)
		puts, dels = append(puts, p...), append(dels, d...)
	}
	return puts, dels, twice
}

func naiveOp(op *mvcc.Op) (puts []string, dels []mvcc.Span, twice bool) {
	switch op.Kind {
	case mvcc.OpPut:
		return []string{op.Span.From}, nil, false
	case mvcc.OpDelete:
		return nil, []mvcc.Span{op.Span}, false
	case mvcc.OpTxn:
		p, d, bad := naiveEffects(op.Txn.Then)
		q, e, worse := naiveEffects(op.Txn.Else)
		return append(p, q...), append(d, e...), bad || worse
	}
	return nil, nil, false
}

func naiveMeet(puts, others []string, dels []mvcc.Span) bool {
	return slices.ContainsFunc(puts, func(key string) bool {
		return slices.Contains(others, key) ||
			slices.ContainsFunc(dels, func(s mvcc.Span) bool { return s.Contains(key) })
	})
}

// Reads that are no operations are made after the transaction, and must not see what came after it.
func TestReadsBehindTheTransaction(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	for _, v := range []string{"1", "2", "3", "4"} { // revisions 2 to 5
		c.want("OK", "SET", "a", v)
	}
	for _, read := range []struct{ words, want, lacks string }{
		{"KV.GET a AT 4", "FUTUREREV", "$"}, {"KV.GET a AT 3", "$1\r\n2", "FUTUREREV"},
		{"KV.RANGE a AT 4", "FUTUREREV", "$"}, {"KV.RANGE a AT 3", "revision\r\n:3", ":5"},
		{"KV.HISTORY a", "$1\r\n2", "$1\r\n3"}, {"KV.HISTORY a LIMIT 1", "$1\r\n2", "$1\r\n1"},
		{"KV.HASH AT 4", "FUTUREREV", "$"}, {"KV.HASH", "revision\r\n:3", ":5"},
	} {
		var words [][]byte
		for _, w := range strings.Fields(read.words) {
			words = append(words, []byte(w))
		}
		c := &call{d: n.d}
		c.begin(words)
		c.row = n.d.table.Lookup(words[0])
		render, err := c.planPart()
		if err != nil {
			t.Fatal(err)
		}
		got := string(render(&mvcc.Result{Succeeded: true, Revision: 3}).Append(nil, 2))
		if !strings.Contains(got, read.want) || strings.Contains(got, read.lacks) {
			t.Errorf("%s at revision 3: %q", read.words, got)
		}
	}
}
