package commands

import (
	"slices"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

// KV.TXN is etcd's transaction in one command: guards, the commands to run if they all hold, the commands to
// run if not. Each part is a count and so many guards, or commands with their number of words in front:
//
//	KV.TXN  1 value user1 = bad   2  2 GET user1  3 SET user1 good   1  3 SET user1 2222
//
// All guards, those of nested KV.TXN too, see the state before the whole. A transaction is refused whole when
// a command in it is malformed, when a list is longer than --max-txn-ops (nested lists have what the outer
// ones leave, as in etcd), or when one branch writes a key twice or writes and deletes it (intervals.go).
// What a command can only find when it runs is an error in its place of the reply; the others run. (etcd asks
// for missing leases and keys beforehand and refuses the whole; but its operations cannot fail otherwise, as
// INCR can, and who comes from MULTI knows errors in their place.)
//
// A transaction that only compares goes through the log like any other: etcd answers it from one member's
// memory, which may be stale.

var txnRows = []Command{
	{Name: "kv.txn", Arity: -4, Kind: KindWrite, Group: "kv", Categories: CatTransaction,
		Since: "0.1.0", Complexity: "Depends on the commands in it.",
		Summary: "Runs one list of commands if all guards hold, else another, in one revision.",
		Args: args(argInteger("guards"), argString("guard").many().opt(),
			argInteger("commands"), argBlock("then", argInteger("words"), argString("word").many()).many().opt(),
			argInteger("commands"), argBlock("else", argInteger("words"), argString("word").many()).many().opt()),
		plan: kvTxn, nests: true, also: reachTxn},
	{Name: "txn.if", Arity: -5, Group: "transactions", Since: "0.1.0", Complexity: "O(1) for every key.",
		Summary: "Inside MULTI: the commands that follow, up to TXN.ELSE, run only if the guard holds.",
		Args:    guardArgs, Keys: Keys{First: 2, Last: 2, Step: 1, Access: "RO access"}, also: reachGuard,
		plain: true, session: outsideMulti, queue: queueIf},
	{Name: "txn.else", Arity: 1, Group: "transactions", Since: "0.1.0", Complexity: "O(1)",
		Summary: "Inside MULTI: the commands that follow run only if a guard of TXN.IF does not hold.",
		plain:   true, session: outsideMulti, queue: queueElse},
}

// maxTxnDepth bounds the nesting of KV.TXN. In the log it is two levels more inside a MULTI with WATCH and
// TXN.IF, and one for a command with a condition of its own; the log's format ends at eight.
const maxTxnDepth = 5

// kvTxn plans the whole transaction. It calls itself, through the table, for a nested one.
func kvTxn(c *call) (render, error) {
	depth, most := c.nesting, c.d.cfg.MaxTxnOps
	if depth > 0 {
		most = c.budget
	}
	if depth >= maxTxnDepth {
		return nil, errTxnDepth
	}
	t := &kvTxnPlan{d: c.d}
	if err := t.parse(c, depth, most); err != nil {
		return nil, err
	}
	if t.grows {
		if err := c.d.engine.AcceptsWrites(); err != nil {
			return nil, refusal(err)
		}
	}
	c.txn.Compares = append(c.txn.Compares, t.guards...)
	c.txn.Then = append(c.txn.Then, t.branches[0].ops...)
	c.txn.Else = append(c.txn.Else, t.branches[1].ops...)
	c.guardsFirst = true
	c.lateSweeps = max(t.branches[0].lateSweeps, t.branches[1].lateSweeps)
	if depth == 0 && writesTwice(&c.txn) {
		return nil, errTxnDuplicate
	}
	return t.reply, nil
}

// kvTxnPlan is one KV.TXN being read, and then what its render needs.
type kvTxnPlan struct {
	d        *Dispatcher
	grows    bool // one of its commands is refused above the quota
	guards   []mvcc.Compare
	branches [2]partList
	room     mvcc.Result // for part.result
}

// parse reads the three lists, each of at most so many entries.
func (t *kvTxnPlan) parse(c *call, depth, most int) error {
	w := words{args: c.args, at: 1}
	n, err := w.listLength(most)
	if err != nil {
		return err
	}
	longest := n
	for range n {
		g, err := w.guard()
		if err != nil {
			return err
		}
		if err := c.permitGuard(&g); err != nil {
			return err
		}
		t.guards = append(t.guards, g)
	}
	var lists [2][][][]byte
	for i := range lists {
		if lists[i], err = w.commandList(most); err != nil {
			return err
		}
		longest = max(longest, len(lists[i]))
	}
	if w.more() {
		return errSyntax
	}
	inner := &call{d: c.d, tx: c.tx, s: c.s, dry: c.dry, scripted: c.scripted}
	for i, list := range lists {
		for _, words := range list {
			inner.begin(words)
			inner.nesting, inner.budget = depth+1, most-longest
			if err := t.add(inner, &t.branches[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// listLength reads the number of entries of a list.
func (w *words) listLength(most int) (int, error) {
	n, err := w.count()
	if err == nil && n > int64(most) {
		err = errTxnOps
	}
	return int(n), err
}

// commandList reads a list of commands, each with the number of its words in front.
func (w *words) commandList(most int) ([][][]byte, error) {
	n, err := w.listLength(most)
	if err != nil {
		return nil, err
	}
	list := make([][][]byte, 0, n)
	for range n {
		length, err := w.count()
		switch {
		case err != nil:
			return nil, err
		case length < 1 || length > int64(len(w.args)-w.at):
			return nil, errSyntax
		}
		list = append(list, w.args[w.at:w.at+int(length)])
		w.at += int(length)
	}
	return list, nil
}

// add plans one command into a branch. An error of any refuses the whole.
func (t *kvTxnPlan) add(c *call, branch *partList) error {
	for _, pass := range [...]gate{gateKnown, gateSub, gateArity, gateNested} {
		if err := pass(c.s, c); err != nil {
			return err
		}
	}
	if !c.row.inTxn() {
		return errNotInTxn(c.row.Name)
	}
	t.grows = t.grows || c.row.Flags&FlagDenyOOM != 0
	branch.add(c)
	return branch.parts[len(branch.parts)-1].err
}

// inTxn reports whether KV.TXN takes the command: reads and writes of keys that are operations.
func (row *Command) inTxn() bool {
	return row.isPart() && row.Flags&FlagNoMulti == 0 && slices.Contains(txnGroups[:], row.Group)
}

var txnGroups = [...]string{"string", "generic", "kv"}

// reply makes the map of the result.
func (t *kvTxnPlan) reply(r *mvcc.Result) resp.Value {
	branch := &t.branches[0]
	if !r.Succeeded {
		branch = &t.branches[1]
	}
	out := make([]resp.Value, len(branch.parts))
	for i := range branch.parts {
		p := &branch.parts[i]
		out[i] = p.render(p.result(r, &t.room))
	}
	return resp.Map(
		resp.Bulk("succeeded"), yes(r.Succeeded),
		resp.Bulk("revision"), resp.Int(int64(r.Revision)),
		resp.Bulk("responses"), resp.ArrayOf(out),
	)
}
