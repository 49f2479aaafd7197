package script

import (
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/redkeep/redkeep/resp"
)

// The two tables of Redis's page "Lua API": what a reply becomes in a script, and what a value that a script
// returns becomes as a reply.

// maxNesting bounds tables inside each other in a reply.
const maxNesting = 200

// valueOf is a reply as the script sees it, in the protocol it chose.
func (r *run) valueOf(L *lua.LState, v resp.Value) lua.LValue {
	switch v.Kind() {
	case resp.KindInt:
		return lua.LNumber(v.Num())
	case resp.KindBulk:
		return r.textValue(L, v.Text())
	case resp.KindSimple:
		return r.single(L, "ok", r.textValue(L, v.Text()))
	case resp.KindError:
		return r.single(L, "err", r.textValue(L, v.Text()))
	case resp.KindNull, resp.KindNullArray, resp.KindNone:
		if r.proto >= 3 {
			return lua.LNil
		}
		return lua.LFalse
	case resp.KindArray, resp.KindPush:
		return r.arrayValue(L, v.Elems())
	case resp.KindMap, resp.KindSet:
		return r.collection(L, v)
	default:
		return r.typedValue(L, v)
	}
}

func (r *run) textValue(L *lua.LState, s string) lua.LValue {
	r.take(L, len(s))
	return lua.LString(s)
}

// single is a table with one field.
func (r *run) single(L *lua.LState, name string, v lua.LValue) lua.LValue {
	r.take(L, tableBytes+entryBytes)
	t := L.NewTable()
	t.RawSetString(name, v)
	return t
}

func (r *run) arrayValue(L *lua.LState, elems []resp.Value) lua.LValue {
	r.take(L, tableBytes+fieldBytes*len(elems))
	t := L.CreateTable(len(elems), 0)
	for i, e := range elems {
		t.RawSetInt(i+1, r.valueOf(L, e))
	}
	return t
}

// collection is a map or a set; in protocol 2 both are lists.
func (r *run) collection(L *lua.LState, v resp.Value) lua.LValue {
	if r.proto < 3 {
		return r.arrayValue(L, v.Elems())
	}
	elems := v.Elems()
	t := L.NewTable()
	r.take(L, tableBytes+entryBytes*len(elems))
	if v.Kind() == resp.KindSet {
		for _, e := range elems {
			t.RawSet(r.valueOf(L, e), lua.LTrue)
		}
		return r.single(L, "set", t)
	}
	for i := 0; i+1 < len(elems); i += 2 {
		t.RawSet(r.valueOf(L, elems[i]), r.valueOf(L, elems[i+1]))
	}
	return r.single(L, "map", t)
}

// typedValue is a type that only protocol 3 has.
func (r *run) typedValue(L *lua.LState, v resp.Value) lua.LValue {
	switch v.Kind() {
	case resp.KindBool:
		if r.proto >= 3 {
			return lua.LBool(v.Num() != 0)
		}
		return lua.LNumber(v.Num())
	case resp.KindDouble:
		if r.proto >= 3 {
			return r.single(L, "double", lua.LNumber(v.Float()))
		}
		return r.textValue(L, formatG17(v.Float()))
	case resp.KindBigNumber:
		if r.proto >= 3 {
			return r.single(L, "big_number", r.textValue(L, v.Text()))
		}
	case resp.KindVerbatim:
		if r.proto >= 3 {
			t := L.NewTable()
			t.RawSetString("format", lua.LString("txt"))
			t.RawSetString("string", r.textValue(L, v.Text()))
			return r.single(L, "verbatim_string", t)
		}
	}
	return r.textValue(L, v.Text())
}

// formatG17 prints a number so that nothing of it is lost.
func formatG17(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return formatNumber(f)
	}
	return formatG(f, 17)
}

// replyOf is what a script returned, as a reply.
func (r *run) replyOf(v lua.LValue, depth int) resp.Value {
	if depth > maxNesting {
		return resp.Err("ERR reached lua stack limit")
	}
	switch v := v.(type) {
	case lua.LString:
		return resp.Bulk(string(v))
	case lua.LNumber:
		return resp.Int(wholeOf(float64(v)))
	case lua.LBool:
		return r.boolReply(bool(v))
	case *lua.LTable:
		return r.tableReply(v, depth)
	default:
		return resp.Null()
	}
}

// boolReply is 1 or nothing, as Lua's booleans were before protocol 3 had its own.
func (r *run) boolReply(yes bool) resp.Value {
	switch {
	case r.proto >= 3:
		return resp.Bool(yes)
	case yes:
		return resp.Int(1)
	default:
		return resp.Null()
	}
}

func (r *run) tableReply(t *lua.LTable, depth int) resp.Value {
	if text, ok := t.RawGetString("err").(lua.LString); ok {
		return resp.Err(strings.TrimPrefix(string(text), "-"))
	}
	if text, ok := t.RawGetString("ok").(lua.LString); ok {
		return resp.Simple(string(text))
	}
	if f, ok := t.RawGetString("double").(lua.LNumber); ok {
		return resp.Double(float64(f))
	}
	if m, ok := t.RawGetString("map").(*lua.LTable); ok {
		return r.mapReply(m, depth)
	}
	if s, ok := t.RawGetString("set").(*lua.LTable); ok {
		return r.setReply(s, depth)
	}
	if text, ok := t.RawGetString("big_number").(lua.LString); ok {
		return resp.BigNumber(string(text))
	}
	if m, ok := t.RawGetString("verbatim_string").(*lua.LTable); ok {
		if text, ok := m.RawGetString("string").(lua.LString); ok {
			return resp.Verbatim(string(text))
		}
	}
	var out []resp.Value
	for i := 1; ; i++ {
		v := t.RawGet(lua.LNumber(i))
		if v == lua.LNil {
			return resp.ArrayOf(out)
		}
		out = append(out, r.replyOf(v, depth+1))
	}
}

func (r *run) mapReply(t *lua.LTable, depth int) resp.Value {
	var out []resp.Value
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		out = append(out, r.replyOf(k, depth+1), r.replyOf(v, depth+1))
	}
	return resp.Map(out...)
}

func (r *run) setReply(t *lua.LTable, depth int) resp.Value {
	var out []resp.Value
	for k, _ := t.Next(lua.LNil); k != lua.LNil; k, _ = t.Next(k) {
		out = append(out, r.replyOf(k, depth+1))
	}
	return resp.Set(out...)
}
