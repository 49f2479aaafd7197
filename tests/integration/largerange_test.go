package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// largeEnv, when set, makes the test as large as the promise: 10 000 values of 100 KB. Otherwise it is a
// fifth of that, with a fifth of the memory allowed.
const largeEnv = "RKTEST_LARGE"

// Five clients that read a whole large range at once do not make the server hold it five times, nor even once
// more: the reply is made from the records while it is written.
func TestLargeRangesAtOnce(t *testing.T) {
	const size, clients = 100_000, 5
	keys, allowed := 2_000, int64(120<<20)
	if os.Getenv(largeEnv) != "" {
		keys, allowed = 10_000, 600<<20
	}
	n := node.Start(t, node.Options{}).Nodes[0]
	fillLarge(t, n, keys, size)
	for _, command := range [][]string{{"KV.RANGE", "", "PREFIX"}, {"MULTI"}} {
		before := resetPeak(t, n)
		var readers sync.WaitGroup
		for range clients {
			readers.Go(func() { readWhole(t, n, command, keys, size) })
		}
		readers.Wait()
		peak := procStatus(t, n, "VmHWM")
		t.Logf("%v: resident %d MB before, at most %d MB while %d clients read %d MB each", command, before>>20,
			peak>>20, clients, keys*size>>20)
		if peak-before > allowed {
			t.Errorf("%v: reading took %d MB, allowed are %d", command, (peak-before)>>20, allowed>>20)
		}
	}
}

func fillLarge(t *testing.T, n *node.Node, keys, size int) {
	t.Helper()
	c, value := raw(t, n), strings.Repeat("v", size)
	for from := 0; from < keys; from += 20 {
		call := []string{"MSET"}
		for i := range 20 {
			call = append(call, key(from+i), value)
		}
		expect(t, c, "+OK\r\n", call...)
	}
}

// readWhole reads the range, alone or inside MULTI, and counts what comes.
func readWhole(t *testing.T, n *node.Node, command []string, keys, size int) {
	conn, err := net.Dial("tcp", n.ClientAddr)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	request := wire.Encode(command...) + wire.Encode("ECHO", "the end")
	if command[0] == "MULTI" {
		request = wire.Encode("MULTI") + wire.Encode("KV.RANGE", "", "PREFIX") + wire.Encode("EXEC") +
			wire.Encode("ECHO", "the end")
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Error(err)
		return
	}
	r, values := bufio.NewReaderSize(conn, 64<<10), 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			t.Errorf("after %d values: %v", values, err)
			return
		}
		switch string(line) {
		case fmt.Sprintf("$%d\r\n", size):
			values++
			if _, err := r.Discard(size); err != nil {
				t.Error(err)
				return
			}
		case "the end\r\n":
			if values != keys {
				t.Errorf("%d values, want %d", values, keys)
			}
			return
		}
	}
}

// resetPeak makes the peak of the resident memory what it is now, and returns that.
func resetPeak(t *testing.T, n *node.Node) int64 {
	t.Helper()
	must(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", n.Proc.Pid()), []byte("5"), 0))
	return procStatus(t, n, "VmRSS")
}

// procStatus reads one field of the process's status, in bytes.
func procStatus(t *testing.T, n *node.Node, field string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.Proc.Pid()))
	must(t, err)
	for line := range strings.Lines(string(status)) {
		var kb int64
		if _, err := fmt.Sscanf(line, field+": %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	t.Fatalf("no %s in the status of %s", field, n.Name)
	return 0
}
