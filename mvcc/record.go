package mvcc

import (
	"fmt"
	"math/bits"
	"unsafe"
)

// A record is one string, encoded once when it is written:
//
//	offset  bytes  field
//	0       8      main revision, big-endian            \ stamp: also a key in the history,
//	8       4      sub, big-endian                      / by slicing this same string
//	12      1      bits 0-1 kind, bit 2 has lease, bit 3 has deadline, 4-7 Mark   \
//	13      8      create revision, big-endian                                    |
//	21      1-10   version, uvarint                                               | the encoded
//	..      8      lease, big-endian, if bit 2                                    | form, as in
//	..      8      deadline, Unix milliseconds, big-endian, if bit 3              | snapshots
//	..      1-5    key length, uvarint                                            |
//	..      n      key                                                            |
//	..      rest   value                                                          /
//
// The head of a key, its past, the history, events and results all hold this one string: a record is
// copied once when written and never again. Keeping the stamp inside saves an allocation for each
// history key and makes a Record two words. The drawback is that reading a field parses a few bytes,
// and that any field kept alive keeps the whole record alive.
//
// A delete or expiry has create revision 0, version 0, no lease, no deadline and no value. Encodings
// are canonical (shortest uvarints, no zero lease or deadline): equal records are equal bytes, which
// the state hash relies on.
const (
	stampBytes  = 12
	kindOffset  = 12
	createBytes = 8
	fixedBytes  = kindOffset + 1 + createBytes

	kindMask    = 0x03
	hasLease    = 0x04
	hasDeadline = 0x08
)

// MaxValueBytes bounds a value, as Redis bounds a string.
const MaxValueBytes = 512 << 20

// RecordKind tells what a record did to its key. The values are part of the snapshot format.
type RecordKind uint8

const (
	KindPut    RecordKind = 1 + iota // the key has a value
	KindDelete                       // deleted by a command
	KindExpire                       // its deadline passed or its lease ran out
)

// Record is an immutable handle on one encoded record; the zero Record means "no such key". Records
// are comparable, two words, and may be kept: a kept one keeps its key and value in memory. All
// methods are safe for concurrent use, and all but Exists and Kind want a record that is not zero.
type Record struct{ enc string }

// Exists reports whether the key had a value: false for the zero Record, a delete and an expiry.
func (r Record) Exists() bool { return r.Kind() == KindPut }

// Kind returns what the record did; 0 for the zero Record.
func (r Record) Kind() RecordKind {
	if r.enc == "" {
		return 0
	}
	return RecordKind(r.enc[kindOffset] & kindMask)
}

// ModRevision returns the revision that wrote the record.
func (r Record) ModRevision() Revision { return Revision(be64(r.enc)) }

// Sub returns the record's place among those of its revision, from 0.
func (r Record) Sub() uint32 { return be32(r.enc[8:]) }

// CreateRevision returns the revision that created the key; 0 for a delete.
func (r Record) CreateRevision() Revision { return Revision(be64(r.enc[kindOffset+1:])) }

// Version returns how many times the key was written since it was created; 0 for a delete.
func (r Record) Version() int64 {
	v, _ := uvarint(r.enc[fixedBytes:])
	return int64(v)
}

// Lease returns the lease the key hangs on; 0 for none.
func (r Record) Lease() LeaseID {
	if r.enc[kindOffset]&hasLease == 0 {
		return 0
	}
	return LeaseID(be64(r.enc[r.afterVersion():]))
}

// Deadline returns when the key expires; 0 for never.
func (r Record) Deadline() UnixMilli {
	if r.enc[kindOffset]&hasDeadline == 0 {
		return 0
	}
	at := r.afterVersion()
	if r.enc[kindOffset]&hasLease != 0 {
		at += 8
	}
	return UnixMilli(be64(r.enc[at:]))
}

// Key returns the key. It shares the record's memory and may be kept.
func (r Record) Key() string {
	from, to := r.keyBounds()
	return r.enc[from:to]
}

// Value returns the value. It shares the record's memory and may be kept.
func (r Record) Value() string {
	_, to := r.keyBounds()
	return r.enc[to:]
}

// Encoded returns the record without its stamp, as DecodeRecord takes it.
func (r Record) Encoded() string { return r.enc[stampBytes:] }

// before orders records by (main, sub).
func (r Record) before(o Record) bool { return r.enc[:stampBytes] < o.enc[:stampBytes] }

// same reports whether two handles are of the same record in the same place of memory.
func (r Record) same(o Record) bool {
	return unsafe.StringData(r.enc) == unsafe.StringData(o.enc) && len(r.enc) == len(o.enc)
}

// due reports whether the record has a deadline that is not after now.
func (r Record) due(now UnixMilli) bool {
	d := r.Deadline()
	return d != 0 && d <= now
}

func (r Record) afterVersion() int {
	at := fixedBytes
	for r.enc[at] >= 0x80 {
		at++
	}
	return at + 1
}

func (r Record) keyBounds() (from, to int) {
	at := r.afterVersion() + optionalBytes(r.enc[kindOffset])
	n, width := uvarint(r.enc[at:])
	return at + width, at + width + int(n)
}

// fields is a record before it is encoded.
type fields struct {
	mod      Revision
	sub      uint32
	kind     RecordKind
	create   Revision
	version  int64
	lease    LeaseID
	deadline UnixMilli
	key      string
	value    string
	tail     string // appended to value: lets APPEND copy once
	mark     Mark
}

// size is how many bytes encode writes.
func (f *fields) size() int {
	return fixedBytes + uvarintLen(uint64(f.version)) + optionalBytes(f.flags()) +
		uvarintLen(uint64(len(f.key))) + len(f.key) + len(f.value) + len(f.tail)
}

func (f *fields) flags() byte {
	flags := byte(f.kind) | byte(f.mark)
	if f.lease != 0 {
		flags |= hasLease
	}
	if f.deadline != 0 {
		flags |= hasDeadline
	}
	return flags
}

// encode makes a record in b, which is empty and has room for it. It copies key and value.
func (f *fields) encode(b []byte) Record {
	b = append64(b, uint64(f.mod))
	b = append(b, byte(f.sub>>24), byte(f.sub>>16), byte(f.sub>>8), byte(f.sub), f.flags())
	b = append64(b, uint64(f.create))
	b = appendUvarint(b, uint64(f.version))
	if f.lease != 0 {
		b = append64(b, uint64(f.lease))
	}
	if f.deadline != 0 {
		b = append64(b, uint64(f.deadline))
	}
	b = appendUvarint(b, uint64(len(f.key)))
	b = append(b, f.key...)
	b = append(b, f.value...)
	b = append(b, f.tail...)
	return Record{enc: unsafe.String(&b[0], len(b))} // b is not written again
}

// DecodeRecord checks an encoded record from a snapshot and gives it its stamp. It copies enc. The
// error wraps ErrBadRecord.
func DecodeRecord(mod Revision, sub uint32, enc string) (Record, error) {
	return decodeRecord(make([]byte, 0, stampBytes+len(enc)), mod, sub, enc)
}

// decodeRecord makes the record in b, which is empty and has room for it.
func decodeRecord(b []byte, mod Revision, sub uint32, enc string) (Record, error) {
	b = append64(b, uint64(mod))
	b = append(b, byte(sub>>24), byte(sub>>16), byte(sub>>8), byte(sub))
	b = append(b, enc...)
	r := Record{enc: unsafe.String(&b[0], len(b))} // b is not written again
	if err := r.validate(); err != nil {
		return Record{}, err
	}
	return r, nil
}

// validate checks everything that encode guarantees about one record.
func (r Record) validate() error {
	switch {
	case len(r.enc) <= fixedBytes:
		return r.bad("too short")
	case r.Kind() == 0:
		return r.bad("unknown kind")
	case r.ModRevision() <= 0:
		return r.bad("revision is not positive")
	}
	version, width := uvarint(r.enc[fixedBytes:])
	if width == 0 || version > 1<<62 {
		return r.bad("version")
	}
	at := fixedBytes + width + optionalBytes(r.enc[kindOffset])
	if at >= len(r.enc) {
		return r.bad("too short")
	}
	n, width := uvarint(r.enc[at:])
	if width == 0 || n > uint64(len(r.enc)-at-width) {
		return r.bad("key length")
	}
	if len(r.Value()) > MaxValueBytes {
		return r.bad("value too long")
	}
	return r.validateFields()
}

func (r Record) validateFields() error {
	flags := r.enc[kindOffset]
	if !r.Exists() {
		if flags > kindMask || r.CreateRevision() != 0 || r.Version() != 0 || r.Value() != "" {
			return r.bad("delete with content")
		}
		return nil
	}
	switch create := r.CreateRevision(); {
	case create <= 0 || create > r.ModRevision():
		return r.bad("create revision")
	case r.Version() < 1:
		return r.bad("version")
	case flags&hasLease != 0 && r.Lease() == 0:
		return r.bad("lease")
	case flags&hasDeadline != 0 && r.Deadline() == 0:
		return r.bad("deadline")
	case !r.validMark():
		return r.bad("mark")
	}
	return nil
}

func (r Record) bad(what string) error { return fmt.Errorf("%w: %s", ErrBadRecord, what) }

func optionalBytes(flags byte) int {
	return bits.OnesCount8(flags&(hasLease|hasDeadline)) * 8
}

func be64(s string) uint64 {
	_ = s[7]
	return uint64(s[7]) | uint64(s[6])<<8 | uint64(s[5])<<16 | uint64(s[4])<<24 |
		uint64(s[3])<<32 | uint64(s[2])<<40 | uint64(s[1])<<48 | uint64(s[0])<<56
}

func be32(s string) uint32 {
	_ = s[3]
	return uint32(s[3]) | uint32(s[2])<<8 | uint32(s[1])<<16 | uint32(s[0])<<24
}

func append64(b []byte, v uint64) []byte {
	return append(b, byte(v>>56), byte(v>>48), byte(v>>40), byte(v>>32),
		byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func appendUvarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// uvarint returns width 0 for an encoding that is cut off, too long or not the shortest.
func uvarint(s string) (v uint64, width int) {
	for i := 0; i < len(s) && i < 10; i++ {
		c := s[i]
		if c < 0x80 {
			if i > 0 && c == 0 || i == 9 && c > 1 {
				return 0, 0
			}
			return v | uint64(c)<<(7*i), i + 1
		}
		v |= uint64(c&0x7f) << (7 * i)
	}
	return 0, 0
}
