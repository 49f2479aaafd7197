package script

import (
	endian "encoding/binary"
	"fmt"
	"math"

	lua "github.com/yuin/gopher-lua"
)

// cmsgpack: MessagePack as Redis's scripts have it. A table whose keys are exactly 1 to n is an array, any
// other a map, in this interpreter's order; what cannot be told, and tables below the 16th level, is nil.

var msgpackFunctions = library{
	"pack": (*run).msgpackPack, "unpack": (*run).msgpackUnpack, "unpack_one": (*run).msgpackUnpackOne,
	"unpack_limit": (*run).msgpackUnpackLimit,
}

var msgpackValues = map[string]lua.LValue{
	"_NAME": lua.LString("cmsgpack"), "_VERSION": lua.LString("lua-cmsgpack 0.4.0"),
}

const (
	msgpackNesting = 16   // of tables that are packed
	msgpackDepth   = 1000 // of what is unpacked
)

func (r *run) msgpackPack(L *lua.LState) int {
	if L.GetTop() == 0 {
		r.fail(L, "bad argument #0 to 'pack' (MessagePack pack needs input.)")
	}
	p := msgpacker{r: r, L: L}
	for i := range L.GetTop() {
		p.value(L.Get(i+1), 0)
	}
	return r.push(L, lua.LString(p.out))
}

type msgpacker struct {
	r   *run
	L   *lua.LState
	out []byte
}

func (p *msgpacker) add(b ...byte) {
	p.r.take(p.L, len(b))
	p.out = append(p.out, b...)
}

func (p *msgpacker) value(v lua.LValue, depth int) {
	switch v := v.(type) {
	case lua.LString:
		p.text(string(v))
	case lua.LBool:
		if v {
			p.add(0xc3)
		} else {
			p.add(0xc2)
		}
	case lua.LNumber:
		p.number(float64(v))
	case *lua.LTable:
		if depth == msgpackNesting {
			p.add(0xc0)
			return
		}
		p.table(v, depth+1)
	default:
		p.add(0xc0)
	}
}

// sized adds a length behind the first tag that has room for it; tags are for 8 (0: none), 16 and 32 bits.
func (p *msgpacker) sized(n int, tags [3]byte) {
	switch {
	case n <= math.MaxUint8 && tags[0] != 0:
		p.add(tags[0], byte(n))
	case n <= math.MaxUint16:
		p.add(endian.BigEndian.AppendUint16([]byte{tags[1]}, uint16(n))...)
	default:
		p.add(endian.BigEndian.AppendUint32([]byte{tags[2]}, uint32(n))...)
	}
}

func (p *msgpacker) text(s string) {
	if len(s) <= 31 {
		p.add(0xa0 | byte(len(s)))
	} else {
		p.sized(len(s), [3]byte{0xd9, 0xda, 0xdb})
	}
	p.r.take(p.L, len(s))
	p.out = append(p.out, s...)
}

func (p *msgpacker) number(f float64) {
	if n := int64(f); f >= -1<<63 && f < 1<<63 && float64(n) == f {
		p.integer(n)
		return
	}
	if float64(float32(f)) == f {
		p.add(endian.BigEndian.AppendUint32([]byte{0xca}, math.Float32bits(float32(f)))...)
		return
	}
	p.add(endian.BigEndian.AppendUint64([]byte{0xcb}, math.Float64bits(f))...)
}

func (p *msgpacker) integer(n int64) {
	switch {
	case n >= -32 && n <= math.MaxInt8:
		p.add(byte(n))
	case n > 0 && n <= math.MaxUint8:
		p.add(0xcc, byte(n))
	case n > 0 && n <= math.MaxUint16:
		p.add(endian.BigEndian.AppendUint16([]byte{0xcd}, uint16(n))...)
	case n > 0 && n <= math.MaxUint32:
		p.add(endian.BigEndian.AppendUint32([]byte{0xce}, uint32(n))...)
	case n > 0:
		p.add(endian.BigEndian.AppendUint64([]byte{0xcf}, uint64(n))...)
	case n >= math.MinInt8:
		p.add(0xd0, byte(n))
	case n >= math.MinInt16:
		p.add(endian.BigEndian.AppendUint16([]byte{0xd1}, uint16(n))...)
	case n >= math.MinInt32:
		p.add(endian.BigEndian.AppendUint32([]byte{0xd2}, uint32(n))...)
	default:
		p.add(endian.BigEndian.AppendUint64([]byte{0xd3}, uint64(n))...)
	}
}

func (p *msgpacker) table(t *lua.LTable, depth int) {
	pairs, isArray := p.shape(t)
	if isArray {
		if pairs <= 15 {
			p.add(0x90 | byte(pairs))
		} else {
			p.sized(pairs, [3]byte{0, 0xdc, 0xdd})
		}
		for i := range pairs {
			p.value(t.RawGetInt(i+1), depth)
		}
		return
	}
	if pairs <= 15 {
		p.add(0x80 | byte(pairs))
	} else {
		p.sized(pairs, [3]byte{0, 0xde, 0xdf})
	}
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		p.value(k, depth)
		p.value(v, depth)
	}
}

// shape counts the pairs of a table and tells whether their keys are 1 to that number.
func (p *msgpacker) shape(t *lua.LTable) (pairs int, isArray bool) {
	isArray = true
	most := 0.0
	for k, _ := t.Next(lua.LNil); k != lua.LNil; k, _ = t.Next(k) {
		p.r.work(p.L, 1)
		pairs++
		n, ok := k.(lua.LNumber)
		isArray = isArray && ok && n > 0 && float64(n) == math.Floor(float64(n))
		most = max(most, float64(n))
	}
	return pairs, isArray && most == float64(pairs)
}

func (r *run) msgpackUnpack(L *lua.LState) int { return r.unpackMessages(L, 0, 0) }

func (r *run) msgpackUnpackOne(L *lua.LState) int { return r.unpackMessages(L, 1, r.optInt(L, 2, 0)) }

func (r *run) msgpackUnpackLimit(L *lua.LState) int {
	return r.unpackMessages(L, r.int(L, 2), r.optInt(L, 3, 0))
}

// unpackMessages returns at most so many values from an offset on, all of them if both are 0; else they stand
// behind the offset of what follows, or -1 at the end.
func (r *run) unpackMessages(L *lua.LState, limit, offset int) int {
	data := r.str(L, 1)
	switch {
	case limit < 0 || offset < 0:
		r.fail(L, fmt.Sprintf("Invalid request to unpack with offset of %d and limit of %d.", offset, len(data)))
	case offset > len(data):
		r.fail(L, fmt.Sprintf("Start offset %d greater than input length %d.", offset, len(data)))
	}
	all := limit == 0 && offset == 0
	u := msgunpacker{r: r, L: L, rest: data[offset:]}
	var out []lua.LValue
	for u.rest != "" && (all || len(out) < limit) {
		out = append(out, u.value(0))
		if len(out) > maxUnpack {
			r.fail(L, "stack overflow (too many results)")
		}
	}
	n := len(out)
	if !all {
		at := len(data) - len(u.rest)
		if u.rest == "" {
			at = -1
		}
		n += r.push(L, lua.LNumber(at))
	}
	for _, v := range out {
		L.Push(v)
	}
	return n
}

type msgunpacker struct {
	r    *run
	L    *lua.LState
	rest string
}

// bytes takes so many bytes off the input.
func (u *msgunpacker) bytes(n int) string {
	if n > len(u.rest) {
		u.r.fail(u.L, "Missing bytes in input.")
	}
	out := u.rest[:n]
	u.rest = u.rest[n:]
	return out
}

func (u *msgunpacker) uint(size int) (n uint64) {
	for _, c := range []byte(u.bytes(size)) {
		n = n<<8 | uint64(c)
	}
	return n
}

// value reads one value. REQUIRES: the input is not empty.
func (u *msgunpacker) value(depth int) lua.LValue {
	if depth > msgpackDepth {
		u.r.fail(u.L, "Bad data format in input.")
	}
	u.r.work(u.L, 1)
	switch tag := u.bytes(1)[0]; {
	case tag < 0x80, tag >= 0xe0:
		return lua.LNumber(int8(tag))
	case tag < 0x90:
		return u.table(int(tag&15), true, depth)
	case tag < 0xa0:
		return u.table(int(tag&15), false, depth)
	case tag < 0xc0:
		return u.r.textValue(u.L, u.bytes(int(tag&31)))
	case tag == 0xc0:
		return lua.LNil
	case tag == 0xc2, tag == 0xc3:
		return lua.LBool(tag == 0xc3)
	case tag == 0xca:
		return lua.LNumber(math.Float32frombits(uint32(u.uint(4))))
	case tag == 0xcb:
		return lua.LNumber(math.Float64frombits(u.uint(8)))
	case tag >= 0xcc && tag <= 0xcf:
		return lua.LNumber(u.uint(1 << (tag - 0xcc)))
	case tag >= 0xd0 && tag <= 0xd3:
		bits := 8 << (tag - 0xd0)
		return lua.LNumber(int64(u.uint(bits/8)<<(64-bits)) >> (64 - bits))
	case tag >= 0xd9 && tag <= 0xdb:
		return u.r.textValue(u.L, u.bytes(int(u.uint(1<<(tag-0xd9)))))
	case tag == 0xdc, tag == 0xdd:
		return u.table(int(u.uint(2<<(tag-0xdc))), false, depth)
	case tag == 0xde, tag == 0xdf:
		return u.table(int(u.uint(2<<(tag-0xde))), true, depth)
	}
	u.r.fail(u.L, "Bad data format in input.")
	return lua.LNil
}

// inner reads a value inside a table.
func (u *msgunpacker) inner(depth int) lua.LValue {
	if u.rest == "" {
		u.r.fail(u.L, "Missing bytes in input.")
	}
	return u.value(depth + 1)
}

func (u *msgunpacker) table(n int, isMap bool, depth int) lua.LValue {
	u.r.take(u.L, tableBytes)
	t := u.L.NewTable()
	for i := range n {
		if !isMap {
			u.r.take(u.L, fieldBytes)
			t.RawSetInt(i+1, u.inner(depth))
			continue
		}
		u.r.take(u.L, entryBytes)
		key, v := u.inner(depth), u.inner(depth)
		if number, ok := key.(lua.LNumber); key == lua.LNil || ok && number != number {
			u.r.fail(u.L, "Bad data format in input.")
		}
		t.RawSet(key, v)
	}
	return t
}
