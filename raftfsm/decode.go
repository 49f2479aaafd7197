package raftfsm

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// reader takes an encoded request apart. After the first error it stays at the end and every
// result is zero, so that callers check err once. Strings alias the input.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrCodec, what)
	}
	r.b = nil
}

func (r *reader) u8() byte {
	if len(r.b) == 0 {
		r.fail("ends early")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) u64() uint64 {
	if len(r.b) < 8 {
		r.fail("ends early")
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || (n > 1 && r.b[n-1] == 0) {
		r.fail("bad uvarint")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) bytes() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail("length beyond the end")
		return ""
	}
	s := str(r.b[:n])
	r.b = r.b[n:]
	return s
}

// count reads a number of elements, each at least size bytes long, so that a damaged count cannot ask for
// memory.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail("count beyond the end")
		return 0
	}
	return int(n)
}

// enum reads a byte that must be between lo and hi.
func (r *reader) enum(what string, lo, hi byte) byte {
	v := r.u8()
	if v < lo || v > hi {
		r.fail("unknown " + what)
		return lo
	}
	return v
}

func (r *reader) revision() mvcc.Revision {
	v := r.uvarint()
	if v > 1<<63-1 {
		r.fail("revision out of range")
		return 0
	}
	return mvcc.Revision(v)
}

// request splits the next request off the entry; more is false at the end and after an error.
func (r *reader) request() (kind RequestKind, body reader, more bool) {
	if r.err != nil || len(r.b) == 0 {
		return 0, reader{}, false
	}
	kind = RequestKind(r.u8())
	n := r.uvarint()
	if r.err == nil && n > uint64(len(r.b)) {
		r.fail("request beyond the end")
	}
	if r.err != nil {
		return 0, reader{}, false
	}
	body.b = r.b[:n:n]
	r.b = r.b[n:]
	return kind, body, true
}

// end returns the reader's error, or one for what is left over.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("bytes after the end")
	}
	return r.err
}

// txn decodes a transaction into t, reusing its slices.
func (r *reader) txn(t *mvcc.Txn, depth int) {
	if depth > maxNesting {
		r.fail("transactions nested too deep")
		return
	}
	t.Compares = t.Compares[:0]
	for range r.count(5) {
		t.Compares = append(t.Compares, r.compare())
	}
	t.Then = r.ops(t.Then[:0], depth)
	t.Else = r.ops(t.Else[:0], depth)
}

func (r *reader) ops(dst []mvcc.Op, depth int) []mvcc.Op {
	for range r.count(4) {
		dst = append(dst, mvcc.Op{})
		r.op(&dst[len(dst)-1], depth)
		if r.err != nil {
			return dst[:0]
		}
	}
	if !mvcc.CheckLinks(dst) {
		r.fail("operations that cannot be linked")
	}
	return dst
}

func (r *reader) span() (s mvcc.Span) {
	s.Kind = mvcc.SpanKind(r.enum("span", 0, byte(mvcc.SpanFrom)))
	s.From = r.bytes()
	if s.Kind == mvcc.SpanRange {
		s.End = r.bytes()
	}
	return s
}

func (r *reader) compare() (c mvcc.Compare) {
	if c.Target = mvcc.CompareTarget(r.u8()); !c.Target.Known() {
		r.fail("unknown compare target")
	}
	c.Op = mvcc.CompareOp(r.enum("compare operator", byte(mvcc.CmpEqual), byte(mvcc.CmpGreater)))
	c.Span = r.span()
	if c.Target == mvcc.TargetValue {
		c.Value = r.bytes()
	} else {
		c.Num = r.varint()
	}
	return c
}

func (r *reader) op(o *mvcc.Op, depth int) {
	o.Kind = mvcc.OpKind(r.enum("operation", byte(mvcc.OpRange), byte(mvcc.OpPublish)))
	fields := r.u8()
	o.Span = r.span()
	if fields&fieldFlags != 0 {
		o.Flags = r.flags()
	}
	if fields&fieldValue != 0 {
		o.Value = r.bytes()
	}
	if fields&fieldLease != 0 {
		o.Lease = mvcc.LeaseID(r.u64())
	}
	if fields&fieldExpiry != 0 {
		o.Expiry.Mode = mvcc.ExpiryMode(r.enum("expiry mode", 0, byte(mvcc.ExpiryAt)))
		o.Expiry.MS = r.varint()
	}
	if fields&fieldModify != 0 {
		if o.Modify = mvcc.ModifyKind(r.u8()); !o.Modify.Known() {
			r.fail("unknown modification")
		}
	}
	if fields&fieldDelta != 0 {
		o.Delta = r.varint()
	}
	if fields&fieldRange != 0 {
		o.Range = r.rangeOptions()
	}
	if fields&fieldTxn != 0 {
		o.Txn = new(mvcc.Txn)
		r.txn(o.Txn, depth+1)
	}
	r.checkOp(o, fields)
}

// checkOp refuses a second encoding of the same operation and one that could not be applied.
func (r *reader) checkOp(o *mvcc.Op, fields byte) {
	switch {
	case r.err != nil:
	case fieldsOf(o) != fields:
		r.fail("field with its zero value")
	case (o.Kind == mvcc.OpModify) != (o.Modify != 0):
		r.fail("operation and modification do not fit")
	case (o.Kind == mvcc.OpTxn) != (o.Txn != nil):
		r.fail("operation and nested transaction do not fit")
	case o.Kind == mvcc.OpPublish && !isMessage(o):
		r.fail("malformed message")
	case o.CheckModify() != nil:
		r.fail("malformed modification")
	}
}

func isMessage(o *mvcc.Op) bool {
	return o.Span.Kind == mvcc.SpanKey && (o.Delta == publishChannel || o.Delta == publishShard)
}

func (r *reader) flags() mvcc.OpFlags {
	v := r.uvarint()
	const known = mvcc.FlagWithNext<<1 - 1 | mvcc.FlagElection | mvcc.FlagShared | mvcc.FlagTry
	if v&^uint64(known) != 0 {
		r.fail("unknown flag")
	}
	return mvcc.OpFlags(v)
}

func (r *reader) rangeOptions() (o mvcc.RangeOptions) {
	bits := r.enum("range option", 0, 3)
	o.Desc, o.CountOnly = bits&1 != 0, bits&2 != 0
	o.Sort = mvcc.SortTarget(r.enum("sort target", 0, byte(mvcc.SortValue)))
	o.Limit = r.varint()
	o.MinMod, o.MaxMod = r.revision(), r.revision()
	o.MinCreate, o.MaxCreate = r.revision(), r.revision()
	return o
}

// expire decodes the body of an Expire request, reusing dst.
func (r *reader) expire(dst []mvcc.ExpireKey) []mvcc.ExpireKey {
	dst = dst[:0]
	for range r.count(2) {
		dst = append(dst, mvcc.ExpireKey{Key: r.bytes(), Mod: r.revision()})
	}
	return dst
}

// memberRecord is what the log says of a member beside raft's configuration.
type memberRecord struct {
	ID         cluster.MemberID
	Name       string
	ClientAddr string
}

func (r *reader) member() memberRecord {
	return memberRecord{ID: cluster.MemberID(r.u64()), Name: r.bytes(), ClientAddr: r.bytes()}
}

func appendMember(b []byte, m memberRecord) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(m.ID))
	return appendBytes(appendBytes(b, m.Name), m.ClientAddr)
}

// clone returns a copy that does not alias the input.
func (m memberRecord) clone() memberRecord {
	return memberRecord{ID: m.ID, Name: strings.Clone(m.Name), ClientAddr: strings.Clone(m.ClientAddr)}
}
