package mvcc

import "fmt"

// Transactions are evaluated directly against the index, under the store's lock: a write is visible to
// the next operation and the next transaction of the batch at once, and there is nothing to merge or
// roll back. The history gets the batch's records in one piece at its end.
//
// Time is the batch's stamped time. A key whose deadline is not after it and which a compare or an
// operation meets is first expired for real, in the transaction's revision. So the outcome of a
// transaction depends on the log alone, and what it saw is what a watcher sees: first the expiry, then
// the write. A compare stops at the first key that decides it, and the compares of a transaction at
// the first that fails; keys behind that are not met.
//
// The drawback of writing in place: a panic in the middle leaves a half-written index. Nothing here
// panics on what a validated log entry can hold; if it does happen, the process has to end.

// Batch evaluates the requests of one log entry; see Store.Update.
type Batch struct {
	st     *state
	now    UnixMilli
	sub    uint32 // of the next record; above 0: the transaction has written
	events []Event

	cause Cause // of the records being written

	leases Leases
	queues Queues
	reason QueueCause // why the records being written leave their queue

	published []Op // OpPublish, in their order, since Published was called

	warming warming
	quota   int64 // see quota.go
	copied  int64 // by the transactions before this one; see copied.go
	copying int64 // by this one

	quiet  bool     // results are not wanted
	unread OpResult // where they go then
	guards []guard  // outcomes of FlagGuardsFirst, in the order of evaluation
}

type guard struct {
	op *Op
	ok bool
}

func (b *Batch) begin(st *state, now UnixMilli) {
	clear(b.events) // the last batch's records
	b.st, b.now, b.events, b.sub, b.cause = st, now, b.events[:0], 0, Cause{}
	b.quota, b.copied, b.copying = 0, 0, 0
}

// Events returns how many events the batch has so far.
func (b *Batch) Events() int { return len(b.events) }

// Published returns the messages of the transactions since it was last called: those whose turn came, in
// their order. They alias what the transactions were made of, and are valid until the next transaction.
func (b *Batch) Published() []Op {
	all := b.published
	b.published = b.published[:0]
	return all
}

// Now returns the stamped time of the batch.
func (b *Batch) Now() UnixMilli { return b.now }

// Revision returns the store's revision after what the batch did so far.
func (b *Batch) Revision() Revision { return b.st.count.revision }

// main is the revision that the transaction has if it writes.
func (b *Batch) main() Revision { return b.st.count.revision + 1 }

// seen is the revision as the transaction itself sees it.
func (b *Batch) seen() Revision {
	if b.sub > 0 {
		return b.main()
	}
	return b.st.count.revision
}

// finish ends a transaction.
func (b *Batch) finish() {
	b.st.count.revision = b.seen()
	b.sub = 0
}

// Txn runs a transaction; if it writes anything, that is one new revision. The result goes to res, whose
// slices are reused; res may be nil if nobody wants it. A transaction that the quota refuses, or the bound
// of what an entry may copy, does nothing, and its result says so in Err.
//
// It panics on an operation that is not of the closed set: the log's decoder refuses those.
func (b *Batch) Txn(t *Txn, res *Result) {
	b.quiet = res == nil
	if err := b.refuses(t); err != nil {
		if res != nil {
			res.reset(false, 0)
			res.Err, res.Revision, res.Now = err, b.Revision(), b.now
		}
		return
	}
	b.guards = b.guards[:0]
	ok := b.holds(t.Compares)
	b.guardFirst(t.branch(ok))
	b.run(t, ok, res)
	b.finish()
	b.copied, b.copying = b.copied+b.copying, 0
	if res != nil {
		res.Revision, res.Now = b.Revision(), b.now
	}
}

// Expire ends keys whose deadline is not after the batch's time and which are still the ones that were
// seen; all of them in one revision.
func (b *Batch) Expire(keys []ExpireKey) {
	for i := range keys {
		c, ok := b.st.index.get(keys[i].Key)
		if ok && c.head.Exists() && c.head.ModRevision() == keys[i].Mod {
			b.expireIfDue(c)
		}
	}
	b.finish()
}

func (t *Txn) branch(ok bool) []Op {
	if ok {
		return t.Then
	}
	return t.Else
}

// guardFirst evaluates, before anything is written, the compares of nested transactions that ask for it, but
// for those inside steps. Where it is not known yet which branch will run, those of both are evaluated.
func (b *Batch) guardFirst(ops []Op) {
	for i := range ops {
		op := &ops[i]
		switch {
		case op.Kind != OpTxn, op.isStep():
		case op.Flags&FlagGuardsFirst != 0:
			ok := b.holds(op.Txn.Compares)
			b.guards = append(b.guards, guard{op, ok})
			b.guardFirst(op.Txn.branch(ok))
		default:
			b.guardFirst(op.Txn.Then)
			b.guardFirst(op.Txn.Else)
		}
	}
}

// succeeds tells whether a nested transaction's compares hold.
func (b *Batch) succeeds(op *Op) bool {
	if op.Flags&FlagGuardsFirst == 0 {
		return b.holds(op.Txn.Compares)
	}
	for i := range b.guards { // operations run in the order their guards were evaluated
		if b.guards[i].op == op {
			ok := b.guards[i].ok
			b.guards = b.guards[i+1:]
			return ok
		}
	}
	panic("mvcc: a guard was not evaluated")
}

func (b *Batch) run(t *Txn, ok bool, res *Result) {
	ops := t.branch(ok)
	if res != nil {
		res.reset(ok, len(ops))
	}
	var refused error // why the linked puts are that the operation is one of
	for i := range ops {
		r := &b.unread
		if res != nil {
			r = &res.Ops[i]
		}
		r.reset()
		switch {
		case i > 0 && ops[i-1].linked(): // one fate
		case ops[i].linked():
			refused = b.refusesLinked(ops[i:])
		default:
			refused = nil
		}
		if refused != nil {
			r.Err = refused
			continue
		}
		b.op(&ops[i], r)
	}
}

func (b *Batch) op(op *Op, r *OpResult) {
	b.cause = op.cause()
	switch op.Kind {
	case OpRange:
		b.rangeOp(op, r)
	case OpPut:
		b.put(op, r)
	case OpDelete:
		b.delete(op, r)
	case OpModify:
		b.modify(op, r)
	case OpTxn:
		b.nested(op, r)
	case OpPublish:
		b.published = append(b.published, *op)
	default:
		panic(fmt.Sprintf("mvcc: operation of unknown kind %d at revision %d", op.Kind, b.Revision()))
	}
}

func (o *Op) cause() Cause {
	timed := o.Kind == OpPut && (o.Expiry.Mode == ExpiryIn || o.Expiry.Mode == ExpiryAt)
	return Cause{Op: o.Kind, Modify: o.Modify, Deadline: timed}
}

// nested runs a transaction inside another; its Result's revision is the one seen when it ended.
func (b *Batch) nested(op *Op, r *OpResult) {
	if op.isStep() {
		b.asStep(op, r)
		return
	}
	b.runNested(op.Txn, b.succeeds(op), r)
}

func (b *Batch) runNested(t *Txn, ok bool, r *OpResult) {
	if b.quiet {
		b.run(t, ok, nil)
		return
	}
	r.Txn = new(Result)
	b.run(t, ok, r.Txn)
	r.Txn.Revision, r.Txn.Now = b.seen(), b.now
}

func (b *Batch) put(op *Op, r *OpResult) {
	c, old := b.find(op.Span.From)
	if r.Err = b.mayPut(op, old); r.Err != nil {
		return
	}
	f := b.successor(op.Span.From, old)
	if op.Flags&FlagKeepValue == 0 {
		f.value = op.Value
	}
	if op.Flags&(FlagKeepLease|FlagLeaseIfAny) == 0 {
		f.lease = op.Lease
	}
	f.deadline = op.Expiry.deadline(b.now, f.deadline)
	b.store(op, r, c, old, &f)
}

// mayPut returns why the operation itself may not be done over old, whatever stands there.
func (b *Batch) mayPut(op *Op, old Record) error {
	switch {
	case op.needsKey() && !old.Exists():
		return ErrKeyNotFound
	case len(op.Value) > MaxValueBytes:
		return ErrValueTooLong
	case op.Lease != 0 && op.Flags&(FlagKeepLease|FlagLeaseIfAny) == 0 && !b.leases.Granted(op.Lease):
		return ErrNoLease
	}
	return nil
}

func (b *Batch) delete(op *Op, r *OpResult) {
	b.walk(op.Span, false, func(c *chain) bool {
		if !b.quiet && op.Flags&FlagPrev != 0 {
			r.Prevs = append(r.Prevs, c.head)
		}
		b.end(c, KindDelete)
		r.N++
		return true
	})
}

// find returns a key's chain, nil if there is none, and its record if it exists now.
func (b *Batch) find(key string) (*chain, Record) {
	c, ok := b.st.index.get(key)
	if !ok {
		return nil, Record{}
	}
	b.expireIfDue(c)
	return c, c.live()
}

// walk calls fn with the chains of the keys of a span that exist now, until it returns false.
func (b *Batch) walk(sp Span, desc bool, fn func(c *chain) bool) {
	b.st.index.walk(sp, desc, func(_ string, c *chain) bool {
		b.expireIfDue(c)
		return !c.head.Exists() || fn(c)
	})
}

// successor returns the fields of the record that follows old, with everything kept.
func (b *Batch) successor(key string, old Record) fields {
	f := fields{kind: KindPut, key: key, create: b.main(), version: 1}
	if old.Exists() {
		f.create, f.version = old.CreateRevision(), old.Version()+1
		f.lease, f.deadline, f.value = old.Lease(), old.Deadline(), old.Value()
	}
	return f
}

// permits reports whether a record with a value of so many bytes may be written in the place of old; if not,
// r says why. Operations ask before they build a long value or write anything else: one that fails has
// changed nothing. The place of a client in the queue of a lock or an election is not a value that others
// may write.
func (b *Batch) permits(op *Op, r *OpResult, old Record, f *fields, value int) bool {
	size := f.size() - len(f.value) - len(f.tail) + value
	switch {
	case f.mark == 0 && old.Exists() && old.Mark() != 0:
		*r = OpResult{Err: ErrQueueKey}
	case b.bursts(op, old, size):
		*r = OpResult{Err: ErrQuota}
	case !b.mayCopy(op.copied(size)):
		*r = OpResult{Err: ErrCopied}
	default:
		return true
	}
	return false
}

// store writes a put's or a modification's record and fills in its result, or the reason why it may not.
func (b *Batch) store(op *Op, r *OpResult, c *chain, old Record, f *fields) {
	if !b.permits(op, r, old, f, len(f.value)+len(f.tail)) {
		return
	}
	b.copying += op.copied(f.size())
	if c == nil {
		c = b.st.index.add(f.key)
	}
	r.Record = b.write(c, old, f)
	if op.Flags&FlagPrev != 0 {
		r.Prev = old
	}
}

func (b *Batch) expireIfDue(c *chain) {
	if c.head.Exists() && c.head.due(b.now) {
		b.end(c, KindExpire)
	}
}

// end writes a delete or an expiry. REQUIRES: the key exists.
func (b *Batch) end(c *chain, kind RecordKind) {
	b.write(c, c.head, &fields{kind: kind, key: c.head.Key()})
}

func (b *Batch) write(c *chain, prev Record, f *fields) Record {
	f.mod, f.sub = b.main(), b.sub
	b.sub++
	r := f.encode(b.st.history.room(position{f.mod, f.sub}, f.size()))
	b.st.write(c, r)
	b.events = append(b.events, Event{Record: r, Prev: prev, Cause: b.cause})
	if f.mark != 0 || prev.Exists() && prev.Mark() != 0 {
		b.queues.Changed(prev, r, b.reason)
	}
	return r
}

// deadline resolves an expiry; kept is the deadline so far. The result is never out of range: a sum too
// large is the last instant, and one before 1970 is the first, as 0 would mean none.
func (e Expiry) deadline(now, kept UnixMilli) UnixMilli {
	switch e.Mode {
	case ExpiryKeep:
		return kept
	case ExpiryIn:
		sum := now + UnixMilli(e.MS)
		if e.MS > 0 && sum < now {
			sum = 1<<63 - 1
		}
		return max(sum, 1)
	case ExpiryAt:
		return max(UnixMilli(e.MS), 1)
	}
	return 0
}

// keepCap bounds the slices that a reused result holds on to.
const keepCap = 1024

func (r *Result) reset(ok bool, n int) {
	if cap(r.Ops) < n {
		r.Ops = make([]OpResult, n)
	}
	r.Succeeded, r.Ops, r.Err = ok, r.Ops[:n], nil
}

func (r *OpResult) reset() {
	prevs, records := r.Prevs[:0], r.Range.Records[:0]
	if cap(prevs) > keepCap {
		prevs = nil
	}
	if cap(records) > keepCap {
		records = nil
	}
	*r = OpResult{Prevs: prevs, Range: RangeResult{Records: records}}
}
