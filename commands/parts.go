package commands

import (
	"slices"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/raftfsm"
)

// Several commands in one transaction, each of which renders its own reply.
//
// Idea. A plan never looks at the store, so the plans of several commands can be put one behind the other in
// one list of operations. A command without compares adds its operations to the list itself, and its
// render is given its stretch of the list's results; one with compares (SET NX, KV.TXN) becomes a nested
// transaction, and its render is given that one's result. Both look to the render like a result of its own.
//
// Invariants.
//  1. A command's operations stand together, in the order of the commands: each sees what those before did.
//  2. The compares of a command are tested at its turn, except those of KV.TXN, which see the state before
//     the whole transaction (call.guardsFirst).
//
// Rejected: a nested transaction for each command. It reads simpler, and costs three allocations per command
// on every member that applies it, which is what would make a MULTI of many SETs dear.
type partList struct {
	ops        []mvcc.Op
	parts      []part
	lateSweeps int // of the renders; see sweeps.go
}

// part is one command of a list. Exactly one of render, after and err is set.
type part struct {
	row    *Command
	render render
	err    error // it has no operations, this is its reply
	from   int   // its operations in the list are [from, to)
	to     int
	nested bool // they are one nested transaction
}

// grow makes room for n commands, which mostly have one operation each.
func (l *partList) grow(n int) {
	l.ops, l.parts = slices.Grow(l.ops, n), slices.Grow(l.parts, n)
}

// add puts one command behind the others. c plans it and is used up. Its strings must live as long as the
// list is used.
func (l *partList) add(c *call) {
	p := part{row: c.row, from: len(l.ops)}
	p.render, p.err = c.planPart()
	if p.err == nil {
		p.err = c.permitPlanned()
	}
	if p.err == nil {
		l.take(c, &p)
	}
	p.to = len(l.ops)
	l.parts = append(l.parts, p)
	l.lateSweeps += c.lateSweeps
}

func (l *partList) take(c *call, p *part) {
	if len(c.txn.Compares) == 0 {
		l.ops = append(l.ops, c.txn.Then...)
		return
	}
	txn := c.txn
	c.txn = mvcc.Txn{} // c is used again
	op := mvcc.Op{Kind: mvcc.OpTxn, Txn: &txn}
	if c.guardsFirst {
		op.Flags = mvcc.FlagGuardsFirst
	}
	p.nested = true
	l.ops = append(l.ops, op)
}

// planPart plans the command as a part of a larger transaction. A command that cannot be one has the error
// errNotInMulti.
func (c *call) planPart() (render, error) {
	row := c.row
	var r render
	var err error
	switch {
	case row.plan != nil:
		r, err = row.plan(c)
	case row.planMulti != nil:
		r, err = row.planMulti(c)
	case row.planRead != nil:
		r = row.planRead(c)
	default:
		err = errNotInMulti
	}
	if c.publishes {
		c.do(raftfsm.PublishOp(c.message))
	}
	if err == nil && (c.compacts || c.request != nil) {
		err = errNotInMulti // another kind of request: it cannot stand inside a transaction
	}
	return r, err
}

// result is the part of the list's result that belongs to one command. It is valid until the next call.
func (p *part) result(whole, room *mvcc.Result) *mvcc.Result {
	if p.nested {
		return whole.Ops[p.from].Txn
	}
	*room = mvcc.Result{Succeeded: true, Revision: whole.Revision, Now: whole.Now, Ops: whole.Ops[p.from:p.to]}
	return room
}
