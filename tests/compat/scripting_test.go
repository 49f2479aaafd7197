package compat

import (
	"strings"
)

// Scripts whose whole reply is compared. Each runs in both protocols, on one node and through a follower, with
// KEYS k1 k2 and ARGV a1 2. Where Lua itself words an error that gopher-lua words in another way, only the
// beginning is compared: those stand in looseScripts.

var scriptFamilies = []family{
	{"scripts: replies", func(p *pair) { p.scripts(replyScripts) }},
	{"scripts: calls", func(p *pair) { p.scripts(callScripts) }},
	{"scripts: errors", func(p *pair) { p.scripts(errorScripts) }},
	{"scripts: protection", func(p *pair) { p.scripts(protectedScripts) }},
	{"scripts: strings", func(p *pair) { p.scripts(stringScripts) }},
	{"scripts: numbers", func(p *pair) { p.scripts(numberScripts) }},
	{"scripts: tables", func(p *pair) { p.scripts(tableScripts) }},
	{"scripts: json", func(p *pair) { p.scripts(jsonScripts) }},
	{"scripts: as libraries send them", func(p *pair) { p.libraryScripts() }},
	{"scripts: loose", func(p *pair) {
		for _, s := range looseScripts {
			p.SameError("ERR user_script:1:", "EVAL", s, "0")
		}
		for _, s := range brokenScripts {
			p.SameError("ERR Error compiling script (new function): user_script:", "EVAL", s, "0")
			p.SameError("ERR Error compiling script (new function): user_script:", "SCRIPT", "LOAD", s)
		}
	}},
	{"script commands", func(p *pair) {
		p.Same("SCRIPT", "FLUSH")
		p.Same("EVAL", "return 1", "x")
		p.Same("EVAL", "return 1", "-1")
		p.Same("EVAL", "return 1", "5", "a")
		p.Same("EVAL", "return 1", "9223372036854775808")
		p.Same("EVAL", "return {KEYS, ARGV}", "1", "a", "b", "c")
		p.Same("EVAL", "return {KEYS, ARGV}", "0")
		p.Same("EVAL_RO", "return redis.call('get', KEYS[1])", "1", "a")
		p.Same("EVAL_RO", "return redis.call('set', KEYS[1], 'x')", "1", "a")
		p.Same("EVAL_RO", "return redis.pcall('set', KEYS[1], 'x')", "1", "a")
		p.SameLine("EVALSHA abc 0", "EVALSHA ffffffffffffffffffffffffffffffffffffffff 0", "EVALSHA_RO abc 0",
			"EVALSHA abc x", "SCRIPT EXISTS", "SCRIPT NOPE", "SCRIPT", "SCRIPT KILL", "SCRIPT FLUSH x",
			"SCRIPT FLUSH ASYNC x", "SCRIPT FLUSH SYNC", "SCRIPT FLUSH async", "SCRIPT DEBUG x", "SCRIPT LOAD",
			"SCRIPT KILL x", "SCRIPT DEBUG NO")
		p.Same("SCRIPT", "LOAD", "return 7")
		p.Same("SCRIPT", "EXISTS", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "x",
			"4ca238f611c9d0ae4e9a75a5dbac22aedc1e44282")
		p.Same("SCRIPT", "LOAD", "return ARGV[1]")
		p.Same("EVALSHA", "098e0f0d1448c0a81dafe820f66d460eb09263da", "0", "x")
		p.Same("EVALSHA", "098E0F0D1448C0A81DAFE820F66D460EB09263DA", "0", "x")
		p.Same("EVALSHA_RO", "098e0f0d1448c0a81dafe820f66d460eb09263da", "0", "x")
		p.Same("SCRIPT", "EXISTS", "098E0F0D1448C0A81DAFE820F66D460EB09263DA")
		p.Same("SCRIPT", "FLUSH")
		p.Same("EVALSHA", "098e0f0d1448c0a81dafe820f66d460eb09263da", "0", "x")
		p.Same("EVAL", "#!lua flags=no-writes\nreturn redis.call('set', 'a', '1')", "0")
		p.Same("EVAL", "#!lua flags=no-writes,allow-stale\nreturn redis.call('get', 'a')", "0")
		p.Same("EVAL", "#!lua\nerror('x')", "0")
		p.Same("EVAL", "#!lua flags=foo\nreturn 1", "0")
		p.Same("EVAL", "#!foo\nreturn 1", "0")
		p.Same("EVAL", "#!lua name=x\nreturn 1", "0")
		p.Same("COMMAND", "GETKEYS", "EVAL", "x", "2", "a", "b", "c")
		p.Same("COMMAND", "GETKEYSANDFLAGS", "EVAL", "x", "1", "a", "b")
		p.arity("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO")
	}},
}

// scripts compares each script, and what it has left behind.
func (p *pair) scripts(sources []string) {
	p.t.Helper()
	for _, s := range sources {
		p.Same("EVAL", s, "2", "k1", "k2", "a1", "2")
		p.Same("MGET", "k1", "k2", "n", "s")
		p.Same("FLUSHALL")
	}
}

var replyScripts = []string{
	"return 1", "return 2.9", "return -2.9", "return 0", "return -0.5", "return 1e15", "return 2^53", "return 1e100",
	"return -1e100", "return 1/0", "return 0/0", "return 'x'", "return ''", "return '\\0\\r\\n'", "return true",
	"return false", "return nil", "return", "", "return 1, 2", "return {}", "return {1,2,3}", "return {1,nil,3}",
	"return {nil}", "return {1,{2,{3,{4}}}}", "return {1,2.9,'x',true,false,nil,3}", "return {a=1}",
	"return {1, 2, a=3}", "return {ok='fine'}", "return {err='bad thing'}", "return {err='ERR bad'}", "return {ok=1}",
	"return {err=1}", "return {ok='a\\nb'}", "return {double=3.5}", "return {double=3}", "return {double=1/0}",
	"return {double='x'}", "return {map={a=1}}", "return {map={}}", "return {set={a=true}}", "return {set={}}",
	"return {big_number='12345678901234567890'}", "return {verbatim_string={string='x',format='txt'}}",
	"return function() end", "return {function() end, 1}", "return {true, false}", "return {{ok='x'},{err='E y'}}",
	"redis.setresp(3) return true", "redis.setresp(3) return false", "redis.setresp(3) return nil",
	"redis.setresp(3) return {true,false}", "redis.setresp(3) return {double=2.25}",
	"redis.setresp(3) return {map={a={map={b=1}}}}", "redis.setresp(3) return redis.call('get','none')",
	"redis.setresp(3) return redis.call('get','none') == nil", "redis.setresp(3) redis.setresp(2) return true",
	"return KEYS", "return ARGV", "return {KEYS[1], KEYS[2], KEYS[3]}", "return #KEYS + #ARGV", "return ARGV[2] + 1",
	"return redis.status_reply('foo')", "return redis.error_reply('foo')", "return redis.error_reply('FOO bar')",
	"return redis.error_reply('-FOO bar')", "return redis.error_reply('-foo')", "return redis.error_reply()",
	"return redis.error_reply(1)", "return redis.status_reply(1)", "return redis.status_reply('a','b')",
	"return redis.sha1hex('a')", "return redis.sha1hex('')", "return redis.sha1hex(1)",
	"return redis.status_reply('x').ok", "return redis.error_reply('x').err", "return redis.LOG_WARNING",
	"redis.log(redis.LOG_WARNING, 'x')", "redis.log(1,'x','y')", "return redis.breakpoint()", "return redis.debug('x')",
	"return redis.set_repl(redis.REPL_ALL)", "return redis.replicate_commands()", "return _VERSION",
	"return {redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL}",
	"return redis.acl_check_cmd('set','a','b')", "return redis.acl_check_cmd('nope')",
	"return redis.acl_check_cmd()", "redis.setresp(4)", "redis.setresp()", "redis.setresp('x')",
	"-- a comment\nreturn 1", "return 1 -- behind", "--[[ long\n ]] return 2",
}

var callScripts = []string{
	"return redis.call('ping')", "return redis.call('ping', 'x')", "return redis.call('echo', ARGV[1])",
	"return redis.call('set', KEYS[1], ARGV[1])", "return redis.call('SET', KEYS[1], ARGV[1], 'NX')",
	"redis.call('set', KEYS[1], '1') return redis.call('set', KEYS[1], '2', 'nx')",
	"redis.call('set', KEYS[1], '1') return redis.call('set', KEYS[1], '2', 'get')",
	"return redis.call('get', KEYS[1])", "return redis.call('get', KEYS[1]) == false",
	"redis.call('set', KEYS[1], 5) return redis.call('incr', KEYS[1])",
	"redis.call('set', 'n', 0.1) return redis.call('get', 'n')",
	"redis.call('set', 'n', 1e100) return redis.call('get', 'n')",
	"redis.call('set', 'n', 3.0) return redis.call('get', 'n')", "redis.call('set', 'n', -0.0) return redis.call('get', 'n')",
	"redis.call('set', 'n', 123456789012345678) return redis.call('get', 'n')",
	"redis.call('set', 'n', 1/0) return redis.call('get', 'n')", "redis.call('set', 'n', 2^63) return redis.call('get', 'n')",
	"redis.call('mset', 'k1', 'a', 'k2', 'b') return redis.call('mget', 'k1', 'none', 'k2')",
	"return type(redis.call('mget', 'k1', 'none')[1])", "return redis.call('exists', 'k1', 'k2')",
	"for i = 1, 10 do redis.call('incrby', 'n', i) end return redis.call('get', 'n')",
	"redis.call('set', 'k1', 'v') redis.call('del', 'k1') return redis.call('exists', 'k1')",
	"redis.call('append', 's', 'a') redis.call('append', 's', 'b') return redis.call('strlen', 's')",
	"redis.call('set', 's', 'v', 'EX', 100) return redis.call('ttl', 's')",
	"redis.call('set', 's', 'v', 'PX', 100500) return redis.call('pttl', 's')",
	"redis.call('set', 's', 'v', 'EX', 100) redis.call('persist', 's') return redis.call('ttl', 's')",
	"redis.call('set', 's', 'v') return redis.call('expire', 's', 100, 'GT')",
	"redis.call('set', 's', 'v') return {redis.call('expire', 's', -1), redis.call('exists', 's')}",
	"redis.call('set', 's', 'v') return {redis.call('pexpire', 's', 500), redis.call('pttl', 's')}",
	"redis.call('set', 's', 'v') return redis.call('type', 's')", "return redis.call('type', 'none')",
	"return redis.call('type', 'none').ok", "return redis.call('ttl', 'none')",
	"redis.call('mset', 'a', 1, 'b', 2) return redis.call('dbsize')", "return redis.call('dbsize')",
	"redis.call('set', 'a', 1) return redis.call('keys', 'a*')",
	"redis.call('set', 'a', 1) redis.call('flushall') return redis.call('keys', '*')",
	"redis.call('mset', 'a', 1, 'b', 2, 'c', 3) return #redis.call('scan', 0)[2]",
	"redis.call('set', 'a', 1) return redis.call('scan', 0)", "return redis.call('touch', 'a')",
	"return redis.call('msetnx', 'k1', '1', 'k2', '2')", "return redis.call('unlink', 'k1')",
	"return redis.call('select', 0)", "return redis.call('select', 5)", "return #redis.call('time')",
	"local a = redis.call('time') for i = 1, 100000 do end local b = redis.call('time') return a[1] == b[1] and a[2] == b[2]",
	"return redis.pcall('set', 'k1', 'x').ok", "return redis.pcall('nope').err", "return redis.pcall('nope')",
	"redis.call('set', 's', 'x') return redis.pcall('incr', 's')",
	"redis.call('set', 's', 'x') return redis.pcall('incr', 's').err",
	"redis.call('set', 's', 'x') local ok, e = pcall(redis.call, 'incr', 's') return {ok and 1 or 0, type(e), e}",
	"redis.call('set', 's', 'x') redis.pcall('incr', 's') return redis.call('get', 's')",
	"return pcall(redis.call, 'nope')", "return {pcall(redis.pcall, 'nope')}",
	"redis.call('set', 'k1', '\\0\\255') return redis.call('get', 'k1')",
	"return redis.call('command', 'count') > 50", "return redis.call('echo', '') == ''",
	"return redis.call('echo', 12.0)", "return redis.call('echo', 1.5)", "return redis.call('echo', -7)",
	"if redis.call('get', KEYS[1]) == false then return 'none' end", "return redis.call('readonly')",
	"local r = redis.call('set', 'k1', 'v') return type(r) .. r.ok",
	"redis.call('mset', 'k1', 'v1', 'k2', 'v2') local o = {} for i, k in ipairs(KEYS) do o[i] = redis.call('get', k) end return o",
}

var errorScripts = []string{
	"return redis.call('nope')", "return redis.call('get')", "return redis.call()", "return redis.pcall()",
	"return redis.call('get', {})", "return redis.call('get', true)", "return redis.call('get', nil)",
	"return redis.call('multi')", "return redis.call('eval', 'return 1', 0)",
	"return redis.call('subscribe', 'a')", "return redis.call('client', 'id')", "return redis.call('client', 'nope')",
	"return redis.call('config', 'get', 'x')", "return redis.call('script', 'flush')", "return redis.call('auth', 'x')",
	"return redis.call('hello')", "return redis.call('reset')", "return redis.call('quit')", "return redis.call('wait', 0, 0)",
	"return redis.call('evalsha', 'x', 0)", "return redis.call('watch', 'a')", "return redis.call('')",
	"return redis.call('set', 'a', 'b', 'nonsense')", "return redis.call('incrby', 'a', 'x')",
	"return redis.call('expire', 'a', 'x')", "return redis.call('set', 'a', '1', 'EX', 0)",
	"error('boom')", "error('boom', 0)", "error('boom', 2)", "error({err='MY thing'})", "error({err='thing'})",
	"error(nil)", "error()", "error(12)", "\n\nerror('third line')", "local function f() error('in f') end\nf()",
	"local function f()\n error('in f', 2) end\nf()", "\nreturn redis.call('nope')",
	"local function f()\n return redis.call('nope')\n end\n return f() .. ''",
	"local ok, e = pcall(error, 'x') return e", "local ok, e = pcall(function() error('x') end) return e",
	"local ok, e = pcall(error) return {ok and 1 or 0, tostring(e)}", "return {pcall(function() return 1, 2 end)}",
	"local ok, e = pcall(error, {1, 2}) return e", "local ok, e = pcall(error, {err='x'}) return e",
	"local ok, e = pcall(redis.call, 'nope') error(e)", "local ok, e = pcall(redis.call, 'nope') return e",
	"local e = redis.pcall('nope') error(e)", "return xpcall(function() error('a') end, function(e) return e .. '!' end)",
	"return {xpcall(function() error('a') end, function(e) return e .. '!' end)}", "assert(false)", "assert(false, 'hi')",
	"assert(nil)", "return assert(1, 2)", "return assert('x')", "return nil + 1", "return 'a' < 1", "return {} < {}",
	"return 'a' .. nil", "return 'a' .. {}", "local t = {} ; t[nil] = 1", "return 1 < 'x'", "return {} + 1",
	"for i = 1, 'x' do end", "for i = 'x', 1 do end", "for i = 1, 2, {} do end", "return 'abc' + 1", "return -{}",
	"redis.log('x')", "redis.log(9, 'x')", "redis.log()", "redis.log({}, 'x')", "return redis.sha1hex()",
	"return redis.sha1hex('a', 'b')", "return redis.setresp('3')",
	"return string.rep('x', 10, 20, 30)", "return select(0)", "return unpack({}, 1, 1e6)",
	"return table.concat({1, 2, {}}, ',')", "return setmetatable(1, {})", "return tonumber('10', 99)",
	"return string.char(256)", "return string.format('%y', 1)", "return string.format('%d', 'x')",
	"return string.find('a', '[a')", "return string.find('a', '%')", "return string.find('a', '(a')",
	"return string.gsub('a', 'a', true)", "return ('x'):bad()",
}

var protectedScripts = []string{
	"x = 1", "return x", "_G.x = 1", "return _G.x", "string.foo = 1", "redis.foo = 1", "KEYS = 1", "print('x')",
	"return os", "return io", "return require", "return dofile", "return debug", "return loadfile", "return load == nil",
	"rawset(_G, 'x', 1)", "setmetatable(_G, {})", "getmetatable('').__index = 1", "setmetatable(string, {})",
	"KEYS[1] = 'x' return KEYS", "ARGV[5] = 'y' return #ARGV", "function f() end", "local function f() return 1 end return f()",
	"x, y = 1, 2", "table.insert(string, 1)", "return rawget(_G, 'nosuch')", "redis = nil", "string = nil",
	"math.random = nil", "return type(redis.call)", "return type(_G)", "return type(string)", "foo()", "foo.bar = 1",
	"return loadstring('return 7')()", "return loadstring('return 7 +')", "return {loadstring('x = = 1') == nil}",
	"return loadstring('y = 1')()", "return loadstring('return z')()", "return loadstring('return ...')(5)",
}

var stringScripts = []string{
	"return ('abc'):upper() .. ('ABC'):lower()", "return #'abc'", "return ('abc'):rep(3)", "return ('abc'):rep(0)",
	"return ('abc'):rep(-1)", "return ('abc'):reverse()", "return ('abcdef'):sub(2, 4)", "return ('abcdef'):sub(-3)",
	"return ('abcdef'):sub(-3, -2)", "return ('abcdef'):sub(0)", "return ('abcdef'):sub(4, 2)", "return ('abc'):sub(10)",
	"return {('abc'):byte(1, -1)}", "return {('abc'):byte(10)}", "return string.char(72, 105)", "return string.char()",
	"return {('hello world'):find('wor')}", "return {('hello'):find('l')}", "return {('hello'):find('xyz')}",
	"return {('hello'):find('')}", "return {('hello'):find('', 10)}", "return {('hello'):find('l', -2)}",
	"return {('a.b'):find('.', 1, true)}", "return {('a.b'):find('%.')}", "return {('key=val'):match('(%w+)=(%w+)')}",
	"return {('  x '):match('^%s*(.-)%s*$')}", "return ('abc123'):match('%d+')", "return ('abc'):match('()b()')",
	"return {('abc'):match('()b()')}", "return {('[[x]]'):match('%[%[(.-)%]%]')}", "return {('f(a(b)c)'):match('%b()')}",
	"return {('THE (quick) fox'):find('%((%a+)%)')}", "return ('hello'):gsub('l', 'L')",
	"return {('hello'):gsub('l', 'L')}", "return {('hello'):gsub('l', 'L', 1)}", "return {('hello'):gsub('', '-')}",
	"return {('hello world'):gsub('%w+', '<%0>')}", "return {('abc'):gsub('%w', '%%%0')}",
	"return {('abc'):gsub('%w', {a = '1', b = true})}", "return {('abc'):gsub('%w', function(c) return c:byte() end)}",
	"return {('abc'):gsub('b', function() return nil end)}", "return {('hello'):gsub('(h)(e)', '%2%1')}",
	"return {('x^y'):gsub('^x', 'z')}", "return {('aaa'):gsub('^a', 'b')}", "return {('abc'):gsub('.', {a=1})}",
	"local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t+1] = k .. v end return t",
	"local t = {} for w in ('one two'):gmatch('%a+') do t[#t+1] = w end return t",
	"local n = 0 for _ in ('abc'):gmatch('') do n = n + 1 end return n", "return {('a,b,,c'):find(',', 4)}",
	"return {('x'):find('[%a_][%w_]*')}", "return {('THE'):find('%f[%a]%a+')}", "return {('a-b'):match('[a%-]+')}",
	"return {(']'):match('[]]')}", "return {('^'):match('[%^x]')}", "return {('aXb'):gsub('%u', '-')}",
	"return {('a\\0b'):find('%z')}", "return {('äö'):gsub('[\\128-\\255]+', '?')}", "return {('aab'):match('^(a*)(b?)$')}",
	"return {('abab'):match('^(ab)%1$')}", "return {('aaa'):match('a-')}", "return {('aaab'):match('a-b')}",
	"return string.format('%5.2f|%d|%s|%x|%g|%i|%c', 3.14159, 42, 'hi', 255, 1e20, 7, 65)",
	"return string.format('%-5d|%05d|%+d|% d', 3, 3, 3, 3)", "return string.format('%10s|%-10s|%.2s', 'ab', 'ab', 'abc')",
	"return string.format('%q', 'a\"b\\nc\\0d\\\\')", "return string.format('%%')", "return string.format('%e', 12345.678)",
	"return string.format('%g %g %g', 0.1, 1e-5, 100000000)", "return string.format('%o %X %#x', 8, 255, 255)",
	"return string.format('%.3g|%10.4f|%-8gx', 1234.5678, 2.5, 1.5)", "return string.format('%d', 3.7)",
	"return string.format('%s %s', 1, 1.5)", "return string.format('%5s', true and 'yes')", "return string.format('%u', 5)",
	"return string.format('%.14g', 0.1)", "return string.format('%.17g', 0.1)", "return string.format('%5.1f|%05.1f', 1.25, -1.25)",
	"return tostring(nil) .. tostring(true) .. tostring(1) .. tostring('x')", "return 'a' .. 1 .. 'b' .. 2.5",
	"return ('x'):len() + #'yz'", "return 'a' < 'b' and 'B' < 'a' and 'a' < 'aa'", "return [[long\nstring]]", "return 'a\\065\\10b'",
	"local s = '' for i = 1, 100 do s = s .. i end return s", "return tostring(12):rep(2)",
}

var numberScripts = []string{
	"return tostring(1/0) .. tostring(-1/0)", "return tostring(0.1 + 0.2)", "return tostring(1e15) .. tostring(1e14)",
	"return tostring(123456789012345678)", "return tostring(2^53)", "return tostring(-0.1)", "return tostring(100)",
	"return tostring(1e300 * 10)", "return tostring(3.14159265358979)", "return 10 / 4 .. ''", "return 7 % 3", "return -7 % 3",
	"return 7 % -3", "return 5.5 % 2 .. ''", "return 2 ^ 10", "return 2 ^ 0.5 .. ''", "return '10' + 5", "return '0x10' + 0",
	"return ' 5 ' * 2", "return 10 == '10'", "return tonumber('12')", "return tonumber('x')", "return tonumber('')",
	"return tonumber(' 12 ')", "return tonumber('1e2')", "return tonumber('0x1F')", "return tonumber('ff', 16)",
	"return tonumber('zz', 36)", "return tonumber('8', 8)", "return tonumber('101', 2)", "return tonumber('1.5') .. ''",
	"return tonumber(nil)", "return tonumber(true)", "return tonumber({})", "return tonumber('5x')", "return tonumber('1 2')",
	"return tonumber('-5')", "return tonumber('+5')", "return tonumber('.5') .. ''", "return tonumber('5.') .. ''",
	"return math.floor(3.7) + math.ceil(3.2)", "return math.floor(-3.5)", "return math.abs(-5)", "return math.max(1, 5, 3)",
	"return math.min(1, 5, 3)", "return math.fmod(-7, 3)", "return math.sqrt(16)", "return math.pow(2, 8)",
	"return math.huge", "return tostring(math.pi)", "return {math.modf(3.7)}", "return {math.frexp(8)}", "return math.ldexp(1, 4)",
	"return tostring(math.exp(1))", "return tostring(math.log(10))", "return math.log10(1000)", "return tostring(math.sin(1))",
	"return math.deg(math.pi)", "return tostring(math.rad(180))",
	"return tostring(math.random())", "return {math.random(10), math.random(10), math.random(5, 9)}",
	"math.randomseed(7) return {math.random(1000), math.random(1000)}",
	"math.randomseed(ARGV[2]) return tostring(math.random())", "return bit.band(0xff, 0x0f)", "return bit.bor(1, 2, 4)",
	"return bit.bxor(5, 1)", "return bit.bnot(0)", "return bit.lshift(1, 31)", "return bit.rshift(-1, 28)",
	"return bit.arshift(-16, 2)", "return bit.rol(0x12345678, 8)", "return bit.ror(0x12345678, 8)", "return bit.bswap(0x12345678)",
	"return bit.tohex(255)", "return bit.tohex(255, 4)", "return bit.tohex(255, -4)", "return bit.tobit(2^40 + 7)",
	"return bit.tobit(1.5)", "return bit.tobit(-1)", "return bit.tobit(0xffffffff)", "return 0x10", "return 1e3", "return .5 * 2",
	"local n = 0 for i = 10, 1, -3 do n = n + i end return n", "local n = 0 for i = 1, 0 do n = 1 end return n",
	"local n = 0 for i = 0.1, 1, 0.1 do n = n + 1 end return n",
}

var tableScripts = []string{
	"local t = {1,2,3} return #t", "local t = {} t[1] = 1 t[2] = 2 return #t", "local t = {1,2,3} t[3] = nil return #t",
	"local t = {n = 1} return t.n", "local t = {[1] = 'a', [2] = 'b'} return t", "local t = {'a', 'b', [10] = 'c'} return #t",
	"local t = {3,1,2} table.sort(t) return t", "local t = {3,1,2} table.sort(t, function(a, b) return a > b end) return t",
	"local t = {'b','a','c'} table.sort(t) return t", "local t = {1,2} table.insert(t, 3) return t",
	"local t = {1,2} table.insert(t, 1, 0) return t", "local t = {1,2,3} table.remove(t, 1) return t",
	"local t = {1,2,3} return table.remove(t)", "return table.remove({})", "return table.concat({1,2,3}, ', ')",
	"return table.concat({}, ',')", "return table.concat({1,2,3}, ',', 2)", "return table.concat({1,2,3}, ',', 2, 3)",
	"return table.concat({1.5,'x'})", "return {unpack({1,2,3})}", "return {unpack({1,2,3}, 2)}", "return {unpack({1,2,3}, 2, 3)}",
	"return select('#', 1, nil, 3)", "return {select(2, 'a', 'b', 'c')}", "return {select(-1, 'a', 'b')}", "return table.maxn({1,2,[10]=3})",
	"return table.getn({1,2})", "local n = 0 for k, v in pairs({1,2,a=3}) do n = n + v end return n",
	"local o = {} for i, v in ipairs({1,2,nil,4}) do o[#o+1] = v end return o", "return next({})", "return {next({5})}",
	"local t = setmetatable({}, {__index = function(t, k) return k .. '!' end}) return t.x",
	"local t = setmetatable({}, {__index = {a = 5}}) return t.a", "local t = setmetatable({}, {__call = function(s, a) return a end}) return t(4)",
	"local t = setmetatable({}, {__add = function(a, b) return 9 end}) return t + 1",
	"local t = setmetatable({}, {__eq = function() return true end}) return t == setmetatable({}, getmetatable(t))",
	"local t = setmetatable({}, {__lt = function() return true end}) return t < t", "local t = setmetatable({}, {__tostring = function() return 'T' end}) return tostring(t)",
	"local t = setmetatable({}, {__concat = function(a, b) return 'C' end}) return t .. 'x'",
	"local t = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, v + 1) end}) t.a = 1 return t.a",
	"local t = setmetatable({}, {__len = function() return 7 end}) return #t", "local t = setmetatable({}, {__unm = function() return 3 end}) return -t",
	"local t = {} t.a, t.b = 1, 2 return t.a + t.b", "local a, b = 1, 2 a, b = b, a return {a, b}", "local a, b, c = 1 return {a, tostring(b), tostring(c)}",
	"local i, t = 1, {} i, t[i] = i + 1, 20 return {i, t[1]}", "local function f(...) local a, b = ... return {a, b, select('#', ...)} end return f(1, 2, 3)",
	"local function f(...) return ... end return {f(1, 2), f(3, 4)}", "local function f(n) if n == 0 then return 0 end return f(n - 1) end return f(5000)",
	"local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end return fib(15)", "local t = {{1,2},{3,4}} return t[2][1]",
	"local n = 0 while true do n = n + 1 if n > 5 then break end end return n", "local n = 0 repeat local m = n n = n + 1 until m >= 3 return n",
	"local f = {} for i = 1, 3 do f[i] = function() return i end end return f[1]() + f[3]()", "local n = 0 local function inc() n = n + 1 end inc() pcall(error) inc() return n",
	"return (function() return 1, 2 end)()", "return {(function() return 1, 2 end)()}", "return {((function() return 1, 2 end)())}", "return not nil and 'y' or 'n'",
	"return nil and 1", "return false or 'x'", "local t = {f = function(self, x) return self.v * x end, v = 3} return t:f(4)", "return type(nil) .. type({}) .. type('') .. type(1) .. type(type)",
	"return rawequal('a', 'a')", "return rawget({a=1}, 'a')", "local t = rawset({}, 'a', 2) return t.a", "do local x = 1 end return tostring(rawget(_G, 'x'))", "return #{1, 2, nil}", "return #{n = 1}",
	"local s = 0 for _, v in ipairs({5, 6}) do s = s + v end return s", "local t = {} for i = 1, 3 do t[i] = {i} end return t", "return ({1, 2, 3})[2]", "return ('x'):rep(3):upper()", "local a <= 1",
}

var jsonScripts = []string{
	"return cjson.encode({1,2,{a=1}})", "return cjson.encode({})", "return cjson.encode({a={}})", "return cjson.encode('a\"b/\\\\\\n\\0\\127')",
	"return cjson.encode(1.5) .. cjson.encode(true) .. cjson.encode(cjson.null)", "return cjson.encode({[1]=1,[3]=2})", "return cjson.encode({[1]=1,[100]=2})",
	"return cjson.encode({['1']='x'})", "return cjson.encode({[2.5]='x'})", "return cjson.encode(1e20)", "return cjson.encode(123456789012345)", "return cjson.encode(0.1)",
	"return cjson.encode(1/0)", "return cjson.encode(function() end)", "return cjson.encode({function() end})", "return cjson.decode('[1,2,[3]]')", "return cjson.decode('{\"a\":1}').a",
	"return cjson.decode('[1,2')", "return cjson.decode('{\"a\"}')", "return cjson.decode('{a:1}')", "return cjson.decode('[1,]')", "return cjson.decode('')", "return cjson.decode('x')", "return cjson.decode('\"abc')",
	"return cjson.decode('\"a\\\\x\"')", "return cjson.decode('\"\\\\u00e9\\\\ud83d\\\\ude00\"')", "return cjson.decode('[1] x')", "return cjson.decode('null') == cjson.null", "return cjson.decode('[null]')", "return cjson.decode('true')",
	"return cjson.decode('-1.5e2')", "return cjson.decode('\"x\"')", "return type(cjson.null)", "return cjson.decode(cjson.encode({1,{b='x'}}))[2].b", "return cjson.encode(cjson.decode('{\"a\":[true,null,1.25]}'))", "return tostring(cjson.decode('{\"a\":null}').a == cjson.null)",
	"return {pcall(cjson.decode, '[')}", "return cjson.encode()", "return cjson._NAME",
}

// looseScripts fail in the interpreter itself, which names variables that gopher-lua does not know.
var looseScripts = []string{
	"local a; return a.b", "local a; a.b = 1", "local a = {}; a.x.y = 1", "local t = {} return #t + t", "local f; f()", "local a = {}; a.b()", "local a = {}; a:b()", "local a = 1; return a.b.c", "local s = 'x'; return s.y.z",
	"return redis.nosuch()", "local a; return #a", "local a; return -a", "local a; return a .. 'x'", "local t = {}; t[0/0] = 1",
	"local function f() return f() + 1 end return f()", "return cjson.decode({})", "return string.rep()", "return ('x'):rep({})", "return unpack(1)", "return ipairs()", "return pairs(nil)", "return tostring()", "return setmetatable({})", "return math.floor('x')", "return math.random(0)", "return table.concat(1)", "return table.insert({}, 1, 2, 3)", "return table.sort({1, 'x'})", "return table.sort({3, 1}, 5)",
}

var brokenScripts = []string{
	"return +", "if", "return 1 +", "x = = 1", "for", "local function", "return 'abc", "return \"abc", "goto x", "end", "return {1, 2", "local 1 = 2", "function f(", "return [[x", "a.b", "return (1", "until x", "break", "\n\nreturn =", "return 1 return 2", "x", "return ~1", "@", "1x = 2",
}

// libraryScripts are what lock libraries, session stores and rate limiters send.
func (p *pair) libraryScripts() {
	const release = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"
	const extend = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return 0 end"
	const limit = `local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
		if n > tonumber(ARGV[2]) then return {0, n} end return {1, tonumber(ARGV[2]) - n}`
	const multi = `for i, key in ipairs(KEYS) do if redis.call('exists', key) == 1 then return 0 end end
		for i, key in ipairs(KEYS) do redis.call('set', key, ARGV[1], 'PX', ARGV[2]) end return #KEYS`
	p.Same("SET", "lock", "me", "PX", "100000")
	for _, call := range [][]string{
		{extend, "1", "lock", "you", "1000"}, {extend, "1", "lock", "me", "100000"}, {release, "1", "lock", "you"},
		{release, "1", "lock", "me"}, {release, "1", "lock", "me"}, {limit, "1", "rate", "60000", "3"},
		{limit, "1", "rate", "60000", "3"}, {limit, "1", "rate", "60000", "3"}, {limit, "1", "rate", "60000", "3"},
		{multi, "2", "a", "b", "t", "50000"}, {multi, "2", "c", "b", "t", "50000"},
	} {
		p.Same(append([]string{"EVAL"}, call...)...)
		p.Same(strings.Fields("EXISTS lock rate a b c")...)
	}
}
