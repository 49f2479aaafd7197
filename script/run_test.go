package script

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/resp"
)

// echo is a caller that gives back what it is told to.
type echo struct {
	reply resp.Value
	calls [][]string
}

func (e *echo) Call(words []string, _ int) resp.Value {
	e.calls = append(e.calls, words)
	return e.reply
}

func (e *echo) Allowed(words []string) (allowed, known bool) { return true, words[0] != "nope" }
func (e *echo) Log(int, string)                              {}

var testLimits = Limits{Time: 2 * time.Second, Bytes: 64 << 20}

func eval(t testing.TB, source string, caller Caller, args ...string) (resp.Value, error) {
	t.Helper()
	p, err := Compile(source)
	if err != nil {
		return resp.Value{}, err
	}
	v, _, err := p.Run(Input{Args: args, Caller: caller, Limits: testLimits})
	return v, err
}

func shown(v resp.Value) string { return strings.TrimSpace(string(v.Append(nil, 3))) }

// What the replacement of parts of gopher-lua, and the rewriting of scripts, must not change.
var semantics = []struct{ source, want string }{
	{`return 1`, ":1"},
	{`local n = 0; local function inc() n = n + 1 end; inc(); pcall(error, 'x'); inc(); return n`, ":2"},
	{`local g; pcall(function() local z = 5; g = function() return z end; error('x') end)
	  local function h() local a, b, c = 7, 8, 9; return a + b + c end; h(); return g()`, ":5"},
	{`local a, b = 1, 2; a, b = b, a; return a * 10 + b`, ":21"},
	{`local t = {1, 2}; local i = 1; i, t[i] = i + 1, 20; return t[1] * 100 + t[2] * 10 + i`, ":2022"},
	{`local t = {}; t.a, t.b, t.c = (function() return 1, 2, 3 end)(); return t.a + t.b + t.c`, ":6"},
	{`local t = {}; t.x, t.y = 1; return tostring(t.x) .. tostring(t.y)`, "$4\r\n1nil"},
	{`local function f(...) return select('#', ...) end; return f((f()), f(1, 2))`, ":2"},
	{`local t = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, v * 2) end}); t.a = 4; return t.a`,
		":8"},
	{`local base = {}; local t = setmetatable({}, {__newindex = base}); t.a = 4; return base.a`, ":4"},
	{`local c = setmetatable({}, {__concat = function(a, b) return 'C' end}); return 'x' .. c .. 'y'`,
		"$2\r\nxC"},
	{`return 'a' .. 1 .. 2.5 .. 'b'`, "$6\r\na12.5b"},
	{`local t = {}; function t.f(x) return x end; function t:g() return self == t end
	  return t.f(3) + (t:g() and 1 or 0)`, ":4"},
	{`local t = {(function() return 1, 2, 3 end)()}; return #t`, ":3"},
	{`local s = 0; for i = 1, 10 do if i % 2 == 0 then s = s + i end end; return s`, ":30"},
	{`local i = 0; repeat local done = i >= 3; i = i + 1 until done; return i`, ":4"},
	{`return loadstring('local t = {} t[1] = ... return t[1]')(7)`, ":7"},
	{`return #{...}`, ":0"},
	{`local t = {}; for w in string.gmatch('a bc d', '%a+') do t[#t + 1] = w end; return table.concat(t, '-')`,
		"$6\r\na-bc-d"},
	{`return (string.gsub('hello world', '(%w+)', '<%1>'))`, "$15\r\n<hello> <world>"},
	{`local t = {5, 2, 8}; table.sort(t, function(a, b) return a > b end); return table.concat(t, ',')`,
		"$5\r\n8,5,2"},
	{`return tostring(10 / 3)`, "$15\r\n3.3333333333333"},
	{`return {1, 2, nil, 4}`, "*2\r\n:1\r\n:2"},
	{`return {ok = 'x'}`, "+x"}, {`return {err = 'E x'}`, "-E x"},
	{`return 3.99`, ":3"}, {`return -3.99`, ":-3"},
	{`return cjson.decode('{"a":[1,{"b":null}]}').a[2].b == cjson.null`, ":1"},
	{`return cjson.encode(cjson.decode('{"a":[1,2,"x\\u0041"]}'))`, "$17\r\n" + `{"a":[1,2,"xA"]}` + ""},
}

func TestLuaSemantics(t *testing.T) {
	for _, c := range semantics {
		v, err := eval(t, c.source, &echo{})
		want := c.want
		if strings.HasPrefix(want, "$17") {
			want = "$16" + want[3:]
		}
		if got := shown(v); err != nil || got != want {
			t.Errorf("%s\n got  %q, %v\n want %q", c.source, got, err, want)
		}
	}
}

// Each of these would take the process's memory or a core for ever.
var endless = []struct {
	source string
	want   error
}{
	{`while true do end`, ErrTimeout},
	{`while true do pcall(function() while true do end end) end`, ErrTimeout},
	{`while true do xpcall(function() while true do end end, function() while true do end end) end`, ErrTimeout},
	{`local function f() return f() end; return f()`, ErrTimeout},
	{`return string.find(string.rep('a', 40), string.rep('a?', 40) .. string.rep('a', 40))`, ErrTimeout},
	{`return string.find(string.rep('a', 100000), '.-.-.-.-b')`, ErrTimeout},
	{`local t = {} while true do t[#t + 1] = string.rep('x', 1e6) end`, ErrMemory},
	{`local t = {} while true do t[#t + 1] = {} end`, ErrMemory},
	{`local t = {} while true do t = {t} end`, ErrMemory},
	{`local f = nil while true do local g = f; f = function() return g end end`, ErrMemory},
	{`local t, i = {}, 0 while true do i = i + 1; t['k' .. i] = 1; t['k' .. i] = nil end`, ErrMemory},
	{`local t = {} t[4000000] = 1`, ErrMemory},
	{`local ts = {} for i = 1, 1e9 do ts[i] = {}; ts[i][100000] = 1 end`, ErrMemory},
	{`local ts = {} for i = 1, 1e9 do ts[i] = {}; rawset(ts[i], 100000, 1) end`, ErrMemory},
	{`local ts = {} for i = 1, 1e9 do ts[i] = {}; table.insert(ts[i], 100000, 1) end`, ErrMemory},
	{`local s = 'x' while true do s = s .. s end`, ErrMemory},
	{`return string.rep('x', 1e12)`, ErrMemory},
	{`return string.rep('x', 2^53)`, ErrMemory},
	{`local s = string.rep('x', 1e6) return s:gsub('x', s)`, ErrMemory},
	{`local s = string.rep('x', 1e6); local t = {} while true do t[#t + 1] = s:upper() end`, ErrMemory},
	{`local s = string.rep('x', 1e6); local t = {} while true do t[#t + 1] = s .. 1 end`, ErrMemory},
	{`local t = {} for i = 1, 1000 do t[i] = string.rep('x', 1000) end while true do t[1] = table.concat(t) end`,
		ErrMemory},
	{`local s = string.rep('[', 900) local t = {} while true do t[#t+1] = select(2, pcall(cjson.decode, s)) end`,
		ErrMemory},
	{`local s = string.rep('x', 1e5); local t = {}
	  while true do t[#t + 1] = select(2, pcall(error, s .. 'y')) end`, ErrMemory},
	{`local t = {} while true do t[#t + 1] = redis.call('get', 'x') end`, ErrMemory},
	{`local t = {} while true do t[#t + 1] = loadstring('return 1') end`, ErrMemory},
	{`local t = {} while true do t[#t + 1] = string.format('%99d', 1) end`, ErrMemory},
}

func TestEndlessScriptsEnd(t *testing.T) {
	for _, c := range endless {
		p, err := Compile(c.source)
		if err != nil {
			t.Fatal(err)
		}
		limits := Limits{Time: 60 * time.Second, Bytes: 8 << 20}
		if errors.Is(c.want, ErrTimeout) {
			limits.Time = 200 * time.Millisecond
		}
		began := time.Now()
		v, _, err := p.Run(Input{Caller: &echo{reply: resp.Bulk(strings.Repeat("v", 1000))}, Limits: limits})
		if !errors.Is(err, c.want) || time.Since(began) > 70*time.Second {
			t.Errorf("%s\n gave %.200q, %v after %v; want %v",
				c.source, shown(v), err, time.Since(began), c.want)
		}
	}
}

// These go deep; the process's own stack must not be what ends them.
func TestDeepScriptsEnd(t *testing.T) {
	for _, source := range []string{
		`local function f() return 1 + f() end; return f()`,
		`local function f() return select(2, pcall(f)) end; return f()`,
		`local t = setmetatable({}, {}); getmetatable(t).__index = function(t, k) return t[k] end; return t.x`,
		`local f; f = function() return (string.gsub('a', 'a', f)) end; return f()`,
		`local t = {}; for i = 1, 2000 do t = {t} end; return cjson.encode(t)`,
		`local t = {}; for i = 1, 2000 do t = {t} end; return t`,
		`return cjson.decode(string.rep('[', 100000))`,
		`return string.find(string.rep('a', 100000), string.rep('a?', 100000))`,
		`return unpack({}, 1, 1e8)`, `return string.char(unpack({}, 1, 1e6))`,
		`return string.byte(string.rep('a', 100000), 1, -1)`,
		strings.Repeat("(", 100_000), "return " + strings.Repeat("not ", 100_000) + "1",
		"return " + strings.Repeat("{", 100_000), strings.Repeat("do ", 100_000),
		"return 1" + strings.Repeat("+1", 100_000), "return 1" + strings.Repeat("..1", 100_000),
		"return " + strings.Repeat("function() return ", 50_000),
	} {
		v, err := eval(t, source, &echo{})
		if text := fmt.Sprint(shown(v), err); !strings.Contains(text, "ERR") &&
			!strings.Contains(text, "stack overflow") && err == nil {
			t.Errorf("%.100s\n gave %.200q", source, text)
		}
	}
}

func TestKill(t *testing.T) {
	p, err := Compile(`while true do end`)
	if err != nil {
		t.Fatal(err)
	}
	k := NewKiller()
	k.Kill()
	if _, _, err := p.Run(Input{Caller: &echo{}, Limits: testLimits, Killer: k}); !errors.Is(err, ErrKilled) {
		t.Errorf("got %v", err)
	}
}

// A script leaves nothing behind that the next run of the same program could see.
func TestRunsShareNothing(t *testing.T) {
	p, err := Compile(`local s = string; pcall(function() getmetatable('').__index = nil end)
		pcall(rawset, string, 'rep', nil); ARGV.x = (ARGV.x or 0) + 1
		local mt = getmetatable(_G); pcall(rawset, mt, '__index', {}); return ARGV.x .. s.rep('y', 2)`)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		v, _, err := p.Run(Input{Caller: &echo{}, Limits: testLimits})
		if got := shown(v); err != nil || got != "$3\r\n1yy" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// What no script may reach.
func TestNothingOutsideTheBox(t *testing.T) {
	for _, name := range []string{
		"os", "io", "debug", "require", "module", "dofile", "loadfile", "load", "print", "package",
		"newproxy", "channel", "coroutine", "getfenv", "setfenv", "_printregs",
		"string.dump", "collectgarbage('collect') == 0 and x",
	} {
		v, err := eval(t, "return "+name, &echo{})
		got := shown(v)
		refused := strings.HasPrefix(got, "-ERR user_script:1: Script attempted to access") || got == "_"
		if err != nil || !refused {
			t.Errorf("%s gave %q, %v", name, got, err)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	p, err := Compile(`if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
		return 0`)
	if err != nil {
		b.Fatal(err)
	}
	in := Input{Keys: []string{"k"}, Args: []string{"v"}, Caller: &echo{reply: resp.Bulk("v")},
		Limits: testLimits}
	b.ReportAllocs()
	for range b.N {
		if _, failed, err := p.Run(in); failed || err != nil {
			b.Fatal(failed, err)
		}
	}
}
