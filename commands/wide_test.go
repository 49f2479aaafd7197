package commands

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// fill writes n keys k000000 and so on; they are in one revision.
func (c *client) fill(n int) {
	c.t.Helper()
	words := []string{"MSET"}
	for i := range n {
		words = append(words, fmt.Sprintf("k%06d", i), "v")
	}
	c.want("OK", words...)
}

// heap is what is alive now.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The replies of a long pipeline of large reads do not exist at once: when the client has the first and reads
// no further, few others have been made. With all of them it would be hundreds of MB.
func TestAPipelineOfLargeReadsTakesLittleMemory(t *testing.T) {
	const keys, most = 100_000, 48 << 20
	n := startNode(t)
	n.dial(t).fill(keys)
	n.dial(t).want("OK", "SET", "large", strings.Repeat("x", 1<<20))
	for _, tc := range []struct {
		name  string
		words [][]string
		times int
		skip  int // replies before the first large one
	}{
		{"KEYS", [][]string{{"KEYS", "*"}}, 1000, 0},
		{"KV.RANGE", [][]string{{"KV.RANGE", "", "PREFIX"}}, 1000, 0},
		{"DUMP", [][]string{{"DUMP", "large"}}, 300, 0},
		{"EXEC", [][]string{{"MULTI"}, {"KEYS", "*"}, {"EXEC"}}, 1000, 2},
		{"KV.TXN", [][]string{{"KV.TXN", "0", "1", "2", "KEYS", "*", "0"}}, 1000, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, before := n.dial(t), heap()
			var sent strings.Builder
			for range tc.times {
				for _, words := range tc.words {
					sent.WriteString(encode(words...))
				}
			}
			c.send(sent.String())
			for range tc.skip + 1 {
				if got := c.reply(); strings.HasPrefix(got, "(") {
					t.Fatal(got)
				}
			}
			if now := heap(); now > before+most {
				t.Errorf("%d MB more are in use when the first reply is there", (now-before)>>20)
			}
			_ = c.conn.Close()
			waitFor(t, "the connection to be forgotten", func() bool { return n.server.Stats().Current <= 2 })
		})
	}
}

// A block may hold as many commands as its client likes, but only so many that go through a range of keys or
// through the past: each of those costs every member a walk, and its client a list.
func TestExecBoundsWhatItReads(t *testing.T) {
	const most = 128
	n := startNode(t)
	c := n.dial(t)
	c.fill(10)
	block := func(times int, words ...string) string {
		t.Helper()
		one := encode(words...)
		c.send(encode("MULTI") + encode("SET", "mark", "1") + strings.Repeat(one, times) + encode("EXEC"))
		for range times + 2 {
			if got := c.reply(); got != "OK" && got != "QUEUED" {
				t.Fatal(got)
			}
		}
		return c.reply()
	}
	for _, words := range [][]string{{"KEYS", "*"}, {"SCAN", "0"}, {"DBSIZE"}, {"RANDOMKEY"}, {"FLUSHALL"},
		{"KV.RANGE", "k", "PREFIX"}, {"KV.DEL", "a", "TO", "b"}, {"KV.RANGE", "k", "PREFIX", "AT", "2"},
		{"KV.HISTORY", "k"}, {"KV.HASH", "AT", "2"},
		{"KV.TXN", "1", "version", "k", "PREFIX", ">", "0", "0", "0"}} {
		revision := n.engine.Store().Revision()
		if got := block(most+1, words...); got != "("+errExecAborted(errTxnRanges(most)).Error()+")" {
			t.Errorf("%d × %q: %.200s", most+1, words, got)
		}
		if now := n.engine.Store().Revision(); now != revision {
			t.Fatalf("%q: refused, and the revision went from %d to %d", words, revision, now)
		}
		if got := block(most, words...); strings.HasPrefix(got, "(") {
			t.Errorf("%d × %q: %.200s", most, words, got)
		}
		c.do("DEL", "mark")
		c.fill(10)
	}
	for _, words := range [][]string{{"GET", "k"}, {"TTL", "k"}, {"KV.GET", "k"}, {"KV.DEL", "k"},
		{"KV.RANGE", "k"}, {"KV.HASH"}} {
		if got := block(10*most, words...); strings.HasPrefix(got, "(") {
			t.Errorf("%d × %q: %.200s", 10*most, words, got)
		}
		c.want("1", "DEL", "mark")
	}
	c.want("PONG", "PING")
}

// Many reads of ranges in one pipeline, among others: every reply is there, in order.
func TestReadsOfRangesInAPipeline(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.fill(2000)
	var sent strings.Builder
	for i := range 300 {
		sent.WriteString(encode("GET", fmt.Sprintf("k%06d", i)) + encode("DBSIZE") + encode("KEYS", "*") +
			encode("INCR", "n") + encode("KV.RANGE", "k00000", "PREFIX", "COUNTONLY") + encode("NOPE") +
			encode("SET", "p", "1", "PX", "1") + encode("GET", fmt.Sprint("none", i)))
	}
	c.send(sent.String())
	for i := range 300 {
		for j, want := range []string{`"v"`, "200", `["`, fmt.Sprint(i + 1), "10 ", "(ERR unknown command 'NOPE'",
			"OK", "nil"} {
			if got := c.reply(); !strings.Contains(got, want) {
				t.Fatalf("round %d, reply %d: %.100s, want %s", i, j, got, want)
			}
		}
	}
}
