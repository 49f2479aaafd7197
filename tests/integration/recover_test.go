package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// Two of three are lost for good. The third, made a cluster of its own, has all that it had, and those who
// come back from the dead are strangers to it.
func TestRecoverTheLastSurvivor(t *testing.T) {
	eachStore(t, func(t *testing.T, flags []string) {
		c := node.Start(t, node.Options{Nodes: 3, Flags: append(flags, "--snapshot-bytes", "64KiB")})
		r := client(t, c.Follower())
		for i := range 400 {
			must(t, r.Set(bg, key(i), marked(key(i), 500), 0).Err())
		}
		seen, err := r.Do(bg, "KV.PUT", "last", "1").Int64()
		must(t, err)
		sameState(t, c)
		c.KillAll()
		survivor, dead := c.Nodes[2], c.Nodes[:2]
		before, code := verb(t, "recover", "--data-dir", survivor.Dir)
		if code == 0 || !strings.Contains(before, "add --yes") ||
			!strings.Contains(before, dead[0].PeerAddr) {
			t.Fatalf("exit code %d, %s", code, before)
		}
		mustVerb(t, "check", "--data-dir", survivor.Dir)
		out := mustVerb(t, "recover", "--data-dir", survivor.Dir, "--yes")
		mustVerb(t, "check", "--data-dir", survivor.Dir)
		for _, n := range dead {
			n.Launch() // with their old directories and the old list
		}
		survivor.Flags = append(survivor.Flags, "--initial-cluster", "")
		survivor.Start()
		r = client(t, survivor)
		for i := range 400 {
			if got := r.Get(bg, key(i)).Val(); got != marked(key(i), 500) {
				t.Fatalf("%s = %.40q\n%s", key(i), got, out)
			}
		}
		if next, err := r.Do(bg, "KV.PUT", "next", "1").Int64(); err != nil || next <= seen {
			t.Errorf("revision %d after %d, %v", next, seen, err)
		}
		if got := r.Do(bg, "MEMBER.LIST").Val(); len(got.([]any)) != 1 {
			t.Errorf("members %v", got)
		}
		node.Eventually(t, 20*time.Second, "the two that are back to lead each other", func() error {
			st, err := dead[0].Status()
			if err == nil && st["leader"] == "" {
				err = fmt.Errorf("no leader")
			}
			return err
		})
		if _, err := client(t, dead[0]).Get(bg, "next").Result(); err == nil || err.Error() != "redis: nil" {
			t.Errorf("a write of the new cluster is known to the old: %v", err)
		}
		kept, err := filepath.Glob(filepath.Join(survivor.Dir, "before-recover-*", "meta.json"))
		if err != nil || len(kept) != 1 {
			t.Errorf("the old files: %v, %v", kept, err)
		}
	})
}

// A survivor whose log was torn by the crash is recovered without the write that was never completed; one
// with a damaged entry is not, unless it is told to lose what is behind it.
func TestRecoverDamaged(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	c := raw(t, n)
	for i := range 50 {
		expect(t, c, "+OK\r\n", "SET", key(i), marked(key(i), 500))
	}
	expect(t, c, "+OK\r\n", "SET", "torn", marked("torn", 20_000))
	n.Kill9()
	log := filepath.Join(n.Dir, "log")
	path, at := findFile(t, log, marked("torn", 10_000))
	zeroFrom(t, path, at+5_000)
	if out := mustVerb(t, "check", "--data-dir", n.Dir); !strings.Contains(out, "never completed") {
		t.Errorf("check of a torn log:\n%s", out)
	}
	path, at = findFile(t, log, marked(key(30), 300))
	flipByte(t, path, at+100)
	for _, args := range [][]string{{"check"}, {"recover", "--yes"}} {
		out, code := verb(t, append(args, "--data-dir", n.Dir)...)
		if code == 0 || !strings.Contains(out, path) || !strings.Contains(out, "offset") {
			t.Errorf("%v: exit code %d\n%s", args, code, out)
		}
	}
	refused(t, n, "CORRUPT", path, "redkeep recover --salvage")
	out := mustVerb(t, "recover", "--salvage", "--yes", "--data-dir", n.Dir)
	if !strings.Contains(out, "LOST: everything from entry") || !strings.Contains(out, path) {
		t.Errorf("salvage:\n%s", out)
	}
	n.Start()
	if got := client(t, n).DBSize(bg).Val(); got != 30 {
		t.Errorf("%d keys are left of the 30 before the damage", got)
	}
	n.Stop()
	mustVerb(t, "check", "--data-dir", n.Dir)
}

// Nothing is done to the directory of a node that runs.
func TestOfflineVerbsRefuseARunningNode(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	for _, args := range [][]string{{"check"}, {"recover", "--yes"}, {"snapshot", "restore", "x"}} {
		out, code := verb(t, append(args, "--data-dir", n.Dir)...)
		if code == 0 || !strings.Contains(out, "in use") && !strings.Contains(out, "not empty") {
			t.Errorf("%v: exit code %d, %s", args, code, out)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for _, args := range [][]string{{"check"}, {"recover", "--yes"}} {
		if out, code := verb(t, append(args, "--data-dir", missing)...); code == 0 {
			t.Errorf("%v of a directory that is not there: %s", args, out)
		}
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("the missing directory was made")
	}
	expect(t, raw(t, n), "+OK\r\n", "SET", "still", "here")
}
