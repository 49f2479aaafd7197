package script

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

var mathFunctions = library{
	"abs": unary(math.Abs), "acos": unary(math.Acos), "asin": unary(math.Asin), "atan": unary(math.Atan),
	"ceil": unary(math.Ceil), "cos": unary(math.Cos), "cosh": unary(math.Cosh), "exp": unary(math.Exp),
	"floor": unary(math.Floor), "log": unary(math.Log), "log10": unary(math.Log10), "sin": unary(math.Sin),
	"sinh": unary(math.Sinh), "sqrt": unary(math.Sqrt), "tan": unary(math.Tan), "tanh": unary(math.Tanh),
	"deg":   unary(func(f float64) float64 { return f / (math.Pi / 180) }),
	"rad":   unary(func(f float64) float64 { return f * (math.Pi / 180) }),
	"atan2": binary(math.Atan2), "fmod": binary(math.Mod), "mod": binary(math.Mod), "pow": binary(math.Pow),
	"ldexp": binary(func(x, e float64) float64 { return math.Ldexp(x, int(e)) }),
	"frexp": (*run).mathFrexp, "modf": (*run).mathModf, "max": extreme(math.Max), "min": extreme(math.Min),
	"random": (*run).mathRandom, "randomseed": (*run).mathRandomSeed,
}

var mathValues = map[string]lua.LValue{"pi": lua.LNumber(math.Pi), "huge": lua.LNumber(math.Inf(1))}

func unary(fn func(float64) float64) function {
	return func(r *run, L *lua.LState) int { return r.push(L, lua.LNumber(fn(r.number(L, 1)))) }
}

func binary(fn func(a, b float64) float64) function {
	return func(r *run, L *lua.LState) int {
		return r.push(L, lua.LNumber(fn(r.number(L, 1), r.number(L, 2))))
	}
}

func extreme(fn func(a, b float64) float64) function {
	return func(r *run, L *lua.LState) int {
		best := r.number(L, 1)
		for i := 2; i <= L.GetTop(); i++ {
			best = fn(best, r.number(L, i))
		}
		return r.push(L, lua.LNumber(best))
	}
}

func (r *run) mathFrexp(L *lua.LState) int {
	fraction, exponent := math.Frexp(r.number(L, 1))
	L.Push(lua.LNumber(fraction))
	L.Push(lua.LNumber(exponent))
	return 2
}

func (r *run) mathModf(L *lua.LState) int {
	f := r.number(L, 1)
	whole, fraction := math.Modf(f)
	if math.IsInf(f, 0) {
		fraction = 0
	}
	L.Push(lua.LNumber(whole))
	L.Push(lua.LNumber(fraction))
	return 2
}

// Random numbers are the 48-bit generator of POSIX, begun anew with the same seed for each run, as Redis
// does: a script gives the same answers whenever and wherever it runs.
const (
	randomFactor = 0x5deece66d
	randomAdd    = 0xb
	randomMask   = 1<<48 - 1
	randomLow    = 0x330e
)

func (r *run) nextRandom() float64 {
	r.seed = (r.seed*randomFactor + randomAdd) & randomMask
	return float64(int32(r.seed>>17)%math.MaxInt32) / math.MaxInt32
}

func (r *run) mathRandom(L *lua.LState) int {
	f := r.nextRandom()
	low, high := 1.0, 0.0
	switch L.GetTop() {
	case 0:
		return r.push(L, lua.LNumber(f))
	case 1:
		high = float64(r.int(L, 1))
	case 2:
		low, high = float64(r.int(L, 1)), float64(r.int(L, 2))
	default:
		r.fail(L, textWrongArgs)
	}
	if low > high {
		r.fail(L, "bad argument #"+formatNumber(float64(L.GetTop()))+" to 'random' (interval is empty)")
	}
	return r.push(L, lua.LNumber(math.Floor(f*(high-low+1))+low))
}

func (r *run) mathRandomSeed(L *lua.LState) int {
	r.setSeed(uint32(r.int(L, 1)))
	return 0
}

func (r *run) setSeed(seed uint32) { r.seed = uint64(seed)<<16 | randomLow }
