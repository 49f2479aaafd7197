package script

import (
	"sort"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

var tableFunctions = library{
	"concat":   (*run).tableConcat,
	"insert":   (*run).tableInsert,
	"remove":   (*run).tableRemove,
	"sort":     (*run).tableSort,
	"maxn":     (*run).tableMaxn,
	"getn":     (*run).tableGetn,
	"foreach":  (*run).tableForeach,
	"foreachi": (*run).tableForeachi,
}

// writable is argument 1, a table that may be changed.
func (r *run) writable(L *lua.LState) *lua.LTable {
	t := L.CheckTable(1)
	if r.protected[t] {
		r.raiseText(L, textReadonly)
	}
	return t
}

func (r *run) tableConcat(L *lua.LState) int {
	t, by := L.CheckTable(1), ""
	if L.Get(2) != lua.LNil {
		by = r.str(L, 2)
	}
	from, to := r.optInt(L, 3, 1), t.Len()
	if L.Get(4) != lua.LNil {
		to = r.int(L, 4)
	}
	var out strings.Builder
	for i := from; i <= to; i++ {
		v := t.RawGet(lua.LNumber(i))
		if !isText(v) {
			r.fail(L, "invalid value ("+v.Type().String()+") at index "+formatNumber(float64(i))+
				" in table for 'concat'")
		}
		piece := r.text(v)
		r.take(L, len(piece)+len(by))
		out.WriteString(piece)
		if i < to {
			out.WriteString(by)
		}
	}
	return r.push(L, lua.LString(out.String()))
}

func (r *run) tableInsert(L *lua.LState) int {
	t := r.writable(L)
	end := t.Len() + 1
	switch L.GetTop() {
	case 2:
		r.set(L, t, lua.LNumber(end), L.Get(2))
	case 3:
		at := r.int(L, 2)
		if at > end {
			end = at
		}
		r.work(L, max(end-at, 0))
		for i := end; i > at; i-- {
			r.set(L, t, lua.LNumber(i), t.RawGet(lua.LNumber(i-1)))
		}
		r.set(L, t, lua.LNumber(at), L.Get(3))
	default:
		r.fail(L, "wrong number of arguments to 'insert'")
	}
	return 0
}

func (r *run) tableRemove(L *lua.LState) int {
	t := r.writable(L)
	end := t.Len()
	at := r.optInt(L, 2, end)
	if at < 1 || at > end {
		return 0
	}
	r.work(L, end-at)
	removed := t.RawGetInt(at)
	for i := at; i < end; i++ {
		t.RawSetInt(i, t.RawGetInt(i+1))
	}
	t.RawSetInt(end, lua.LNil)
	return r.push(L, removed)
}

// sorter compares by the script's function, which may give any answers at all.
type sorter struct {
	r    *run
	L    *lua.LState
	vs   []lua.LValue
	less lua.LValue
}

func (s *sorter) Len() int      { return len(s.vs) }
func (s *sorter) Swap(i, j int) { s.vs[i], s.vs[j] = s.vs[j], s.vs[i] }

func (s *sorter) Less(i, j int) bool {
	s.r.work(s.L, 1)
	a, b := s.vs[i], s.vs[j]
	if s.less == lua.LNil {
		if a.Type() != b.Type() || !isText(a) && a.Type() != lua.LTTable {
			s.r.fail(s.L, "attempt to compare "+comparedTypes(a, b))
		}
		return s.L.LessThan(a, b)
	}
	s.L.Push(s.less)
	s.L.Push(a)
	s.L.Push(b)
	s.L.Call(2, 1)
	yes := lua.LVAsBool(s.L.Get(-1))
	s.L.Pop(1)
	return yes
}

func comparedTypes(a, b lua.LValue) string {
	if a.Type() == b.Type() {
		return "two " + a.Type().String() + " values"
	}
	return a.Type().String() + " with " + b.Type().String()
}

func (r *run) tableSort(L *lua.LState) int {
	t, s := r.writable(L), &sorter{r: r, L: L, less: L.Get(2)}
	if s.less != lua.LNil {
		L.CheckFunction(2)
	}
	n := t.Len()
	r.take(L, n*fieldBytes)
	for i := 1; i <= n; i++ {
		s.vs = append(s.vs, t.RawGetInt(i))
	}
	sort.Sort(s)
	for i, v := range s.vs {
		t.RawSetInt(i+1, v)
	}
	return 0
}

func (r *run) tableMaxn(L *lua.LState) int {
	most := lua.LNumber(L.CheckTable(1).MaxN())
	L.CheckTable(1).ForEach(func(k, _ lua.LValue) {
		if n, ok := k.(lua.LNumber); ok {
			most = max(most, n)
		}
	})
	return r.push(L, most)
}

func (r *run) tableGetn(L *lua.LState) int { return r.push(L, lua.LNumber(L.CheckTable(1).Len())) }

func (r *run) tableForeach(L *lua.LState) int {
	t, fn := L.CheckTable(1), L.CheckFunction(2)
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		if got := r.visit(L, fn, k, v); got != lua.LNil {
			return r.push(L, got)
		}
	}
	return 0
}

func (r *run) tableForeachi(L *lua.LState) int {
	t, fn := L.CheckTable(1), L.CheckFunction(2)
	for i := 1; i <= t.Len(); i++ {
		if got := r.visit(L, fn, lua.LNumber(i), t.RawGetInt(i)); got != lua.LNil {
			return r.push(L, got)
		}
	}
	return 0
}

func (r *run) visit(L *lua.LState, fn, k, v lua.LValue) lua.LValue {
	L.Push(fn)
	L.Push(k)
	L.Push(v)
	L.Call(2, 1)
	got := L.Get(-1)
	L.Pop(1)
	return got
}
