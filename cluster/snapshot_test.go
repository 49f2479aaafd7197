package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSnapshotAndRestart(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			dir := t.TempDir()
			use := func(c *Config) { c.LogStore = store; c.SnapshotBytes = 40 << 10; c.trailingBytes = 1 }
			n := single(t, dir, use)
			for i := range 400 {
				n.put(t, fmt.Sprintf("%0200d", i))
			}
			eventually(t, "a snapshot by bytes", func() bool { return n.Stats().Snapshots > 0 })
			if err := n.Snapshot(context.Background()); err != nil {
				t.Fatal(err)
			}
			if err := n.Snapshot(context.Background()); err != nil {
				t.Errorf("nothing new: %v", err)
			}
			s := n.Stats()
			if s.FirstIndex < 100 || s.LastIndex-s.FirstIndex < minTrailingEntries-1 {
				t.Errorf("log holds %d to %d", s.FirstIndex, s.LastIndex)
			}
			if age := time.Since(n.Stats().LastSnapshotTime); age < -time.Second || age > time.Minute {
				t.Errorf("the last snapshot was taken %s ago", age)
			}
			if got := n.LastSnapshot().Index; got < 400 {
				t.Errorf("last snapshot at %d", got)
			}
			n.put(t, "after")
			shut(t, n.Node)
			n = single(t, dir, use)
			n.put(t, "again")
			if got := len(n.fsm.all()); got != 402 {
				t.Errorf("%d entries after the restart", got)
			}
		})
	}
}

// TestInstall: a follower that missed more than the log keeps gets the snapshot and then follows.
func TestInstall(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			// raft-wal still reads removed entries of the unsealed segment: keep segments small.
			c := newCluster(t, 3, func(c *Config) {
				c.LogStore, c.trailingBytes, c.SegmentBytes = store, 1, 64<<10
				c.HeartbeatTimeout = time.Second // one leader for all of it
			})
			lead := c.leader()
			late := (lead + 1) % 3
			c.nodes[lead].put(t, "first")
			c.converge("first")
			c.stop(late)
			for i := range 300 {
				c.nodes[lead].put(t, fmt.Sprintf("%01000d", i))
			}
			if err := c.nodes[lead].Snapshot(context.Background()); err != nil {
				t.Fatal(err)
			}
			if first := c.nodes[lead].Stats().FirstIndex; first < 50 {
				t.Fatalf("the log still begins at %d", first)
			}
			c.start(late)
			c.nodes[c.leader()].put(t, "last")
			c.converge("last")
			if got := c.nodes[late].Stats().SnapshotsInstalled; got != 1 {
				t.Errorf("%d snapshots installed", got)
			}
			if got := len(c.nodes[late].fsm.all()); got != 302 {
				t.Errorf("%d entries", got)
			}
			c.stop(late)
			c.start(late)
			c.nodes[c.leader()].put(t, "end")
			c.converge("end")
		})
	}
}

// TestFlippedSnapshot: a damaged newest snapshot is refused and named; raft would take an older one, whose
// following log is gone.
func TestFlippedSnapshot(t *testing.T) {
	src := t.TempDir()
	n := single(t, src, nil)
	for i := range 50 {
		n.put(t, fmt.Sprint("entry ", i))
	}
	if err := n.Snapshot(context.Background()); err != nil {
		t.Fatal(err)
	}
	shut(t, n.Node)
	state := oneFile(t, filepath.Join(src, snapshotDir, "*", "state.bin"))
	whole, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	rel, _ := filepath.Rel(src, state)
	for at := 0; at < len(whole); at += 41 {
		dir := copyDir(t, src)
		patchFile(t, filepath.Join(dir, rel), int64(at), whole[at]^1)
		_, err := trySingle(t, dir, nil)
		mustContain(t, err, ErrCorrupt, filepath.Join(dir, rel), "offset 0")
	}
	dir := copyDir(t, src)
	meta := filepath.Join(dir, filepath.Dir(rel), "meta.json")
	b, _ := os.ReadFile(meta)
	patchFile(t, meta, int64(bytes.IndexByte(b, ':')), 'x')
	_, err = trySingle(t, dir, nil)
	mustContain(t, err, ErrCorrupt, meta)
}

// TestLeftoverSnapshot: what a crash left half-written is removed at start.
func TestLeftoverSnapshot(t *testing.T) {
	dir := t.TempDir()
	shut(t, single(t, dir, nil).Node)
	left := filepath.Join(dir, snapshotDir, "2-17-1700000000000.tmp")
	if err := os.MkdirAll(left, 0o750); err != nil {
		t.Fatal(err)
	}
	single(t, dir, nil)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Error("still there")
	}
}

// Snapshots are written half as fast as the log, but a start need not apply much more than the size of one.
func TestSnapshotsArePacedByTheirSize(t *testing.T) {
	for size, want := range map[int64]int64{
		0: 64 << 20, 10 << 20: 64 << 20, 100 << 20: 200 << 20, 256 << 20: 512 << 20, 1 << 30: 1<<30 + 256<<20,
	} {
		if got := due(64<<20, size); got != want {
			t.Errorf("behind a snapshot of %d bytes: %d, want %d", size, got, want)
		}
	}
}
