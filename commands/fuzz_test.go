package commands

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// probe sends one command, DISCARD (or MULTI would queue the rest) and a token to echo. Whatever the command
// is, exactly one reply precedes theirs; the commands that end a connection end it after their reply.
func probe(t *testing.T, n *testNode, c *client, token int, words []string) *client {
	t.Helper()
	if c == nil {
		c = n.dial(t)
	}
	mark := "token-" + strconv.Itoa(token)
	c.send(encode(words...) + encode("DISCARD") + encode("ECHO", mark))
	first := c.reply()
	if first == "closed" {
		t.Fatalf("%q was not answered", words)
	}
	second := c.reply()
	if strings.HasSuffix(second, " without MULTI)") || strings.EqualFold(words[0], "multi") {
		second = c.reply()
	}
	switch second {
	case strconv.Quote(mark):
		return c
	case "closed":
		if name := bytes.ToLower([]byte(words[0])); string(name) != "quit" && string(name) != "client" {
			t.Fatalf("%q closed the connection", words)
		}
		return nil
	default:
		t.Fatalf("%q has a second reply: %s", words, second)
		return nil
	}
}

// vocabulary are words that lead deeper into option parsing than random bytes do.
var vocabulary = []string{"", "a", "b", "0", "1", "-1", "10", "x", "nx", "XX", "GET", "EX", "px", "EXAT",
	"PXAT", "KEEPTTL",
	"GT", "LT", "9223372036854775807", "-9223372036854775808", "1.5", "TO", "PREFIX", "FROMKEY", "AT",
	"LIMIT", "DESC", "KEYSONLY", "COUNTONLY", "SORT", "value", "MINMOD", "SERIALIZABLE", "PREV", "IGNOREVALUE",
	"IGNORELEASE", "LEASE", "MATCH", "COUNT", "TYPE", "string", "*", "[a-", "ID", "ADDR", "SKIPME", "yes", "no",
	"3", "2", "AUTH", "default", "SETNAME", "FILTERBY", "ACLCAT", "PATTERN", "on", "OFF", "all", "\x00\xff\r\n",
	"IFEQ", "IFNE", "IFDEQ", "IFDNE", "b6acb9d84a38ff74", "PERSIST", "IDX", "LEN", "MINMATCHLEN", "WITHMATCHLEN",
	"BYTE", "BIT", "AND", "NOT", "DIFF1", "ONE", "u8", "i64", "u63", "#3", "OVERFLOW", "SAT", "FAIL",
	"INCRBY", "SET",
	"REPLACE", "ABSTTL", "IDLETIME", "FREQ", "DB", "SAMPLES", "TIMEOUT", "ERROR", "inf", "1e4932", "0x1p4",
	"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb", "LIB-NAME", "maxmemory", "save", "ASYNC", "PHYSICAL", "get", "mset"}

// answering are the rows whose calls get one reply at once, whatever their arguments: not those that wait,
// hold up or silence the connection, show it more than replies, or reply once for each argument.
func answering() []*Command {
	var out []*Command
	for _, row := range NewTable().All() {
		others := []string{"client|pause", "client|reply", "monitor", "kv.watch", "client|tracking"}
		if row.block == nil && !slices.Contains(others, row.Name) && !strings.HasSuffix(row.Name, "subscribe") {
			out = append(out, row)
		}
	}
	return out
}

func TestRandomArgumentsHaveOneReply(t *testing.T) {
	n := startNode(t)
	rows := answering()
	token := 0
	var c *client
	rapid.Check(t, func(rt *rapid.T) {
		row := rapid.SampledFrom(rows).Draw(rt, "row")
		words := bytes.Split([]byte(row.Name), []byte("|"))
		command := []string{}
		for _, w := range words {
			command = append(command, string(w))
		}
		command = append(command, rapid.SliceOfN(rapid.SampledFrom(vocabulary), 0, 8).Draw(rt, "words")...)
		token++
		c = probe(t, n, c, token, command)
	})
}

// FuzzArguments gives any command any arguments: no panic, exactly one reply.
func FuzzArguments(f *testing.F) {
	n := startNode(f)
	rows := answering()
	for i := range rows {
		f.Add(uint16(i), []byte("a\x00b\x00EX\x0010"))
	}
	f.Fuzz(func(t *testing.T, pick uint16, raw []byte) {
		var command []string
		for _, w := range bytes.Split([]byte(rows[int(pick)%len(rows)].Name), []byte("|")) {
			command = append(command, string(w))
		}
		for _, w := range bytes.Split(raw, []byte{0}) {
			command = append(command, string(w))
		}
		probe(t, n, nil, len(raw), command)
	})
}
