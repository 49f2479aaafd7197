package raftfsm

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unsafe"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// The log format, version 2. All fixed integers are big-endian; uvarint and varint are those of
// encoding/binary; bytes is a uvarint length followed by that many bytes.
//
//	entry   = header request…
//	header  =  0  u8   version (2)
//	           1  u32  CRC-32C of everything after this field
//	           5  u64  origin: the process that sealed the batch, a random number per start
//	          13  u64  batch: its number at the origin
//	          21  u64  term the batch is meant for; in an entry of another term it is void
//	          29  u64  time in Unix milliseconds, stamped by the leader
//	          37  u32  number of requests
//	          41  u64  quota in bytes, stamped by the leader: see mvcc.Batch.SetQuota (not in version 1)
//	request = u8 kind, bytes body
//
//	Txn         = uvarint n, compare × n, uvarint n, op × n, uvarint n, op × n
//	Expire      = uvarint n, (bytes key, uvarint mod_revision) × n
//	Compact     = uvarint revision
//	Publish     = u8 kind (0 channel, 1 sharded channel), bytes channel, bytes payload
//	Member      = u64 id, bytes name, bytes client address; without a name: the member was removed
//	User        = uvarint version it is made from, uvarint n, (u8 2, bytes name | u8 1, bytes name, bytes
//	              rules) × n
//	LeaderStart = u64 member id
//	the requests about leases: leasecodec.go; Alarm: alarm.go
//
//	span    = u8 kind, bytes from, bytes end if kind is SpanRange
//	compare = u8 target, u8 operator, span, (bytes value if TargetValue, else varint number)
//	op      = u8 kind, u8 fields, span, then the fields whose bit is set, in this order:
//	          bit 0 uvarint flags · 1 bytes value · 2 u64 lease · 3 u8 mode, varint ms (expiry)
//	          4 u8 modify · 5 varint delta · 6 range options · 7 Txn body
//	          (of OpPublish the span is the channel and delta 1 means a sharded one; an OpTxn with the expiry
//	          ExpiryAt is a step of a script, at that time: see mvcc.StepOp)
//	range options = u8 bits (1 desc, 2 count only), u8 sort, varint limit,
//	          uvarint min mod, max mod, min create, max create
//
// A field with its zero value is never written and refused when read, so each request has exactly
// one encoding. Kinds are never renumbered; a new field or kind makes a new version.
const (
	codecVersion = 2
	headerSize   = 49
	headerSizeV1 = 41 // version 1, which is still read, ends before the quota
	maxNesting   = 8  // of transactions, the outermost included
)

// RequestKind is the kind of a request in the log. The values are part of the log format.
type RequestKind uint8

// The closed vocabulary of the log. Kinds without a decoder here keep their number reserved.
const (
	ReqTxn RequestKind = 1 + iota
	ReqLeaseGrant
	ReqLeaseRevoke
	ReqLeaseCheckpoint
	ReqExpire
	ReqCompact
	ReqPublish
	ReqMember
	ReqUser
	ReqAlarm
	ReqLeaderStart
)

// Header is the part of an entry that says where it comes from and when.
type Header struct {
	Origin uint64
	Batch  uint64
	Term   cluster.Term
	Time   mvcc.UnixMilli
	Count  uint32
	Quota  int64 // of the state, in bytes; 0: none
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// putHeader writes the header into the first headerSize bytes of entry and computes the checksum.
func putHeader(entry []byte, h Header) {
	entry[0] = codecVersion
	binary.BigEndian.PutUint64(entry[5:], h.Origin)
	binary.BigEndian.PutUint64(entry[13:], h.Batch)
	binary.BigEndian.PutUint64(entry[21:], uint64(h.Term))
	binary.BigEndian.PutUint64(entry[29:], uint64(h.Time))
	binary.BigEndian.PutUint32(entry[37:], h.Count)
	binary.BigEndian.PutUint64(entry[41:], uint64(h.Quota))
	binary.BigEndian.PutUint32(entry[1:], crc32.Checksum(entry[5:], castagnoli))
}

// readHeader verifies version and checksum of an entry and returns its header and its requests.
func readHeader(entry []byte) (Header, []byte, error) {
	if err := CheckEntry(entry); err != nil {
		return Header{}, nil, err
	}
	h := Header{
		Origin: binary.BigEndian.Uint64(entry[5:]),
		Batch:  binary.BigEndian.Uint64(entry[13:]),
		Term:   cluster.Term(binary.BigEndian.Uint64(entry[21:])),
		Time:   mvcc.UnixMilli(binary.BigEndian.Uint64(entry[29:])),
		Count:  binary.BigEndian.Uint32(entry[37:]),
	}
	if entry[0] == 1 {
		return h, entry[headerSizeV1:], nil
	}
	h.Quota = max(int64(binary.BigEndian.Uint64(entry[41:])), 0)
	return h, entry[headerSize:], nil
}

// CheckEntry verifies version and checksum of a log entry. It is safe for concurrent use.
func CheckEntry(entry []byte) error {
	switch {
	case len(entry) < headerSizeV1, entry[0] == codecVersion && len(entry) < headerSize:
		return fmt.Errorf("%w: entry of %d bytes", ErrCodec, len(entry))
	case entry[0] < 1, entry[0] > codecVersion:
		return fmt.Errorf("%w: version %d, this program reads up to version %d", ErrCodec, entry[0], codecVersion)
	}
	sum := crc32.Checksum(entry[5:], castagnoli)
	if want := binary.BigEndian.Uint32(entry[1:]); sum != want {
		return fmt.Errorf("%w: checksum %08x, computed %08x", ErrCodec, want, sum)
	}
	return nil
}

func appendBytes(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendRequest appends one request; body is called to append its body.
func appendRequest(b []byte, kind RequestKind, body func([]byte) []byte) []byte {
	b = append(b, byte(kind))
	start := len(b)
	b = body(append(b, 0)) // most bodies are shorter than 128 bytes: one length byte
	return fixLength(b, start)
}

// fixLength writes the length of b[start+1:] at start, moving the body if it needs more than one byte.
func fixLength(b []byte, start int) []byte {
	size := len(b) - start - 1
	if size < 0x80 {
		b[start] = byte(size)
		return b
	}
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(size))
	b = append(b, length[:n-1]...)
	copy(b[start+n:], b[start+1:start+1+size])
	copy(b[start:], length[:n])
	return b
}

func appendSpan(b []byte, s mvcc.Span) []byte {
	b = append(b, byte(s.Kind))
	b = appendBytes(b, s.From)
	if s.Kind == mvcc.SpanRange {
		b = appendBytes(b, s.End)
	}
	return b
}

func appendTxn(b []byte, t *mvcc.Txn) []byte {
	b = binary.AppendUvarint(b, uint64(len(t.Compares)))
	for i := range t.Compares {
		b = appendCompare(b, &t.Compares[i])
	}
	for _, branch := range [2][]mvcc.Op{t.Then, t.Else} {
		b = binary.AppendUvarint(b, uint64(len(branch)))
		for i := range branch {
			b = appendOp(b, &branch[i])
		}
	}
	return b
}

func appendCompare(b []byte, c *mvcc.Compare) []byte {
	b = appendSpan(append(b, byte(c.Target), byte(c.Op)), c.Span)
	if c.Target == mvcc.TargetValue {
		return appendBytes(b, c.Value)
	}
	return binary.AppendVarint(b, c.Num)
}

// The bits of an op's field byte.
const (
	fieldFlags = 1 << iota
	fieldValue
	fieldLease
	fieldExpiry
	fieldModify
	fieldDelta
	fieldRange
	fieldTxn
)

func fieldsOf(o *mvcc.Op) (fields byte) {
	set := func(bit byte, present bool) {
		if present {
			fields |= bit
		}
	}
	set(fieldFlags, o.Flags != 0)
	set(fieldValue, o.Value != "")
	set(fieldLease, o.Lease != 0)
	set(fieldExpiry, o.Expiry != mvcc.Expiry{})
	set(fieldModify, o.Modify != 0)
	set(fieldDelta, o.Delta != 0)
	set(fieldRange, o.Range != mvcc.RangeOptions{})
	set(fieldTxn, o.Txn != nil)
	return fields
}

func appendOp(b []byte, o *mvcc.Op) []byte {
	fields := fieldsOf(o)
	b = appendSpan(append(b, byte(o.Kind), fields), o.Span)
	if fields&fieldFlags != 0 {
		b = binary.AppendUvarint(b, uint64(o.Flags))
	}
	if fields&fieldValue != 0 {
		b = appendBytes(b, o.Value)
	}
	if fields&fieldLease != 0 {
		b = binary.BigEndian.AppendUint64(b, uint64(o.Lease))
	}
	if fields&fieldExpiry != 0 {
		b = binary.AppendVarint(append(b, byte(o.Expiry.Mode)), o.Expiry.MS)
	}
	if fields&fieldModify != 0 {
		b = append(b, byte(o.Modify))
	}
	if fields&fieldDelta != 0 {
		b = binary.AppendVarint(b, o.Delta)
	}
	if fields&fieldRange != 0 {
		b = appendRangeOptions(b, &o.Range)
	}
	if fields&fieldTxn != 0 {
		b = appendTxn(b, o.Txn)
	}
	return b
}

func appendRangeOptions(b []byte, o *mvcc.RangeOptions) []byte {
	var bits byte
	if o.Desc {
		bits |= 1
	}
	if o.CountOnly {
		bits |= 2
	}
	b = binary.AppendVarint(append(b, bits, byte(o.Sort)), o.Limit)
	for _, r := range [4]mvcc.Revision{o.MinMod, o.MaxMod, o.MinCreate, o.MaxCreate} {
		b = binary.AppendUvarint(b, uint64(r))
	}
	return b
}

// str views b as a string without copying. Entries are never changed once they are read.
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
