package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

var stringFunctions = library{
	"byte":    (*run).stringByte,
	"char":    (*run).stringChar,
	"find":    (*run).stringFind,
	"format":  (*run).stringFormat,
	"gmatch":  (*run).stringGmatch,
	"gsub":    (*run).stringGsub,
	"len":     (*run).stringLen,
	"lower":   (*run).stringLower,
	"match":   (*run).stringMatch,
	"rep":     (*run).stringRep,
	"reverse": (*run).stringReverse,
	"sub":     (*run).stringSub,
	"upper":   (*run).stringUpper,
}

// str is argument i, which may be a number.
func (r *run) str(L *lua.LState, i int) string {
	if v := L.Get(i); isText(v) {
		return r.text(v)
	}
	return L.CheckString(i)
}

// bounds resolves Lua's positions, which count from 1 and, below 0, from the end, to a slice.
func bounds(from, to, length int) (int, int) {
	if from < 0 {
		from = max(length+from+1, 1)
	}
	if to < 0 {
		to = length + to + 1
	}
	from, to = max(from, 1), min(to, length)
	if from > to {
		return 0, 0
	}
	return from - 1, to
}

func (r *run) stringByte(L *lua.LState) int {
	s := r.str(L, 1)
	first := r.optInt(L, 2, 1)
	from, to := bounds(first, r.optInt(L, 3, first), len(s))
	if to-from >= maxUnpack {
		r.fail(L, "string slice too long")
	}
	for _, c := range []byte(s[from:to]) {
		L.Push(lua.LNumber(c))
	}
	return to - from
}

func (r *run) stringChar(L *lua.LState) int {
	out := make([]byte, L.GetTop())
	for i := range out {
		c := r.int(L, i+1)
		if c < 0 || c > 255 {
			r.fail(L, "bad argument #"+formatNumber(float64(i+1))+" to 'char' (invalid value)")
		}
		out[i] = byte(c)
	}
	return r.pushString(L, string(out))
}

func (r *run) stringLen(L *lua.LState) int   { return r.push(L, lua.LNumber(len(r.str(L, 1)))) }
func (r *run) stringLower(L *lua.LState) int { return r.mapped(L, 'A', 'Z') }
func (r *run) stringUpper(L *lua.LState) int { return r.mapped(L, 'a', 'z') }

// mapped turns the case of ASCII letters, byte by byte.
func (r *run) mapped(L *lua.LState, from, to byte) int {
	s := r.str(L, 1)
	r.take(L, len(s))
	out := []byte(s)
	for i, c := range out {
		if from <= c && c <= to {
			out[i] = c ^ 0x20
		}
	}
	return r.push(L, lua.LString(out))
}

func (r *run) stringRep(L *lua.LState) int {
	s, n := r.str(L, 1), r.int(L, 2)
	if n <= 0 || s == "" {
		return r.push(L, lua.LString(""))
	}
	const most = 1 << 40
	if n > most/len(s) {
		r.take(L, most)
	}
	r.take(L, n*len(s))
	return r.push(L, lua.LString(strings.Repeat(s, n)))
}

func (r *run) stringReverse(L *lua.LState) int {
	s := r.str(L, 1)
	r.take(L, len(s))
	out := make([]byte, len(s))
	for i := range len(s) {
		out[len(s)-1-i] = s[i]
	}
	return r.push(L, lua.LString(out))
}

func (r *run) stringSub(L *lua.LState) int {
	s := r.str(L, 1)
	from, to := bounds(r.int(L, 2), r.optInt(L, 3, -1), len(s))
	return r.push(L, lua.LString(s[from:to]))
}

func (r *run) stringFind(L *lua.LState) int  { return r.search(L, true) }
func (r *run) stringMatch(L *lua.LState) int { return r.search(L, false) }

const magic = "^$*+?.([%-"

// search is find and match.
func (r *run) search(L *lua.LState, find bool) int {
	s, pat := r.str(L, 1), r.str(L, 2)
	init := r.optInt(L, 3, 1)
	if init < 0 {
		init = max(len(s)+init+1, 1)
	}
	init = min(max(init, 1)-1, len(s))
	if find && (lua.LVAsBool(L.Get(4)) || !strings.ContainsAny(pat, magic)) {
		r.work(L, len(s)/64)
		at := strings.Index(s[init:], pat)
		if at < 0 {
			return r.push(L, lua.LNil)
		}
		L.Push(lua.LNumber(init + at + 1))
		L.Push(lua.LNumber(init + at + len(pat)))
		return 2
	}
	m := &matcher{r: r, L: L, src: s, pat: strings.TrimPrefix(pat, "^")}
	anchored := strings.HasPrefix(pat, "^")
	for at := init; at <= len(s); at++ {
		m.captures = m.captures[:0]
		if end, ok := m.match(at, 0); ok {
			return r.found(L, m, at, end, find)
		}
		if anchored {
			break
		}
	}
	return r.push(L, lua.LNil)
}

func (r *run) found(L *lua.LState, m *matcher, from, to int, find bool) int {
	if !find {
		return r.pushAll(L, m.values(from, to))
	}
	L.Push(lua.LNumber(from + 1))
	L.Push(lua.LNumber(to))
	if len(m.captures) == 0 {
		return 2
	}
	return 2 + r.pushAll(L, m.values(from, to))
}

func (r *run) pushAll(L *lua.LState, vs []lua.LValue) int {
	for _, v := range vs {
		L.Push(v)
	}
	return len(vs)
}

func (r *run) stringGmatch(L *lua.LState) int {
	s, pat, at := r.str(L, 1), r.str(L, 2), 0
	r.take(L, functionBytes)
	return r.push(L, L.NewFunction(func(L *lua.LState) int {
		m := &matcher{r: r, L: L, src: s, pat: pat}
		for ; at <= len(s); at++ {
			m.captures = m.captures[:0]
			end, ok := m.match(at, 0)
			if !ok {
				continue
			}
			from := at
			if at = end; end == from {
				at++
			}
			return r.pushAll(L, m.values(from, end))
		}
		return r.push(L, lua.LNil)
	}))
}

func (r *run) stringGsub(L *lua.LState) int {
	s, pat, by := r.str(L, 1), r.str(L, 2), L.Get(3)
	switch by.Type() {
	case lua.LTString, lua.LTNumber, lua.LTTable, lua.LTFunction:
	default:
		r.fail(L, "bad argument #3 to 'gsub' (string/function/table expected)")
	}
	most := r.optInt(L, 4, len(s)+1)
	m := &matcher{r: r, L: L, src: s, pat: strings.TrimPrefix(pat, "^")}
	anchored := strings.HasPrefix(pat, "^")
	var out strings.Builder
	n, at := 0, 0
	for n < most {
		m.captures = m.captures[:0]
		end, ok := m.match(at, 0)
		if ok {
			n++
			with := r.replacement(L, m, by, at, end)
			r.take(L, len(with))
			out.WriteString(with)
		}
		switch {
		case ok && end > at:
			at = end
		case at < len(s):
			out.WriteByte(s[at])
			at++
		default:
			at++
		}
		if at > len(s) || anchored {
			break
		}
	}
	if at < len(s) {
		out.WriteString(s[at:])
	}
	r.take(L, len(s))
	L.Push(lua.LString(out.String()))
	L.Push(lua.LNumber(n))
	return 2
}

// replacement is what one match is replaced by.
func (r *run) replacement(L *lua.LState, m *matcher, by lua.LValue, from, to int) string {
	var v lua.LValue
	switch by := by.(type) {
	case *lua.LTable:
		v = L.GetTable(by, m.value(0, from, to))
	case *lua.LFunction:
		L.Push(by)
		n := r.pushAll(L, m.values(from, to))
		L.Call(n, 1)
		v = L.Get(-1)
		L.Pop(1)
	default:
		return r.expand(m, r.text(by), from, to)
	}
	switch {
	case lua.LVIsFalse(v):
		return m.src[from:to]
	case isText(v):
		return r.text(v)
	}
	r.fail(L, "invalid replacement value (a "+v.Type().String()+")")
	return ""
}

// expand puts captures into the places of %0 to %9.
func (r *run) expand(m *matcher, by string, from, to int) string {
	if strings.IndexByte(by, '%') < 0 {
		return by
	}
	var out strings.Builder
	for i := 0; i < len(by); i++ {
		switch {
		case by[i] != '%' || i+1 == len(by):
			out.WriteByte(by[i])
			continue
		case by[i+1] == '0':
			out.WriteString(m.src[from:to])
		case isDigit(by[i+1]):
			out.WriteString(r.text(m.value(int(by[i+1]-'1'), from, to)))
		default:
			out.WriteByte(by[i+1])
		}
		i++
	}
	return out.String()
}
