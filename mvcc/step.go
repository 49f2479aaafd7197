package mvcc

// Steps: what a script has done in its scratch, done again at its turn.
//
// Idea. A nested transaction whose Expiry is a time (ExpiryAt) is a step of a script. The guards of the whole
// see to it that it meets the state that it met in the scratch. Two things remain that were otherwise there,
// and here they are not:
//
//   - the time. In a script it stands still; the entry is stamped later. A key that the script has given a
//     few milliseconds would be gone before its next step. So a step goes by its own time.
//   - what FlagGuardsFirst means. In the scratch each step was a transaction by itself, so the compares of
//     those nested in it see the state before the step, not before the script.
//
// So a step answers what it answered in the scratch, errors included, and a script is done as a whole or not
// at all. The quota is the one thing that a scratch does not know. It refuses a script whole, before it
// (refuses), and never on its way: what a scratch has taken costs no more than QuotaSlack (Written).
//
// A key that was there before the script and is due between the two times has failed the guards.

// StepOp makes a step of t, at the time of its scratch.
func StepOp(t *Txn, now UnixMilli) Op {
	return Op{Kind: OpTxn, Txn: t, Expiry: Expiry{Mode: ExpiryAt, MS: int64(now)}}
}

func (o *Op) isStep() bool { return o.Kind == OpTxn && o.Expiry.Mode == ExpiryAt }

// asStep runs a step as its scratch has run it.
func (b *Batch) asStep(op *Op, r *OpResult) {
	now, guards := b.now, b.guards
	b.now, b.guards = UnixMilli(op.Expiry.MS), nil
	ok := b.holds(op.Txn.Compares)
	b.guardFirst(op.Txn.branch(ok))
	b.runNested(op.Txn, ok, r)
	b.now, b.guards = now, guards
}
