package compat

import (
	"fmt"
	"strings"
)

var stringFamilies = []family{
	{"get and set", func(p *pair) {
		p.Same("GET", "nothing")
		p.Same("SET", "k", "v")
		p.Same("GET", "k")
		p.Same("SET", "k", "")
		p.Same("GET", "k")
		p.Same("STRLEN", "k")
		p.Same("EXISTS", "k")
		p.Same("set", "K", "case matters in keys only")
		p.Same("gEt", "K")
		p.Same("MGET", "k", "K", "none", "k")
	}},
	{"bytes", func(p *pair) {
		var all strings.Builder
		for i := range 256 {
			all.WriteByte(byte(i))
		}
		for _, k := range []string{"", "\x00", "\r\n", all.String(), strings.Repeat("k", 5000), "{}", "$3",
			"\xff\xfe"} {
			p.Same("SET", k, all.String())
			p.Same("GET", k)
			p.Same("STRLEN", k)
			p.Same("APPEND", k, k)
			p.Same("GET", k)
			p.Same("EXISTS", k, k)
			p.Same("TYPE", k)
		}
		p.Sorted("KEYS", "*")
		p.Same("DBSIZE")
	}},
	{"large value", func(p *pair) {
		big := strings.Repeat("0123456789abcdef", 1<<16)
		p.Same("SET", "big", big)
		p.Same("STRLEN", "big")
		p.Same("GET", "big")
		p.Same("APPEND", "big", big)
		p.Same("STRLEN", "big")
		p.Same("SET", "big", "x", "GET")
		p.Same("GET", "big")
	}},
	{"set conditions", func(p *pair) {
		p.Same("SET", "k", "1", "XX")
		p.Same("GET", "k")
		p.Same("SET", "k", "1", "NX")
		p.Same("SET", "k", "2", "NX")
		p.Same("GET", "k")
		p.Same("SET", "k", "3", "xx")
		p.Same("GET", "k")
		p.Same("SET", "k", "4", "GET")
		p.Same("SET", "k", "5", "NX", "GET")
		p.Same("SET", "k", "6", "get", "XX")
		p.Same("GET", "k")
		p.Same("SET", "none", "1", "XX", "GET")
		p.Same("EXISTS", "none")
		p.Same("SET", "none", "1", "NX", "GET")
		p.Same("GET", "none")
	}},
	{"set option clashes", func(p *pair) {
		p.Same("SET", "k", "old")
		for _, opts := range setClashes {
			p.Same(append([]string{"SET", "k", "v"}, strings.Fields(opts)...)...)
			p.Same("GET", "k")
		}
		p.Same("SET", "k", "v", "")
		p.Same("SET", "k", "v", "EX", "")
		p.Same("TTL", "k")
	}},
	{"set expiry values", func(p *pair) {
		for _, unit := range []string{"EX", "PX", "EXAT", "PXAT"} {
			for _, n := range oddNumbers {
				if unit == "PX" && n == "1" {
					continue // over before the next call arrives, or not
				}
				p.Same("SET", "k", "old")
				p.SameReply("SET", "k", "v", unit, n)
			}
		}
	}},
	{"counters", func(p *pair) {
		for _, start := range oddNumbers {
			for _, cmd := range []string{"INCR", "DECR"} {
				p.Same("SET", "n", start)
				p.Same(cmd, "n")
				p.Same("GET", "n")
			}
		}
		for _, by := range oddNumbers {
			for _, start := range []string{"", "0", "-1", "1", "9223372036854775807", "-9223372036854775808"} {
				p.startAt(start)
				p.Same("INCRBY", "n", by)
				p.startAt(start)
				p.Same("DECRBY", "n", by)
				p.Same("GET", "n")
			}
		}
	}},
	{"append and strlen", func(p *pair) {
		p.Same("APPEND", "a", "")
		p.Same("EXISTS", "a")
		p.Same("APPEND", "a", "12")
		p.Same("INCR", "a")
		p.Same("APPEND", "a", "x")
		p.Same("INCR", "a")
		p.Same("STRLEN", "a")
		p.Same("STRLEN", "none")
		p.Same("GET", "a")
	}},
	{"many keys", func(p *pair) {
		p.Same("MSET", "a", "1", "b", "2", "a", "3")
		p.Same("MGET", "a", "b", "c", "a")
		p.Same("MSET", "a")
		p.Same("MSET", "a", "1", "b")
		p.Same("MSETNX", "a", "1", "b")
		p.Same("MSETNX", "x", "1", "a", "9")
		p.Same("MGET", "x", "a")
		p.Same("MSETNX", "x", "1", "y", "2", "x", "3")
		p.Same("MGET", "x", "y")
		args := []string{"MSET"}
		for i := range 500 {
			args = append(args, fmt.Sprintf("m%d", i), strings.Repeat("v", i))
		}
		p.Same(args...)
		p.Same("DBSIZE")
		p.Same("MGET", "m0", "m1", "m499", "m500")
	}},
	{"string arity", func(p *pair) {
		p.arity("GET", "SET", "MGET", "MSET", "MSETNX", "INCR", "DECR", "INCRBY", "DECRBY", "APPEND", "STRLEN")
	}},
}

// setClashes are options of SET that contradict, repeat, lack a value or are misspelt.
var setClashes = []string{
	"NX XX", "XX NX", "NX NX", "XX XX", "GET GET", "KEEPTTL KEEPTTL", "EX 10 PX 10", "EX 10 EX 10",
	"EX 10 KEEPTTL",
	"KEEPTTL PX 10", "EXAT 99999999999 EX 1", "PXAT 99999999999999 EXAT 99999999999", "EX", "PX", "EXAT",
	"PXAT", "NX EX",
	"EX NX", "EX 10 NX XX", "GET NX XX", "NOPE", "NX NOPE", "EX 10 10", "PERSIST", "EX 0", "EX -1", "PX 0",
	"EX 10x",
	"EX 9223372036854775807", "KEEPTTL EX 10", "IF 1", "NX GET KEEPTTL EX 1",
}

// oddNumbers are texts that a number parser may take or refuse; Redis takes only the canonical form.
var oddNumbers = []string{
	"0", "1", "-1", "-0", "+1", "01", " 1", "1 ", "", "1.0", "1e3", "0x10", "abc", "1abc", "９",
	"9223372036854775806", "9223372036854775807", "9223372036854775808", "-9223372036854775807",
	"-9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999",
	"9223372036854775", "9223372036854776", "1\x00", "-",
}

// startAt gives key n a value; "" means no key.
func (p *pair) startAt(value string) {
	p.t.Helper()
	if value == "" {
		p.Same("DEL", "n")
		return
	}
	p.Same("SET", "n", value)
}

// SameReply is Same, then a check that both have the same value and about the same time left.
func (p *pair) SameReply(args ...string) {
	p.t.Helper()
	p.Same(args...)
	p.Same("GET", args[1])
	p.Approx(2000, "PTTL", args[1])
}

// arity calls each command with zero to six odd arguments where that count is an error in Redis.
func (p *pair) arity(commands ...string) {
	p.t.Helper()
	for _, cmd := range commands {
		p.sameIfArity([]string{cmd})
		for _, c := range []string{strings.ToLower(cmd), cmd} {
			args := []string{c}
			for i := range 6 {
				args = append(args, fmt.Sprintf("arg%d", i))
				p.sameIfArity(args)
			}
		}
	}
}

// sameIfArity compares a call if Redis refuses it for its number of arguments.
func (p *pair) sameIfArity(args []string) {
	p.t.Helper()
	want, err := p.redis.Do(args...)
	if err != nil {
		p.t.Fatal(err)
	}
	if strings.HasPrefix(want.Text, "ERR wrong number of arguments") {
		p.Same(args...)
	}
}
