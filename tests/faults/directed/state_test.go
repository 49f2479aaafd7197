package directed

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

func do(t *testing.T, n *node.Node, args ...string) wire.Reply {
	t.Helper()
	r := n.Do(args...)
	if r.IsErr() {
		t.Fatalf("%s: %.60q: %v", n.Name, args, r)
	}
	return r
}

func has(t *testing.T, n *node.Node, key, want string) {
	t.Helper()
	if r := do(t, n, "GET", key); r.Null || r.Text != want {
		t.Errorf("%s: %s = %.60q, want %.60q", n.Name, key, r, want)
	}
}

// Every member derives the same state from the log, down to the order of writes within one revision.
func TestMembersDeriveTheSameState(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, Faults: true})
	for i := range 30 {
		mset := []string{"MSET"}
		for k := range 12 {
			mset = append(mset, fmt.Sprint("k", (i+k)%40), fmt.Sprint(i, ".", k))
		}
		do(t, c.Nodes[i%3], mset...)
		do(t, c.Nodes[i%3], "DEL", fmt.Sprint("k", i), fmt.Sprint("k", i+1))
	}
	c.WaitSame()
	want := do(t, c.Nodes[0], "KV.HASH").Strings()
	for _, n := range c.Nodes[1:] {
		if got := do(t, n, "KV.HASH").Strings(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s has hash %v, %s has %v", n.Name, got, c.Nodes[0].Name, want)
		}
	}
}

// A snapshot taken among writes, and the log behind it, hold every write once.
func TestASnapshotHoldsWhatItSays(t *testing.T) {
	n := node.Start(t, node.Options{Faults: true, Flags: []string{"--snapshot-bytes", "16KiB"}}).Nodes[0]
	c, err := wire.Dial(n.ClientAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const rounds, pad = 600, 500
	for i := range rounds {
		key := fmt.Sprint("k", i)
		for _, args := range [][]string{{"INCR", "n"}, {"SET", key, strings.Repeat("x", pad) + key}} {
			if r, err := c.Do(args...); err != nil || r.IsErr() {
				t.Fatalf("%.40q: %v, %v", args, r, err)
			}
		}
		if i%200 == 199 {
			taken, _ := filepath.Glob(filepath.Join(n.Dir, "snapshots", "*", "state.bin"))
			if len(taken) == 0 {
				t.Fatal("no snapshot was taken: this test tests nothing")
			}
		}
	}
	for _, end := range []func(){n.Kill9, func() { n.LosePower(false) }} {
		end()
		n.Start()
		has(t, n, "n", fmt.Sprint(rounds))
		for i := range rounds {
			key := fmt.Sprint("k", i)
			has(t, n, key, strings.Repeat("x", pad)+key)
		}
	}
}

// Compaction removes the past, and nothing that lives; a restart finds the same.
func TestCompactionKeepsWhatLives(t *testing.T) {
	n := node.Start(t, node.Options{Faults: true}).Nodes[0]
	for i := range 50 {
		for range 3 {
			do(t, n, "SET", fmt.Sprint("k", i), fmt.Sprint("v", i))
		}
	}
	do(t, n, "DEL", "k7")
	rev, _ := do(t, n, "KV.GET", "k49").Field("mod_revision")
	do(t, n, "KV.COMPACT", rev.Text, "PHYSICAL")
	check := func() {
		t.Helper()
		for i := range 50 {
			if i != 7 {
				has(t, n, fmt.Sprint("k", i), fmt.Sprint("v", i))
			}
		}
		if r := do(t, n, "DBSIZE"); r.Int() != 49 {
			t.Errorf("DBSIZE = %v, want 49", r)
		}
	}
	check()
	n.Restart()
	check()
}

// What was acknowledged was on disk: when all members lose power at once, it is still there.
func TestPowerLossOfAllLosesNothingAcknowledged(t *testing.T) {
	for _, store := range []string{"wal", "boltdb"} {
		t.Run(store, func(t *testing.T) {
			c := node.Start(t, node.Options{Nodes: 3, Faults: true, Flags: []string{"--log-store", store}})
			acknowledged := 0
			for i := range 60 {
				do(t, c.Nodes[i%3], "SET", fmt.Sprint("k", i), "v")
				acknowledged++
			}
			for _, n := range c.Nodes {
				n.LosePower(false)
			}
			c.StartAll()
			for i := range acknowledged {
				has(t, c.Nodes[i%3], fmt.Sprint("k", i), "v")
			}
		})
	}
}

// A write that a power loss has torn is wiped: the next one, shorter, leaves no remains of it behind its end,
// which a later start would take for damage.
func TestRemainsOfATornWriteAreWiped(t *testing.T) {
	n := node.Start(t, node.Options{Faults: true}).Nodes[0]
	do(t, n, "SET", "before", "v")
	n.Fault("disk hang")
	torn := wire.Begin(t, n.ClientAddr, "SET", "torn", strings.Repeat("x", 40000))
	torn.Silent(moment)
	n.LosePower(true)
	if r, err := torn.Within(wire.DefaultTimeout); err == nil || errors.Is(err, wire.ErrSilent) {
		t.Fatalf("the torn write was answered %v, %v", r, err)
	}
	for i := range 3 {
		n.Start()
		has(t, n, "before", "v")
		do(t, n, "SET", fmt.Sprint("after", i), "v")
		for j := range i + 1 {
			has(t, n, fmt.Sprint("after", j), "v")
		}
		n.Kill9()
	}
}

// A leader whose disk hangs gives way, though it is alive and answers: the others go on within seconds, and
// what it had taken meanwhile is not acknowledged.
func TestAHungDiskCostsTheLeadership(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3, Faults: true})
	old := c.Leader()
	do(t, old, "SET", "k", "before")
	old.Fault("disk hang")
	stuck := wire.Begin(t, old.ClientAddr, "SET", "stuck", "v")
	others := c.Followers()
	node.Eventually(t, 20*time.Second, "another leader takes a write", func() error {
		r, err := wire.Once(others[0].ClientAddr, 2*time.Second, "SET", "k", "after")
		if err == nil && r.Text != "OK" {
			err = errors.New(r.Text)
		}
		return err
	})
	if next := c.Leader(); next == old {
		t.Error("the node with the hung disk leads on")
	}
	old.Fault("disk heal")
	node.Eventually(t, 20*time.Second, "the healed node catches up", func() error {
		if r, err := wire.Once(old.ClientAddr, 2*time.Second, "GET", "k"); err != nil || r.Text != "after" {
			return errors.Join(err, fmt.Errorf("k = %v", r))
		}
		return nil
	})
	r, value := stuck.Wait(), do(t, old, "GET", "stuck")
	refused := r.IsErr() && !strings.HasPrefix(r.Text, "UNCERTAIN ")
	if done := !value.Null; refused && done || !r.IsErr() && !done {
		t.Errorf("the write that hung was answered %v, and its key is %v", r, value)
	}
}
