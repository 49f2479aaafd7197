package mvcc

import (
	"cmp"
	"slices"
	"strings"
)

// A range outside a transaction first tries to be done within chunkKeys keys under one read lock, which
// most ranges are. A longer one starts over with its revision pinned and walks the index in chunks,
// letting writers pass between them. Each chunk takes what its keys were at the pinned revision from
// their chains, so the answer is of one revision although the store moves on. Only handles are
// collected: 16 bytes a key, whatever the values.

// Range reads a span; see RangeOptions. It does not hide keys past their deadline. The error is
// ErrFutureRevision or a *CompactedError.
func (s *Store) Range(sp Span, o RangeOptions) (RangeResult, error) {
	return s.RangeWithout(nil, sp, o)
}

// RangeWithout is Range as if the records for which hidden is true were not there: they are neither counted
// nor do they take a place under the limit. hidden may be called twice with a record, and must not call the
// store.
func (s *Store) RangeWithout(hidden func(Record) bool, sp Span, o RangeOptions) (RangeResult, error) {
	res, done, err := s.shortRange(hidden, sp, &o)
	if done || err != nil {
		return res, err
	}
	p, err := s.pinAt(o.At)
	if err != nil {
		return RangeResult{}, err
	}
	defer p.Release()
	k := collector{o: &o, hidden: hidden}
	k.res.Revision = p.Revision
	p.walk(sp, k.downwards(), func(c *chain) { k.add(c.at(p.at)) })
	return k.finish(), nil
}

func (s *Store) shortRange(
	hidden func(Record) bool, sp Span, o *RangeOptions,
) (res RangeResult, done bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := s.mu.at
	at, err := st.readable(o.At)
	if err != nil {
		return res, false, err
	}
	k := collector{o: o, hidden: hidden}
	k.res.Revision = st.count.revision
	_, done = st.index.walkSome(sp, k.downwards(), chunkKeys, func(c *chain) { k.add(c.at(at)) })
	return k.finish(), done, nil
}

// rangeOp is a range as an operation: it sees the transaction's own writes, expires the keys it meets
// past their deadline in walking order, and it meets all of its span whatever its limit, as it counts
// them. It does so on members that do not want the result, too.
func (b *Batch) rangeOp(op *Op, r *OpResult) {
	if b.st.index.under == nil && b.st.count.expiring == 0 && (b.quiet || op.countsAll()) {
		// Nothing can expire, so there is nothing to meet; and the number of all keys is known. (A scratch
		// has loaded only some, and has to note that all count.)
		r.Range.Count, r.Range.Revision = b.st.count.keys, b.seen()
		return
	}
	k := collector{o: &op.Range, res: r.Range}
	b.walk(op.Span, k.downwards(), func(c *chain) bool {
		if !b.quiet {
			k.add(c.head)
		}
		return true
	})
	k.res.Revision = b.seen()
	if !b.quiet {
		r.Range = k.finish()
	}
}

// countsAll reports whether the operation asks for no more than the number of all keys.
func (op *Op) countsAll() bool {
	return op.Range.CountOnly && op.Span.Kind == SpanFrom && op.Span.From == ""
}

// collector gathers a range's records from the keys it is given in walking order.
type collector struct {
	o      *RangeOptions
	hidden func(Record) bool // nil: none
	res    RangeResult
}

// downwards tells the direction to walk in. Orders other than by key sort afterwards.
func (k *collector) downwards() bool { return k.o.Desc && k.o.Sort == SortKey }

func (k *collector) add(r Record) {
	if !r.Exists() || k.hidden != nil && k.hidden(r) {
		return
	}
	k.res.Count++
	switch {
	case k.o.CountOnly || !k.o.passes(r):
	case k.o.Sort == SortKey && k.full():
		k.res.More = true
	default:
		k.res.Records = append(k.res.Records, r)
	}
}

func (k *collector) full() bool {
	return k.o.Limit > 0 && int64(len(k.res.Records)) >= k.o.Limit
}

func (o *RangeOptions) passes(r Record) bool {
	mod, create := r.ModRevision(), r.CreateRevision()
	return mod >= o.MinMod && (o.MaxMod == 0 || mod <= o.MaxMod) &&
		create >= o.MinCreate && (o.MaxCreate == 0 || create <= o.MaxCreate)
}

// finish sorts and cuts. Records equal in the sort's target stay in key order, descending too.
func (k *collector) finish() RangeResult {
	if k.o.Sort == SortKey {
		return k.res
	}
	slices.SortStableFunc(k.res.Records, func(a, b Record) int {
		if k.o.Desc {
			a, b = b, a
		}
		return k.o.Sort.compare(a, b)
	})
	if k.o.Limit > 0 && int64(len(k.res.Records)) > k.o.Limit {
		clear(k.res.Records[k.o.Limit:])
		k.res.Records, k.res.More = k.res.Records[:k.o.Limit], true
	}
	return k.res
}

func (t SortTarget) compare(a, b Record) int {
	switch t {
	case SortVersion:
		return cmp.Compare(a.Version(), b.Version())
	case SortCreate:
		return cmp.Compare(a.CreateRevision(), b.CreateRevision())
	case SortMod:
		return cmp.Compare(a.ModRevision(), b.ModRevision())
	case SortValue:
		return strings.Compare(a.Value(), b.Value())
	default:
		return strings.Compare(a.Key(), b.Key())
	}
}
