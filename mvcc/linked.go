package mvcc

// Linked puts: several of them are one write.
//
// Idea. To its client a command that writes several keys (MSET, MSETEX) is one write: all of it is done, or
// nothing and an error says why. Its puts are linked, each by FlagWithNext to the one behind it. Nothing here
// is ever rolled back, so before the first of them writes, all are asked whether they may.
//
// Invariants.
//  1. Linked puts stand one behind the other in one list, the last one without the flag, and each brings its
//     value along and needs nothing to be there. CheckLinks tells; the log's decoder asks it.
//  2. Once the first has been let pass, none fails. What refuses a put does not depend on the puts before it:
//     a key that is a place in a queue, a lease, the length of a value. The quota does depend on them, so
//     they are taken together to add all that they bring, as if they replaced nothing.
//  3. Refused, they all have the same error and none has changed anything, but for ending keys past their
//     deadline.
//
// Rejected: undoing what was written (events, queues and the history would have to go back, too); a nested
// transaction for each command (three allocations on every member); a guard for each key (each key would
// stand in the log twice).
//
// Drawback: their keys are looked up twice. And at the very end of the quota's slack they are refused
// although what they replace would make room for them.

// widestFields bounds what a record has beside its key and value.
const widestFields = fixedBytes + 16 + 2*10 // lease and deadline, version and length of the key

// needsKey reports whether a put is only for a key that exists.
func (o *Op) needsKey() bool {
	return o.Flags&FlagKeepValue != 0 || o.Flags&(FlagKeepLease|FlagLeaseIfAny) == FlagKeepLease
}

func (o *Op) linked() bool { return o.Flags&FlagWithNext != 0 }

func (o *Op) linkable() bool { return o.Kind == OpPut && !o.needsKey() }

// CheckLinks reports whether all operations that FlagWithNext links are puts that can be linked.
func CheckLinks(ops []Op) bool {
	for i := range ops {
		if !ops[i].linked() {
			continue
		}
		if i+1 == len(ops) || !ops[i].linkable() || !ops[i+1].linkable() {
			return false
		}
	}
	return true
}

// refusesLinked returns why the puts may not be done that are linked to the first of ops, itself included.
func (b *Batch) refusesLinked(ops []Op) error {
	most := int64(0)
	for i := range ops {
		op := &ops[i]
		b.cause = op.cause()
		_, old := b.find(op.Span.From)
		if err := b.mayPut(op, old); err != nil {
			return err
		}
		if old.Queued() {
			return ErrQueueKey
		}
		most += int64(len(op.Span.From)+len(op.Value)) + widestFields + recordOverhead
		if !op.linked() {
			break
		}
	}
	if b.quota > 0 && b.st.count.stateBytes+most > b.quota+quotaSlack {
		return ErrQuota
	}
	return nil
}
