package script

import (
	"fmt"
	"math"
	"math/bits"

	lua "github.com/yuin/gopher-lua"
)

// The bit library: 32-bit integers, shown with a sign.
var bitFunctions = library{
	"tobit":   bits1(func(a uint32) uint32 { return a }),
	"bnot":    bits1(func(a uint32) uint32 { return ^a }),
	"bswap":   bits1(bits.ReverseBytes32),
	"band":    bitsAll(func(a, b uint32) uint32 { return a & b }),
	"bor":     bitsAll(func(a, b uint32) uint32 { return a | b }),
	"bxor":    bitsAll(func(a, b uint32) uint32 { return a ^ b }),
	"lshift":  bits2(func(a, n uint32) uint32 { return a << n }),
	"rshift":  bits2(func(a, n uint32) uint32 { return a >> n }),
	"arshift": bits2(func(a, n uint32) uint32 { return uint32(int32(a) >> n) }),
	"rol":     bits2(func(a, n uint32) uint32 { return bits.RotateLeft32(a, int(n)) }),
	"ror":     bits2(func(a, n uint32) uint32 { return bits.RotateLeft32(a, -int(n)) }),
	"tohex":   (*run).bitHex,
}

// word is argument i modulo 2^32, rounded to even.
func (r *run) word(L *lua.LState, i int) uint32 {
	f := math.RoundToEven(r.number(L, i))
	return uint32(int64(math.Mod(f, 1<<32)))
}

func (r *run) pushWord(L *lua.LState, w uint32) int { return r.push(L, lua.LNumber(int32(w))) }

func bits1(fn func(uint32) uint32) function {
	return func(r *run, L *lua.LState) int { return r.pushWord(L, fn(r.word(L, 1))) }
}

func bits2(fn func(a, n uint32) uint32) function {
	return func(r *run, L *lua.LState) int { return r.pushWord(L, fn(r.word(L, 1), r.word(L, 2)&31)) }
}

func bitsAll(fn func(a, b uint32) uint32) function {
	return func(r *run, L *lua.LState) int {
		w := r.word(L, 1)
		for i := 2; i <= L.GetTop(); i++ {
			w = fn(w, r.word(L, i))
		}
		return r.pushWord(L, w)
	}
}

func (r *run) bitHex(L *lua.LState) int {
	w, n := r.word(L, 1), int32(8)
	if L.GetTop() > 1 {
		n = int32(r.word(L, 2))
	}
	format := "%08x"
	if n < 0 {
		format = "%08X"
		n = -n
	}
	n = min(max(n, 0), 8)
	return r.pushString(L, fmt.Sprintf(format, w)[8-n:])
}
