package mvcc

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"
)

// The twin is a store without any cleverness: a map for each revision, copied whole, and a list of
// everything ever written. It shares no code with the store but the request types.

type twinRecord struct {
	Key, Value  string
	Kind        RecordKind
	Create, Mod Revision
	Sub         uint32
	Version     int64
	Lease       LeaseID
	Deadline    UnixMilli
}

func (r twinRecord) exists() bool { return r.Kind == KindPut }

// encoded is the snapshot form, written down a second time.
func (r twinRecord) encoded() string {
	flags := byte(r.Kind)
	var tail []byte
	if r.Lease != 0 {
		flags |= 4
		tail = append64(tail, uint64(r.Lease))
	}
	if r.Deadline != 0 {
		flags |= 8
		tail = append64(tail, uint64(r.Deadline))
	}
	b := append64([]byte{flags}, uint64(r.Create))
	b = append(appendUvarint(b, uint64(r.Version)), tail...)
	return string(appendUvarint(b, uint64(len(r.Key)))) + r.Key + r.Value
}

func (r twinRecord) hash() uint64 {
	b := append64(nil, uint64(r.Mod))
	b = append(b, byte(r.Sub>>24), byte(r.Sub>>16), byte(r.Sub>>8), byte(r.Sub))
	return xxhash.Sum64(append(b, r.encoded()...))
}

func (r twinRecord) cost() int64 { return int64(12 + len(r.encoded()) + recordOverhead) }

// twinOf reads a record of the store; the zero Record is the zero twinRecord.
func twinOf(r Record) twinRecord {
	if r == (Record{}) {
		return twinRecord{}
	}
	return twinRecord{
		Key: r.Key(), Value: r.Value(), Kind: r.Kind(), Create: r.CreateRevision(), Mod: r.ModRevision(),
		Sub: r.Sub(), Version: r.Version(), Lease: r.Lease(), Deadline: r.Deadline(),
	}
}

func twinsOf(rs []Record) []twinRecord {
	var out []twinRecord
	for _, r := range rs {
		out = append(out, twinOf(r))
	}
	return out
}

type twinOp struct {
	Err          error
	N            int64
	Prev, Record twinRecord
	Prevs        []twinRecord
	Bits         []BitResult
	Range        twinRange
	Txn          *twinResult
}

type twinRange struct {
	Records  []twinRecord
	Count    int64
	More     bool
	Revision Revision
}

type twinResult struct {
	Err       error // nothing else is valid then, but the revision
	Succeeded bool
	Revision  Revision
	Ops       []twinOp
}

func twinRangeOf(r RangeResult) twinRange {
	return twinRange{twinsOf(r.Records), r.Count, r.More, r.Revision}
}

func twinResultOf(r *Result) *twinResult {
	if r == nil {
		return nil
	}
	if r.Err != nil {
		return &twinResult{Err: r.Err, Revision: r.Revision}
	}
	out := &twinResult{Succeeded: r.Succeeded, Revision: r.Revision}
	for _, o := range r.Ops {
		out.Ops = append(out.Ops, twinOp{o.Err, o.N, twinOf(o.Prev), twinOf(o.Record), twinsOf(o.Prevs), o.Bits,
			twinRangeOf(o.Range), twinResultOf(o.Txn)})
	}
	return out
}

type twinGarbage struct {
	by   Revision
	cost int64
}

type twin struct {
	now                 UnixMilli
	revision, compacted Revision
	keys                map[string]twinRecord // live
	states              map[Revision]map[string]twinRecord
	log                 []twinRecord
	garbage             []twinGarbage

	events []([2]twinRecord) // of the current batch
	sub    uint32

	quota         int64 // of the current batch; 0: none
	before, since int64 // bytes copied in it, before this transaction and by it
}

func newTwin() *twin {
	return &twin{
		revision: 1, keys: map[string]twinRecord{},
		states: map[Revision]map[string]twinRecord{0: {}, 1: {}},
	}
}

func (t *twin) main() Revision { return t.revision + 1 }

func (t *twin) write(r twinRecord) twinRecord {
	r.Mod, r.Sub = t.main(), t.sub
	t.sub++
	old := t.keys[r.Key]
	if old.exists() {
		t.garbage = append(t.garbage, twinGarbage{t.main(), old.cost()})
	}
	if r.exists() {
		t.keys[r.Key] = r
	} else {
		delete(t.keys, r.Key)
		t.garbage = append(t.garbage, twinGarbage{t.main(), r.cost()})
	}
	t.log = append(t.log, r)
	t.events = append(t.events, [2]twinRecord{r, old})
	return r
}

func (t *twin) finish() {
	if t.sub > 0 {
		t.revision++
		t.states[t.revision] = maps.Clone(t.keys)
	}
	t.sub = 0
}

// get expires the key first if it is due.
func (t *twin) get(key string) twinRecord {
	r := t.keys[key]
	if r.Deadline != 0 && r.Deadline <= t.now {
		t.write(twinRecord{Key: key, Kind: KindExpire})
		return twinRecord{}
	}
	return r
}

func spanKeys(m map[string]twinRecord, sp Span) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k == sp.From || sp.Kind != SpanKey && k >= sp.From && (sp.Kind == SpanFrom || k < sp.End) {
			if sp.Kind == SpanRange && sp.End <= sp.From {
				continue
			}
			out = append(out, k)
		}
	}
	return out
}

func (t *twin) txn(x *Txn) *twinResult {
	t.before, t.since = t.before+t.since, 0
	if err := t.refusal(x); err != nil {
		return &twinResult{Err: err, Revision: t.revision}
	}
	ok := t.holds(x.Compares)
	outcomes := map[*Op]bool{}
	t.firstGuards(x, ok, outcomes)
	res := t.run(x, ok, outcomes)
	t.finish()
	res.Revision = t.revision
	return res
}

func (t *twin) firstGuards(x *Txn, ok bool, outcomes map[*Op]bool) {
	ops := x.Then
	if !ok {
		ops = x.Else
	}
	for i := range ops {
		op := &ops[i]
		if op.Kind == OpTxn && op.Expiry.Mode == ExpiryAt {
			continue
		}
		if op.Kind == OpTxn && op.Flags&FlagGuardsFirst != 0 {
			outcomes[op] = t.holds(op.Txn.Compares)
			t.firstGuards(op.Txn, outcomes[op], outcomes)
		} else if op.Kind == OpTxn {
			t.firstGuards(op.Txn, true, outcomes)
			t.firstGuards(op.Txn, false, outcomes)
		}
	}
}

func (t *twin) run(x *Txn, ok bool, outcomes map[*Op]bool) *twinResult {
	ops := x.Then
	if !ok {
		ops = x.Else
	}
	res := &twinResult{Succeeded: ok}
	for len(ops) > 0 {
		n := 1
		for ops[n-1].Flags&FlagWithNext != 0 {
			n++
		}
		err := t.refusesTogether(ops[:n])
		for i := range ops[:n] {
			if err != nil {
				res.Ops = append(res.Ops, twinOp{Err: err})
			} else {
				res.Ops = append(res.Ops, t.op(&ops[i], outcomes))
			}
		}
		ops = ops[n:]
	}
	return res
}

func (t *twin) op(op *Op, outcomes map[*Op]bool) (r twinOp) {
	switch op.Kind {
	case OpRange:
		met := spanKeys(t.keys, op.Span)
		if op.Range.Desc && op.Range.Sort == SortKey {
			slices.Reverse(met) // keys expire in the order in which they are met
		}
		for _, k := range met {
			t.get(k)
		}
		r.Range = twinRangeIn(t.keys, op.Span, op.Range)
		r.Range.Revision = t.seen()
	case OpPut:
		t.put(op, &r)
	case OpDelete:
		for _, k := range spanKeys(t.keys, op.Span) {
			if old := t.get(k); old.exists() {
				t.write(twinRecord{Key: k, Kind: KindDelete})
				r.N++
				if op.Flags&FlagPrev != 0 {
					r.Prevs = append(r.Prevs, old)
				}
			}
		}
	case OpModify:
		t.modify(op, &r)
	case OpTxn:
		if op.Expiry.Mode == ExpiryAt {
			r.Txn = t.step(op)
			return r
		}
		ok, known := outcomes[op]
		if !known {
			ok = t.holds(op.Txn.Compares)
		}
		r.Txn = t.run(op.Txn, ok, outcomes)
		r.Txn.Revision = t.seen()
	}
	return r
}

func (t *twin) seen() Revision {
	if t.sub > 0 {
		return t.main()
	}
	return t.revision
}

func (t *twin) next(key string) twinRecord {
	r := t.keys[key]
	if !r.exists() {
		r = twinRecord{Key: key, Kind: KindPut, Create: t.main()}
	}
	r.Version++
	return r
}

func (t *twin) put(op *Op, r *twinOp) {
	old := t.get(op.Span.From)
	keepLease := op.Flags&FlagKeepLease != 0 && op.Flags&FlagLeaseIfAny == 0
	if !old.exists() && (op.Flags&FlagKeepValue != 0 || keepLease) {
		r.Err = ErrKeyNotFound
		return
	}
	n := t.next(op.Span.From)
	if op.Flags&FlagKeepValue == 0 {
		n.Value = op.Value
	}
	if op.Flags&FlagLeaseIfAny == 0 && !keepLease {
		n.Lease = op.Lease
	}
	switch op.Expiry.Mode {
	case ExpiryNone:
		n.Deadline = 0
	case ExpiryIn:
		n.Deadline = t.now + UnixMilli(op.Expiry.MS)
	case ExpiryAt:
		n.Deadline = UnixMilli(op.Expiry.MS)
	}
	t.put2(op, r, old, n)
}

func (t *twin) put2(op *Op, r *twinOp, old, n twinRecord) {
	if err := t.objection(op, old, n); err != nil {
		*r = twinOp{Err: err}
		return
	}
	t.since += twinCopied(op, n)
	r.Record = t.write(n)
	if op.Flags&FlagPrev != 0 {
		r.Prev = old
	}
}

func (t *twin) modify(op *Op, r *twinOp) {
	old := t.get(op.Span.From)
	n := t.next(op.Span.From)
	if t.modifyStrings(op, r, old, n) {
		return
	}
	switch op.Modify {
	case ModifyIncrBy:
		v, err := strconv.ParseInt(old.Value, 10, 64)
		if old.exists() && (err != nil || strconv.FormatInt(v, 10) != old.Value) {
			r.Err = ErrNotInteger
			return
		}
		if sum := v + op.Delta; (sum > v) != (op.Delta > 0) && op.Delta != 0 {
			r.Err = ErrOverflow
			return
		}
		r.N = v + op.Delta
		n.Value = strconv.FormatInt(r.N, 10)
	case ModifyAppend:
		n.Value += op.Value
		r.N = int64(len(n.Value))
	case ModifyPersist:
		if old.Deadline == 0 && old.Lease == 0 {
			return
		}
		r.N, n.Deadline, n.Lease = 1, 0, 0
	case ModifySetDeadline:
		t.setDeadline(op, r, old, n)
		return
	}
	t.put2(op, r, old, n)
}

func (t *twin) setDeadline(op *Op, r *twinOp, old, n twinRecord) {
	when := UnixMilli(op.Expiry.MS)
	if op.Expiry.Mode == ExpiryIn {
		when += t.now
	}
	infinite := old.Deadline == 0
	refused := !old.exists() ||
		op.Flags&FlagIfNoDeadline != 0 && !infinite || op.Flags&FlagIfDeadline != 0 && infinite ||
		op.Flags&FlagIfLater != 0 && (infinite || when <= old.Deadline) ||
		op.Flags&FlagIfEarlier != 0 && !infinite && when >= old.Deadline
	if refused {
		return
	}
	r.N = 1
	if when > t.now {
		n.Deadline = when
		t.put2(op, r, old, n)
		return
	}
	t.write(twinRecord{Key: old.Key, Kind: KindDelete})
	if op.Flags&FlagPrev != 0 {
		r.Prev = old
	}
}

func (t *twin) holds(cs []Compare) bool {
	for _, c := range cs {
		if !t.compare(c) {
			return false
		}
	}
	return true
}

func (t *twin) compare(c Compare) bool {
	met := false
	for _, k := range spanKeys(t.keys, c.Span) {
		r := t.get(k)
		if !r.exists() {
			continue
		}
		met = true
		if !twinTest(c, r) {
			return false
		}
	}
	return met || twinTest(c, twinRecord{})
}

func twinTest(c Compare, r twinRecord) bool {
	sign := 0
	num := map[CompareTarget]int64{TargetVersion: r.Version, TargetCreate: int64(r.Create),
		TargetMod: int64(r.Mod), TargetLease: int64(r.Lease)}[c.Target]
	switch {
	case (c.Target == TargetValue || c.Target == TargetDigest) && !r.exists():
		return false
	case c.Target == TargetDigest:
		sign = cmp.Compare(xxh3.HashString(r.Value), uint64(c.Num))
	case c.Target == TargetValue:
		sign = strings.Compare(r.Value, c.Value)
	case num < c.Num:
		sign = -1
	case num > c.Num:
		sign = 1
	}
	return map[CompareOp]bool{CmpEqual: sign == 0, CmpNotEqual: sign != 0, CmpLess: sign < 0,
		CmpGreater: sign > 0}[c.Op]
}

func (t *twin) expire(keys []ExpireKey) {
	for _, k := range keys {
		if t.keys[k.Key].Mod == k.Mod {
			t.get(k.Key)
		}
	}
	t.finish()
}

// twinRangeIn answers a range from a whole state.
func twinRangeIn(m map[string]twinRecord, sp Span, o RangeOptions) (res twinRange) {
	for _, k := range spanKeys(m, sp) {
		r := m[k]
		res.Count++
		in := r.Mod >= o.MinMod && r.Create >= o.MinCreate && (o.MaxMod == 0 || r.Mod <= o.MaxMod) &&
			(o.MaxCreate == 0 || r.Create <= o.MaxCreate)
		if in && !o.CountOnly {
			res.Records = append(res.Records, r)
		}
	}
	slices.SortStableFunc(res.Records, func(a, b twinRecord) int {
		sign := map[SortTarget]int{
			SortKey: strings.Compare(a.Key, b.Key), SortVersion: int(a.Version - b.Version),
			SortCreate: int(a.Create - b.Create), SortMod: int(a.Mod - b.Mod),
			SortValue: strings.Compare(a.Value, b.Value),
		}[o.Sort]
		if o.Desc {
			return -sign
		}
		return sign
	})
	if o.Limit > 0 && int64(len(res.Records)) > o.Limit {
		res.Records, res.More = res.Records[:o.Limit], true
	}
	return res
}

// history is what History answers for a key.
func (t *twin) history(key string) []twinRecord {
	var out []twinRecord
	for _, r := range slices.Backward(t.log) {
		switch {
		case r.Key != key:
		case r.Mod > t.compacted:
			out = append(out, r)
		default:
			if r.exists() {
				out = append(out, r)
			}
			return out
		}
	}
	return out
}

// target is what CompactionTarget answers.
func (t *twin) target(historyBytes, maxBytes int64) Revision {
	if historyBytes <= maxBytes {
		return 0
	}
	for rev := t.compacted; ; rev++ {
		if t.garbageAbove(rev-1) > maxBytes && rev < t.revision {
			continue
		}
		if rev == t.compacted {
			return 0
		}
		return rev
	}
}

func (t *twin) garbageAbove(rev Revision) (bytes int64) {
	for _, g := range t.garbage {
		if g.by > rev {
			bytes += g.cost
		}
	}
	return bytes
}
