package script

import (
	"regexp"
	"strconv"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/redkeep/redkeep/resp"
)

// Caller runs one command for a script. words are its words; proto is the protocol, 2 or 3, in which the
// script wants to see the reply. The reply is an error value if the command failed. REQUIRES: the words are
// not changed, and may be kept.
type Caller interface {
	Call(words []string, proto int) resp.Value
	// Allowed reports whether the user may run the command; known is false iff there is no such command.
	Allowed(words []string) (allowed, known bool)
	// Log takes a line of redis.log; level is 0 (debug) to 3 (warning).
	Log(level int, line string)
}

// Limits bound a run.
type Limits struct {
	Time  time.Duration
	Bytes int64 // all that it ever allocates
}

// Input is what a script is run with.
type Input struct {
	Keys, Args []string
	Caller     Caller
	Limits     Limits
	Killer     *Killer
}

// run is one execution. It belongs to one goroutine.
type run struct {
	budget
	L      *lua.LState
	caller Caller
	source *Program
	proto  int // of replies that the script sees
	nested int // pcalls inside each other
	seed   uint64

	globals, hidden *lua.LTable // what scripts see as _G, and what is in it
	protected       map[*lua.LTable]bool
	refuse          lua.LValue // the function that refuses to write
	raised          lua.LValue // the last error that one of our functions raised ...
	raisedAt        string     // ... and the line it was raised at
}

// registry and stack of a state, in values and calls. The first part is allocated for each run.
const (
	registryStart = 256
	registryGrow  = 1024
	registryMax   = 256 << 10
	callsMax      = 4000
)

// Run executes a program. The error is ErrTimeout, ErrMemory or ErrKilled; everything else that a script
// can do, failing included, is a reply. failed tells that the script ended in an error, which is then the
// reply: nothing that it did may count.
func (p *Program) Run(in Input) (reply resp.Value, failed bool, err error) {
	r := &run{source: p, caller: in.Caller, proto: 2, protected: map[*lua.LTable]bool{}}
	r.bytes, r.deadline, r.killer = in.Limits.Bytes, time.Now().Add(in.Limits.Time), in.Killer
	if r.killer == nil {
		r.killer = NewKiller()
	}
	r.L = lua.NewState(lua.Options{
		SkipOpenLibs: true, MinimizeStackMemory: true, CallStackSize: callsMax,
		RegistrySize: registryStart, RegistryGrowStep: registryGrow, RegistryMaxSize: registryMax,
	})
	defer r.L.Close()
	r.own(r.L)
	return r.execute(in)
}

func (r *run) execute(in Input) (reply resp.Value, failed bool, err error) {
	L := r.L
	failure := r.guard(func() {
		r.open(in)
		L.Push(r.chunk(L, r.source.proto))
		L.Call(0, 1)
		reply = r.replyOf(L.Get(-1), 0)
	})
	switch {
	case r.over != nil:
		return resp.Value{}, true, r.over
	case failure != nil:
		return r.failureReply(failure), true, nil
	default:
		return reply, false, nil
	}
}

// own makes a state this run's: its budget is asked, and an error carries no stack trace, which can be long.
func (r *run) own(L *lua.LState) {
	L.SetContext(&r.budget)
	L.Panic = func(L *lua.LState) { panic(&lua.ApiError{Type: lua.ApiErrorRun, Object: L.Get(-1)}) }
}

// guard runs fn and returns the value of the error that it raised; nil iff it raised none.
func (r *run) guard(fn func()) (failure lua.LValue) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *lua.ApiError:
			failure = e.Object
		case error:
			failure = lua.LString(e.Error())
		default:
			failure = lua.LString(chunkName + ":1: " + textDeep) // what gopher-lua panics with a text for
		}
	}()
	fn()
	return nil
}

var position = regexp.MustCompile(`^` + chunkName + `:(\d+): `)

// failureReply is the reply for an error that nothing in the script has caught.
func (r *run) failureReply(failure lua.LValue) resp.Value {
	text, line := "", r.raisedAt
	switch v := failure.(type) {
	case *lua.LTable:
		message, ok := v.RawGetString("err").(lua.LString)
		if !ok {
			return resp.Err("ERR unknown error" + r.where(line))
		}
		text = string(message)
	default:
		message := translate(r.text(v))
		if m := position.FindStringSubmatch(message); m != nil && failure != r.raised {
			line = m[1]
		}
		text = "ERR " + message
	}
	return resp.Err(text + r.where(line))
}

// where is how Redis tells which script failed where.
func (r *run) where(line string) string {
	if line == "" {
		line = "1"
	}
	return " script: " + r.source.SHA + ", on @" + chunkName + ":" + line + "."
}

// raise fails with a value at the line of the script that called the running function.
func (r *run) raise(L *lua.LState, v lua.LValue) {
	_, line := place(L, 1)
	r.raised, r.raisedAt = v, strconv.Itoa(line)
	L.Error(v, 0)
}

// fail raises a text with its position in front, as Lua's own errors have.
func (r *run) fail(L *lua.LState, text string) { r.failAt(L, text, 1) }

func (r *run) failAt(L *lua.LState, text string, level int) {
	if source, line := place(L, level); line > 0 {
		text = source + ":" + strconv.Itoa(line) + ": " + text
	}
	r.take(L, len(text))
	r.raise(L, lua.LString(text))
}

// place is the chunk and the current line of the level-th function of the script above the running one; line
// 0 for none.
func place(L *lua.LState, level int) (source string, line int) {
	for at := 0; ; at++ {
		dbg, ok := L.GetStack(at)
		if !ok {
			return "", 0
		}
		if _, err := L.GetInfo("Sl", dbg, lua.LNil); err != nil {
			return "", 0
		}
		if dbg.What == "G" || dbg.CurrentLine < 0 {
			if at > 0 && level > 1 {
				level--
			}
			continue
		}
		if level--; level == 0 {
			return dbg.Source, dbg.CurrentLine
		}
	}
}
