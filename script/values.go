package script

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// formatNumber prints a number as Lua 5.1 does, which is C's %.14g.
func formatNumber(f float64) string {
	switch {
	case math.IsNaN(f) && math.Signbit(f):
		return "-nan"
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	case f == math.Trunc(f) && math.Abs(f) < 1e14:
		if f == 0 && math.Signbit(f) {
			return "-0"
		}
		return strconv.FormatInt(int64(f), 10)
	}
	return formatG(f, 14)
}

// formatG is C's %.<digits>g: Go keeps no trailing zeros only in its shortest form.
func formatG(f float64, digits int) string {
	s := strconv.FormatFloat(f, 'e', digits-1, 64)
	mantissa, exponent, _ := strings.Cut(s, "e")
	exp, _ := strconv.Atoi(exponent)
	if exp >= -4 && exp < digits {
		s = strconv.FormatFloat(f, 'f', digits-1-exp, 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	if strings.Contains(mantissa, ".") {
		mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
	}
	return fmt.Sprintf("%se%+03d", mantissa, exp)
}

// parseNumber reads a number as C's strtod does, with spaces around it.
func parseNumber(s string) (f float64, ok bool) {
	s = strings.Trim(s, " \t\n\v\f\r")
	if s == "" || strings.Contains(s, "_") {
		return 0, false
	}
	sign, digits := 1.0, s
	if digits[0] == '-' || digits[0] == '+' {
		if digits[0] == '-' {
			sign = -1
		}
		digits = digits[1:]
	}
	if len(digits) > 2 && (digits[:2] == "0x" || digits[:2] == "0X") && !strings.ContainsAny(digits, "pP.") {
		u, err := strconv.ParseUint(digits[2:], 16, 64)
		return sign * float64(u), err == nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// toNumber is the number that a value counts as in arithmetic.
func toNumber(v lua.LValue) (f float64, ok bool) {
	switch v := v.(type) {
	case lua.LNumber:
		return float64(v), true
	case lua.LString:
		return parseNumber(string(v))
	default:
		return 0, false
	}
}

// int is argument i, which may be a text, cut to an integer.
func (r *run) int(L *lua.LState, i int) int {
	f, ok := toNumber(L.Get(i))
	if !ok {
		return L.CheckInt(i)
	}
	return int(wholeOf(f))
}

func (r *run) optInt(L *lua.LState, i, otherwise int) int {
	if L.Get(i) == lua.LNil {
		return otherwise
	}
	return r.int(L, i)
}

// text is what tostring gives, metamethods aside.
func (r *run) text(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LNumber:
		return formatNumber(float64(v))
	case lua.LString:
		return string(v)
	case *lua.LTable, *lua.LFunction, *lua.LUserData:
		return fmt.Sprintf("%s: %p", v.Type(), v)
	default:
		return v.String()
	}
}

func (r *run) luaToString(L *lua.LState) int {
	v := L.CheckAny(1)
	if fn := L.GetMetaField(v, "__tostring"); fn != lua.LNil {
		L.Push(fn)
		L.Push(v)
		L.Call(1, 1)
		return 1
	}
	if s, ok := v.(lua.LString); ok {
		return r.push(L, s)
	}
	return r.pushString(L, r.text(v))
}

func (r *run) luaToNumber(L *lua.LState) int {
	base := r.optInt(L, 2, 10)
	if base == 10 {
		L.CheckAny(1)
		if f, ok := toNumber(L.Get(1)); ok {
			return r.push(L, lua.LNumber(f))
		}
		return r.push(L, lua.LNil)
	}
	if base < 2 || base > 36 {
		r.fail(L, "bad argument #2 to 'tonumber' (base out of range)")
	}
	s := strings.ToLower(strings.Trim(L.CheckString(1), " \t\n\v\f\r"))
	if base == 16 {
		s = strings.TrimPrefix(s, "0x")
	}
	negative := strings.HasPrefix(s, "-")
	u, err := strconv.ParseUint(strings.TrimPrefix(s, "-"), base, 64)
	if err != nil {
		return r.push(L, lua.LNil)
	}
	if negative {
		u = -u
	}
	return r.push(L, lua.LNumber(float64(u)))
}

// luaConcat is the operator .. with all operands of a chain.
func (r *run) luaConcat(L *lua.LState) int {
	size := 0
	for i := 1; i <= L.GetTop(); i++ {
		switch v := L.Get(i).(type) {
		case lua.LString:
			size += len(v)
		case lua.LNumber:
			const longest = 24
			size += longest
		default:
			return r.concatOthers(L)
		}
	}
	r.take(L, size)
	var out strings.Builder
	out.Grow(size)
	for i := 1; i <= L.GetTop(); i++ {
		out.WriteString(r.text(L.Get(i)))
	}
	return r.push(L, lua.LString(out.String()))
}

// concatOthers goes from right to left, two operands at a time, as Lua does, for the sake of metamethods.
func (r *run) concatOthers(L *lua.LState) int {
	last := L.Get(L.GetTop())
	for i := L.GetTop() - 1; i >= 1; i-- {
		left := L.Get(i)
		if isText(left) && isText(last) {
			s := r.text(left) + r.text(last)
			r.take(L, len(s))
			last = lua.LString(s)
			continue
		}
		fn := L.GetMetaField(left, "__concat")
		if fn == lua.LNil {
			fn = L.GetMetaField(last, "__concat")
		}
		if fn == lua.LNil {
			wrong := left
			if isText(left) {
				wrong = last
			}
			r.fail(L, "attempt to concatenate a "+wrong.Type().String()+" value")
		}
		L.Push(fn)
		L.Push(left)
		L.Push(last)
		L.Call(2, 1)
		last = L.Get(-1)
		L.Pop(1)
	}
	return r.push(L, last)
}

func isText(v lua.LValue) bool { return v.Type() == lua.LTString || v.Type() == lua.LTNumber }

// luaStore is the assignment t[k] = v.
func (r *run) luaStore(L *lua.LState) int {
	r.store(L, L.Get(1), L.Get(2), L.Get(3))
	return 0
}

// store assigns as Lua does, through metamethods.
func (r *run) store(L *lua.LState, object, key, value lua.LValue) {
	const longestChain = 100
	for range longestChain {
		t, isTable := object.(*lua.LTable)
		if isTable && (t.Metatable == lua.LNil || t.RawGet(key) != lua.LNil) {
			r.set(L, t, key, value)
			return
		}
		if isTable && r.protected[t] {
			r.fail(L, textReadonly)
		}
		next := L.GetMetaField(object, "__newindex")
		switch {
		case next == lua.LNil && isTable:
			r.set(L, t, key, value)
			return
		case next == lua.LNil:
			r.fail(L, "attempt to index a "+object.Type().String()+" value")
		case next.Type() == lua.LTFunction:
			L.Push(next)
			L.Push(object)
			L.Push(key)
			L.Push(value)
			L.Call(3, 0)
			return
		}
		object = next
	}
	r.fail(L, "loop in settable")
}

func (r *run) set(L *lua.LState, t *lua.LTable, key, value lua.LValue) {
	if r.protected[t] {
		r.fail(L, textReadonly)
	}
	if key == lua.LNil {
		r.fail(L, "table index is nil")
	}
	if n, ok := key.(lua.LNumber); ok && n != n {
		r.fail(L, "table index is NaN")
	}
	r.count(L, t, key)
	t.RawSet(key, value)
}

// entryBytes is counted for a new key: its place in gopher-lua's two maps and its list.
const entryBytes = 160

// count counts what storing under a key may take: an array grows to any index below lua.MaxArrayIndex.
func (r *run) count(L *lua.LState, t *lua.LTable, key lua.LValue) {
	if n, ok := key.(lua.LNumber); ok && n >= 1 && n < lua.LNumber(lua.MaxArrayIndex) {
		const valueBytes, growth = 16, 3 // an array that grows is copied
		if gap := int(n) - t.MaxN(); gap > 0 {
			r.take(L, gap*valueBytes*growth)
		}
		return
	}
	if t.RawGet(key) == lua.LNil {
		r.take(L, entryBytes)
	}
}

// luaMade counts what its second argument says, and gives back its first.
func (r *run) luaMade(L *lua.LState) int {
	v := L.Get(1)
	size := int(lua.LVAsNumber(L.Get(2)))
	if t, ok := v.(*lua.LTable); ok {
		size += fieldBytes * t.MaxN()
	}
	r.take(L, size)
	return r.push(L, v)
}

// maxUnpack is how many values Lua 5.1 lets a function push.
const maxUnpack = 8000

func (r *run) luaUnpack(L *lua.LState) int {
	t := L.CheckTable(1)
	from := r.optInt(L, 2, 1)
	to := t.Len()
	if L.Get(3) != lua.LNil {
		to = r.int(L, 3)
	}
	if to-from >= maxUnpack {
		r.fail(L, "too many results to unpack")
	}
	for i := from; i <= to; i++ {
		L.Push(t.RawGetInt(i))
	}
	return max(to-from+1, 0)
}

func (r *run) luaType(L *lua.LState) int {
	L.CheckAny(1)
	return r.push(L, lua.LString(L.Get(1).Type().String()))
}

func (r *run) luaRawGet(L *lua.LState) int { return r.push(L, L.CheckTable(1).RawGet(L.CheckAny(2))) }

func (r *run) luaRawEqual(L *lua.LState) int {
	return r.push(L, lua.LBool(L.CheckAny(1) == L.CheckAny(2)))
}

func (r *run) luaGetMetatable(L *lua.LState) int {
	v := L.CheckAny(1)
	if shown := L.GetMetaField(v, "__metatable"); shown != lua.LNil {
		return r.push(L, shown)
	}
	return r.push(L, L.GetMetatable(v))
}

func (r *run) luaNext(L *lua.LState) int {
	k, v := L.CheckTable(1).Next(L.Get(2))
	L.Push(k)
	if k == lua.LNil {
		return 1
	}
	L.Push(v)
	return 2
}

func (r *run) luaPairs(L *lua.LState) int {
	t := L.CheckTable(1)
	L.Push(L.GetField(r.globals, "next"))
	L.Push(t)
	L.Push(lua.LNil)
	return 3
}

func (r *run) luaIpairs(L *lua.LState) int {
	t := L.CheckTable(1)
	L.Push(r.newFunction(L, (*run).luaIpairsNext))
	L.Push(t)
	L.Push(lua.LNumber(0))
	return 3
}

func (r *run) luaIpairsNext(L *lua.LState) int {
	i := L.CheckNumber(2) + 1
	v := L.CheckTable(1).RawGet(i)
	if v == lua.LNil {
		return r.push(L, lua.LNil)
	}
	L.Push(i)
	L.Push(v)
	return 2
}

func (r *run) luaSelect(L *lua.LState) int {
	top := L.GetTop() - 1
	if L.Get(1) == lua.LString("#") {
		return r.push(L, lua.LNumber(top))
	}
	n := r.int(L, 1)
	if n < 0 {
		n = top + n + 1
	}
	if n < 1 {
		r.fail(L, "bad argument #1 to 'select' (index out of range)")
	}
	return max(top-n+1, 0)
}
