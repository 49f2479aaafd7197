package compat

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

var bitmapFamilies = []family{
	{"single bits", func(p *pair) {
		p.SameLine("SETBIT b 7 1", "GET b", "SETBIT b 7 1", "SETBIT b 7 0", "GETBIT b 7", "SETBIT b 100 0",
			"STRLEN b",
			"GETBIT b 100", "GETBIT b 101", "GETBIT b 1000000", "GETBIT none 3", "SETBIT b 0 2", "SETBIT b 0 x",
			"SETBIT b -1 1", "SETBIT b x 1", "SETBIT b 4294967296 1", "GETBIT b 4294967296", "GETBIT b 4294967295",
			"GETBIT b -1", "GETBIT b x", "SETBIT b 9223372036854775808 1", "SETBIT b 0 -1", "SETBIT b 1 01",
			"SETBIT b #1 1", "SET n 123", "SETBIT n 0 1", "GET n", "EXPIRE n 100", "SETBIT n 1 0", "GET n")
		p.Approx(1, "TTL", "n")
		p.arity("SETBIT", "GETBIT", "BITCOUNT", "BITPOS", "BITOP", "BITFIELD", "BITFIELD_RO")
	}},
	{"counting and finding", func(p *pair) {
		for _, value := range []string{"", "\x00", "\xff", "\x00\xff\xf0", "\xff\xff\x7f", "foobar"} {
			p.Same("SET", "b", value)
			p.SameLine("BITCOUNT b", "BITPOS b 0", "BITPOS b 1")
			for start := -4; start <= 4; start++ {
				p.SameLine(fmt.Sprintf("BITPOS b 0 %d", start), fmt.Sprintf("BITPOS b 1 %d", start))
				for end := -5; end <= 4; end++ {
					for _, unit := range []string{"", " BYTE", " bit"} {
						at := fmt.Sprintf("%d %d%s", start, end, unit)
						p.SameLine("BITCOUNT b "+at, "BITPOS b 0 "+at, "BITPOS b 1 "+at)
						at = fmt.Sprintf("%d %d BIT", 5*start, 7*end)
						p.SameLine("BITCOUNT b "+at, "BITPOS b 0 "+at, "BITPOS b 1 "+at)
					}
				}
			}
		}
		for _, odd := range []string{"BITCOUNT %s 0", "BITCOUNT %s 0 x", "BITCOUNT %s x 0", "BITCOUNT %s 0 1 NOPE",
			"BITCOUNT %s 0 1 BIT x", "BITCOUNT %s -1 -2 NOPE", "BITPOS %s 2", "BITPOS %s x", "BITPOS %s 0 x",
			"BITPOS %s 0 0 x", "BITPOS %s 1 0 1 NOPE", "BITPOS %s 1 0 1 BIT x", "BITPOS %s 1 0 x NOPE", "BITPOS %s 0",
			"BITPOS %s 1", "BITPOS %s 1 x", "BITCOUNT %s -9223372036854775808 9223372036854775807"} {
			p.SameLine(fmt.Sprintf(odd, "b"), fmt.Sprintf(odd, "none"))
		}
	}},
	{"combining", func(p *pair) {
		p.Same("MSET", "a", "foobar", "b", "abcdef\xff", "c", "\x00\x01", "e", "")
		for _, op := range []string{"AND", "or", "XOR", "NOT"} {
			for _, sources := range []string{"a", "a b", "a b c", "c a", "a none", "none", "none none", "e",
				"e a", "a a"} {
				p.SameLine("SET d before EX 100", "BITOP "+op+" d "+sources, "GET d", "TTL d")
				p.SameLine("SET d before", "BITOP "+op+" d d "+sources, "GET d")
			}
		}
		p.SameLine("BITOP NOPE d a", "BITOP NOT d", "BITOP NOT d a b", "BITOP AND d", "EXISTS d")
	}},
	{"bit fields", func(p *pair) {
		p.SameLine("BITFIELD f", "EXISTS f", "BITFIELD f GET u8 0", "EXISTS f", "BITFIELD f SET u8 0 255 GET u8 0",
			"GET f", "BITFIELD f INCRBY i5 100 1 GET u4 0", "BITFIELD f SET i8 #1 -100", "BITFIELD f GET i8 #1",
			"BITFIELD f OVERFLOW FAIL INCRBY u2 200 9", "STRLEN f", "BITFIELD f OVERFLOW SAT INCRBY u2 200 9",
			"BITFIELD f OVERFLOW sat SET u4 0 -1 OVERFLOW WRAP SET u4 4 -1", "GET f",
			"BITFIELD f GET u64 0", "BITFIELD f GET i65 0", "BITFIELD f GET i64 0", "BITFIELD f GET u63 3",
			"BITFIELD f GET x8 0", "BITFIELD f GET u 0", "BITFIELD f GET u0 0", "BITFIELD f GET U8 0",
			"BITFIELD f GET u8", "BITFIELD f GET u8 x", "BITFIELD f GET u8 -1", "BITFIELD f GET u8 #x",
			"BITFIELD f SET u8 0", "BITFIELD f SET u8 0 x", "BITFIELD f NOPE u8 0", "BITFIELD f OVERFLOW NOPE",
			"BITFIELD f OVERFLOW", "BITFIELD f GET u8 4294967296", "BITFIELD f GET u8 #536870912",
			"BITFIELD f GET u8 4294967295", "BITFIELD f GET i64 9223372036854775807",
			"BITFIELD_RO f GET u8 0 GET i7 3", "BITFIELD_RO f SET u8 0 1", "BITFIELD_RO none GET u8 5",
			"BITFIELD_RO f", "BITFIELD_RO f OVERFLOW SAT GET u8 0", "BITFIELD_RO f OVERFLOW x GET u8 0",
			"BITFIELD_RO f OVERFLOW FAIL", "BITFIELD_RO f OVERFLOW", "BITFIELD_RO f OVERFLOW SAT SET u8 0 1",
			"BITFIELD_RO f GET u8 0 INCRBY u8 0 1", "BITFIELD f SET i64 0 9223372036854775807 INCRBY i64 0 1",
			"BITFIELD f SET u63 0 9223372036854775807 INCRBY u63 0 1", "GET f", "EXPIRE f 100",
			"BITFIELD f INCRBY u8 0 1")
		p.Approx(1, "TTL", "f")
	}},
	{"random bit fields", func(p *pair) {
		seed := uint64(time.Now().UnixNano())
		if *seedFlag != 0 {
			seed = *seedFlag
		}
		p.t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 2))
		var calls [][]string
		for range 800 {
			calls = append(calls, randomBitfield(rng), []string{"GET", "f"})
		}
		p.PipelineOf(calls)
		p.SameLine("PING", "PING", "PING", "PING")
	}},
}

func randomBitfield(rng *rand.Rand) []string {
	call := []string{"BITFIELD", "f"}
	for range 1 + rng.IntN(4) {
		width, sign := 1+rng.IntN(63), "u"
		if rng.IntN(2) == 0 {
			width, sign = width+1, "i"
		}
		field, offset := fmt.Sprint(sign, width), fmt.Sprint(rng.IntN(100))
		number := fmt.Sprint(rng.Int64() >> rng.IntN(63))
		if rng.IntN(2) == 0 {
			number = strings.TrimPrefix("-"+number, "-0")
		}
		if number == "" {
			number = "0"
		}
		if rng.IntN(2) == 0 {
			call = append(call, "OVERFLOW", []string{"WRAP", "SAT", "FAIL"}[rng.IntN(3)])
		}
		switch rng.IntN(3) {
		case 0:
			call = append(call, "GET", field, offset)
		case 1:
			call = append(call, "SET", field, offset, number)
		default:
			call = append(call, "INCRBY", field, offset, number)
		}
	}
	return call
}
