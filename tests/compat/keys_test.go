package compat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

var keyFamilies = []family{
	{"del and exists", func(p *pair) {
		p.Same("MSET", "a", "1", "b", "2", "c", "3")
		p.Same("EXISTS", "a", "a", "none", "b")
		p.Same("DEL", "a", "a", "none")
		p.Same("EXISTS", "a")
		p.Same("DEL", "b", "c")
		p.Same("DEL", "b")
		p.Same("DBSIZE")
		p.arity("DEL", "EXISTS", "TYPE", "KEYS", "SCAN", "DBSIZE")
	}},
	{"type", func(p *pair) {
		p.Same("SET", "s", "1")
		p.Same("TYPE", "s")
		p.Same("TYPE", "none")
		p.Same("TYPE", "")
	}},
	{"keys and globs", func(p *pair) {
		for _, k := range globKeys {
			p.Same("SET", k, "v")
		}
		for _, pattern := range globs {
			p.Sorted("KEYS", pattern)
			p.scanAll("MATCH", pattern)
		}
	}},
	{"scan", func(p *pair) {
		for i := range 300 {
			p.Same("SET", fmt.Sprintf("key:%d", i), "v")
		}
		p.scanAll()
		p.scanAll("COUNT", "7")
		p.scanAll("COUNT", "1000000")
		p.scanAll("MATCH", "key:1*", "COUNT", "3")
		p.scanAll("TYPE", "string")
		p.scanAll("count", "50", "match", "*9", "type", "STRING")
		p.scanAll("TYPE", "list")
		for _, bad := range badScans {
			p.Same(append([]string{"SCAN"}, strings.Split(bad, " ")...)...)
		}
		p.Same("SCAN", "0", "COUNT", "")
	}},
	{"flush", func(p *pair) {
		p.Same("MSET", "a", "1", "b", "2")
		p.Same("FLUSHALL", "SYNC")
		p.Same("DBSIZE")
		p.Same("MSET", "a", "1", "b", "2")
		p.Same("FLUSHALL", "async")
		p.Same("DBSIZE")
		p.Same("SET", "a", "1")
		p.Same("FLUSHALL", "NOPE")
		p.Same("FLUSHALL", "SYNC", "ASYNC")
		p.Same("FLUSHALL", "")
		p.Same("DBSIZE")
		p.Same("FLUSHALL")
		p.Same("FLUSHALL")
		p.Same("DBSIZE")
		p.Same("GET", "a")
	}},
}

var globKeys = []string{
	"", "a", "b", "ab", "abc", "hello", "hallo", "hxllo", "hllo", "heello", "h*llo", "h?llo", "h[llo", "h]llo",
	"h\\llo", "h^llo",
	"h-llo", "news.art.one", "news.art.two", "a*b", "\x00x", "\xff", "aaaaaaaaaaaaaaaaaaaaaaaaab", "é",
}

var globs = []string{
	"*", "", "?", "??", "a*", "*a", "*b*", "h?llo", "h*llo", "h[ae]llo", "h[^e]llo", "h[a-b]llo", "h[b-a]llo",
	"h[]llo", "h[^]llo",
	"h\\*llo", "h\\?llo", "h\\[llo", "h[\\[]llo", "h[\\]]llo", "h[a", "h[", "h[^", "h[a-", "h\\", "**", "***a",
	"*\\", "[^a]*",
	"news.*.one", "?*?", "a*a*a*a*a*a*b", "a*a*a*a*a*a*c", "[\\a]b", "[a-z]b", "[z-a]b", "h[\\", "[", "]",
	"^a", "\x00*", "\xff",
	"[\x80-\xff]", "h[-]llo", "h[a-]llo", "h[^-]llo", "[a-cx-z]*", "A*", "[[]*", "*]llo", "\\a", "\\\\*",
	"h\\\\llo",
}

var badScans = []string{
	"x", "1.5", "0x1", "18446744073709551616", "0 COUNT", "0 COUNT x", "0 COUNT 0", "0 COUNT -1",
	"0 MATCH", "0 NOPE",
	"0 NOPE 1", "0 TYPE", "0 COUNT 10 MATCH", "0 COUNT 9223372036854775808", "0 COUNT 1.5",
}

// scanAll walks both servers from cursor 0 to cursor 0 and demands the same set of keys. A key may come
// twice, a page may be empty; the cursors themselves are each server's own business, their type is not.
func (p *pair) scanAll(options ...string) {
	p.t.Helper()
	p.calls++
	want, got := walk(p, p.redis, options), walk(p, p.keep, options)
	if !slices.Equal(want, got) {
		p.t.Errorf("SCAN %q\n  redis   %.300q\n  redkeep %.300q", options, want, got)
	}
}

func walk(p *pair, c *wire.Conn, options []string) []string {
	p.t.Helper()
	var keys []string
	cursor := "0"
	for range 100000 {
		r, err := c.Do(append([]string{"SCAN", cursor}, options...)...)
		if err != nil || len(r.Elems) != 2 || r.Elems[0].Kind != '$' || r.Elems[1].Kind != '*' {
			p.t.Fatalf("SCAN %s %q: %v, %v", cursor, options, r, err)
		}
		keys = append(keys, r.Elems[1].Strings()...)
		cursor = r.Elems[0].Text
		if cursor == "0" {
			slices.Sort(keys)
			return slices.Compact(keys)
		}
	}
	p.t.Fatalf("SCAN %q never ends", options)
	return nil
}
