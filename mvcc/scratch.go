package mvcc

import (
	"slices"
	"strings"
)

// A scratch is a private continuation of the store: what would the next transaction see and do, if it were
// put together step by step? A script needs that. It reads, decides and writes in a loop that no
// transaction can express, and each step must see the steps before it.
//
// Idea. A pin holds the store at one revision. The scratch is a store of its own whose index starts empty
// and fills itself: a lookup or a walk that meets nothing loaded yet fetches the chains from the pinned
// index, sharing their records. So the same evaluation of transactions and the same reads run on it,
// unchanged, and whatever they touch is by construction in the read set. All steps are one transaction:
// their writes share the revision behind the pinned one, as they will share one when they are proposed.
//
// Invariants.
//  1. Before anything is decided by a key, it is in the scratch's index or known to be missing.
//  2. Guards hold at a state of the store iff every key and span in the read set is there what it was for
//     the scratch: the same mod revision, 0 for a key that was missing or past its deadline.
//  3. The pinned store is never changed.
//  4. Where the guards hold, the steps give in the store what they gave in the scratch, if they go by its
//     time; see step.go.
//
// Rejected: running on a copy of the store (too large), reading the newest state at each step and trusting
// the guards (a script that writes nothing has none), and listing a command's keys beforehand (whoever
// forgets one has a lost update).
//
// Leases and queues are not in the store, and nothing could guard what was read of them. So a scratch does
// not take steps that ask for them; see AsksOthers. Ending a place in a queue like any key asks nothing.
//
// Drawback: a step that walks a large span loads it, some 250 bytes a key, and guards each of its keys.

// Scratch evaluates steps against a pinned revision. Not safe for concurrent use; Close lets go of the pin.
type Scratch struct {
	pin   *Pin
	now   UnixMilli
	store Store
	batch Batch

	seen    []ExpireKey // the read set, in the order of loading: key and mod revision, 0 for none
	missing map[string]bool
	spans   []Span      // loaded as a whole
	expired []ExpireKey // met past their deadline
	limit   int
	written int64 // cost of the records written
	full    bool
}

// NewScratch begins at the newest revision. now decides what has expired; keys bounds how many keys may be
// loaded, after which Full reports true and nothing more that the scratch says can be relied on.
func (s *Store) NewScratch(now UnixMilli, keys int) *Scratch {
	pin, err := s.pinAt(0)
	if err != nil {
		panic("mvcc: the newest revision is not readable: " + err.Error())
	}
	x := &Scratch{pin: pin, now: now, limit: keys, missing: map[string]bool{}}
	st := &state{index: index{table: newKeyTable(0), under: x}, leased: newAttachments()}
	st.count.revision, st.count.compacted = pin.Revision, pin.CompactRevision
	st.view.st = st
	x.store.mu.at, x.store.scratch = st, x
	x.store.publish()
	x.batch.leases, x.batch.queues = anyLease{}, noQueue{}
	x.batch.begin(st, now)
	return x
}

// Close lets go of the pinned revision. A second call does nothing.
func (x *Scratch) Close() { x.pin.Release() }

// Store is the scratch as a store to read from: it sees what the steps so far have written. It must not be
// updated, pinned or closed.
func (x *Scratch) Store() *Store { return &x.store }

// Now returns the time by which keys are expired.
func (x *Scratch) Now() UnixMilli { return x.now }

// Full reports whether more keys were wanted than NewScratch allowed.
func (x *Scratch) Full() bool { return x.full }

// Written returns what all records cost that steps have written: the state has not grown by more.
func (x *Scratch) Written() int64 { return x.written }

// Txn runs one step and reports whether it changed anything, expiries of due keys aside. Deadlines that are
// relative in t must have been resolved; see Resolve. REQUIRES: !t.AsksOthers().
func (x *Scratch) Txn(t *Txn, res *Result) (changed bool) {
	x.store.mu.Lock()
	defer x.store.mu.Unlock()
	b := &x.batch
	b.st.count.revision = x.pin.Revision // every step writes the revision behind it
	from := len(b.events)
	b.quiet, b.guards = false, b.guards[:0]
	ok := b.holds(t.Compares)
	b.guardFirst(t.branch(ok))
	b.run(t, ok, res)
	res.Revision, res.Now = b.seen(), b.now
	for _, e := range b.events[from:] {
		x.written += e.Record.cost()
		changed = changed || e.Record.Kind() != KindExpire
	}
	b.st.count.revision = b.seen()
	x.store.publish()
	changed = changed || len(b.Published()) > 0
	return changed
}

// Resolve makes relative deadlines absolute, so that t does the same whenever it is applied.
func (t *Txn) Resolve(now UnixMilli) {
	for _, ops := range [...][]Op{t.Then, t.Else} {
		for i := range ops {
			if e := &ops[i].Expiry; e.Mode == ExpiryIn {
				*e = Expiry{Mode: ExpiryAt, MS: int64(e.deadline(now, 0))}
			}
			if ops[i].Txn != nil {
				ops[i].Txn.Resolve(now)
			}
		}
	}
}

// AsksOthers reports whether the outcome of t depends on more than the store: on leases, locks or elections.
func (t *Txn) AsksOthers() bool {
	for i := range t.Compares {
		if t.Compares[i].Target == TargetLock {
			return true
		}
	}
	for _, ops := range [...][]Op{t.Then, t.Else} {
		for i := range ops {
			op := &ops[i]
			queue := op.Kind == OpModify && op.Modify >= ModifyQueueJoin
			if queue || op.Lease != 0 || op.Txn != nil && op.Txn.AsksOthers() {
				return true
			}
		}
	}
	return false
}

// Guards are the compares that hold as long as nothing that the steps have read is different.
func (x *Scratch) Guards() []Compare {
	out := make([]Compare, 0, len(x.seen)+len(x.spans))
	for _, k := range x.seen {
		out = append(out, Compare{Span: KeySpan(k.Key), Target: TargetMod, Op: CmpEqual, Num: int64(k.Mod)})
	}
	for _, sp := range x.spans { // no other key has come into it
		out = append(out, Compare{Span: sp, Target: TargetMod, Op: CmpLess, Num: int64(x.pin.Revision) + 1})
	}
	return out
}

// Seen returns how many keys the steps have read.
func (x *Scratch) Seen() int { return len(x.seen) }

// Expired are the keys that were met past their deadline.
func (x *Scratch) Expired() []ExpireKey { return x.expired }

// loadKey fetches a key that the index does not have.
func (x *Scratch) loadKey(into *index, key string) (*chain, bool) {
	if x.missing[key] || x.covered(key) {
		return nil, false
	}
	base := &x.pin.s.mu
	base.RLock()
	c, ok := x.pin.st.index.get(key)
	var held chain
	if ok {
		held = c.until(x.pin.at)
	}
	base.RUnlock()
	switch {
	case !x.room():
		return nil, false
	case held.head.enc == "":
		key = strings.Clone(key)
		x.missing[key] = true
		x.seen = append(x.seen, ExpireKey{Key: key})
		return nil, false
	}
	return x.load(into, held), true
}

func (x *Scratch) room() bool {
	x.full = x.full || len(x.seen) >= x.limit
	return !x.full
}

// load puts a chain into the index and notes what was seen.
func (x *Scratch) load(into *index, held chain) *chain {
	r := held.head
	seen := ExpireKey{Key: r.Key()}
	if r.Exists() {
		held.sum = hashOf(r)
		x.batch.st.countLive(&held, +1)
		seen.Mod = r.ModRevision()
		if r.due(x.now) {
			x.expired = append(x.expired, seen)
			seen.Mod = 0
		}
	}
	x.seen = append(x.seen, seen)
	into.table.add(seen.Key, &held)
	into.order.Set(seen.Key, &held)
	return &held
}

// loadSpan fetches what the index does not have of a span.
func (x *Scratch) loadSpan(into *index, sp Span) {
	empty := sp.Kind == SpanRange && sp.End <= sp.From
	if sp.Kind == SpanKey || empty || slices.ContainsFunc(x.spans, sp.within) {
		return
	}
	rest, done := sp, false
	for !done && !x.full {
		var chunk []chain
		base := &x.pin.s.mu
		base.RLock()
		rest, done = x.pin.st.index.walkSome(rest, false, chunkKeys, func(c *chain) {
			if held := c.until(x.pin.at); held.head.Exists() {
				chunk = append(chunk, held)
			}
		})
		base.RUnlock()
		for _, held := range chunk {
			if into.table.get(held.key()) == nil && x.room() {
				x.load(into, held)
			}
		}
	}
	x.spans = append(x.spans, sp)
}

// loadAll fetches every key, for reads that do not go by key.
func (x *Scratch) loadAll() {
	x.store.mu.Lock()
	defer x.store.mu.Unlock()
	x.loadSpan(&x.store.mu.at.index, Span{Kind: SpanFrom})
	x.store.publish()
}

// covered reports whether a loaded span contains key.
func (x *Scratch) covered(key string) bool {
	return slices.ContainsFunc(x.spans, func(sp Span) bool { return sp.Contains(key) })
}

// within reports whether every key of sp is in outer.
func (sp Span) within(outer Span) bool {
	if outer.Kind == SpanFrom {
		return sp.From >= outer.From
	}
	return sp.Kind == SpanRange && sp.From >= outer.From && sp.End <= outer.End
}

// until is the chain as it was at a revision. Its past shares nothing that could change.
func (c *chain) until(rev Revision) chain {
	if c.head.ModRevision() <= rev {
		out := chain{head: c.head}
		if old := c.older(); len(old) > 0 {
			old = slices.Clone(old)
			out.past = &old
		}
		return out
	}
	var past []Record
	for _, r := range c.older() {
		if r.ModRevision() <= rev {
			past = append(past, r)
		}
	}
	if len(past) == 0 {
		return chain{}
	}
	last := len(past) - 1
	out := chain{head: past[last]}
	if last > 0 {
		past = past[:last:last]
		out.past = &past
	}
	return out
}

// heads are the live records in the order in which they were written, for a scan.
func (x *Scratch) heads() []Record {
	x.loadAll()
	x.store.mu.RLock()
	defer x.store.mu.RUnlock()
	var out []Record
	for _, c := range x.store.mu.at.index.order.Values() {
		if c.head.Exists() {
			out = append(out, c.head)
		}
	}
	slices.SortFunc(out, func(a, b Record) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	return out
}

// scan is Store.Scan over the scratch.
func (x *Scratch) scan(cursor uint64, count int, fn func(Record)) (next uint64) {
	p, left := fromCursor(cursor), max(count, 1)
	for _, r := range x.heads() {
		at := positionOf(r)
		if at.main < p.main || at.main == p.main && at.sub < p.sub {
			continue
		}
		if c, ok := at.cursor(); ok && left <= 0 {
			return c
		}
		fn(r)
		left--
	}
	return 0
}
