package compat

import (
	"strings"
)

var expiryFamilies = []family{
	{"time to live", func(p *pair) {
		p.Same("TTL", "none")
		p.Same("PTTL", "none")
		p.Same("SET", "k", "v")
		p.Same("TTL", "k")
		p.Same("PTTL", "k")
		p.Same("SET", "k", "v", "EX", "100")
		p.Approx(1, "TTL", "k")
		p.Approx(2000, "PTTL", "k")
		p.Same("SET", "k", "v", "PX", "100500")
		p.Approx(1, "TTL", "k")
		p.Same("SET", "k", "v", "EXAT", "33177117420")
		p.Approx(1, "TTL", "k")
		p.Same("SET", "k", "v", "PXAT", "33177117420000")
		p.Approx(2000, "PTTL", "k")
		p.Same("SET", "k", "v")
		p.Same("TTL", "k")
	}},
	{"who keeps the deadline", func(p *pair) {
		p.Same("SET", "k", "1", "EX", "1000")
		p.Same("INCR", "k")
		p.Approx(1, "TTL", "k")
		p.Same("APPEND", "k", "0")
		p.Approx(1, "TTL", "k")
		p.Same("SET", "k", "5", "KEEPTTL")
		p.Approx(1, "TTL", "k")
		p.Same("SET", "k", "6", "NX", "EX", "5")
		p.Approx(1, "TTL", "k")
		p.Same("SET", "k", "6", "XX", "GET", "EX", "500")
		p.Approx(1, "TTL", "k")
		p.Same("SET", "k", "7", "GET")
		p.Same("TTL", "k")
		p.Same("EXPIRE", "k", "100")
		p.Same("MSET", "k", "8")
		p.Same("TTL", "k")
		p.Same("EXPIRE", "k", "100")
		p.Same("DECRBY", "k", "3")
		p.Approx(1, "TTL", "k")
		p.Same("PERSIST", "k")
		p.Same("PERSIST", "k")
		p.Same("TTL", "k")
		p.Same("PERSIST", "none")
	}},
	{"conditions", func(p *pair) {
		for _, cmd := range []string{"EXPIRE", "PEXPIRE"} {
			for _, opt := range []string{"NX", "XX", "GT", "LT", "xx gt", "XX LT", "lt XX", "XX XX"} {
				p.conditions(cmd, strings.Fields(opt))
			}
		}
	}},
	{"option clashes", func(p *pair) {
		p.Same("SET", "k", "v")
		for _, cmd := range []string{"EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"} {
			for _, opts := range expireClashes {
				p.Same(append([]string{cmd, "k", "33177117420"}, strings.Split(opts, " ")...)...)
				p.Same("PERSIST", "k")
			}
			p.Same(cmd, "none", "x")
			p.Same(cmd, "none", "10", "NOPE")
		}
		p.arity("EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT", "TTL", "PTTL", "PERSIST")
	}},
	{"odd numbers", func(p *pair) {
		for _, cmd := range []string{"EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"} {
			for _, n := range oddNumbers {
				if cmd == "PEXPIRE" && n == "1" {
					continue // over before the next call arrives, or not
				}
				p.Same("SET", "k", "v")
				p.Same(cmd, "k", n)
				p.Approx(2000, "PTTL", "k")
				p.Same("EXISTS", "k")
				p.Same(cmd, "none", n)
			}
		}
	}},
	{"the past", func(p *pair) {
		for _, call := range []string{
			"EXPIRE k 0", "EXPIRE k -1", "PEXPIRE k -100", "EXPIREAT k 1", "PEXPIREAT k 1", "EXPIREAT k -5",
			"SET k v EXAT 1",
			"SET k v PXAT 1", "EXPIRE k -1 NX", "EXPIRE k -1 LT", "EXPIRE k -1 XX", "EXPIRE k -1 GT",
		} {
			p.Same("SET", "k", "v")
			p.SameLine(call)
			p.Same("EXISTS", "k")
			p.Same("DBSIZE")
			p.Same("GET", "k")
		}
		p.Same("SET", "k", "old", "EX", "100")
		p.Same("SET", "k", "new", "GET", "EXAT", "1")
		p.Same("GET", "k")
	}},
	{"running out", func(p *pair) {
		p.Same("SET", "p", "v", "PX", "30")
		p.Gone("p")
		p.SameLine("GET p", "TTL p", "TYPE p", "STRLEN p", "PERSIST p", "DEL p", "EXISTS p", "EXPIRE p 10",
			"MGET p p")
		p.Same("SET", "n", "5", "PX", "30")
		p.Gone("n")
		p.SameLine("INCR n", "TTL n", "SET n 1 PX 30")
		p.Gone("n")
		p.SameLine("APPEND n x", "GET n", "TTL n", "SET n 1 PX 30")
		p.Gone("n")
		p.SameLine("SET n 2 NX GET", "GET n", "PEXPIRE n 20")
		p.Gone("n")
		p.SameLine("SET n 3 XX", "MSETNX n 1 m 2", "MGET n m", "PEXPIRE m 20")
		p.Gone("m")
		p.Same("SET", "m", "1", "KEEPTTL")
		p.Same("TTL", "m")
		p.Sorted("KEYS", "*")
	}},
}

// conditions tries one option set against keys without, with a shorter and with a longer time left.
func (p *pair) conditions(cmd string, opt []string) {
	p.t.Helper()
	for _, before := range []string{"", "1000", "100000000"} {
		for _, n := range []string{"500", "50000000"} {
			p.Same("SET", "k", "v")
			if before != "" {
				p.Same(cmd, "k", before)
			}
			p.Same(append([]string{cmd, "k", n}, opt...)...)
			p.Approx(2000, "PTTL", "k")
		}
	}
}

var expireClashes = []string{
	"NX XX", "NX GT", "NX LT", "GT LT", "LT GT NX", "XX NX", "NX NX", "GT GT", "NOPE", "NX NOPE", "AB", "",
	"XX GT LT", "1",
}
