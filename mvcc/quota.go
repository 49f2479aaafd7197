package mvcc

// The quota, where it counts: at a write's turn in the log.
//
// Whoever takes writes refuses those that grow the state while it is above the quota; but by the time of
// their turn a pipeline of a thousand of them may have been planned. So each entry says how large the state
// may be, and every member comes to the same decision from that and from the state:
//
//   - a transaction that may grow the state is refused whole if the state is above the quota before it;
//   - inside a transaction, whose parts share one fate otherwise, an operation fails only if its record would
//     take the state further above the quota than what a request can carry: a few bytes can ask for a copy
//     of, or an offset in, a very long value.
//
// Where several writes are one to their client, that does not befall some of them. Linked puts are looked at
// together (linked.go). What a script writes is bounded by QuotaSlack when it is made (scratch.go).
//
// So the state is never further above the quota than by QuotaSlack and one value.
const QuotaSlack = 64 << 20

var quotaSlack int64 = QuotaSlack // tests make it smaller

// SetQuota bounds the state, in bytes, for the transactions of the batch that follow; 0 is no bound.
func (b *Batch) SetQuota(bytes int64) { b.quota = bytes }

// refuses returns why the whole transaction is refused; nil if it is not.
func (b *Batch) refuses(t *Txn) error {
	switch {
	case b.quota > 0 && b.st.count.stateBytes > b.quota && (anyGrows(t.Then) || anyGrows(t.Else)):
		return ErrQuota
	case b.copied > copyBound && t.MayCopy():
		return ErrCopied
	}
	return nil
}

// bursts reports whether a record of that size in the place of old would go too far beyond the quota.
func (b *Batch) bursts(op *Op, old Record, size int) bool {
	if b.quota == 0 || !op.grows() {
		return false
	}
	after := b.st.count.stateBytes + int64(size) + recordOverhead
	if old.Exists() {
		after -= old.cost()
	}
	return after > b.quota+quotaSlack && after > b.st.count.stateBytes
}

func anyGrows(ops []Op) bool {
	for i := range ops {
		if op := &ops[i]; op.grows() || op.Kind == OpTxn && (anyGrows(op.Txn.Then) || anyGrows(op.Txn.Else)) {
			return true
		}
	}
	return false
}

// grows reports whether the operation may make the state larger, by more than a deadline.
func (o *Op) grows() bool {
	switch o.Kind {
	case OpPut:
		return true
	case OpModify:
		switch o.Modify {
		case ModifySetDeadline, ModifyPersist, ModifyMove, ModifyQueueLeave, ModifyQueueRelease:
			return false
		}
		return true
	}
	return false
}
