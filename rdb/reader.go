package rdb

import (
	"encoding/binary"
	"io"
	"strconv"
)

// windowBytes is what is read from a file at a time.
const windowBytes = 256 << 10

// reader takes bytes apart. After something malformed it is bad, and every result is zero.
//
// Invariant: left is what is left of the file, and no more than that is ever taken or allocated.
type reader struct {
	window []byte    // read, and not yet taken
	in     io.Reader // gives what is behind the window; nil when nothing is
	left   uint64    // bytes not yet taken, those of the window included
	buffer []byte    // what window is a part of
	bad    bool
	err    error // of in
}

func readerOf(b []byte) *reader { return &reader{window: b, left: uint64(len(b))} }

// take returns the next n bytes, valid until the next call.
func (r *reader) take(n uint64) []byte {
	if r.bad || n > r.left || n > uint64(len(r.window)) && !r.fill(int(n)) {
		r.spoil()
		return make([]byte, min(n, 16))
	}
	out := r.window[:n]
	r.window = r.window[n:]
	r.left -= n
	return out
}

func (r *reader) spoil() { r.bad, r.window = true, nil }

// fill makes the window n bytes or longer. REQUIRES: n <= left.
func (r *reader) fill(n int) bool {
	if r.in == nil {
		return false
	}
	if n > len(r.buffer) || n <= windowBytes && len(r.buffer) > windowBytes {
		r.buffer = append(make([]byte, 0, max(n, windowBytes)), r.window...)
		r.buffer = r.buffer[:cap(r.buffer)]
	} else {
		copy(r.buffer, r.window)
	}
	have := len(r.window)
	got, err := io.ReadAtLeast(r.in, r.buffer[have:], n-have)
	r.window = r.buffer[:have+got]
	if err != nil {
		r.err = err
	}
	return err == nil
}

// skip passes over n bytes.
func (r *reader) skip(n uint64) {
	for n > 0 && !r.bad {
		part := min(n, max(uint64(len(r.window)), windowBytes/2))
		r.take(part)
		n -= part
	}
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) uint64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

func (r *reader) length() uint64 {
	n, isLength := r.lengthOr()
	if !isLength {
		r.spoil()
		return 0
	}
	return n
}

// lengthOr reads a length, or the byte that says in which other way a string is written.
func (r *reader) lengthOr() (n uint64, isLength bool) {
	first := r.byte()
	switch {
	case first == length32:
		return uint64(binary.BigEndian.Uint32(r.take(4))), true
	case first == length64:
		return binary.BigEndian.Uint64(r.take(8)), true
	case first>>6 == 0:
		return uint64(first), true
	case first>>6 == 1:
		return uint64(first&bits6)<<8 | uint64(r.byte()), true
	default:
		return uint64(first), false
	}
}

func (r *reader) string() string {
	n, isLength := r.lengthOr()
	if isLength {
		if n > MaxString {
			r.spoil()
		}
		return r.text(n)
	}
	switch n {
	case int8Text:
		return strconv.Itoa(int(int8(r.byte())))
	case int16Text:
		return strconv.Itoa(int(int16(binary.LittleEndian.Uint16(r.take(2)))))
	case int32Text:
		return strconv.Itoa(int(int32(binary.LittleEndian.Uint32(r.take(4)))))
	case packedText:
		return r.lzf()
	default:
		r.spoil()
		return ""
	}
}

func (r *reader) text(n uint64) string {
	b := r.take(n)
	if r.bad {
		return ""
	}
	return string(b)
}

// skipString passes over a string without making it.
func (r *reader) skipString() {
	n, isLength := r.lengthOr()
	switch {
	case isLength:
		r.skip(n)
	case n >= int8Text && n <= int32Text:
		r.skip(1 << (n - int8Text))
	case n == packedText:
		packed := r.length()
		r.length()
		r.skip(packed)
	default:
		r.spoil()
	}
}

func (r *reader) lzf() string {
	packed, plain := r.length(), r.length()
	if r.bad || packed > r.left || plain > packed*lzfExpansion || plain > MaxString {
		r.spoil()
		return ""
	}
	out := make([]byte, 0, min(plain, 4*packed))
	for in := readerOf(r.take(packed)); in.left > 0 && !r.bad; {
		out = in.unpack(out)
		r.bad = r.bad || in.bad || uint64(len(out)) > plain
	}
	if r.bad || uint64(len(out)) != plain {
		r.spoil()
		return ""
	}
	return string(out)
}

// unpack appends what the next instruction of an LZF stream says: bytes that follow, or bytes said before.
func (r *reader) unpack(out []byte) []byte {
	head := uint64(r.byte())
	size := head >> 5
	if size == 0 {
		return append(out, r.take(head+1)...)
	}
	if size == 7 {
		size += uint64(r.byte())
	}
	back := int(head&0x1f)<<8 + int(r.byte()) + 1
	if r.bad || back > len(out) {
		r.spoil()
		return out
	}
	for range size + 2 {
		out = append(out, out[len(out)-back])
	}
	return out
}
