package seam

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

var stores = []string{"wal", "boltdb"}

// each runs a test on one node with each log store.
func each(t *testing.T, test func(t *testing.T, n *node.Node)) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			test(t, node.Start(t, node.Options{Faults: true, Flags: []string{"--log-store", store}}).Nodes[0])
		})
	}
}

func set(t *testing.T, n *node.Node, key, value string) {
	t.Helper()
	if r := n.Do("SET", key, value); r.Text != "OK" {
		t.Fatalf("SET %s = %v", key, r)
	}
}

func get(t *testing.T, n *node.Node, key string) wire.Reply {
	t.Helper()
	return n.Do("GET", key)
}

// begin sends a write and does not wait; the answer, or the error of a connection that broke, comes later.
func begin(t *testing.T, n *node.Node, args ...string) <-chan string {
	t.Helper()
	c, err := wire.Dial(n.ClientAddr)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(wire.Encode(args...)); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		defer c.Close()
		r, err := c.Read()
		if err != nil {
			answer <- "error " + err.Error()
			return
		}
		answer <- r.Text
	}()
	t.Cleanup(func() { c.Close() })
	return answer
}

// silent demands that nothing is answered for a while.
func silent(t *testing.T, answer <-chan string) {
	t.Helper()
	timer := time.NewTimer(300 * time.Millisecond)
	defer timer.Stop()
	select {
	case a := <-answer:
		t.Fatalf("answered %q while the disk hangs", a)
	case <-timer.C:
	}
}

func awaited(t *testing.T, answer <-chan string) string {
	t.Helper()
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	select {
	case a := <-answer:
		return a
	case <-timer.C:
		t.Fatal("no answer")
		return ""
	}
}

func TestHungDiskHoldsWritesUntilHealed(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node) {
		n.Fault("disk hang")
		answer := begin(t, n, "SET", "a", "1")
		silent(t, answer)
		n.Fault("disk heal")
		if a := awaited(t, answer); a != "OK" {
			t.Fatalf("after the disk was healed: %q", a)
		}
	})
}

func TestFailedSyncEndsTheNode(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node) {
		set(t, n, "before", "1")
		n.ExpectExit()
		n.Fault("disk fail-sync")
		answer := begin(t, n, "SET", "a", "1")
		if code, err := n.Proc.WaitExit(20 * time.Second); err != nil || code != 1 {
			t.Fatalf("exit code %d, %v", code, err)
		}
		if a := awaited(t, answer); a == "OK" {
			t.Error("the write was acknowledged")
		}
		n.Start()
		if r := get(t, n, "before"); r.Text != "1" {
			t.Errorf("before = %v", r)
		}
	})
}

func TestSlowDiskTakesItsTime(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node) {
		n.Fault("disk slow 120ms")
		began := time.Now()
		set(t, n, "a", "1")
		if took := time.Since(began); took < 120*time.Millisecond {
			t.Errorf("a write took %v", took)
		}
	})
}

// TIME and a key's deadline follow the clock that the node is told.
func TestClockJumps(t *testing.T) {
	n := node.Start(t, node.Options{Faults: true}).Nodes[0]
	ahead := func() time.Duration {
		sec, err := strconv.ParseInt(n.Do("TIME").Elems[0].Text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Unix(sec, 0).Sub(time.Now()).Round(5 * time.Second)
	}
	n.Do("SET", "k", "v", "EX", "60")
	for _, tc := range []struct {
		fault string
		want  time.Duration
	}{{"clock -30s", -30 * time.Second}, {"clock 0", 0}, {"clock +100s", 100 * time.Second}} {
		n.Fault(tc.fault)
		if got := ahead(); got != tc.want {
			t.Errorf("after %q the clock is ahead by %v", tc.fault, got)
		}
	}
	if r := get(t, n, "k"); !r.Null {
		t.Errorf("a key that ends in a minute, a hundred seconds later: %v", r)
	}
}

// The clock is wrong from the first moment on when it was before a restart.
func TestFaultsFromTheStart(t *testing.T) {
	n := node.New(t, node.Options{Faults: true}).Nodes[0]
	n.Env = append(n.Env, "REDKEEP_FAULTS=clock +100s; disk slow 1ms")
	n.Start()
	sec, _ := strconv.ParseInt(n.Do("TIME").Elems[0].Text, 10, 64)
	if ahead := time.Until(time.Unix(sec, 0)); ahead < 90*time.Second {
		t.Errorf("ahead by %v", ahead)
	}
}

// What was synced stays, what was written and not synced goes, and the node starts again.
func TestPowerLossTakesWhatWasNotSynced(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node) {
		for i := range 20 {
			set(t, n, fmt.Sprint("acknowledged", i), "1")
		}
		n.Fault("disk hang")
		answer := begin(t, n, "SET", "hanging", strings.Repeat("x", 5000))
		silent(t, answer)
		onDisk := holds(t, n.Dir, strings.Repeat("x", 5000))
		if wal := strings.HasSuffix(t.Name(), "wal"); onDisk != wal {
			t.Fatalf("the write is in the files before the power loss: %v", onDisk)
		}
		n.LosePower(false)
		if holds(t, n.Dir, strings.Repeat("x", 600)) {
			t.Error("what was not synced is still there")
		}
		n.Start()
		for i := range 20 {
			if r := get(t, n, fmt.Sprint("acknowledged", i)); r.Text != "1" {
				t.Errorf("acknowledged%d = %v", i, r)
			}
		}
		if r := get(t, n, "hanging"); !r.Null {
			t.Errorf("hanging = %v", r)
		}
	})
}

// A torn write leaves its first half; the node cuts it off.
func TestTornWriteIsCutOff(t *testing.T) {
	n := node.Start(t, node.Options{Faults: true}).Nodes[0]
	set(t, n, "acknowledged", "1")
	n.Fault("disk hang")
	silent(t, begin(t, n, "SET", "hanging", strings.Repeat("x", 20000)))
	n.LosePower(true)
	if !holds(t, n.Dir, strings.Repeat("x", 9000)) || holds(t, n.Dir, strings.Repeat("x", 12000)) {
		t.Fatal("the write is not torn in its middle")
	}
	n.Start()
	if r := get(t, n, "acknowledged"); r.Text != "1" {
		t.Errorf("acknowledged = %v", r)
	}
	if !strings.Contains(n.Proc.Output(), "dropping a write that was never completed") {
		t.Error("the torn write was not noticed")
	}
}

// holds reports whether a file of the data directory holds the text.
func holds(t *testing.T, dir, text string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		found = found || bytes.Contains(b, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestUnknownFaultsAreRefused(t *testing.T) {
	n := node.Start(t, node.Options{Faults: true}).Nodes[0]
	bad := []string{"", "disk", "disk explode", "disk slow", "disk slow -1s", "clock", "clock x", "power"}
	for _, bad := range bad {
		if err := n.TryFault(bad); err == nil || !strings.Contains(err.Error(), "err ") {
			t.Errorf("fault %q: %v", bad, err)
		}
	}
	set(t, n, "a", "1")
}

// What each kind of step loses is tested where the steps are, with the tag.
func TestFaultDiskItself(t *testing.T) {
	root, err := node.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-tags", node.FaultTag, "-run", "^TestFaultDisk$", "-v", "./cluster")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestFaultDisk ") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// A binary that people run must not be able to do any of this.
func TestNormalBinaryHasNoTrace(t *testing.T) {
	root, err := node.Root()
	if err != nil {
		t.Fatal(err)
	}
	traces := []string{"REDKEEP_FAULT", "FaultDisk", "unknown fault", "how far off is"}
	look := func(flags ...string) []string {
		out := filepath.Join(t.TempDir(), "redkeep")
		args := append([]string{"build", "-pgo=off", "-o", out}, flags...)
		cmd := exec.Command("go", append(args, "./cmd/redkeep")...)
		cmd.Dir = root
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, msg)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, s := range traces {
			if bytes.Contains(b, []byte(s)) {
				found = append(found, s)
			}
		}
		return found
	}
	if found := look(); len(found) > 0 {
		t.Errorf("the normal binary holds %q", found)
	}
	if found := look("-tags", node.FaultTag); len(found) != len(traces) {
		t.Errorf("the faulty one holds only %q: this test looks for the wrong things", found)
	}
}
