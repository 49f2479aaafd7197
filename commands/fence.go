package commands

import (
	"slices"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/resp"
)

// Fencing: a write that is done only if a token still holds its lock, decided when the write's turn comes in
// the log. So what a holder writes late, after a pause in which it lost the lock, is refused.

var (
	setLeaseArg = argString("id").after("LEASE").opt()
	setFenceArg = argBlock("fence", argString("name"), argInteger("token")).after("FENCE").opt()
)

// lockGuard is the guard `lock name op token`; op is = or !=.
func lockGuard(name, op, token []byte) (g mvcc.Compare, err error) {
	g = mvcc.Compare{Target: mvcc.TargetLock, Span: mvcc.KeySpan(alias(name))}
	switch string(op) {
	case "=":
		g.Op = mvcc.CmpEqual
	case "!=":
		g.Op = mvcc.CmpNotEqual
	default:
		return g, errSyntax
	}
	g.Num, err = parseToken(token)
	return g, err
}

// parseToken reads a fencing token, a revision.
func parseToken(word []byte) (int64, error) {
	token, ok := parseInt(word)
	if !ok || token <= 0 {
		return 0, errToken
	}
	return token, nil
}

func (o *setOptions) leaseOption(w *words) error {
	word, err := w.operand()
	if err == nil {
		o.lease, err = parseLeaseID(word)
	}
	return err
}

func (o *setOptions) fenceOption(w *words) error {
	name, err := w.operand()
	if err != nil {
		return err
	}
	token, err := w.operand()
	if err != nil {
		return err
	}
	o.fenced = true
	o.fence, err = lockGuard(name, []byte("="), token)
	return err
}

// behindFence makes the planned transaction depend on the fence. It goes into a nested one, so that a lost
// lock is told from a condition that does not hold.
func (o *setOptions) behindFence(c *call, inner render) render {
	if !o.fenced {
		return inner
	}
	nested := &mvcc.Txn{Compares: slices.Clone(c.txn.Compares), Then: slices.Clone(c.txn.Then),
		Else: slices.Clone(c.txn.Else)}
	c.txn.Compares, c.txn.Then, c.txn.Else = append(c.txn.Compares[:0], o.fence), c.txn.Then[:0], c.txn.Else[:0]
	c.do(mvcc.Op{Kind: mvcc.OpTxn, Txn: nested})
	return func(r *mvcc.Result) resp.Value {
		if !r.Succeeded {
			return refused(errLockLost)
		}
		return inner(r.Ops[0].Txn)
	}
}
