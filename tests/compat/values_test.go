package compat

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

var valueFamilies = []family{
	{"old forms of set and get", func(p *pair) {
		p.SameLine("SETNX k 1", "SETNX k 2", "GET k", "TTL k", "SETEX k 100 v", "GET k")
		p.Approx(1, "TTL", "k")
		p.SameLine("PSETEX k 100500 w", "GETSET k x", "TTL k", "GETSET none y", "GET none", "SETNX k z", "GETDEL k",
			"GETDEL k", "EXISTS k")
		for _, n := range oddNumbers {
			if n == "1" {
				continue // over before the next call arrives, or not
			}
			p.Same("SETEX", "k", n, "v")
			p.Same("PSETEX", "k", n, "v")
			p.Approx(2000, "PTTL", "k")
		}
		p.arity("SETNX", "SETEX", "PSETEX", "GETSET", "GETDEL", "GETEX", "INCRBYFLOAT")
	}},
	{"getex", func(p *pair) {
		for _, options := range []string{"", "EX 100", "PX 100500", "EXAT 33177117420",
			"PXAT 33177117420000", "PERSIST",
			"ex 5 EX 100", "PERSIST PERSIST", "EX 100 PERSIST", "PERSIST EX 100", "KEEPTTL", "EX", "EX 0", "EX -1",
			"EX x", "NOPE", "EX 100 PX 100", "PX 0", "EXAT 0", "EX 9223372036854775807", "EXAT 1", "PXAT 1"} {
			for _, before := range []string{"SET k v", "SET k v EX 1000", "DEL k"} {
				p.SameLine(before)
				p.Same(append([]string{"GETEX", "k"}, strings.Fields(options)...)...)
				p.Approx(2000, "PTTL", "k")
			}
		}
	}},
	{"getrange and setrange", func(p *pair) {
		for _, value := range []string{"", "x", "Hello World"} {
			p.Same("SET", "k", value)
			for start := -13; start <= 13; start++ {
				for end := -len(value); end <= 13; end += 2 {
					p.Same("GETRANGE", "k", fmt.Sprint(start), fmt.Sprint(end))
				}
			}
		}
		p.SameLine("SUBSTR k 0 -1", "GETRANGE none 0 5", "GETRANGE k x 1", "GETRANGE k 1 x", "GETRANGE k 1",
			"GETRANGE k 0 9223372036854775807", "GETRANGE k -9223372036854775808 3", "SETRANGE k 6 Redis", "GET k",
			"SETRANGE k 20 end", "GET k", "SETRANGE none 0 ", "EXISTS none", "SETRANGE none 3 x", "GET none",
			"SETRANGE k -1 x", "SETRANGE k x y", "SETRANGE k 536870911 xx", "SETRANGE k 536870912 x",
			"SETRANGE k 9223372036854775807 x", "SETRANGE k 9223372036854775807 ", "STRLEN k", "EXPIRE k 100",
			"SETRANGE k 0 a")
		p.Approx(1, "TTL", "k")
		p.arity("GETRANGE", "SETRANGE", "SUBSTR")
	}},
	{"longest common subsequence", func(p *pair) {
		words := []string{"", "a", "ohmytext", "mynewtext", "abcabcabc", "bcabcab", "aaaa", "\x00\xff\x00",
			"ABCBDAB", "BDCABA"}
		for _, a := range words {
			for _, b := range words {
				p.Same("MSET", "a", a, "b", b)
				p.SameLine("LCS a b", "LCS a b LEN", "LCS a b IDX", "LCS a b idx WITHMATCHLEN",
					"LCS a b IDX MINMATCHLEN 2",
					"LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN")
			}
		}
		p.SameLine("LCS a none", "LCS none none IDX", "LCS a b LEN IDX", "LCS a b NOPE", "LCS a b MINMATCHLEN",
			"LCS a b MINMATCHLEN x", "LCS a b MINMATCHLEN -5 IDX", "LCS a a LEN", "LCS a b WITHMATCHLEN",
			"LCS a b LEN LEN")
		p.arity("LCS")
	}},
	{"float increments", func(p *pair) {
		for _, start := range oddFloats {
			for _, by := range oddFloats {
				p.Same("SET", "f", start)
				p.Same("INCRBYFLOAT", "f", by)
				p.Same("GET", "f")
			}
			p.Same("DEL", "f")
			p.Same("INCRBYFLOAT", "f", start)
		}
		p.SameLine("SET f 1 EX 100", "INCRBYFLOAT f 0.1")
		p.Approx(1, "TTL", "f")
	}},
	{"random float increments", func(p *pair) {
		seed := uint64(time.Now().UnixNano())
		if *seedFlag != 0 {
			seed = *seedFlag
		}
		p.t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 1))
		var calls [][]string
		for range 400 {
			calls = append(calls, []string{"SET", "f", randomFloat(rng)})
			for range 4 {
				calls = append(calls, []string{"INCRBYFLOAT", "f", randomFloat(rng)})
			}
		}
		p.PipelineOf(calls)
		p.SameLine("PING", "PING", "PING", "PING")
	}},
}

// oddFloats are numbers that need all 64 bits, lie at the limits, or that a parser may take or refuse.
var oddFloats = []string{
	"0", "-0", "0.1", "0.2", "-0.3", "3.0e3", "1e-17", "5e-18", "4.9e-18", "1.5e-17", "2.5e-17", "1e20",
	"1e400", "-1e400", "1e4932", "1.1e4932",
	"1.2e4932", "1e5000", "1e-4950", "1e-4951", "1e-4970", "inf", "-inf", "Infinity", "nan", "+1", "+.5",
	".5", "5.",
	".", "-", "", " 1", "1 ", "1e", "1e+", "1e-2", "0x10", "0x1p4", "0X1.8P1", "0x", "0x.p1", "1_0", "1,5",
	"abc",
	"1e99999999999999999999", "0e99999999999999999999", "18446744073709551615", "18446744073709551616.5",
	"9007199254740993", "0.12345678901234567890123", "3.14159265358979323846", "1\x00", "0b1", "0o7", "infx",
	"--1",
	"10000000000000000000000000000000000000001", "0.5", "1.00000000000000000001",
}

// randomFloat is a decimal number with up to 40 digits.
func randomFloat(rng *rand.Rand) string {
	var b strings.Builder
	if rng.IntN(2) == 0 {
		b.WriteByte('-')
	}
	for range 1 + rng.IntN(20) {
		b.WriteByte('0' + byte(rng.IntN(10)))
	}
	if rng.IntN(4) > 0 {
		b.WriteByte('.')
		for range rng.IntN(22) {
			b.WriteByte('0' + byte(rng.IntN(10)))
		}
	}
	if rng.IntN(4) == 0 {
		fmt.Fprintf(&b, "e%d", rng.IntN(60)-30)
	}
	return b.String()
}
