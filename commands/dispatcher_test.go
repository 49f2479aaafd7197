package commands

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/raftfsm"
)

// A pipeline of all kinds of commands, sent in one piece, is answered in order, each command seeing those
// before.
func TestPipelineIsInOrder(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	var sent strings.Builder
	var want []string
	add := func(reply string, words ...string) {
		sent.WriteString(encode(words...))
		want = append(want, reply)
	}
	for i := range 200 {
		key, value := fmt.Sprint("k", i%7), strconv.Itoa(i)
		add("OK", "SET", key, value)
		add(strconv.Quote(value), "GET", key)
		add("PONG", "PING")
		add(strconv.Itoa(i+1), "INCR", "n")
		add("(ERR syntax error)", "SET", key, value, "FOO")
		add(strconv.Itoa(2*(i+1)), "INCRBY", "m", "2")
		add("(ERR wrong number of arguments for 'get' command)", "GET")
		add("[\""+value+"\" nil]", "MGET", key, "missing")
		add("(ERR unknown command 'FOO', with args beginning with: )", "FOO")
	}
	c.send(sent.String())
	for i, w := range want {
		if got := c.reply(); got != w {
			t.Fatalf("reply %d is %s, want %s", i, got, w)
		}
	}
}

// A random pipeline gives the same replies as its commands sent one by one to a plain map.
func TestPipelineMatchesMap(t *testing.T) {
	n := startNode(t)
	rapid.Check(t, func(rt *rapid.T) {
		c := n.dial(t)
		defer func() { _ = c.conn.Close() }()
		t := rt
		model := map[string]string{}
		var sent bytes.Buffer
		var want []string
		sent.WriteString(encode("FLUSHALL"))
		want = append(want, "OK")
		for range rapid.IntRange(1, 60).Draw(t, "length") {
			words := drawCommand(t)
			sent.WriteString(encode(words...))
			want = append(want, modelReply(model, words))
		}
		c.send(sent.String())
		for i, w := range want {
			if got := c.reply(); got != w {
				t.Fatalf("reply %d is %s, want %s", i, got, w)
			}
		}
	})
}

func drawCommand(t *rapid.T) []string {
	key := rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(t, "key")
	value := rapid.SampledFrom([]string{"1", "x", "", "\r\n"}).Draw(t, "value")
	switch rapid.IntRange(0, 6).Draw(t, "command") {
	case 0:
		return []string{"SET", key, value}
	case 1:
		return []string{"GET", key}
	case 2:
		return []string{"DEL", key}
	case 3:
		return []string{"APPEND", key, value}
	case 4:
		return []string{"SET", key, value, "NX"}
	case 5:
		return []string{"EXISTS", key, "a"}
	default:
		return []string{"PING", value}
	}
}

func modelReply(model map[string]string, words []string) string {
	key := words[1]
	old, exists := model[key]
	switch words[0] {
	case "SET":
		if len(words) == 4 && exists {
			return "nil"
		}
		model[key] = words[2]
		return "OK"
	case "GET":
		if !exists {
			return "nil"
		}
		return strconv.Quote(old)
	case "DEL":
		delete(model, key)
		return map[bool]string{true: "1", false: "0"}[exists]
	case "APPEND":
		model[key] = old + words[2]
		return strconv.Itoa(len(model[key]))
	case "EXISTS":
		count := 0
		for _, k := range words[1:] {
			if _, there := model[k]; there {
				count++
			}
		}
		return strconv.Itoa(count)
	default:
		return strconv.Quote(key)
	}
}

// A run of writes longer than one log entry takes is cut into several submissions, with large values among
// them.
func TestLongRunOfWrites(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	const commands = 10_000
	large := strings.Repeat("v", 700<<10)
	var sent strings.Builder
	for i := range commands {
		if i%2500 == 100 {
			sent.WriteString(encode("SET", "large", large))
		} else {
			sent.WriteString(encode("INCR", "n"))
		}
	}
	go c.send(sent.String())
	for i, n := 0, 0; i < commands; i++ {
		want := "OK"
		if i%2500 != 100 {
			n++
			want = strconv.Itoa(n)
		}
		if got := c.reply(); got != want {
			t.Fatalf("reply %d is %s, want %s", i, got, want)
		}
	}
	if got := c.do("STRLEN", "large"); got != strconv.Itoa(len(large)) {
		t.Errorf("large value has %s bytes", got)
	}
}

// QUIT drops what stands behind it in the pipeline.
func TestNothingRunsAfterQuit(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.send(encode("SET", "a", "1") + encode("QUIT") + encode("SET", "a", "2"))
	if got := []string{c.reply(), c.reply(), c.reply()}; got[0] != "OK" || got[1] != "OK" || got[2] != "closed" {
		t.Errorf("replies %q", got)
	}
	n.dial(t).want(`"1"`, "GET", "a")
}

// Above the quota the writes that grow the state are refused, and nothing else.
func TestQuotaRefusesGrowth(t *testing.T) {
	n := startNode(t, func(cfg *raftfsm.Config) { cfg.QuotaBytes = 1000 })
	c := n.dial(t)
	const oom = "(OOM command not allowed when used memory > 'maxmemory'.)"
	c.want("OK", "SET", "a", strings.Repeat("x", 2000))
	c.want(oom, "SET", "b", "1")
	c.want(oom, "KV.PUT", "b", "1")
	c.want(oom, "MSET", "b", "1")
	c.want("nil", "GET", "b")
	c.want("1", "EXPIRE", "a", "100")
	c.want("1", "DEL", "a")
	c.want("OK", "SET", "b", "1")
}

// The clock of a test node jumps, so the engine's own expiry has not run yet: the read itself gets the expiry
// committed, and the history then has its event.
func TestReadCommitsExpiry(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	for i := range 5000 {
		if i == 0 || i%1000 == 0 {
			c.want("OK", "SET", fmt.Sprint("k", i), "1", "EX", "10")
		}
	}
	before := n.engine.Store().Len()
	n.skew.Add(int64(11 * time.Second))
	c.want("[]", "KEYS", "k*")
	if got := n.engine.Store().Len(); got != 0 || before != 5 {
		t.Errorf("%d keys of %d are still there", got, before)
	}
	if got := c.do("KV.HISTORY", "k0", "LIMIT", "1"); !strings.Contains(got, `"type" "expire"`) {
		t.Errorf("history %s", got)
	}
}

// A READONLY connection hides by the clock and writes nothing.
func TestLocalReadProposesNothing(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.want("OK", "READONLY")
	c.want("OK", "SET", "a", "1")
	c.want(`"1"`, "GET", "a")
	applied := n.engine.Status().AppliedIndex
	c.want(`"1"`, "GET", "a")
	c.want("nil", "KV.GET", "b")
	if got := n.engine.Status().AppliedIndex; got != applied {
		t.Errorf("a local read made %d log entries", got-applied)
	}
}

// CLIENT KILL cuts a connection that is waiting for its turn, and only that one.
func TestClientKillByID(t *testing.T) {
	n := startNode(t)
	victim, other := n.dial(t), n.dial(t)
	id := victim.do("CLIENT", "ID")
	other.want("1", "CLIENT", "KILL", "ID", id)
	if got := victim.reply(); got != "closed" {
		t.Errorf("the victim got %s", got)
	}
	other.want("PONG", "PING")
	waitFor(t, "the killed connection to leave the list", func() bool {
		return strings.Count(other.do("CLIENT", "LIST"), " addr=") == 1
	})
}

// Requests on a closed engine are answered, and their texts say that nothing was done.
func TestClosedEngine(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.want("OK", "SET", "a", "1")
	n.closeEngine(t.Context())
	c.want("(CLUSTERDOWN this node is shutting down; the command was not executed)", "SET", "a", "2")
	c.want("PONG", "PING")
	c.want("OK", "READONLY")
	c.want(`"1"`, "GET", "a")
}

func TestStats(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.want("OK", "SET", "a", "1")
	c.want(`"1"`, "GET", "a")
	c.want("nil", "GET", "b")
	c.do("GET")
	c.do("SELECT", "7")
	st := n.d.Stats()
	per := map[string]CommandStats{}
	for _, row := range st.PerCommand {
		per[row.Name] = row
	}
	get, sel := per["get"], per["select"]
	if st.Commands != 4 || st.Hits != 1 || st.Misses != 1 || st.Errors["ERR"] != 2 {
		t.Errorf("%+v", st)
	}
	if get.Calls != 2 || get.Rejected != 1 || get.Failed != 0 || sel.Failed != 1 || len(get.Latency) == 0 {
		t.Errorf("get %+v, select %+v", get, sel)
	}
}
