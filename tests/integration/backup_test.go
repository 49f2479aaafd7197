package integration

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// verb runs redkeep and returns what it printed, standard error included, and its exit code.
func verb(t testing.TB, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(node.Binary(t), args...)
	b, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func mustVerb(t testing.TB, args ...string) string {
	t.Helper()
	out, code := verb(t, args...)
	if code != 0 {
		t.Fatalf("%q: exit code %d\n%s", args, code, out)
	}
	return out
}

// peersOf is --initial-cluster of a cluster.
func peersOf(c *node.Cluster) string {
	var list []string
	for _, n := range c.Nodes {
		list = append(list, n.Name+"="+n.PeerAddr)
	}
	return strings.Join(list, ",")
}

// restoreAll gives each node a new directory, made from the file.
func restoreAll(t testing.TB, c *node.Cluster, file string) {
	t.Helper()
	for _, n := range c.Nodes {
		n.Dir = filepath.Join(t.TempDir(), n.Name)
		mustVerb(t, "snapshot", "restore", file, "--data-dir", n.Dir, "--name", n.Name,
			"--initial-cluster", peersOf(c))
	}
}

// writer counts in a key of its own until it is stopped; acked is the last number that was acknowledged.
type writer struct {
	key   string
	acked int
}

func (w *writer) run(t testing.TB, c *redis.Client, stop <-chan struct{}) {
	for i := 1; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		if err := c.Set(bg, w.key, i, 0).Err(); err != nil {
			t.Errorf("SET during a save: %v", err)
			return
		}
		w.acked = i
	}
}

// A backup that is taken from a follower while others write holds everything that was acknowledged before
// it, and three nodes restored from it are a cluster that goes on: with the same data, higher revisions and
// tokens, and without the members of before.
func TestBackupAndRestoreOfThree(t *testing.T) {
	c := node.Start(t, node.Options{Nodes: 3})
	via := c.Follower()
	r := client(t, via)
	for i := range 500 {
		must(t, r.Set(bg, key(i), strings.Repeat("v", 100), 0).Err())
	}
	must(t, r.Do(bg, "LEASE.GRANT", 3600_000, "ID", "00000000000000aa").Err())
	must(t, r.Do(bg, "KV.PUT", "leased", "x", "LEASE", "00000000000000aa").Err())
	place, err := r.Do(bg, "LOCK.ACQUIRE", "mutex", "LEASE", "00000000000000aa").Slice()
	must(t, err)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 3 {
		w := &writer{key: fmt.Sprint("writer", i)}
		wg.Go(func() { w.run(t, client(t, via), stop) })
	}
	must(t, r.Set(bg, "just before", "1", 0).Err())
	file := filepath.Join(t.TempDir(), "my.snap")
	mustVerb(t, "--endpoints", via.ClientAddr, "snapshot", "save", file)
	close(stop)
	wg.Wait()
	if rev := savedRevision(t, file); rev < 500 {
		t.Errorf("saved at revision %d", rev)
	}
	seen, err := r.Do(bg, "KV.PUT", "after", "1").Int64()
	must(t, err)
	c.KillAll()
	old := c.Nodes[0].Dir
	restoreAll(t, c, file)
	c.StartAll()
	r = client(t, c.Follower())
	if got := r.Get(bg, "just before").Val(); got != "1" {
		t.Errorf("a write that was acknowledged before the save: %q", got)
	}
	if r.Exists(bg, "after").Val() != 0 {
		t.Error("a write from after the save is there")
	}
	for i := range 500 {
		if r.Get(bg, key(i)).Val() != strings.Repeat("v", 100) {
			t.Fatalf("%s is not what it was", key(i))
		}
	}
	afterRestore(t, c, r, seen, place[1].(int64))
	oldMemberIsAStranger(t, c, old)
}

// oldMemberIsAStranger starts a member of before beside the restored ones, under the same name and
// addresses.
func oldMemberIsAStranger(t *testing.T, c *node.Cluster, dir string) {
	t.Helper()
	n := c.Nodes[0]
	n.Kill9()
	n.Dir = dir
	n.Launch()
	must(t, client(t, c.Leader()).Set(bg, "of the new cluster", "1", 0).Err())
	node.Eventually(t, 30*time.Second, "the old member to be served by nobody", func() error {
		_, err := client(t, n).Get(bg, "of the new cluster").Result()
		if !isPrefix(err, "CLUSTERDOWN") {
			return fmt.Errorf("it answers %v", err)
		}
		return nil
	})
}

// afterRestore checks numbers that clients keep: revisions, tokens, leases.
func afterRestore(t *testing.T, c *node.Cluster, r *redis.Client, seen, token int64) {
	t.Helper()
	if left, err := r.Do(bg, "LEASE.TTL", "00000000000000aa").Result(); err != nil {
		t.Errorf("the lease: %v, %v", left, err)
	}
	if err := r.Do(bg, "LOCK.RELEASE", "mutex", token).Err(); err != nil {
		t.Errorf("the lock's holder: %v", err)
	}
	place, err := r.Do(bg, "LOCK.ACQUIRE", "mutex", "TTL", 60_000).Slice()
	must(t, err)
	if next := place[1].(int64); next <= seen {
		t.Errorf("token %d was, or could have been, given before: the last revision seen was %d", next, seen)
	}
	if err := r.Do(bg, "KV.WATCH", "k", "PREFIX", "REV", seen+1).Err(); !isPrefix(err, "COMPACTED") {
		t.Errorf("a watch that goes on from before: %v", err)
	}
	sameState(t, c)
}

// What cannot be restored is refused with a reason, and nothing is touched.
func TestRestoreRefuses(t *testing.T) {
	n := node.Start(t, node.Options{}).Nodes[0]
	must(t, client(t, n).Set(bg, "k", strings.Repeat("v", 5000), 0).Err())
	dir := t.TempDir()
	file := filepath.Join(dir, "my.snap")
	mustVerb(t, "--endpoints", n.ClientAddr, "snapshot", "save", file)
	whole, err := os.ReadFile(file)
	must(t, err)
	cut, flipped := filepath.Join(dir, "cut"), filepath.Join(dir, "flipped")
	must(t, os.WriteFile(cut, whole[:len(whole)-1], 0o600))
	must(t, os.WriteFile(flipped, whole, 0o600))
	flipByte(t, flipped, int64(len(whole)/2))
	fresh := filepath.Join(dir, "fresh")
	for _, c := range []struct{ want, file, into string }{
		{"the file ends early", cut, fresh}, {"offset", flipped, fresh}, {"no such file", file + "x", fresh},
		{"data directory is not empty", file, n.Dir}, {"data directory is not empty", file, dir},
		{"not a Redkeep snapshot", node.Binary(t), fresh},
	} {
		out, code := verb(t, "snapshot", "restore", c.file, "--data-dir", c.into)
		if code == 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s into %s: exit code %d, %s", c.file, c.into, code, out)
		}
		if _, err := os.Stat(fresh); err == nil {
			t.Errorf("%s left %s behind", c.file, fresh)
		}
	}
	if got := client(t, n).StrLen(bg, "k").Val(); got != 5000 {
		t.Errorf("the running node: %d", got)
	}
	out, code := verb(t, "--endpoints", "127.0.0.1:1", "snapshot", "save", filepath.Join(dir, "none"))
	left, _ := filepath.Glob(filepath.Join(dir, "none*"))
	if code == 0 || !strings.Contains(out, "cannot connect") || len(left) > 0 {
		t.Errorf("a save from nowhere: exit code %d, %s, left %v", code, out, left)
	}
}

// A node that dies while it sends leaves no file that looks like a backup.
func TestSaveFromANodeThatDies(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "my.snap")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			fmt.Fprintf(conn, "*3\r\n*2\r\n$5\r\nbytes\r\n:20\r\n$10\r\nREDKEEP\x00\x00\x02\r\n")
			conn.Close()
		}
	}()
	out, code := verb(t, "--endpoints", ln.Addr().String(), "snapshot", "save", file)
	entries, err := os.ReadDir(dir)
	must(t, err)
	if code == 0 || !strings.Contains(out, "nothing was saved") || len(entries) > 0 {
		t.Errorf("exit code %d, %s, left %v", code, out, entries)
	}
}

// savedRevision is what the JSON form of snapshot status says.
func savedRevision(t testing.TB, file string) (revision int64) {
	t.Helper()
	var said struct {
		Revision int64 `json:"revision"`
	}
	must(t, json.Unmarshal([]byte(mustVerb(t, "snapshot", "status", file, "-w", "json")), &said))
	return said.Revision
}

// Both commands through a client library: what they say of the file is true of it.
func TestSnapshotCommandsThroughALibrary(t *testing.T) {
	eachSize(t, func(t *testing.T, _ *node.Cluster, via *node.Node) {
		r := client(t, via)
		for i := range 300 {
			must(t, r.Set(bg, key(i), strings.Repeat("v", 4000), 0).Err())
		}
		said, err := r.Do(bg, "SNAPSHOT.SAVE", "tonight").Result()
		must(t, err)
		saved, err := os.ReadFile(filepath.Join(via.Dir, "backups", "tonight"))
		must(t, err)
		sameFile(t, said, saved)
		streamed, err := r.Do(bg, "SNAPSHOT.STREAM").Slice()
		must(t, err)
		var b strings.Builder
		for _, piece := range streamed[1:] {
			b.WriteString(piece.(string))
		}
		sameFile(t, streamed[0], []byte(b.String()))
		file := filepath.Join(t.TempDir(), "streamed")
		must(t, os.WriteFile(file, []byte(b.String()), 0o600))
		mustVerb(t, "snapshot", "status", file)
	})
}

func sameFile(t *testing.T, said any, file []byte) {
	t.Helper()
	about, _ := said.(map[any]any)
	sum := fmt.Sprintf("%x", sha256.Sum256(file))
	if about["sha256"] != sum || about["bytes"] != int64(len(file)) || about["keys"] != int64(300) {
		t.Errorf("a file of %d bytes, %s, is said to be %v", len(file), sum, about)
	}
}
