package commands

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redkeep/redkeep/raftfsm"
)

func TestMultiScript(t *testing.T) { runScript(t, "multi") }

// CLIENT LIST shows what is queued and what is watched.
func TestClientListShowsTransactions(t *testing.T) {
	n := startNode(t)
	c, other := n.dial(t), n.dial(t)
	shows := func(want string) {
		t.Helper()
		if got := other.do("CLIENT", "LIST"); !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	c.want("OK", "WATCH", "a", "b", "a")
	shows("multi=-1 watch=2")
	c.want("OK", "MULTI")
	shows("multi=0 watch=2")
	c.want("QUEUED", "GET", "a")
	shows("multi=1 watch=2")
	c.want("[nil]", "EXEC")
	c.want("PONG", "PING")
	if got := other.do("CLIENT", "LIST"); strings.Contains(got, "multi=0") || strings.Contains(got, "watch=2") {
		t.Errorf("after EXEC: %s", got)
	}
}

// Whole transactions in one pipeline share a round, and each sees the one before; WATCH in the same pipeline
// takes effect before the EXEC behind it.
func TestTransactionsInOnePipeline(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	var sent strings.Builder
	for i := range 50 {
		for _, words := range [][]string{{"GET", "n"}, {"WATCH", "n"}, {"MULTI"}, {"INCR", "n"}, {"PING"},
			{"GET", "n"}, {"EXEC"}, {"MULTI"}, {"SET", "x", fmt.Sprint(i)}, {"EXEC"}, {"WATCH", "x"}, {"INCR", "x"},
			{"MULTI"}, {"GET", "x"}, {"EXEC"}, {"MULTI"}, {"DISCARD"}} {
			sent.WriteString(encode(words...))
		}
	}
	c.send(sent.String())
	for i := range 50 {
		before := fmt.Sprintf("%q", fmt.Sprint(i))
		if i == 0 {
			before = "nil"
		}
		after := fmt.Sprintf("[%d PONG %q]", i+1, fmt.Sprint(i+1))
		for j, want := range []string{before, "OK", "OK", "QUEUED", "QUEUED", "QUEUED", after, "OK", "QUEUED",
			"[OK]", "OK", fmt.Sprint(i + 1), "OK", "QUEUED", "nil-array", "OK", "OK"} {
			if got := c.reply(); got != want {
				t.Fatalf("round %d, reply %d: %s, want %s", i, j, got, want)
			}
		}
	}
}

// A reader never sees half of a transaction, whatever its size.
func TestTransactionIsWhole(t *testing.T) {
	n := startNode(t)
	const keys, rounds = 300, 60
	names := []string{"MGET"}
	for i := range keys {
		names = append(names, fmt.Sprint("k", i))
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		c := n.dial(t)
		readers.Go(func() {
			for {
				got := strings.Fields(strings.Trim(c.do(names...), "[]"))
				if len(got) != keys {
					t.Errorf("a reply of %d values: %.100s", len(got), got)
					return
				}
				for _, v := range got {
					if v != got[0] {
						t.Errorf("one reply holds %s and %s", got[0], v)
						return
					}
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	c := n.dial(t)
	for round := range rounds {
		var sent strings.Builder
		sent.WriteString(encode("MULTI"))
		for _, name := range names[1:] {
			sent.WriteString(encode("SET", name, strings.Repeat(fmt.Sprint(round), 400))) // over half an entry
		}
		c.send(sent.String() + encode("EXEC"))
		for range keys + 1 {
			c.reply()
		}
		if got := c.reply(); strings.Count(got, "OK") != keys {
			t.Fatalf("EXEC of round %d: %.100s", round, got)
		}
	}
	close(done)
	readers.Wait()
}

// Of many clients that compare and set one key, each success adds exactly one.
func TestWatchLosesNoUpdate(t *testing.T) {
	n := startNode(t)
	n.dial(t).want("OK", "SET", "n", "0")
	const clients, each = 8, 25
	var all sync.WaitGroup
	for range clients {
		c := n.dial(t)
		all.Go(func() {
			for done := 0; done < each; {
				c.do("WATCH", "n")
				var v int
				if _, err := fmt.Sscanf(c.do("GET", "n"), "\"%d\"", &v); err != nil {
					t.Error(err)
					return
				}
				c.do("MULTI")
				c.do("SET", "n", fmt.Sprint(v+1))
				if c.do("EXEC") == "[OK]" {
					done++
				}
			}
		})
	}
	all.Wait()
	n.dial(t).want(fmt.Sprintf("%q", fmt.Sprint(clients*each)), "GET", "n")
}

// What is queued is bounded: the command that is too much is refused, and so is the transaction.
func TestQueueIsBounded(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.want("OK", "MULTI")
	value := strings.Repeat("v", 3<<20)
	c.want("QUEUED", "SET", "a", value)
	c.want("QUEUED", "SET", "b", value)
	if got := c.do("SET", "c", value); !strings.HasPrefix(got, "(ERR request is too large (9437") {
		t.Errorf("the third: %.100s", got)
	}
	c.want("QUEUED", "SET", "d", value)
	c.want("(EXECABORT Transaction discarded because of previous errors.)", "EXEC")
	c.want("0", "DBSIZE")
	c.want("OK", "MULTI")
	c.want("QUEUED", "SET", "a", value)
	c.want("QUEUED", "SET", "b", value)
	c.want("[OK OK]", "EXEC")
}

// A session transaction needs no quorum; one that asks the store does.
func TestTransactionsWithoutEngine(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	c.want("OK", "WATCH", "a")
	n.closeEngine(t.Context())
	c.want("OK", "MULTI")
	c.want("(CLUSTERDOWN this node is shutting down; the command was not executed)", "EXEC")
	c.want("OK", "MULTI")
	c.want("QUEUED", "PING")
	c.want("[PONG]", "EXEC")
	c.want("OK", "MULTI")
	c.want("[]", "EXEC")
	for _, read := range [][]string{{"GET", "a"}, {"SCAN", "0"}, {"KV.GET", "a", "AT", "1"}} {
		c.want("OK", "MULTI")
		c.want("QUEUED", read...)
		c.want("(CLUSTERDOWN this node is shutting down; the command was not executed)", "EXEC")
	}
}

// Above the quota a transaction with a growing command is refused, when it is queued or, if the quota was
// exceeded later, at EXEC.
func TestQuotaRefusesTransactions(t *testing.T) {
	n := startNode(t, func(cfg *raftfsm.Config) { cfg.QuotaBytes = 1000 })
	c, other := n.dial(t), n.dial(t)
	c.want("OK", "MULTI")
	c.want("QUEUED", "SET", "b", "1")
	other.want("OK", "SET", "a", strings.Repeat("x", 2000))
	const oom = "OOM command not allowed when used memory > 'maxmemory'.)"
	c.want("(EXECABORT Transaction discarded because of: "+oom, "EXEC")
	c.want("OK", "MULTI")
	c.want("("+oom, "SET", "b", "1")
	c.want("(EXECABORT Transaction discarded because of previous errors.)", "EXEC")
	c.want("("+oom, "KV.TXN", "0", "1", "3", "SET", "b", "1", "0")
	c.want("[\"succeeded\" 1 \"revision\" 3 \"responses\" [1]]", "KV.TXN", "0", "1", "2", "DEL", "a", "0")
	c.want("OK", "MULTI")
	c.want("QUEUED", "DEL", "a")
	c.want("[0]", "EXEC")
}
