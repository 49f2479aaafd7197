package mvcc

import (
	"fmt"
	"strings"
)

// CheckModify reports what is wrong with an OpModify whose kind is known: the error wraps ErrBadModify. The
// decoder of the log calls it, so that apply meets only operations that it can carry out.
func (o *Op) CheckModify() error {
	ok := true
	switch o.Modify {
	case ModifySetRange, ModifySetBit:
		ok = o.Delta >= 0 && (o.Modify == ModifySetRange || o.Value == "" || o.Value == "1")
	case ModifyBitfield:
		ok = validBitOps(o.Value)
	case ModifyBitOp:
		ok = Combine(o.Delta).valid() && validKeys(o.Value)
	}
	if !ok {
		return fmt.Errorf("%w: kind %d", ErrBadModify, o.Modify)
	}
	return nil
}

// valueOf is the value of a record, "" if there is none.
func valueOf(r Record) string {
	if !r.Exists() {
		return ""
	}
	return r.Value()
}

func (b *Batch) incrByFloat(op *Op, r *OpResult, c *chain, old Record) {
	number := "0"
	if old.Exists() {
		number = old.Value()
	}
	sum, err := addFloats(number, op.Value)
	if err != nil {
		r.Err = err
		return
	}
	f := b.successor(op.Span.From, old)
	f.value = sum
	b.store(op, r, c, old, &f)
}

func (b *Batch) setRange(op *Op, r *OpResult, c *chain, old Record) {
	value := valueOf(old)
	r.N = int64(len(value))
	switch {
	case op.Value == "":
		return
	case op.Delta > int64(MaxValueBytes-len(op.Value)):
		r.N, r.Err = 0, ErrValueTooLong
		return
	}
	f := b.successor(op.Span.From, old)
	if !b.permits(op, r, old, &f, max(len(value), int(op.Delta)+len(op.Value))) {
		return
	}
	f.value = overwrite(value, int(op.Delta), op.Value)
	r.N = int64(len(f.value))
	b.store(op, r, c, old, &f)
}

// overwrite returns value with the bytes from at on replaced by those of by, which may lie behind its end.
func overwrite(value string, at int, by string) string {
	var out strings.Builder
	out.Grow(max(len(value), at+len(by)))
	out.WriteString(value[:min(at, len(value))])
	for range at - len(value) {
		out.WriteByte(0)
	}
	out.WriteString(by)
	if end := at + len(by); end < len(value) {
		out.WriteString(value[end:])
	}
	return out.String()
}

// move deletes first, so that a watcher of both keys sees the value leave before it arrives; and before that
// it looks whether the value may arrive.
func (b *Batch) move(op *Op, r *OpResult, c *chain, old Record) {
	if !old.Exists() {
		r.Err = ErrNoSuchKey
		return
	}
	r.N = 1
	if op.Value == op.Span.From {
		return
	}
	target, replaced, f := b.copyOf(old, op.Value)
	if !b.permits(op, r, replaced, &f, len(f.value)) {
		return
	}
	b.end(c, KindDelete)
	b.store(op, r, target, replaced, &f)
}

// copyTo puts everything of old to the key op.Value.
func (b *Batch) copyTo(op *Op, r *OpResult, old Record) {
	if !old.Exists() {
		return
	}
	r.N = 1
	c, replaced, f := b.copyOf(old, op.Value)
	b.store(op, r, c, replaced, &f)
}

// copyOf returns the record that has everything of old at another key, and what is there.
func (b *Batch) copyOf(old Record, key string) (c *chain, replaced Record, f fields) {
	c, replaced = b.find(key)
	f = b.successor(key, replaced)
	f.value, f.lease, f.deadline = old.Value(), old.Lease(), old.Deadline()
	return c, replaced, f
}
