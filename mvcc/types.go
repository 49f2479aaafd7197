package mvcc

// Revision numbers the states of the store. A new store is at revision 1; each writing
// transaction makes the next one. The zero Revision means "none" or, as an argument, "now".
type Revision int64

// LeaseID names a lease; 0 means no lease. Clients see it as 16 hex digits.
type LeaseID int64

// UnixMilli is a wall-clock instant in milliseconds since the Unix epoch; as a deadline, 0 means none.
type UnixMilli int64

// SpanKind tells how a Span selects keys. The values are part of the log format.
type SpanKind uint8

const (
	SpanKey   SpanKind = iota // the key From alone
	SpanRange                 // every key k with From <= k < End; empty when End <= From
	SpanFrom                  // every key k with From <= k
)

// Span selects keys. One key, a bounded range and an open range are three different things on
// purpose: a permission check must never take one for another.
type Span struct {
	From, End string
	Kind      SpanKind
}

// KeySpan selects one key. The empty key is an ordinary key.
func KeySpan(key string) Span { return Span{From: key} }

// PrefixSpan selects every key that starts with prefix; the empty prefix selects every key.
func PrefixSpan(prefix string) Span {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := []byte(prefix[:i+1])
			end[i]++
			return Span{From: prefix, End: string(end), Kind: SpanRange}
		}
	}
	return Span{From: prefix, Kind: SpanFrom}
}

// Contains reports whether key is selected.
func (s Span) Contains(key string) bool {
	switch s.Kind {
	case SpanKey:
		return key == s.From
	case SpanRange:
		return s.From <= key && key < s.End
	default:
		return s.From <= key
	}
}

// ExpiryMode tells what a write does with a key's deadline. The values are part of the log format.
type ExpiryMode uint8

const (
	ExpiryNone ExpiryMode = iota // no deadline; drops one that is there
	ExpiryKeep                   // the deadline stays as it is
	ExpiryIn                     // MS milliseconds after the entry's stamped time
	ExpiryAt                     // at the Unix time MS, in milliseconds
)

// Expiry is the deadline part of a write. A relative deadline becomes absolute when the entry is
// applied, from the time its leader stamped, so every member computes the same one.
type Expiry struct {
	Mode ExpiryMode
	MS   int64
}

// OpKind is the kind of an operation. The set is closed; the values are part of the log format.
type OpKind uint8

const (
	OpRange   OpKind = 1 + iota // read keys, as they are at the operation's turn
	OpPut                       // write one key
	OpDelete                    // delete the keys of a span
	OpModify                    // change one key's record by a Modify
	OpTxn                       // a nested transaction
	OpPublish                   // changes nothing: Value is a message to Span.From; see Batch.Published
)

// ModifyKind is what an OpModify does. The set is closed; the values are part of the log format.
type ModifyKind uint8

const (
	// ModifyIncrBy adds Delta to the value read as a canonical decimal int64 (missing: 0) and keeps
	// deadline and lease. N is the new integer. Fails with ErrNotInteger or ErrOverflow.
	ModifyIncrBy ModifyKind = 1 + iota
	// ModifyAppend appends Arg to the value (missing: empty) and keeps deadline and lease. N is the new length.
	ModifyAppend
	// ModifySetDeadline sets Expiry on an existing key as the FlagIf… conditions allow. N is 1 if it
	// did. A deadline that is not after the stamped time deletes the key (N is 1).
	ModifySetDeadline
	// ModifyPersist drops deadline and lease of an existing key. N is 1 if there was one.
	ModifyPersist
	// ModifyIncrByFloat adds Value, a decimal number, as an 80-bit float does; see float.go. It keeps deadline
	// and lease. Fails with ErrNotFloat or ErrNotFinite.
	ModifyIncrByFloat
	// ModifySetRange overwrites the value (missing: empty) from byte Delta on by Value, with zero bytes between
	// its end and Delta. N is the new length; an empty Value changes nothing.
	ModifySetRange
	// ModifySetBit sets bit Delta if Value is "1", and clears it if Value is empty. N is what it was.
	ModifySetBit
	// ModifyBitfield runs the bit field operations encoded in Value; see AppendBitOp. Bits has one result for
	// each.
	ModifyBitfield
	// ModifyBitOp writes the combination Delta (a Combine) of the values of the keys encoded in Value; see
	// AppendKey. N is the length of the result; an empty one deletes the key.
	ModifyBitOp
	// ModifyMove moves value, deadline and lease to the key Value, as if it were put there, and deletes this
	// key. N is 1. Fails with ErrNoSuchKey; to its own name it changes nothing.
	ModifyMove
	// ModifyCopy puts value, deadline and lease to the key Value. N is 1, or 0 if there is nothing to copy.
	ModifyCopy

	modifyKinds = iota // of those that are numbered in one row from 1
)

// Known reports whether the kind is in the closed set.
func (k ModifyKind) Known() bool {
	return k >= ModifyIncrBy && int(k) <= modifyKinds || k >= ModifyQueueJoin && k <= lastModify
}

// OpFlags refine an operation. The values are part of the log format.
type OpFlags uint16

const (
	FlagPrev         OpFlags = 1 << iota // return the previous record(s)
	FlagKeepValue                        // OpPut: keep the value; the key must exist
	FlagKeepLease                        // OpPut: keep the lease; the key must exist unless FlagLeaseIfAny
	FlagLeaseIfAny                       // OpPut: keep the lease of an existing key, none on a new one (KEEPTTL)
	FlagIfNoDeadline                     // ModifySetDeadline: only a key without deadline (NX)
	FlagIfDeadline                       // ModifySetDeadline: only a key with one (XX)
	FlagIfLater                          // ModifySetDeadline: only to a later one; none is infinite (GT)
	FlagIfEarlier                        // ModifySetDeadline: only to an earlier one (LT)
	FlagGuardsFirst                      // OpTxn: compares see the state before the whole transaction (etcd)
	FlagWithNext                         // OpPut: done only if the next one is done, too; see linked.go
)

// Op is one operation of a transaction. Which fields matter follows from Kind.
type Op struct {
	Kind   OpKind
	Modify ModifyKind // OpModify
	Flags  OpFlags
	Span   Span         // OpRange, OpDelete; OpPut and OpModify use Span.From alone
	Range  RangeOptions // OpRange; At must be 0
	Value  string       // OpPut: the value; ModifyAppend: what is appended; else see ModifyKind
	Delta  int64        // ModifyIncrBy; else see ModifyKind
	Lease  LeaseID      // OpPut; 0 detaches
	Expiry Expiry       // OpPut, ModifySetDeadline; OpTxn with ExpiryAt: see step.go
	Txn    *Txn         // OpTxn
}

// CompareTarget is what a Compare looks at. The values are part of the log format.
type CompareTarget uint8

const (
	TargetVersion CompareTarget = 1 + iota
	TargetCreate
	TargetMod
	TargetValue
	TargetLease
	TargetLock   // Span.From names a lock, Num is a token; see Compare
	TargetDigest // XXH3-64 of the value, in Num; on a missing key false whatever the operator, as TargetValue

	targetKinds = iota
)

// Known reports whether the target is in the closed set.
func (t CompareTarget) Known() bool {
	return t >= TargetVersion && int(t) <= targetKinds
}

// CompareOp is a Compare's operator. The values are part of the log format.
type CompareOp uint8

const (
	CmpEqual CompareOp = 1 + iota
	CmpNotEqual
	CmpLess
	CmpGreater
)

// Compare is one guard of a transaction. Over a span every key must satisfy it, and an empty span
// counts as one missing key. A missing key counts as 0; TargetValue on a missing key is false
// whatever the operator, as in etcd. TargetLock holds with CmpEqual iff the token holds the lock now, with
// CmpNotEqual iff it does not, and with no other operator.
type Compare struct {
	Span   Span
	Target CompareTarget
	Op     CompareOp
	Num    int64  // all targets but TargetValue
	Value  string // TargetValue
}

// Txn runs Then if all compares hold, else Else; all its writes share one revision.
type Txn struct {
	Compares   []Compare
	Then, Else []Op
}

// OpResult is what one operation answers.
type OpResult struct {
	Err    error       // a user error of this operation and those linked to it; the others still run
	N      int64       // see ModifyKind; for OpDelete the number of keys deleted
	Prev   Record      // with FlagPrev, OpPut and OpModify: the record before
	Record Record      // OpPut, OpModify: the record after
	Prevs  []Record    // with FlagPrev, OpDelete: the records deleted, in key order
	Bits   []BitResult // ModifyBitfield
	Range  RangeResult // OpRange
	Txn    *Result     // OpTxn
}

// Result is what a transaction answers. Ops has one element per operation of the branch taken.
type Result struct {
	Err       error // ErrQuota, ErrCopied: it was refused as a whole, and nothing else is valid
	Succeeded bool
	Revision  Revision  // of the store after the transaction
	Now       UnixMilli // the stamped time that decided what has expired
	Ops       []OpResult
}

// SortTarget is the order of a range. The values are part of the log format.
type SortTarget uint8

const (
	SortKey SortTarget = iota
	SortVersion
	SortCreate
	SortMod
	SortValue
)

// RangeOptions narrow a range read. The zero value reads every key of the span as it is now, in key order.
type RangeOptions struct {
	At                   Revision // 0: now
	Limit                int64    // 0: none
	Desc                 bool
	Sort                 SortTarget
	CountOnly            bool
	MinMod, MaxMod       Revision // 0: no bound
	MinCreate, MaxCreate Revision
}

// RangeResult is what a range read answers. Count is all keys of the span, before limit and filters.
type RangeResult struct {
	Records  []Record
	Count    int64
	More     bool     // Limit cut the list
	Revision Revision // of the store when it was read, also with At
}

// Event is one change of one key. Record.Kind tells which; Prev is the zero Record for a new key.
type Event struct {
	Record, Prev Record
	Cause        Cause
}

// Cause is the kind of operation that made an event, for those who name changes after commands. It is not
// kept in the history. An expiry has none of its own: it carries that of the operation that met the key.
type Cause struct {
	Op       OpKind     // 0: expiry by request
	Modify   ModifyKind // OpModify
	Deadline bool       // OpPut: it sets a deadline
}

// ExpireKey asks for the end of one key whose deadline has passed, if it is still the one seen at Mod.
type ExpireKey struct {
	Key string
	Mod Revision
}
