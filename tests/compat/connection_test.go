package compat

import (
	"strings"
	"testing"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

var connectionFamilies = []family{
	{"ping and echo", func(p *pair) {
		p.SameLine("PING", "PING hello", "PING a b", "ECHO x", "ECHO", "ECHO a b", "ping")
		p.Same("PING", "")
		p.Same("ECHO", "\x00\r\n")
		p.SameShape("TIME")
		p.arity("PING", "ECHO", "TIME", "SELECT", "RESET", "AUTH")
	}},
	{"select", func(p *pair) {
		p.SameLine("SELECT 0", "SELECT 1", "SELECT -1", "SELECT x", "SELECT 99999999999999999999", "SELECT 00",
			"GET a")
		p.Same("SELECT", "")
	}},
	{"auth without passwords", func(p *pair) {
		p.SameLine("AUTH x", "AUTH default x", "AUTH nobody x", "AUTH a b c", "PING")
	}},
	{"hello", func(p *pair) {
		for _, call := range []string{
			"HELLO", "HELLO 3", "HELLO", "HELLO 2", "HELLO 3 SETNAME me", "HELLO 2 AUTH default anything",
			"HELLO 3 AUTH default x SETNAME you", "hello 2 setname third", "HELLO 3",
		} {
			p.Hello(strings.Fields(call)...)
			p.SameLine("CLIENT GETNAME", "GET none", "SET k v", "SET k v NX", "GET k", "INCR k")
		}
		for _, bad := range []string{
			"HELLO 4", "HELLO 1", "HELLO 0", "HELLO -3", "HELLO x", "HELLO 3.0", "HELLO 3 NOPE", "HELLO 3 AUTH",
			"HELLO 3 AUTH a",
			"HELLO 3 SETNAME", "HELLO 3 AUTH nobody x", "HELLO 99999999999999999999", "HELLO SETNAME x",
		} {
			p.SameLine(bad)
			p.SameLine("GET none", "CLIENT GETNAME")
		}
		p.Same("HELLO", "3", "SETNAME", "with space")
		p.Same("HELLO", "2", "SETNAME", "line\nbreak")
		p.Same("HELLO", "")
		p.SameLine("CLIENT GETNAME", "GET none")
	}},
	{"reset", func(p *pair) {
		p.Hello("HELLO", "3")
		p.SameLine("CLIENT SETNAME me", "GET none", "RESET", "GET none", "CLIENT GETNAME", "RESET x")
	}},
	{"client names", func(p *pair) {
		p.SameLine("CLIENT GETNAME", "CLIENT SETNAME me", "CLIENT GETNAME", "client getname", "CLIENT SETNAME")
		p.Same("CLIENT", "SETNAME", "two words")
		p.Same("CLIENT", "SETNAME", "new\nline")
		p.Same("CLIENT", "SETNAME", "\x7f")
		p.Same("CLIENT", "SETNAME", "é")
		p.Same("CLIENT", "GETNAME")
		p.Same("CLIENT", "SETNAME", "")
		p.Same("CLIENT", "GETNAME")
		p.SameLine("CLIENT GETNAME x", "CLIENT SETNAME a b")
	}},
	{"client", func(p *pair) {
		p.SameShape("CLIENT", "ID")
		p.SameLine("CLIENT", "CLIENT NOPE", "CLIENT nope a b", "CLIENT ID x", "CLIENT NO-EVICT ON",
			"CLIENT NO-EVICT off",
			"CLIENT NO-EVICT maybe", "CLIENT NO-EVICT", "CLIENT KILL", "CLIENT KILL 1.2.3.4:5",
			"CLIENT KILL ID 99999999",
			"CLIENT KILL ID x", "CLIENT KILL ID 0", "CLIENT KILL ID -1", "CLIENT KILL NOPE x",
			"CLIENT KILL ADDR 1.2.3.4:5",
			"CLIENT KILL TYPE nope", "CLIENT KILL LADDR 1.2.3.4:5", "CLIENT KILL ID 99999999 ADDR",
			"CLIENT KILL SKIPME maybe", "CLIENT KILL USER nobody", "CLIENT LIST TYPE nope", "CLIENT LIST ID x",
			"CLIENT LIST NOPE", "CLIENT LIST TYPE", "CLIENT INFO x")
		p.SameShape("CLIENT", "LIST")
		p.SameShape("CLIENT", "LIST", "TYPE", "normal")
		p.SameShape("CLIENT", "INFO")
	}},
	{"client fields", func(p *pair) {
		want, got := p.both("CLIENT", "INFO")
		p.subsequence(fieldNames(want.Text), fieldNames(got.Text))
		want, got = p.both("CLIENT", "LIST")
		p.subsequence(fieldNames(lastLine(want.Text)), fieldNames(lastLine(got.Text)))
		p.SameLine("PING", "PING", "PING")
	}},
	{"config", func(p *pair) {
		p.SameLine("CONFIG", "CONFIG NOPE", "CONFIG GET", "CONFIG GET nosuchthing", "CONFIG GET save",
			"CONFIG GET appendonly",
			"CONFIG GET databases", "CONFIG GET SAVE", "CONFIG GET requirepass", "CONFIG GET maxmemory-policy",
			"CONFIG SET",
			"CONFIG SET nosuchthing", "CONFIG SET nosuchthing 1", "CONFIG SET nosuchthing 1 other", "CONFIG RESETSTAT",
			"CONFIG RESETSTAT x")
	}},
}

// Hello compares a HELLO that succeeds: everything but the version, the id and, on a follower, the role.
func (p *pair) Hello(args ...string) {
	p.t.Helper()
	want, got := p.SameShape(args...)
	for _, name := range []string{"server", "proto", "mode", "modules"} {
		w, _ := want.Field(name)
		g, ok := got.Field(name)
		if !ok || w.Raw != g.Raw {
			p.t.Errorf("%q field %s\n  redis   %q\n  redkeep %q", args, name, w.Raw, g.Raw)
		}
	}
	for i := 0; i < min(len(want.Elems), len(got.Elems)); i += 2 {
		if want.Elems[i].Raw != got.Elems[i].Raw {
			p.t.Errorf("%q element %d\n  redis   %q\n  redkeep %q", args, i, want.Elems[i].Raw, got.Elems[i].Raw)
		}
	}
}

// fieldNames returns the names of a line of name=value words.
func fieldNames(line string) []string {
	var out []string
	for _, w := range strings.Split(strings.TrimRight(line, "\n"), " ") {
		name, _, _ := strings.Cut(w, "=")
		out = append(out, name)
	}
	return out
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return lines[len(lines)-1]
}

// subsequence demands that all of want is in got, in the same order; newer fields may stand between.
func (p *pair) subsequence(want, got []string) {
	p.t.Helper()
	i := 0
	for _, g := range got {
		if i < len(want) && g == want[i] {
			i++
		}
	}
	if i < len(want) {
		p.t.Errorf("field %s is missing or out of order\n  redis   %q\n  redkeep %q", want[i], want, got)
	}
}

// Each piece is sent on a connection of its own; both servers must say the same before they close it.
var closing = []string{
	"QUIT\r\n", "*1\r\n$4\r\nQUIT\r\n", "PING\r\nQUIT\r\nPING\r\nSET after quit\r\n",
	wire.Encode("QUIT") + wire.Encode("SET", "after", "quit"),
	"*x\r\n", "*1x\r\n", "*+1\r\n", "* 1\r\n", "*2147483648\r\n", "*9223372036854775807\r\n",
	"*9000000000000000000\r\n", "*99999999999999999999\r\n", "*01\r\n$4\r\nPING\r\n", "*1 \r\n",
	"*1\r\n$x\r\n", "*1\r\n$-1\r\n", "*1\r\n$-2\r\nab\r\n", "*1\r\n$9223372036854775807\r\nxx\r\n",
	"*1\r\n$+4\r\nPING\r\n",
	"*1\r\n$04\r\nPING\r\n", "*1\r\n$\r\n", "*1\r\n:4\r\nPING\r\n", "*1\r\nPING\r\n",
	"*2\r\n$4\r\nECHO\r\n+x\r\n",
	"*1\r\n*1\r\n", "*1\r\n\r\n", "*1\r\n$99999999999999999999\r\n",
	"PING\r\n*x\r\n", "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$-5\r\n",
	"SET a \"unbalanced\r\n", "SET a 'unbalanced\r\n", "SET a \"x\"y\r\n", "SET a 'x'y\r\n", "\"\r\n",
	"GET \"a\\\r\n",
	"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", "Host: x\r\n",
	"post x\r\n",
	strings.Repeat("a", 70000), "*" + strings.Repeat("1", 70000), "*1\r\n$" + strings.Repeat("1", 70000),
}

func TestProtocolErrorsAndQuit(t *testing.T) {
	for _, g := range targets {
		t.Run(g.name, func(t *testing.T) {
			redis, keep := startRedis(t), g.start(t)
			for _, raw := range closing {
				want, got := untilClosed(t, redis, raw), untilClosed(t, keep, raw)
				if want != got {
					t.Errorf("%.100q\n  redis   %.300q\n  redkeep %.300q", raw, want, got)
				}
			}
			p := newPair(t, redis, keep, "2")
			p.Same("EXISTS", "after")
			p.Same("PING")
		})
	}
}

// inline is sent as it stands; the number is how many replies Redis gives.
var inline = []struct {
	raw     string
	replies int
}{
	{"PING\r\n", 1}, {"PING\n", 1}, {"  PING  \r\n", 1}, {"\r\nPING\r\n", 1}, {"\n\n\r\n \r\nPING\r\n", 1},
	{"ping hello\r\n", 1},
	{"SET k v\r\nGET k\r\n", 2}, {"SET k \"a b\"\r\nGET k\r\n", 2}, {"SET k 'a b'\r\nGET k\r\n", 2},
	{"SET k \"\\x41\\x00\\n\\r\\t\\b\\a\\\\\\\"\\q\"\r\nGET k\r\n", 2}, {"SET k 'it\\'s \\n'\r\nGET k\r\n", 2},
	{"SET\tk\tv\r\nGET k\r\n", 2}, {"SET k \"\"\r\nGET k\r\n", 2}, {"SET k ''\r\nGET k\r\n", 2},
	{"SET k \\x41\r\nGET k\r\n", 2},
	{"SET k \"\\xzz\"\r\nGET k\r\n", 2}, {"SET k a\"b c\"\r\nGET k\r\n", 2}, {"ECHO \x01\x02\xff\r\n", 1},
	{"NOPE a b\r\n", 1},
	{"\"PING\"\r\n", 1}, {"GET\r\n", 1}, {"SET k v\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n", 3},
	{"*0\r\nPING\r\n", 1}, {"*-1\r\nPING\r\n", 1}, {"*-10\r\nPING\r\n", 1}, {"*-0\r\n", 0},
	{"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", 1}, {"SET k v\rx\r\n", 1}, {"$4\r\n", 1}, {"+OK\r\n", 1}, {":1\r\n", 1},
}

func TestInlineCommands(t *testing.T) {
	redis, keep := startRedis(t), targets[0].start(t)
	for _, in := range inline {
		t.Run(in.raw[:min(len(in.raw), 20)], func(t *testing.T) {
			p := newPair(t, redis, keep, "2")
			p.Pipeline(in.raw+"*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n", in.replies+1)
		})
	}
}
