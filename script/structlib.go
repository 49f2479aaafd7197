package script

import (
	endian "encoding/binary"
	"fmt"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The struct library: pack, unpack and size, with the formats that Redis documents. Its machine is the one of
// Redis's own: little-endian, an int of 4 bytes, a long and a size_t of 8, and no alignment unless asked for.
var structFunctions = library{
	"pack": (*run).structPack, "unpack": (*run).structUnpack, "size": (*run).structSize,
}

const (
	structMaxInt   = 32 // bytes of an integer
	structMaxAlign = 8
)

// structFormat walks the letters of a format.
type structFormat struct {
	r     *run
	L     *lua.LState
	rest  string
	big   bool
	align int
	name  string // of the function
}

func (r *run) structFormat(L *lua.LState, name string) *structFormat {
	return &structFormat{r: r, L: L, rest: r.str(L, 1), align: 1, name: name}
}

// next returns the next letter that stands for a value, its size, and the padding before it at a position;
// ok is false at the end. Letters that only set something are done on the way.
func (f *structFormat) next(at int) (letter byte, size, pad int, ok bool) {
	for f.rest != "" {
		f.r.work(f.L, 1)
		letter, f.rest = f.rest[0], f.rest[1:]
		size = f.size(letter)
		if !f.control(letter) {
			return letter, size, f.padding(letter, size, at), true
		}
	}
	return 0, 0, 0, false
}

func (f *structFormat) size(letter byte) int {
	switch letter {
	case 'B', 'b', 'x':
		return 1
	case 'H', 'h':
		return 2
	case 'L', 'l', 'T', 'd':
		return 8
	case 'f':
		return 4
	case 'c':
		return f.number(1)
	case 'i', 'I':
		n := f.number(4)
		if n > structMaxInt {
			f.r.fail(f.L, fmt.Sprintf("integral size %d is larger than limit of %d", n, structMaxInt))
		}
		return n
	}
	return 0
}

// number reads the digits that follow a letter.
func (f *structFormat) number(otherwise int) (n int) {
	if f.rest == "" || !isDigit(f.rest[0]) {
		return otherwise
	}
	for f.rest != "" && isDigit(f.rest[0]) {
		digit := int(f.rest[0] - '0')
		if n > math.MaxInt32/10 || n*10 > math.MaxInt32-digit {
			f.r.fail(f.L, "integral size overflow")
		}
		n, f.rest = n*10+digit, f.rest[1:]
	}
	return n
}

// control carries out a letter that stands for no value.
func (f *structFormat) control(letter byte) bool {
	switch letter {
	case '<', '>':
		f.big = letter == '>'
	case ' ':
	case '!':
		n := f.number(structMaxAlign)
		if n <= 0 || n&(n-1) != 0 {
			f.r.fail(f.L, fmt.Sprintf("alignment %d is not a power of 2", n))
		}
		f.align = n
	default:
		if strings.IndexByte("bBhHlLTiIxfdcs", letter) >= 0 {
			return false
		}
		if f.name == "size" && (letter|0x20 >= 'a' && letter|0x20 <= 'z' || isDigit(letter)) {
			return true // counts for nothing there
		}
		f.r.fail(f.L, fmt.Sprintf("bad argument #1 to '%s' (invalid format option '%c')", f.name, letter))
	}
	return true
}

func (f *structFormat) padding(letter byte, size, at int) int {
	if size == 0 || letter == 'c' {
		return 0
	}
	size = min(size, f.align)
	return (size - at&(size-1)) & (size - 1)
}

func (r *run) structPack(L *lua.LState) int {
	f, arg := r.structFormat(L, "pack"), 2
	var out []byte
	for {
		letter, size, pad, ok := f.next(len(out))
		if !ok {
			return r.push(L, lua.LString(out))
		}
		r.take(L, pad+size)
		out = append(out, make([]byte, pad)...)
		switch letter {
		case 'x':
			out = append(out, 0)
			continue
		case 'c', 's':
			out = append(out, f.packText(letter, size, arg)...)
		case 'f', 'd':
			out = append(out, f.packFloat(letter, r.number(L, arg))...)
		default:
			out = append(out, f.packInteger(size, r.number(L, arg))...)
		}
		arg++
	}
}

func (f *structFormat) packText(letter byte, size, arg int) string {
	s := f.r.str(f.L, arg)
	switch {
	case size == 0:
		size = len(s)
	case len(s) < size:
		f.r.fail(f.L, fmt.Sprintf("bad argument #%d to 'pack' (string too short)", arg+1))
	}
	f.r.take(f.L, size)
	if letter == 's' {
		return s[:size] + "\x00"
	}
	return s[:size]
}

func (f *structFormat) packInteger(size int, n float64) []byte {
	u := uint64(int64(n))
	if n >= 1<<63 {
		u = uint64(n)
	}
	out := make([]byte, size)
	for i := range out {
		at := i
		if f.big {
			at = size - 1 - i
		}
		out[at], u = byte(u), u>>8
	}
	return out
}

func (f *structFormat) packFloat(letter byte, n float64) []byte {
	var order endian.AppendByteOrder = endian.LittleEndian
	if f.big {
		order = endian.BigEndian
	}
	if letter == 'f' {
		return order.AppendUint32(nil, math.Float32bits(float32(n)))
	}
	return order.AppendUint64(nil, math.Float64bits(n))
}

func (r *run) structUnpack(L *lua.LState) int {
	f, data, at := r.structFormat(L, "unpack"), r.str(L, 2), r.optInt(L, 3, 1)-1
	if at < 0 {
		r.fail(L, "bad argument #3 to 'unpack' (offset must be 1 or greater)")
	}
	var out []lua.LValue
	for {
		letter, size, pad, ok := f.next(at)
		if !ok {
			break
		}
		at += pad
		if letter == 'c' && size == 0 {
			size, out = f.sizeBefore(out)
		}
		if at > len(data) || size > len(data)-at {
			r.fail(L, "bad argument #2 to 'unpack' (data string too short)")
		}
		if letter == 's' {
			if size = strings.IndexByte(data[at:], 0) + 1; size == 0 {
				r.fail(L, "unfinished string in data")
			}
		}
		if letter != 'x' {
			out = append(out, f.unpack(letter, data[at:at+size]))
		}
		if len(out) > maxUnpack {
			r.fail(L, "stack overflow (too many results)")
		}
		at += size
	}
	for _, v := range out {
		L.Push(v)
	}
	return len(out) + r.push(L, lua.LNumber(at+1))
}

// sizeBefore takes the size of a c0 from the value before it.
func (f *structFormat) sizeBefore(out []lua.LValue) (int, []lua.LValue) {
	last := len(out) - 1
	if last < 0 || out[last].Type() != lua.LTNumber {
		f.r.fail(f.L, "format 'c0' needs a previous size")
	}
	n := float64(out[last].(lua.LNumber))
	if !(n >= 0 && n <= math.MaxInt32) {
		f.r.fail(f.L, "bad argument #2 to 'unpack' (data string too short)")
	}
	return int(n), out[:last]
}

func (f *structFormat) unpack(letter byte, data string) lua.LValue {
	switch letter {
	case 'c':
		return f.r.textValue(f.L, data)
	case 's':
		return f.r.textValue(f.L, data[:len(data)-1])
	case 'f':
		return lua.LNumber(math.Float32frombits(uint32(f.bits(data))))
	case 'd':
		return lua.LNumber(math.Float64frombits(f.bits(data)))
	}
	u := f.bits(data)
	if letter < 'a' {
		return lua.LNumber(u)
	}
	if top := uint(len(data)*8-1) & 63; u>>top&1 != 0 {
		u |= ^uint64(0) << top
	}
	return lua.LNumber(int64(u))
}

func (f *structFormat) bits(data string) (u uint64) {
	for i := range len(data) {
		at := len(data) - 1 - i
		if f.big {
			at = i
		}
		u = u<<8 | uint64(data[at])
	}
	return u
}

func (r *run) structSize(L *lua.LState) int {
	f, at := r.structFormat(L, "size"), 0
	for {
		letter, size, pad, ok := f.next(at)
		switch {
		case !ok:
			return r.push(L, lua.LNumber(at))
		case letter == 's':
			r.fail(L, "bad argument #1 to 'size' (option 's' has no fixed size)")
		case letter == 'c' && size == 0:
			r.fail(L, "bad argument #1 to 'size' (option 'c0' has no fixed size)")
		}
		at += pad + size
	}
}
