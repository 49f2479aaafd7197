package commands

// The payload of DUMP and RESTORE is Redis's own, so that keys move both ways between the two:
//
//	payload = 0x00 (type: string), string, u16 version, u64 CRC        integers little-endian
//	string  = length, bytes
//	        | 0xc0 i8 | 0xc1 i16 | 0xc2 i32                            the decimal text of the integer
//	        | 0xc3 length (compressed), length (plain), LZF stream
//	length  = 00xxxxxx | 01xxxxxx u8 | 0x80 u32 | 0x81 u64             the last two big-endian
//	CRC     = CRC-64 of Jones, reflected, initial value 0, over all before it
//	LZF     = (000LLLLL, L+1 bytes | LLLooooo [L' if LLL is 7] oooooooo: L+2 bytes from o+1 back)…
//
// The idea: read everything Redis may write, write the plainest that every Redis from 4.0 on reads. Integers
// are written as Redis does, so short payloads are equal byte for byte; values are not compressed.
//
// Invariants: nothing is allocated on the word of a length that the payload cannot back: plain lengths are
// bounded by the bytes there are, LZF's by how far its format can expand them; every byte is used, or the
// payload is refused; a refused payload changes nothing, for it is read before the request is planned.
//
// Drawback: a dump of a compressible value is larger than Redis's.

import (
	"encoding/binary"
	"hash/crc64"
	"strconv"

	"github.com/redkeep/redkeep/mvcc"
)

const (
	rdbString     = 0  // type of the object
	rdbVersion    = 10 // written: that of Redis 7.0
	rdbNewest     = 13 // read: the format of strings has not changed since version 1
	rdbFooter     = 10
	rdbLastType   = 26 // types up to here are known, and are not strings
	rdb6bit       = 0x3f
	rdb14bit      = 0x40
	rdb32bit      = 0x80
	rdb64bit      = 0x81
	rdbInt8       = 0xc0
	rdbInt16      = 0xc1
	rdbInt32      = 0xc2
	rdbLZF        = 0xc3
	rdbMaxInteger = 11 // bytes of the longest text of an int32
	lzfExpansion  = 132
)

// jones is the CRC's polynomial, reflected. Go's own crc64 inverts at both ends, which Redis does not.
var jones = crc64.MakeTable(0x95ac9329ac4bc9b5)

func rdbSum(b []byte) uint64 { return ^crc64.Update(^uint64(0), jones, b) }

// dumpValue makes the payload of a value.
func dumpValue(value string) string {
	b := make([]byte, 0, len(value)+rdbFooter+6)
	b = appendRDBString(append(b, rdbString), value)
	b = binary.LittleEndian.AppendUint16(b, rdbVersion)
	return string(binary.LittleEndian.AppendUint64(b, rdbSum(b)))
}

func appendRDBString(b []byte, value string) []byte {
	if len(value) <= rdbMaxInteger {
		n, ok := parseInt([]byte(value))
		switch {
		case !ok || n != int64(int32(n)):
		case n == int64(int8(n)):
			return append(b, rdbInt8, byte(n))
		case n == int64(int16(n)):
			return binary.LittleEndian.AppendUint16(append(b, rdbInt16), uint16(n))
		default:
			return binary.LittleEndian.AppendUint32(append(b, rdbInt32), uint32(n))
		}
	}
	switch n := len(value); {
	case n <= rdb6bit:
		b = append(b, byte(n))
	case n < 1<<14:
		b = append(b, rdb14bit|byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, rdb32bit), uint32(n))
	}
	return append(b, value...)
}

// undumpValue reads a payload.
func undumpValue(payload []byte) (string, error) {
	if len(payload) < rdbFooter {
		return "", errDumpVersion
	}
	body, footer := payload[:len(payload)-rdbFooter], payload[len(payload)-rdbFooter:]
	sum := binary.LittleEndian.Uint64(footer[2:])
	if binary.LittleEndian.Uint16(footer) > rdbNewest || sum != rdbSum(payload[:len(payload)-8]) {
		return "", errDumpVersion
	}
	switch {
	case len(body) == 0:
		return "", errDumpFormat
	case body[0] != rdbString && body[0] <= rdbLastType:
		return "", errDumpType
	case body[0] != rdbString:
		return "", errDumpFormat
	}
	r := rdbReader{b: body[1:]}
	value := r.string()
	if r.bad || len(r.b) > 0 || len(value) > mvcc.MaxValueBytes {
		return "", errDumpFormat
	}
	return value, nil
}

// rdbReader takes a body apart. After something malformed it is bad and every result is zero.
type rdbReader struct {
	b   []byte
	bad bool
}

// take returns the next n bytes.
func (r *rdbReader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return make([]byte, min(n, 8))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *rdbReader) length() uint64 {
	first := r.take(1)[0]
	switch {
	case first == rdb32bit:
		return uint64(binary.BigEndian.Uint32(r.take(4)))
	case first == rdb64bit:
		return binary.BigEndian.Uint64(r.take(8))
	case first>>6 == 0:
		return uint64(first)
	case first>>6 == 1:
		return uint64(first&rdb6bit)<<8 | uint64(r.take(1)[0])
	default:
		r.take(uint64(len(r.b)) + 1)
		return 0
	}
}

func (r *rdbReader) string() string {
	if len(r.b) == 0 || r.b[0]>>6 != 3 {
		n := r.length()
		if r.bad {
			return ""
		}
		return string(r.take(n))
	}
	switch r.take(1)[0] {
	case rdbInt8:
		return strconv.Itoa(int(int8(r.take(1)[0])))
	case rdbInt16:
		return strconv.Itoa(int(int16(binary.LittleEndian.Uint16(r.take(2)))))
	case rdbInt32:
		return strconv.Itoa(int(int32(binary.LittleEndian.Uint32(r.take(4)))))
	case rdbLZF:
		return r.lzf()
	default:
		r.bad = true
		return ""
	}
}

func (r *rdbReader) lzf() string {
	packed, plain := r.length(), r.length()
	if r.bad || packed > uint64(len(r.b)) || plain > packed*lzfExpansion || plain > mvcc.MaxValueBytes {
		r.bad = true
		return ""
	}
	out := make([]byte, 0, min(plain, 4*packed))
	for in := (&rdbReader{b: r.take(packed)}); len(in.b) > 0 && !r.bad; {
		out = in.unpack(out)
		r.bad = in.bad || uint64(len(out)) > plain
	}
	r.bad = r.bad || uint64(len(out)) != plain
	return string(out)
}

// unpack appends what the next instruction of an LZF stream says: bytes that follow, or bytes said before.
func (r *rdbReader) unpack(out []byte) []byte {
	head := uint64(r.take(1)[0])
	size := head >> 5
	if size == 0 {
		return append(out, r.take(head+1)...)
	}
	if size == 7 {
		size += uint64(r.take(1)[0])
	}
	back := int(head&0x1f)<<8 + int(r.take(1)[0]) + 1
	if r.bad || back > len(out) {
		r.bad = true
		return out
	}
	for range size + 2 {
		out = append(out, out[len(out)-back])
	}
	return out
}
