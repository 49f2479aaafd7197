package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// killers are inputs that ended a process or spun a core in the listener library; each must cost its own
// connection one clear error and nobody else anything.
var killers = map[string]string{
	"*1\r\n$9223372036854775807\r\nxx\r\n":   "-ERR Protocol error: ",
	"*9223372036854775807\r\n":               "-ERR Protocol error: ",
	"*9000000000000000000\r\n":               "-ERR Protocol error: ",
	"*1000000000\r\n$1\r\n":                  "-ERR Protocol error: ",
	"*1\r\n$-2\r\n":                          "-ERR Protocol error: ",
	"*1\r\n$18446744073709551617\r\na\r\n":   "-ERR Protocol error: ",
	"*1\r\n$536870912\r\n":                   "-ERR Protocol error: ",
	"*2\r\n$3\r\nGET\r\n$999999999\r\nabc":   "-ERR Protocol error: ",
	strings.Repeat("x", 200000):              "-ERR Protocol error: too big inline request",
	"SET \"a\r\n":                            "-ERR Protocol error: unbalanced quotes in request\r\n",
	"*1\r\n:1\r\n":                           "-ERR Protocol error: expected '$', got ':'\r\n",
	"*3\r\n$3\r\nSET\r\n$1\r\na\r\nb\r\n":    "-ERR Protocol error: expected '$', got 'b'\r\n",
	"*2\r\n$4\r\nECHO\r\n$2\r\nabcd\r\n":     "", // two bytes, then rubbish where the next command begins
	strings.Repeat("*1\r\n", 100) + "$x\r\n": "-ERR Protocol error: ",
}

func TestMalformedRequestsCostOnlyTheirConnection(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	witness := raw(t, n)
	expect(t, witness, "+OK\r\n", "SET", "k", "v")
	before := cpuTicks(t, n)
	for in, want := range killers {
		c := raw(t, n)
		c.Timeout = 5 * time.Second
		c.Send(in)
		out, err := c.ReadAll()
		if !strings.HasPrefix(out, want) || isTimeout(err) && want != "" {
			t.Errorf("%.60q: %.200q, %v; want %q and the end", in, out, err, want)
		}
		expect(t, witness, "$1\r\nv\r\n", "GET", "k")
		c.Close()
	}
	node.Eventually(t, 10*time.Second, "the malformed requests are over", func() error {
		r, err := witness.Do("CLIENT", "LIST")
		if lines := strings.Count(r.Text, "\n"); err != nil || lines != 1 {
			return fmt.Errorf("%d connections, %v", lines, err)
		}
		return nil
	})
	if used := cpuTicks(t, n) - before; used > 300 {
		t.Errorf("%d ticks of processor time for %d small requests", used, len(killers))
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// cpuTicks returns the processor time that a node has used, in hundredths of a second.
func cpuTicks(t *testing.T, n *node.Node) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.Proc.Pid()))
	must(t, err)
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	var user, system int
	fmt.Sscan(f[11], &user)
	fmt.Sscan(f[12], &system)
	return user + system
}

// A pipeline cut anywhere is answered up to its last whole command, and only that much is done.
func TestEveryTruncationOfAPipeline(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	calls := [][]string{{"SET", "a", "1"}, {"GET", "a"}, {"INCR", "a"}, {"PING"}, {"MGET", "a", "b"}, {"DEL",
		"a"}}
	replies := []string{"+OK\r\n", "$1\r\n1\r\n", ":2\r\n", "+PONG\r\n", "*2\r\n$1\r\n2\r\n$-1\r\n", ":1\r\n"}
	var pipeline string
	var ends []int
	for _, c := range calls {
		pipeline += wire.Encode(c...)
		ends = append(ends, len(pipeline))
	}
	for cut := range len(pipeline) + 1 {
		whole, _ := slices.BinarySearch(ends, cut+1)
		want := strings.Join(replies[:whole], "")
		c := raw(t, n)
		must(t, c.Send(pipeline[:cut]))
		must(t, c.Net.(*net.TCPConn).CloseWrite())
		if got, err := c.ReadAll(); got != want || err != nil {
			t.Errorf("cut at %d: %q, %v; want %q", cut, got, err, want)
		}
		c.Close()
		expect(t, raw(t, n), ":"+fmt.Sprint(left(whole))+"\r\n", "DEL", "a")
	}
}

// left is 1 iff key a exists after the first whole calls of the pipeline above.
func left(whole int) int {
	if whole == 0 || whole == 6 {
		return 0
	}
	return 1
}

func TestOversizedRequests(t *testing.T) {
	n := node.Start(t, node.Options{Flags: []string{"--max-request-bytes", "1MiB"}}).Nodes[0]
	witness := raw(t, n)
	fits := strings.Repeat("v", 1<<20-1000)
	expect(t, witness, "+OK\r\n", "SET", "k", fits)
	for _, in := range []string{
		wire.Encode("SET", "big", strings.Repeat("v", 1<<20)),
		wire.Encode("SET", "big", strings.Repeat("v", 5<<20)),
		"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$1073741824\r\n",
		wire.Encode(slices.Concat([]string{"MSET"}, slices.Repeat([]string{"big", fits[:1000]}, 2000))...),
	} {
		c := raw(t, n)
		c.Send(in)
		if out, err := c.ReadAll(); !strings.HasPrefix(out, "-ERR Protocol error: ") || isTimeout(err) {
			t.Errorf("oversized request: %.200q, %v", out, err)
		}
	}
	expect(t, witness, ":0\r\n", "EXISTS", "big")
	expect(t, witness, fmt.Sprintf(":%d\r\n", len(fits)), "STRLEN", "k")
	if r, err := witness.Do("APPEND", "k", fits); err != nil || !r.IsErr() && r.Int() != int64(2*len(fits)) {
		t.Errorf("APPEND beyond the request limit: %s, %v", r, err)
	}
}

// One byte at a time, with a pause in front of some, is slow and not wrong; others do not notice.
func TestOneByteAtATime(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	slow, witness := raw(t, n), raw(t, n)
	request := wire.Encode("SET", "slow", strings.Repeat("v", 3000)) + "GET slow\r\nPING\r\n"
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range len(request) {
		if i%100 == 0 {
			<-tick.C
			from := time.Now()
			expect(t, witness, "+PONG\r\n", "PING")
			if took := time.Since(from); took > time.Second {
				t.Errorf("another client waited %v", took)
			}
		}
		must(t, slow.Send(request[i:i+1]))
	}
	for _, want := range []string{"+OK\r\n", "$3000\r\n" + strings.Repeat("v", 3000) + "\r\n", "+PONG\r\n"} {
		if r, err := slow.Read(); r.Raw != want || err != nil {
			t.Errorf("reply %.50q, %v; want %.50q", r.Raw, err, want)
		}
	}
}

// A client that sends for ever and reads nothing is held back; its replies must not pile up in the node.
func TestEndlessPipelineWithoutReading(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	witness := raw(t, n)
	expect(t, witness, "+OK\r\n", "SET", "big", strings.Repeat("v", 100_000))
	before, err := n.Proc.ResidentBytes()
	must(t, err)
	greedy := raw(t, n)
	greedy.Timeout = 3 * time.Second
	chunk := strings.Repeat(wire.Encode("GET", "big"), 1000)
	sent := 0
	for err = nil; err == nil && sent < 500; sent++ {
		err = greedy.Send(chunk)
		expect(t, witness, "+PONG\r\n", "PING")
	}
	if err == nil {
		t.Errorf("%d requests for 100 kB each were taken without a reply being read", sent*1000)
	}
	after, err := n.Proc.ResidentBytes()
	must(t, err)
	if grown := after - before; grown > 200<<20 {
		t.Errorf("resident memory grew by %d MiB", grown>>20)
	}
	expect(t, witness, "$-1\r\n", "GET", "none")
}

// A client that vanishes in the middle of a request, or while its answer is under way, leaves nothing behind.
func TestVanishingClients(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	witness := raw(t, n)
	for i := range 200 {
		c := raw(t, n)
		request := strings.Repeat(wire.Encode("SET", fmt.Sprintf("gone:%d", i), "v"), 50)
		c.Send(request[:len(request)-i%7])
		c.Net.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	node.Eventually(t, 10*time.Second, "vanished clients are forgotten", func() error {
		r, err := witness.Do("CLIENT", "LIST")
		if lines := strings.Count(r.Text, "\n"); err != nil || lines != 1 {
			return fmt.Errorf("%d clients, %v", lines, err)
		}
		return nil
	})
}

func TestTooManyClients(t *testing.T) {
	n := node.Start(t, node.Options{Flags: []string{"--max-clients", "5"}}).Nodes[0]
	var conns []*wire.Conn
	for range 5 {
		c := raw(t, n)
		expect(t, c, "+PONG\r\n", "PING")
		conns = append(conns, c)
	}
	c := raw(t, n)
	if out, err := c.ReadAll(); out != "-ERR max number of clients reached\r\n" || isTimeout(err) {
		t.Errorf("sixth client: %q, %v", out, err)
	}
	conns[0].Close()
	node.Eventually(t, 5*time.Second, "a place is free again", func() error {
		r, err := raw(t, n).Do("PING")
		if r.Text != "PONG" {
			return fmt.Errorf("%s, %w", r, errors.Join(err, io.EOF))
		}
		return nil
	})
}

// Above the quota writes that grow the state are refused; reads and deletes go on, and it clears by itself.
func TestQuota(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, Flags: []string{"--quota-bytes", "8MiB", "--history-bytes",
		"1MiB"}})
	conn := raw(t, c.Follower())
	value := strings.Repeat("v", 100_000)
	full := false
	for i := range 200 {
		r, err := conn.Do("SET", key(i), value)
		must(t, err)
		if r.IsErr() {
			full = true
			if r.Text != "OOM command not allowed when used memory > 'maxmemory'." {
				t.Errorf("SET above the quota: %s", r)
			}
			break
		}
	}
	if !full {
		t.Fatal("20 MB fit into a quota of 8 MiB")
	}
	expect(t, conn, "$100000\r\n"+value+"\r\n", "GET", key(0))
	if r, err := conn.Do("INCR", "n"); err != nil || !strings.HasPrefix(r.Text, "OOM ") {
		t.Errorf("INCR above the quota: %s, %v", r, err)
	}
	for i := range 40 {
		expect(t, conn, ":1\r\n", "DEL", key(i))
	}
	node.Eventually(t, 20*time.Second, "writes are taken again", func() error {
		if r, err := conn.Do("SET", "again", "1"); err != nil || r.IsErr() {
			return fmt.Errorf("%s, %v", r, err)
		}
		return nil
	})
	sameState(t, c)
}
