package mvcc

import (
	"fmt"
	"math"
	"strconv"
)

// modify changes one record by what is in it. All rules are Redis's; each function writes at most once.
func (b *Batch) modify(op *Op, r *OpResult) {
	if op.Modify >= ModifyQueueJoin {
		b.queueOp(op, r)
		return
	}
	c, old := b.find(op.Span.From)
	switch op.Modify {
	case ModifyIncrBy:
		b.incrBy(op, r, c, old)
	case ModifyAppend:
		b.appendTo(op, r, c, old)
	case ModifySetDeadline:
		b.setDeadline(op, r, c, old)
	case ModifyPersist:
		b.persist(op, r, c, old)
	case ModifyIncrByFloat:
		b.incrByFloat(op, r, c, old)
	case ModifySetRange:
		b.setRange(op, r, c, old)
	case ModifySetBit:
		b.setBit(op, r, c, old)
	case ModifyBitfield:
		b.bitfield(op, r, c, old)
	case ModifyBitOp:
		b.bitOp(op, r, c, old)
	case ModifyMove:
		b.move(op, r, c, old)
	case ModifyCopy:
		b.copyTo(op, r, old)
	default:
		panic(fmt.Sprintf("mvcc: modification of unknown kind %d at revision %d", op.Modify, b.Revision()))
	}
}

func (b *Batch) incrBy(op *Op, r *OpResult, c *chain, old Record) {
	n := int64(0)
	if old.Exists() {
		var ok bool
		if n, ok = parseInteger(old.Value()); !ok {
			r.Err = ErrNotInteger
			return
		}
	}
	if op.Delta > 0 && n > math.MaxInt64-op.Delta || op.Delta < 0 && n < math.MinInt64-op.Delta {
		r.Err = ErrOverflow
		return
	}
	r.N = n + op.Delta
	f := b.successor(op.Span.From, old)
	f.value = strconv.FormatInt(r.N, 10)
	b.store(op, r, c, old, &f)
}

// appendTo writes even if nothing is appended, as Redis does: a missing key then exists and is empty.
func (b *Batch) appendTo(op *Op, r *OpResult, c *chain, old Record) {
	f := b.successor(op.Span.From, old)
	if len(op.Value) > MaxValueBytes-len(f.value) {
		r.Err = ErrValueTooLong
		return
	}
	r.N = int64(len(f.value) + len(op.Value))
	f.tail = op.Value
	b.store(op, r, c, old, &f)
}

func (b *Batch) setDeadline(op *Op, r *OpResult, c *chain, old Record) {
	if !old.Exists() || op.Expiry.Mode != ExpiryIn && op.Expiry.Mode != ExpiryAt {
		return
	}
	deadline := op.Expiry.deadline(b.now, 0)
	if !op.Flags.allowDeadline(old.Deadline(), deadline) {
		return
	}
	r.N = 1
	if deadline <= b.now {
		b.end(c, KindDelete)
		if op.Flags&FlagPrev != 0 {
			r.Prev = old
		}
		return
	}
	f := b.successor(op.Span.From, old)
	f.deadline = deadline
	b.store(op, r, c, old, &f)
}

// allowDeadline applies NX, XX, GT and LT; all that are set must hold. For the comparing two, no
// deadline is an infinite one.
func (f OpFlags) allowDeadline(old, deadline UnixMilli) bool {
	switch {
	case f&FlagIfNoDeadline != 0 && old != 0:
		return false
	case f&FlagIfDeadline != 0 && old == 0:
		return false
	case f&FlagIfLater != 0 && (old == 0 || deadline <= old):
		return false
	case f&FlagIfEarlier != 0 && old != 0 && deadline >= old:
		return false
	}
	return true
}

func (b *Batch) persist(op *Op, r *OpResult, c *chain, old Record) {
	if !old.Exists() || old.Deadline() == 0 && old.Lease() == 0 {
		return
	}
	r.N = 1
	f := b.successor(op.Span.From, old)
	f.deadline, f.lease = 0, 0
	b.store(op, r, c, old, &f)
}

// parseInteger reads an integer that is written the only way Redis accepts: as printing it gives it.
func parseInteger(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 20 {
		return 0, false
	}
	digits := s
	if s[0] == '-' {
		digits = s[1:]
	}
	if digits == "" || digits[0] < '0' || digits[0] > '9' || digits[0] == '0' && s != "0" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
