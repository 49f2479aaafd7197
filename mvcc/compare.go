package mvcc

import (
	"cmp"
	"fmt"
	"strings"
)

// holds reports whether all compares do.
func (b *Batch) holds(cs []Compare) bool {
	for i := range cs {
		if !b.compare(&cs[i]) {
			return false
		}
	}
	return true
}

func (b *Batch) compare(c *Compare) bool {
	if c.Target == TargetLock {
		return b.compareLock(c)
	}
	if c.Span.Kind == SpanKey {
		_, r := b.find(c.Span.From)
		return c.test(r)
	}
	met, ok := false, true
	b.walk(c.Span, false, func(ch *chain) bool {
		met, ok = true, c.test(ch.head)
		return ok
	})
	return ok && (met || c.test(Record{}))
}

// test compares one record, the zero Record for a missing key.
func (c *Compare) test(r Record) bool {
	switch c.Target {
	case TargetValue:
		return r.Exists() && c.Op.accepts(strings.Compare(r.Value(), c.Value))
	case TargetDigest:
		return r.Exists() && c.Op.accepts(cmp.Compare(Digest(r.Value()), uint64(c.Num)))
	}
	return c.Op.accepts(cmp.Compare(c.Target.of(r), c.Num))
}

func (t CompareTarget) of(r Record) int64 {
	if !r.Exists() {
		return 0
	}
	switch t {
	case TargetVersion:
		return r.Version()
	case TargetCreate:
		return int64(r.CreateRevision())
	case TargetMod:
		return int64(r.ModRevision())
	case TargetLease:
		return int64(r.Lease())
	}
	panic(fmt.Sprintf("mvcc: compare of unknown target %d", t))
}

// accepts takes the sign of record minus operand.
func (o CompareOp) accepts(sign int) bool {
	switch o {
	case CmpEqual:
		return sign == 0
	case CmpNotEqual:
		return sign != 0
	case CmpLess:
		return sign < 0
	case CmpGreater:
		return sign > 0
	}
	panic(fmt.Sprintf("mvcc: compare with unknown operator %d", o))
}
