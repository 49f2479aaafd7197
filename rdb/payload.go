package rdb

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
)

// MaxString bounds a string, as Redis does.
const MaxString = 512 << 20

const (
	typeString    = 0
	dumpVersion   = 10 // written: that of Redis 7.0
	newestVersion = 13 // read: the format of strings has not changed since version 1
	footerBytes   = 10
	lastType      = 26 // types up to here are known, and are not strings
	bits6         = 0x3f
	length14      = 0x40
	length32      = 0x80
	length64      = 0x81
	int8Text      = 0xc0
	int16Text     = 0xc1
	int32Text     = 0xc2
	packedText    = 0xc3
	longestInt    = 11 // bytes of the longest text of an int32
	lzfExpansion  = 132
)

// jones is the CRC's polynomial, reflected. Go's own crc64 inverts at both ends, which Redis does not.
var jones = crc64.MakeTable(0x95ac9329ac4bc9b5)

// addSum continues a sum; the sum of nothing is 0.
func addSum(sum uint64, b []byte) uint64 { return ^crc64.Update(^sum, jones, b) }

// Dump makes the payload of a value.
func Dump(value string) string {
	b := make([]byte, 0, len(value)+footerBytes+6)
	b = appendString(append(b, typeString), value)
	b = binary.LittleEndian.AppendUint16(b, dumpVersion)
	return string(binary.LittleEndian.AppendUint64(b, addSum(0, b)))
}

func appendString(b []byte, value string) []byte {
	if n, ok := shortInteger(value); ok {
		switch {
		case n == int64(int8(n)):
			return append(b, int8Text, byte(n))
		case n == int64(int16(n)):
			return binary.LittleEndian.AppendUint16(append(b, int16Text), uint16(n))
		default:
			return binary.LittleEndian.AppendUint32(append(b, int32Text), uint32(n))
		}
	}
	switch n := len(value); {
	case n <= bits6:
		b = append(b, byte(n))
	case n < 1<<14:
		b = append(b, length14|byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, length32), uint32(n))
	}
	return append(b, value...)
}

// shortInteger reports whether value is exactly what an integer of 32 bits is written like.
func shortInteger(value string) (int64, bool) {
	if len(value) > longestInt {
		return 0, false
	}
	n, err := strconv.ParseInt(value, 10, 32)
	return n, err == nil && strconv.FormatInt(n, 10) == value
}

// Undump reads a payload.
func Undump(payload []byte) (string, error) {
	if len(payload) < footerBytes {
		return "", ErrChecksum
	}
	body, footer := payload[:len(payload)-footerBytes], payload[len(payload)-footerBytes:]
	sum := binary.LittleEndian.Uint64(footer[2:])
	if binary.LittleEndian.Uint16(footer) > newestVersion || sum != addSum(0, payload[:len(payload)-8]) {
		return "", ErrChecksum
	}
	switch {
	case len(body) == 0:
		return "", ErrFormat
	case body[0] != typeString && body[0] <= lastType:
		return "", ErrType
	case body[0] != typeString:
		return "", ErrFormat
	}
	r := readerOf(body[1:])
	value := r.string()
	if r.bad || r.left > 0 {
		return "", ErrFormat
	}
	return value, nil
}
