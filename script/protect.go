package script

import lua "github.com/yuin/gopher-lua"

// pcall runs its function on a thread of its own. gopher-lua's own pcall, when an error comes, cuts all
// closures of the whole state off from the variables they share with functions that go on running, so
// that a counter which a closure increments stands still afterwards. On a thread only the closures of
// what has failed are cut off, which is right. The price is a small stack for each pcall.

// maxProtected bounds pcalls inside each other, as Lua bounds calls through C.
const maxProtected = 195

// threadBytes is counted for a thread.
const threadBytes = 16<<8 + 2048

// shielded calls a function with arguments. It returns its results, or the error that it raised.
func (r *run) shielded(L *lua.LState, fn lua.LValue, args []lua.LValue) (
	out []lua.LValue, failure lua.LValue) {
	if r.nested++; r.nested > maxProtected {
		r.nested--
		return nil, lua.LString("error in error handling (C stack overflow)")
	}
	defer func() { r.nested-- }()
	r.take(L, threadBytes)
	thread, _ := L.NewThread()
	r.own(thread)
	failure = r.guard(func() {
		thread.Push(fn)
		for _, a := range args {
			thread.Push(a)
		}
		thread.Call(len(args), lua.MultRet)
		for i := 1; i <= thread.GetTop(); i++ {
			out = append(out, thread.Get(i))
		}
	})
	r.alive(L)
	if text, ok := failure.(lua.LString); ok {
		r.take(L, len(text))
		if fixed := translate(string(text)); fixed != string(text) {
			failure = lua.LString(fixed)
		}
	}
	return out, failure
}

func arguments(L *lua.LState, from int) (args []lua.LValue) {
	for i := from; i <= L.GetTop(); i++ {
		args = append(args, L.Get(i))
	}
	return args
}

// luaPCall is Redis's: an error that is a table with a text gives the text.
func (r *run) luaPCall(L *lua.LState) int {
	out, failure := r.shielded(L, L.CheckAny(1), arguments(L, 2))
	if failure == nil {
		return r.results(L, lua.LTrue, out)
	}
	if t, ok := failure.(*lua.LTable); ok {
		if text, ok := t.RawGetString("err").(lua.LString); ok {
			failure = text
		}
	}
	return r.results(L, lua.LFalse, []lua.LValue{failure})
}

func (r *run) luaXPCall(L *lua.LState) int {
	handler := L.CheckAny(2)
	out, failure := r.shielded(L, L.CheckAny(1), nil)
	if failure == nil {
		return r.results(L, lua.LTrue, out)
	}
	out, again := r.shielded(L, handler, []lua.LValue{failure})
	if again != nil {
		out = []lua.LValue{again}
	}
	return r.results(L, lua.LFalse, out)
}

func (r *run) results(L *lua.LState, ok lua.LValue, out []lua.LValue) int {
	L.SetTop(0)
	L.Push(ok)
	for _, v := range out {
		L.Push(v)
	}
	return 1 + len(out)
}

func (r *run) luaError(L *lua.LState) int {
	v := L.Get(1)
	if level := r.optInt(L, 2, 1); isText(v) && level > 0 {
		r.failAt(L, r.text(v), level)
	}
	r.raise(L, v)
	return 0
}

func (r *run) luaAssert(L *lua.LState) int {
	L.CheckAny(1)
	if lua.LVIsFalse(L.Get(1)) {
		if message := L.Get(2); message.Type() == lua.LTString || message.Type() == lua.LTNumber {
			r.fail(L, r.text(message))
		}
		r.fail(L, "assertion failed!")
	}
	return L.GetTop()
}
