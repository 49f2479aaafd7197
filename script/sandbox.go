package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// A script finds the names that Redis 7 gives it, minus coroutine and load. The table that
// it sees as _G is empty: its metatable finds what there is and refuses what there is not, so that a
// forgotten `local` is an error and not a global. The libraries are behind such tables, too, and rawset,
// setmetatable and the functions of table refuse them. Nothing is made before it is asked for: most scripts
// use three names, and making all of them would cost more than running such a script.

// function is a library function, before it belongs to a run.
type function func(r *run, L *lua.LState) int

type library map[string]function

var baseFunctions = library{
	"assert": (*run).luaAssert, "error": (*run).luaError, "pcall": (*run).luaPCall, "xpcall": (*run).luaXPCall,
	"tostring": (*run).luaToString, "tonumber": (*run).luaToNumber, "unpack": (*run).luaUnpack,
	"rawset": (*run).luaRawSet, "setmetatable": (*run).luaSetMetatable, "rawget": (*run).luaRawGet,
	"getmetatable": (*run).luaGetMetatable, "rawequal": (*run).luaRawEqual, "type": (*run).luaType,
	"next": (*run).luaNext, "pairs": (*run).luaPairs, "ipairs": (*run).luaIpairs, "select": (*run).luaSelect,
	"loadstring":     (*run).luaLoadString,
	"collectgarbage": func(r *run, L *lua.LState) int { return r.push(L, lua.LNumber(0)) },
	"gcinfo":         func(r *run, L *lua.LState) int { return r.push(L, lua.LNumber(0)) },
}

var libraries = map[string]struct {
	functions library
	values    map[string]lua.LValue
}{
	"string": {stringFunctions, nil}, "table": {tableFunctions, nil}, "math": {mathFunctions, mathValues},
	"bit": {bitFunctions, nil}, "cjson": {jsonFunctions, jsonValues}, "redis": {redisFunctions, redisValues},
	"struct": {structFunctions, nil}, "cmsgpack": {msgpackFunctions, msgpackValues},
}

func (r *run) open(in Input) {
	r.setSeed(0)
	r.globals, r.hidden = r.L.G.Global, r.newTable()
	r.hidden.RawSetString("KEYS", r.list(in.Keys))
	r.hidden.RawSetString("ARGV", r.list(in.Args))
	r.hidden.RawSetString("_G", r.globals)
	r.hidden.RawSetString("_VERSION", lua.LString("Lua 5.1"))
	r.protect(r.globals, r.hidden, func(L *lua.LState, name string) lua.LValue {
		if fn, ok := baseFunctions[name]; ok {
			return r.newFunction(L, fn)
		}
		if _, ok := libraries[name]; ok {
			return r.library(name)
		}
		r.fail(L, "Script attempted to access nonexistent global variable '"+name+"'")
		return lua.LNil
	})
	meta := r.newTable()
	meta.RawSetString("__index", r.newFunction(r.L, func(r *run, L *lua.LState) int {
		return r.push(L, L.GetField(L.GetField(r.globals, "string"), r.text(L.Get(2))))
	}))
	r.protected[meta] = true
	r.L.SetMetatable(lua.LString(""), meta)
}

func (r *run) newTable() *lua.LTable { return r.L.CreateTable(0, 4) }

func (r *run) newFunction(L *lua.LState, fn function) lua.LValue {
	return L.NewFunction(func(L *lua.LState) int { return fn(r, L) })
}

// library is a shell that cannot be written to and makes its functions when they are asked for.
func (r *run) library(name string) lua.LValue {
	l, shell := libraries[name], r.newTable()
	r.protect(shell, r.newTable(), func(L *lua.LState, name string) lua.LValue {
		if fn, ok := l.functions[name]; ok {
			return r.newFunction(L, fn)
		}
		if v, ok := l.values[name]; ok {
			return v
		}
		return lua.LNil
	})
	return shell
}

// protect makes shell refuse every change and show what is in content, which find adds to.
func (r *run) protect(shell, content *lua.LTable, find func(L *lua.LState, name string) lua.LValue) {
	meta := r.newTable()
	meta.RawSetString("__index", r.L.NewFunction(func(L *lua.LState) int {
		key := L.Get(2)
		v := content.RawGet(key)
		if v == lua.LNil {
			if v = find(L, r.text(key)); v != lua.LNil {
				content.RawSet(key, v)
			}
		}
		return r.push(L, v)
	}))
	meta.RawSetString("__newindex", r.refusing())
	r.L.SetMetatable(shell, meta)
	r.protected[shell], r.protected[meta], r.protected[content] = true, true, true
}

// refusing is what every shell has for writing to it.
func (r *run) refusing() lua.LValue {
	if r.refuse == nil {
		r.refuse = r.newFunction(r.L, func(r *run, L *lua.LState) int {
			r.fail(L, textReadonly)
			return 0
		})
	}
	return r.refuse
}

func (r *run) list(words []string) *lua.LTable {
	t := r.L.CreateTable(len(words), 0)
	for i, w := range words {
		t.RawSetInt(i+1, lua.LString(w))
	}
	return t
}

func (r *run) push(L *lua.LState, v lua.LValue) int {
	L.Push(v)
	return 1
}

// pushString gives a string that has been made, and counts it.
func (r *run) pushString(L *lua.LState, s string) int {
	r.take(L, len(s))
	return r.push(L, lua.LString(s))
}

func (r *run) luaRawSet(L *lua.LState) int {
	t := L.CheckTable(1)
	if r.protected[t] {
		r.raiseText(L, textReadonly)
	}
	L.CheckAny(2)
	r.count(L, t, L.Get(2))
	t.RawSet(L.Get(2), L.CheckAny(3))
	return r.push(L, t)
}

func (r *run) luaSetMetatable(L *lua.LState) int {
	t := L.CheckTable(1)
	if r.protected[t] {
		r.raiseText(L, textReadonly)
	}
	meta := L.Get(2)
	if meta != lua.LNil && meta.Type() != lua.LTTable || L.GetTop() < 2 {
		r.fail(L, "bad argument #2 to 'setmetatable' (nil or table expected)")
	}
	if old, ok := L.GetMetatable(t).(*lua.LTable); ok && old.RawGetString("__metatable") != lua.LNil {
		r.fail(L, "cannot change a protected metatable")
	}
	L.SetMetatable(t, meta)
	return r.push(L, t)
}

// raiseText raises a text without a position.
func (r *run) raiseText(L *lua.LState, text string) { r.raise(L, lua.LString(text)) }

func (r *run) luaLoadString(L *lua.LState) int {
	source := L.CheckString(1)
	name := strings.TrimPrefix(L.OptString(2, `[string "`+firstLine(source)+`"]`), "@")
	if len(source) > MaxSource {
		r.fail(L, "the chunk is too long")
	}
	const perByte, perChunk = 64, 4096 // the syntax tree and the code
	r.take(L, perByte*len(source)+perChunk)
	proto, err := compileChunk(source, name)
	if err != nil {
		L.Push(lua.LNil)
		return 1 + r.pushString(L, err.Error())
	}
	return r.push(L, r.chunk(L, proto))
}

// chunk makes a compiled chunk callable: it wants our own functions and gives the script as a function.
func (r *run) chunk(L *lua.LState, proto *lua.FunctionProto) lua.LValue {
	L.Push(L.NewFunctionFromProto(proto))
	for _, fn := range []function{(*run).luaConcat, (*run).luaStore, (*run).luaMade} {
		L.Push(r.newFunction(L, fn))
	}
	L.Call(3, 1)
	script := L.Get(-1)
	L.Pop(1)
	return script
}

// firstLine is how an unnamed chunk is called.
func firstLine(source string) string {
	line, _, more := strings.Cut(source, "\n")
	if more || len(line) > 60 {
		return line[:min(len(line), 57)] + "..."
	}
	return line
}
