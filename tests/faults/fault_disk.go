package faults

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redkeep/redkeep/tests/internal/node"
	"github.com/redkeep/redkeep/tests/internal/wire"
)

// diskFaults fill a disk, or let its syncs hang, fail or take their time.
var diskFaults = []*Fault{
	{Name: "disk full", Least: 800 * time.Millisecond, Spread: time.Second,
		Strike: func(w *world) func() { return fillDisk(w, w.anyNode(), 0) }},
	{Name: "disk nearly full", Least: 800 * time.Millisecond, Spread: time.Second,
		Strike: func(w *world) func() { return fillDisk(w, w.leader(), 4<<20) }},
	hang("disk of the leader hangs", (*world).leader),
	hang("disk of a follower hangs", (*world).follower),
	{Name: "disk slow", Least: time.Second, Spread: time.Second, Strike: func(w *world) func() {
		return spoilDisk(w, w.anyNode(), "disk slow 40ms")
	}},
	{Name: "sync fails", Least: 500 * time.Millisecond, Spread: 500 * time.Millisecond, Strike: failSync},
}

// fillDisk leaves this many bytes free on a node's disk. The node refuses writes, or stops itself; it
// must not lose what it has acknowledged.
func fillDisk(w *world, n *node.Node, left int64) func() {
	if n == nil {
		return nil
	}
	n.ExpectExit()
	ballast := filepath.Join(diskOf(n), "ballast")
	w.note("disk of %s filled up to %d bytes", n.Name, left)
	if err := fill(ballast, left); err != nil {
		w.t.Errorf("the disk of %s is not full: %v", n.Name, err)
	}
	return func() {
		os.Remove(ballast)
		w.filled = append(w.filled, n)
	}
}

// revive starts the nodes again that ended because their disk was full. One may still be about to: it counts
// as well when it takes a write.
func (w *world) revive() {
	for _, n := range w.filled {
		node.Eventually(w.t, 20*time.Second, n.Name+" runs", func() error {
			w.launch(n)
			r, err := wire.Once(n.ClientAddr, time.Second, "SET", "revived", "1")
			if err == nil && r.IsErr() {
				err = errors.New(r.Text)
			}
			return err
		})
	}
	w.filled = nil
}

// fill makes a file that takes all room but this much. It returns nil iff there was no more left, by the file
// system's own word: its count, or its refusal to take more.
func fill(path string, left int64) (err error) {
	file, err := os.Create(path)
	if errors.Is(err, unix.ENOSPC) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	chunk := make([]byte, 1<<20)
	for {
		var fs unix.Statfs_t
		if err := unix.Fstatfs(int(file.Fd()), &fs); err != nil {
			return err
		}
		room := int64(fs.Bavail)*fs.Bsize - left
		if room <= 0 {
			return nil
		}
		_, err := file.Write(chunk[:min(room, int64(len(chunk)))])
		if errors.Is(err, unix.ENOSPC) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func hang(name string, victim func(*world) *node.Node) *Fault {
	return &Fault{Name: name, Least: 500 * time.Millisecond, Spread: 2 * time.Second,
		Strike: func(w *world) func() { return spoilDisk(w, victim(w), "disk hang") }}
}

func spoilDisk(w *world, n *node.Node, command string) func() {
	if n == nil {
		return nil
	}
	w.note("%s at %s", command, n.Name)
	n.Fault(command)
	return func() {
		if n.Proc.Running() {
			n.Fault("disk heal")
		}
	}
}

// failSync breaks the syncs of a node, which must stop rather than carry on after a write that was lost.
func failSync(w *world) func() {
	n := w.anyNode()
	if n == nil {
		return nil
	}
	n.ExpectExit()
	n.Fault("disk fail-sync")
	w.note("syncs fail at %s", n.Name)
	return func() { w.doomed = append(w.doomed, n) }
}

// bury waits for the end of the nodes whose syncs fail, and starts them again. It does so when all other
// faults have ended: a node that is cut off has nothing to sync, and nothing to stop for.
func (w *world) bury() {
	for _, n := range w.doomed {
		if code, err := n.Proc.WaitExit(20 * time.Second); err != nil || code == 0 {
			w.t.Errorf("%s went on after a failed sync: exit code %d, %v", n.Name, code, err)
			n.Kill9()
		}
		w.launch(n)
	}
	w.doomed = nil
	w.revive()
}
