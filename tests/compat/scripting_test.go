package compat

import (
	"os"
	"strconv"
	"strings"
)

// Scripts, most of them in testdata/scripts.txt. The whole reply is compared, but in the section "loose":
// there the interpreter itself fails, and gopher-lua does not know the names of variables that Lua tells;
// and in "broken", which do not parse.

var scriptFamilies = []family{
	{"scripts: replies", func(p *pair) { p.scripts("replies") }},
	{"scripts: calls", func(p *pair) { p.scripts("calls") }},
	{"scripts: errors", func(p *pair) { p.scripts("errors") }},
	{"scripts: protection", func(p *pair) { p.scripts("protection") }},
	{"scripts: strings", func(p *pair) { p.scripts("strings") }},
	{"scripts: numbers", func(p *pair) { p.scripts("numbers") }},
	{"scripts: tables", func(p *pair) { p.scripts("tables") }},
	{"scripts: json", func(p *pair) { p.scripts("json") }},
	{"scripts: struct and cmsgpack", func(p *pair) { p.scripts("packing") }},
	{"scripts: as libraries send them", func(p *pair) { p.libraryScripts() }},
	{"scripts: loose", func(p *pair) {
		for _, s := range p.corpus("loose") {
			p.SameError("ERR user_script:1:", "EVAL", s, "0")
		}
		for _, s := range []string{"multi", "subscribe", "wait", "watch", "blpop", "psync"} {
			p.SameError("ERR ", "EVAL", "return redis.call('"+s+"', 'a', 'b')", "0")
		}
		for _, s := range p.corpus("broken") {
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

// corpus returns the scripts of one section of testdata/scripts.txt.
func (p *pair) corpus(section string) (out []string) {
	p.t.Helper()
	file, err := os.ReadFile("testdata/scripts.txt")
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(file), "\n# "+section+"\n")
	if !found {
		p.t.Fatalf("no section %s", section)
	}
	body, _, _ := strings.Cut(rest, "\n# ")
	for _, line := range strings.Split(strings.TrimSpace(body), "\n") {
		source, err := strconv.Unquote(`"` + line + `"`)
		if err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		out = append(out, source)
	}
	return out
}

// scripts compares each script of a section, and what it has left behind.
func (p *pair) scripts(section string) {
	p.t.Helper()
	for _, s := range p.corpus(section) {
		p.Same("EVAL", s, "2", "k1", "k2", "a1", "2")
		p.Same("MGET", "k1", "k2", "n", "s")
		p.Same("FLUSHALL")
	}
}

// libraryScripts are what lock libraries, session stores and rate limiters send.
func (p *pair) libraryScripts() {
	const release = "if redis.call('GET', KEYS[1]) == ARGV[1] then " +
		"return redis.call('DEL', KEYS[1]) else return 0 end"
	const extend = "if redis.call('GET', KEYS[1]) == ARGV[1] then " +
		"return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return 0 end"
	const limit = `local n = redis.call('INCR', KEYS[1])
		if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
		if n > tonumber(ARGV[2]) then return {0, n} end return {1, tonumber(ARGV[2]) - n}`
	const multi = `for i, key in ipairs(KEYS) do if redis.call('exists', key) == 1 then return 0 end end
		for i, key in ipairs(KEYS) do redis.call('set', key, ARGV[1], 'PX', ARGV[2]) end return #KEYS`
	p.Same("SET", "lock", "me", "PX", "100000")
	for _, call := range [][]string{
		{extend, "1", "lock", "you", "1000"}, {extend, "1", "lock", "me", "100000"},
		{release, "1", "lock", "you"}, {release, "1", "lock", "me"}, {release, "1", "lock", "me"},
		{limit, "1", "rate", "60000", "3"},
		{limit, "1", "rate", "60000", "3"}, {limit, "1", "rate", "60000", "3"}, {limit, "1", "rate", "60000", "3"},
		{multi, "2", "a", "b", "t", "50000"}, {multi, "2", "c", "b", "t", "50000"},
	} {
		p.Same(append([]string{"EVAL"}, call...)...)
		p.Same(strings.Fields("EXISTS lock rate a b c")...)
	}
}
