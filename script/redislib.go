package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

var redisFunctions = library{
	"call": (*run).redisCall, "pcall": (*run).redisPCall, "sha1hex": (*run).redisSHA,
	"error_reply": (*run).redisErrorReply, "status_reply": (*run).redisStatusReply, "log": (*run).redisLog,
	"setresp": (*run).redisSetResp, "acl_check_cmd": (*run).redisACLCheck,
	// Nothing here is replicated command by command, and there is no debugger.
	"replicate_commands": func(r *run, L *lua.LState) int { return r.push(L, lua.LTrue) },
	"set_repl":           func(*run, *lua.LState) int { return 0 },
	"debug":              func(*run, *lua.LState) int { return 0 },
	"breakpoint":         func(r *run, L *lua.LState) int { return r.push(L, lua.LFalse) },
}

// RedisVersion is the version of Redis that scripts and clients are told: they choose features by it. 8.4 is
// the newest whose commands are all here or refused in the way that they expect. versionNumber is the same
// as Redis packs it, a byte for each part.
const (
	RedisVersion  = "8.4.0"
	versionNumber = 8<<16 | 4<<8 | 0
)

var redisValues = map[string]lua.LValue{
	"LOG_DEBUG": lua.LNumber(0), "LOG_VERBOSE": lua.LNumber(1), "LOG_NOTICE": lua.LNumber(2),
	"LOG_WARNING": lua.LNumber(3), "REPL_NONE": lua.LNumber(0), "REPL_AOF": lua.LNumber(1),
	"REPL_SLAVE": lua.LNumber(2), "REPL_REPLICA": lua.LNumber(2), "REPL_ALL": lua.LNumber(3),
	"REDIS_VERSION": lua.LString(RedisVersion), "REDIS_VERSION_NUM": lua.LNumber(versionNumber),
}

// errorTable is an error as a script handles it. text has its code in front.
func (r *run) errorTable(L *lua.LState, text string) lua.LValue {
	return r.single(L, "err", r.textValue(L, text))
}

func (r *run) redisCall(L *lua.LState) int {
	v, failed := r.call(L)
	if failed {
		r.raise(L, v)
	}
	return r.push(L, v)
}

func (r *run) redisPCall(L *lua.LState) int {
	v, _ := r.call(L)
	return r.push(L, v)
}

// call runs a command and returns what the script sees of its reply.
func (r *run) call(L *lua.LState) (v lua.LValue, failed bool) {
	words, problem := r.words(L)
	if problem != "" {
		return r.errorTable(L, "ERR "+problem), true
	}
	reply := r.caller.Call(words, r.proto)
	r.alive(L)
	return r.valueOf(L, reply), reply.IsErr()
}

// commandBytes is counted for a command, beside its words and its reply.
const commandBytes = 512

func (r *run) words(L *lua.LState) (words []string, problem string) {
	if L.GetTop() == 0 {
		return nil, textNoArgs
	}
	size := commandBytes
	for i := 1; i <= L.GetTop(); i++ {
		switch v := L.Get(i).(type) {
		case lua.LString:
			words = append(words, string(v))
		case lua.LNumber:
			words = append(words, formatG17(float64(v)))
		default:
			return nil, textArgTypes
		}
		size += 2 * len(words[i-1])
	}
	r.take(L, size)
	return words, ""
}

func (r *run) redisSHA(L *lua.LState) int {
	if L.GetTop() != 1 {
		r.raise(L, r.errorTable(L, "ERR "+textWrongArgs))
	}
	return r.pushString(L, SHA(r.text(L.Get(1))))
}

func (r *run) redisErrorReply(L *lua.LState) int {
	text, ok := L.Get(1).(lua.LString)
	if !ok || L.GetTop() != 1 {
		return r.push(L, r.errorTable(L, "ERR "+textWrongTypes))
	}
	message := strings.TrimPrefix(string(text), "-")
	if !strings.ContainsAny(message, " \r\n") {
		message = "ERR " + message
	}
	return r.push(L, r.errorTable(L, strings.TrimRight(message, "\r\n")))
}

func (r *run) redisStatusReply(L *lua.LState) int {
	text, ok := L.Get(1).(lua.LString)
	if !ok || L.GetTop() != 1 {
		return r.push(L, r.errorTable(L, "ERR "+textWrongTypes))
	}
	return r.push(L, r.single(L, "ok", text))
}

func (r *run) redisLog(L *lua.LState) int {
	if L.GetTop() < 2 {
		r.raise(L, r.errorTable(L, "ERR "+textLogArgs))
	}
	level, ok := toNumber(L.Get(1))
	if !ok {
		r.raise(L, r.errorTable(L, "ERR First argument must be a number (log level)."))
	}
	if level < 0 || level > 3 {
		r.raise(L, r.errorTable(L, "ERR "+textLogLevel))
	}
	var words []string
	for i := 2; i <= L.GetTop(); i++ {
		if v := L.Get(i); isText(v) {
			words = append(words, r.text(v))
		}
	}
	r.caller.Log(int(level), strings.Join(words, " "))
	return 0
}

func (r *run) redisSetResp(L *lua.LState) int {
	if L.GetTop() != 1 {
		r.raise(L, r.errorTable(L, "ERR "+textRespArgs))
	}
	n, ok := toNumber(L.Get(1))
	if !ok || n != 2 && n != 3 {
		r.raise(L, r.errorTable(L, "ERR "+textRespNumber))
	}
	r.proto = int(n)
	return 0
}

func (r *run) redisACLCheck(L *lua.LState) int {
	words, problem := r.words(L)
	if problem != "" {
		r.raise(L, r.errorTable(L, "ERR "+problem))
	}
	allowed, known := r.caller.Allowed(words)
	if !known {
		r.raise(L, r.errorTable(L, "ERR Invalid command passed to redis.acl_check_cmd()"))
	}
	return r.push(L, lua.LBool(allowed))
}
