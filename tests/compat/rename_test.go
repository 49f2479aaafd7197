package compat

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

var renameFamilies = []family{
	{"rename and copy", func(p *pair) {
		p.SameLine("RENAME none a", "RENAMENX none a", "SET a 1 EX 1000", "RENAME a b", "GET b", "EXISTS a")
		p.Approx(1, "TTL", "b")
		p.SameLine("SET c 2", "RENAME b c", "GET c", "RENAME c c", "GET c", "SET d 3", "RENAMENX c d", "MGET c d",
			"RENAMENX d d", "RENAMENX none d", "RENAMENX none none", "RENAME none none", "RENAMENX c e", "MGET c d e",
			"COPY e f", "GET f", "COPY e d", "COPY e d REPLACE", "GET d", "COPY e e", "COPY none none",
			"COPY none d", "COPY none d REPLACE", "GET d", "COPY e g DB 0", "COPY e g DB 1", "COPY e g DB x",
			"COPY e g DB", "COPY e g NOPE", "COPY e g replace replace", "COPY e e DB 0", "DBSIZE")
		p.Approx(1, "TTL", "f")
		p.SameLine("SET p 1", "COPY e p REPLACE")
		p.Approx(1, "TTL", "p")
		p.SameLine("RENAME d e", "TTL e", "TOUCH e none f e", "UNLINK e f", "UNLINK none")
		p.arity("RENAME", "RENAMENX", "COPY", "TOUCH", "UNLINK", "RANDOMKEY")
	}},
	{"random key", func(p *pair) {
		p.SameLine("RANDOMKEY", "SET only 1", "RANDOMKEY", "RANDOMKEY x", "DEL only", "RANDOMKEY")
	}},
	{"expire times", func(p *pair) {
		p.SameLine("EXPIRETIME none", "PEXPIRETIME none", "SET k v", "EXPIRETIME k", "PEXPIRETIME k",
			"SET k v PXAT 33177117420500", "EXPIRETIME k", "PEXPIRETIME k", "SET k v EXAT 33177117420",
			"PEXPIRETIME k")
		p.arity("EXPIRETIME", "PEXPIRETIME")
	}},
	{"object", func(p *pair) {
		for _, v := range []string{"", "12345", "-1", "9223372036854775807", "9223372036854775808", "0123", "1.5",
			strings.Repeat("x", 44), strings.Repeat("x", 45)} {
			p.Same("SET", "o", v)
			p.SameLine("OBJECT ENCODING o", "OBJECT FREQ o")
			p.Approx(1, "OBJECT", "IDLETIME", "o") // whole seconds: one may have passed for one of them alone
		}
		p.SameLine("OBJECT REFCOUNT o", "OBJECT ENCODING none", "OBJECT FREQ none", "OBJECT IDLETIME none",
			"OBJECT REFCOUNT none", "OBJECT", "OBJECT NOPE", "OBJECT ENCODING", "OBJECT ENCODING o x",
			"MEMORY USAGE none", "MEMORY USAGE", "MEMORY USAGE o NOPE", "MEMORY USAGE o SAMPLES",
			"MEMORY USAGE o SAMPLES x", "MEMORY USAGE o SAMPLES -1", "MEMORY NOPE", "MEMORY")
		p.SameShape("MEMORY", "USAGE", "o", "SAMPLES", "0")
		p.SameShape("MEMORY", "DOCTOR")
		p.SameShape("MEMORY", "MALLOC-STATS")
		p.Same("MEMORY", "PURGE")
	}},
	{"flush one database", func(p *pair) {
		p.SameLine("SET a 1", "FLUSHDB ASYNC", "DBSIZE", "SET a 1", "FLUSHDB NOPE", "FLUSHDB SYNC", "DBSIZE",
			"FLUSHDB")
	}},
	{"dump", func(p *pair) {
		for _, v := range []string{"", "a", "0", "-1", "127", "128", "-128", "-129", "32767", "32768", "-32769",
			"2147483647", "-2147483648", "2147483648", "007", "+1", "12345678901", "hello world",
			"0123456789abcdefghij"} {
			p.Same("SET", "d", v)
			p.Same("DUMP", "d")
		}
		p.SameLine("DUMP none", "DUMP", "DUMP a b")
	}},
	{"restore", func(p *pair) {
		payload := p.dumped("hello")
		p.Same("SET", "k", "old")
		p.Same("RESTORE", "k", "0", payload)
		p.Same("RESTORE", "k", "0", payload, "REPLACE")
		p.SameLine("GET k", "TTL k")
		p.Same("RESTORE", "k", "100500", payload, "replace", "IDLETIME", "5")
		p.Approx(2000, "PTTL", "k")
		p.Same("RESTORE", "k", "33177117420000", payload, "REPLACE", "ABSTTL", "FREQ", "5")
		p.Approx(2000, "PTTL", "k")
		p.Same("RESTORE", "k", "1", payload, "ABSTTL", "REPLACE")
		p.SameLine("GET k", "EXISTS k")
		for _, options := range []string{"NOPE", "IDLETIME", "IDLETIME -1", "IDLETIME x", "FREQ 256",
			"FREQ -1", "FREQ x",
			"IDLETIME 1 FREQ 1", "FREQ 1 IDLETIME 1", "FREQ"} {
			p.Same(append([]string{"RESTORE", "n", "0", payload}, strings.Fields(options)...)...)
		}
		p.Same("RESTORE", "n", "-1", payload)
		p.Same("RESTORE", "n", "x", payload)
		p.Same("RESTORE", "n", "0", "")
		p.Same("RESTORE", "n", "0", "short")
		p.Same("EXISTS", "n")
		p.arity("RESTORE", "DUMP")
	}},
	{"damaged payloads", func(p *pair) {
		payload := p.dumped(strings.Repeat("abcabcabc", 20))
		for i := range len(payload) {
			p.Same("RESTORE", "n", "0", payload[:i])
			flipped := []byte(payload)
			flipped[i] ^= 1 << (i % 8)
			p.Same("RESTORE", "n", "0", string(flipped))
		}
		p.Same("EXISTS", "n")
	}},
}

// dumped is what Redis's DUMP makes of a value; it compresses long ones.
func (p *pair) dumped(value string) string {
	p.t.Helper()
	p.Same("SET", "source", value)
	r, err := p.redis.Do("DUMP", "source")
	if err != nil || r.Kind != '$' {
		p.t.Fatalf("DUMP: %v, %v", r, err)
	}
	return r.Text
}

// What one server dumps the other restores, whatever the value.
func TestDumpMovesBothWays(t *testing.T) {
	p := newPair(t, startRedis(t), targets[0].start(t), "2")
	seed := uint64(time.Now().UnixNano())
	if *seedFlag != 0 {
		seed = *seedFlag
	}
	t.Logf("replay with -run %s -seed %d", t.Name(), seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	compressed := 0
	for range 300 {
		value := randomValue(rng)
		compressed += move(t, p.redis, p.keep, value)
		move(t, p.keep, p.redis, value)
	}
	if compressed < 20 {
		t.Errorf("only %d payloads of redis were compressed", compressed)
	}
}

// move dumps a value at one server and restores it at the other. It returns 1 if the payload is compressed.
func move(t *testing.T, from, to *wire.Conn, value string) int {
	t.Helper()
	do := func(c *wire.Conn, args ...string) wire.Reply {
		r, err := c.Do(args...)
		if err != nil || r.IsErr() {
			t.Fatalf("%.60q: %v, %v", args, r, err)
		}
		return r
	}
	do(from, "SET", "k", value)
	payload := do(from, "DUMP", "k").Text
	do(to, "RESTORE", "k", "0", payload, "REPLACE")
	if got := do(to, "GET", "k").Text; got != value {
		t.Fatalf("%d bytes came as %d bytes: %.60q, want %.60q", len(value), len(got), got, value)
	}
	if len(payload) > 1 && payload[1] == '\xc3' {
		return 1
	}
	return 0
}

// randomValue is an integer, noise, text of few letters, or zeros, up to 100 KB long.
func randomValue(rng *rand.Rand) string {
	if rng.IntN(5) == 0 {
		return randomNumber(rng)
	}
	size := rng.IntN(1 << rng.IntN(17))
	letters := 1 + rng.IntN(1<<rng.IntN(9))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rng.IntN(letters))
	}
	if size > 8 && rng.IntN(3) == 0 {
		binary.LittleEndian.PutUint64(b, rng.Uint64())
		for at := 8; at < size; at *= 2 {
			copy(b[at:], b[:at])
		}
	}
	return string(b)
}
