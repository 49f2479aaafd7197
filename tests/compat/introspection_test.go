package compat

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

var introspectionFamilies = []family{
	{"unknown commands", func(p *pair) {
		p.SameLine("NOPE", "nope", "NOPE a", "NOPE a b c", "get2 x", "GETX", "SETT a b")
		p.Same("")
		p.Same("", "")
		p.Same("NOPE", "")
		p.Same("NOPE", "with space", "with'quote", "with\"quote")
		p.Same("NOPE", "line\r\nbreak", "\x00\x01\xff")
		p.Same("NO\r\nPE", "a")
		p.Same(strings.Repeat("x", 200), "a")
		p.Same("NOPE", strings.Repeat("y", 200), "after")
		p.Same("NOPE", strings.Repeat("y", 100), strings.Repeat("z", 100), "after")
		p.Same("NOPE", strings.Repeat("y", 125), "z", "after")
		p.Same(append([]string{"NOPE"}, slices.Repeat([]string{"a"}, 300)...)...)
		p.Same("GET\x00", "a")
		p.Same("GET ", "a")
	}},
	{"command", func(p *pair) {
		p.SameLine("COMMAND NOPE", "COMMAND COUNT x", "COMMAND GETKEYS", "COMMAND GETKEYS GET a",
			"COMMAND GETKEYS SET a b",
			"COMMAND GETKEYS MSET a 1 b 2", "COMMAND GETKEYS DEL a b c", "COMMAND GETKEYS PING x",
			"COMMAND GETKEYS NOPE x",
			"COMMAND GETKEYS SET x", "COMMAND GETKEYS mget a b", "COMMAND GETKEYS MSET a",
			"COMMAND GETKEYS EXPIRE k 10 NX",
			"COMMAND INFO nope", "COMMAND DOCS nope", "COMMAND LIST FILTERBY", "COMMAND LIST FILTERBY NOPE x",
			"COMMAND LIST FILTERBY ACLCAT nope", "COMMAND LIST FILTERBY PATTERN zzz*", "COMMAND LIST x",
			"COMMAND GETKEYSANDFLAGS", "COMMAND GETKEYSANDFLAGS NOPE x", "COMMAND GETKEYSANDFLAGS PING x",
			"COMMAND GETKEYSANDFLAGS SET a b",
			"COMMAND GETKEYSANDFLAGS GET a x", "COMMAND GETKEYSANDFLAGS MSET a 1 b 2")
		p.Sorted("COMMAND", "LIST", "FILTERBY", "PATTERN", "mget*")
		p.SameShape("COMMAND", "COUNT")
	}},
	{"info shape", func(p *pair) {
		p.Same("INFO", "nosuchsection")
		for _, args := range [][]string{{"INFO"}, {"INFO", "all"}, {"INFO", "server", "clients"}, {"INFO",
			"EVERYTHING"}} {
			p.SameShape(args...)
		}
		_, got := p.both("INFO", "server")
		if !strings.HasPrefix(strings.TrimPrefix(got.Text, "txt:"), "# Server\r\nredis_version:") {
			p.t.Errorf("INFO server: %.100q", got.Text)
		}
	}},
	{"info fields", func(p *pair) {
		want, got := p.both("INFO", "all")
		for section, fields := range infoFields {
			w, g := infoSection(want.Text, section), infoSection(got.Text, section)
			for _, f := range fields {
				if hasField(w, f) && !hasField(g, f) {
					p.t.Errorf("INFO %s lacks %s", section, f)
				}
			}
		}
		p.SameLine("PING", "PING", "PING", "PING")
	}},
	{"cluster is off", func(p *pair) {
		p.SameLine("CLUSTER", "CLUSTER INFO", "CLUSTER SLOTS", "CLUSTER NODES", "CLUSTER MYID", "CLUSTER NOPE")
	}},
}

// infoFields are read by exporters, dashboards and client libraries; those that this Redis has must be there.
var infoFields = map[string][]string{
	"Server": {"redis_version", "redis_mode", "run_id", "tcp_port", "process_id", "uptime_in_seconds",
		"os", "hz"},
	"Clients": {"connected_clients", "blocked_clients", "maxclients", "tracking_clients",
		"clients_in_timeout_table"},
	"Memory": {"used_memory", "used_memory_rss", "maxmemory", "maxmemory_policy", "used_memory_human",
		"used_memory_peak"},
	"Persistence": {"loading", "rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_enabled",
		"rdb_last_save_time"},
	"Stats": {"total_connections_received", "total_commands_processed", "instantaneous_ops_per_sec",
		"expired_keys",
		"evicted_keys", "keyspace_hits", "keyspace_misses", "total_error_replies", "rejected_connections",
		"total_net_input_bytes", "total_net_output_bytes"},
	"Replication": {"role", "connected_slaves", "master_replid", "master_repl_offset", "second_repl_offset"},
	"CPU":         {"used_cpu_sys", "used_cpu_user"},
	"Cluster":     {"cluster_enabled"},
}

func infoSection(info, name string) string {
	_, rest, _ := strings.Cut("\r\n"+info, "\r\n# "+name+"\r\n")
	body, _, _ := strings.Cut(rest, "\r\n#")
	return "\r\n" + body
}

func hasField(section, name string) bool { return strings.Contains(section, "\r\n"+name+":") }

// commandsOfBoth are the commands of Redis that Redkeep has so far.
func commandsOfBoth(t *testing.T, redis, keep *wire.Conn) []string {
	t.Helper()
	names := func(c *wire.Conn) []string {
		r, err := c.Do("COMMAND", "LIST")
		if err != nil || r.IsErr() {
			t.Fatalf("COMMAND LIST: %v, %v", r, err)
		}
		return r.Strings()
	}
	have := names(keep)
	var out []string
	for _, n := range names(redis) {
		if slices.Contains(have, n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	if len(out) < 30 {
		t.Fatalf("only %d commands in common: %q", len(out), out)
	}
	return out
}

// What a client decides by: arity, key positions and whether it writes, reads, is fast, needs memory.
var decidingFlags = []string{"write", "readonly", "denyoom", "fast", "admin", "pubsub", "blocking",
	"movablekeys"}

func TestCommandInfo(t *testing.T) {
	for _, proto := range []string{"2", "3"} {
		t.Run("RESP"+proto, func(t *testing.T) {
			p := newPair(t, startRedis(t), targets[0].start(t), proto)
			for _, name := range commandsOfBoth(t, p.redis, p.keep) {
				want, got := p.both("COMMAND", "INFO", name)
				sameCommandInfo(t, name, want, got)
			}
			_, all := p.both("COMMAND")
			for _, e := range all.Elems {
				if len(e.Elems) != 10 {
					t.Errorf("COMMAND entry with %d elements: %v", len(e.Elems), e)
				}
			}
		})
	}
}

func sameCommandInfo(t *testing.T, name string, want, got wire.Reply) {
	t.Helper()
	if len(got.Elems) != 1 || len(got.Elems[0].Elems) != 10 {
		t.Errorf("COMMAND INFO %s = %v", name, got)
		return
	}
	w, g := want.Elems[0].Elems, got.Elems[0].Elems
	for _, i := range []int{0, 1, 3, 4, 5} {
		if w[i].Raw != g[i].Raw {
			t.Errorf("COMMAND INFO %s element %d\n  redis   %v\n  redkeep %v", name, i, w[i], g[i])
		}
	}
	for i := range w {
		if i == 9 && len(g[i].Elems) == 0 {
			continue // no sub-commands here (CLUSTER): an empty set, as Redis has it for a command without any
		}
		if w[i].Kind != g[i].Kind {
			t.Errorf("COMMAND INFO %s element %d is %c, in redis %c", name, i, g[i].Kind, w[i].Kind)
		}
	}
	for _, f := range decidingFlags {
		if slices.Contains(w[2].Strings(), f) != slices.Contains(g[2].Strings(), f) {
			t.Errorf("COMMAND INFO %s flag %s\n  redis   %q\n  redkeep %q", name, f, w[2].Strings(), g[2].Strings())
		}
	}
	if slices.Contains(g[7].Strings(), "request_policy:multi_shard") {
		t.Errorf("COMMAND INFO %s has a tip by which clients would cut it into pieces", name)
	}
}

// docTypes is what redis-cli asserts; a wrong type ends that program.
var docTypes = map[string]string{
	"summary": "$", "since": "$", "group": "$", "complexity": "$", "arguments": "*", "subcommands": "*%",
	"history": "*~",
	"name":    "$", "type": "$", "token": "$", "display_text": "$", "flags": "*~", "key_spec_index": ":",
	"deprecated_since": "$",
	"doc_flags":        "*~", "module": "$", "replaced_by": "$",
}

func TestCommandDocs(t *testing.T) {
	for _, proto := range []string{"2", "3"} {
		t.Run("RESP"+proto, func(t *testing.T) {
			p := newPair(t, startRedis(t), targets[0].start(t), proto)
			_, all := p.both("COMMAND", "DOCS")
			checkDocs(t, all)
			for _, name := range commandsOfBoth(t, p.redis, p.keep) {
				want, got := p.both("COMMAND", "DOCS", name)
				if want.Kind != got.Kind || len(got.Elems) != 2 {
					t.Fatalf("COMMAND DOCS %s = %v", name, got)
				}
				w, _ := want.Elems[1].Field("group")
				g, _ := got.Elems[1].Field("group")
				if w.Raw != g.Raw {
					t.Errorf("COMMAND DOCS %s group\n  redis   %v\n  redkeep %v", name, w, g)
				}
				compareArguments(t, name, want.Elems[1], got.Elems[1])
			}
		})
	}
}

// checkDocs checks the types of each field of each command, argument and sub-command.
func checkDocs(t *testing.T, docs wire.Reply) {
	t.Helper()
	if len(docs.Elems) < 60 || len(docs.Elems)%2 != 0 {
		t.Fatalf("COMMAND DOCS has %d elements", len(docs.Elems))
	}
	for i := 0; i < len(docs.Elems); i += 2 {
		name := docs.Elems[i].Text
		for _, need := range []string{"summary", "since", "group"} {
			if _, ok := docs.Elems[i+1].Field(need); !ok {
				t.Errorf("COMMAND DOCS %s has no %s", name, need)
			}
		}
		checkDocFields(t, name, docs.Elems[i+1])
	}
}

func checkDocFields(t *testing.T, name string, doc wire.Reply) {
	t.Helper()
	for i := 0; i+1 < len(doc.Elems); i += 2 {
		field, value := doc.Elems[i].Text, doc.Elems[i+1]
		if doc.Elems[i].Kind != '$' || !strings.ContainsRune(docTypes[field], rune(value.Kind)) {
			t.Errorf("COMMAND DOCS %s: field %q is %c, want %q", name, field, value.Kind, docTypes[field])
		}
		switch field {
		case "arguments":
			for _, arg := range value.Elems {
				if arg.Kind != '*' && arg.Kind != '%' {
					t.Errorf("COMMAND DOCS %s: an argument is %c", name, arg.Kind)
				}
				checkDocFields(t, name, arg)
			}
		case "subcommands":
			checkSubcommands(t, value)
		case "flags", "doc_flags":
			for _, f := range value.Elems {
				if f.Kind != '+' {
					t.Errorf("COMMAND DOCS %s: a flag is %c, redis-cli wants a simple string", name, f.Kind)
				}
			}
		}
	}
}

func checkSubcommands(t *testing.T, subs wire.Reply) {
	t.Helper()
	for i := 0; i+1 < len(subs.Elems); i += 2 {
		if name := subs.Elems[i].Text; !strings.Contains(name, "|") {
			t.Errorf("sub-command %q is not named container|sub", name)
		}
		checkDocFields(t, subs.Elems[i].Text, subs.Elems[i+1])
	}
}

// compareArguments demands Redis's arguments, by type and token, in Redis's order. Their names have changed
// between Redis's versions and nothing depends on them. Redkeep may have more arguments of its own.
func compareArguments(t *testing.T, name string, want, got wire.Reply) {
	t.Helper()
	w, _ := want.Field("arguments")
	g, _ := got.Field("arguments")
	have := arguments(g, 0)
	i := 0
	for _, arg := range arguments(w, 0) {
		for i < len(have) && have[i] != arg {
			i++
		}
		if i == len(have) {
			t.Errorf("COMMAND DOCS %s: argument %s is missing or out of order\n  redis   %q\n  redkeep %q",
				name, arg, arguments(w, 0), have)
			return
		}
	}
}

// arguments lists "depth:type:token" of each argument, depth first.
func arguments(args wire.Reply, depth int) []string {
	var out []string
	for _, a := range args.Elems {
		typ, _ := a.Field("type")
		token, _ := a.Field("token")
		out = append(out, fmt.Sprintf("%d:%s:%s", depth, typ.Text, token.Text))
		if inner, ok := a.Field("arguments"); ok {
			out = append(out, arguments(inner, depth+1)...)
		}
	}
	return out
}
