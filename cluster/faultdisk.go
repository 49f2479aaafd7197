//go:build faults

package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// FaultDisk is the disk floor of a binary built with the tag "faults": it does what disk.go does, and
// misbehaves when told. Its methods are safe for concurrent use.
//
// Idea. Each write first notes how to take it back; each sync forgets the notes it makes superfluous. So what
// the notes hold at any moment is exactly what a power loss may take: PowerLoss plays them backwards and
// leaves the process to be killed. Nothing is copied that is synced already, so a long log costs nothing.
//
// Invariants.
//  1. A write and its note, a sync and the forgetting, are one step (turn held shared); PowerLoss holds turn
//     alone, for ever, so nothing is written behind its back.
//  2. A note is forgotten only after a sync that succeeded and began later: of that file for its content, of
//     the folder for a name. A product that forgets to sync keeps its notes, and loses what it believes to
//     have.
//  3. Nobody waits for a hung disk while holding turn.
//
// bbolt and raft's snapshot files are written by libraries that cannot be looked into. They sync before they
// return, so their transactions count as one step: a power loss comes before or after it.
//
// Rejected: a faulty file system below the process, which needs a kernel and rights that a test machine may
// lack. Drawback: what a library has half written inside such a transaction is not torn.
type FaultDisk struct {
	slow    atomic.Int64  // nanoseconds added to each sync
	failing atomic.Bool   // syncs fail
	written chan struct{} // one slot: there is a new note
	turn    turnstile

	mu struct {
		sync.Mutex
		gate  chan struct{} // closed when a hung disk is healed; nil while it does not hang
		notes []note
		last  uint64 // number of the newest note
	}
}

// turnstile is passed shared by every step, and closed for good by a power loss.
type turnstile struct {
	mu struct{ sync.RWMutex }
}

// note is how to take one step back.
type note struct {
	number uint64
	file   fileID // whose content it is; zero for a name
	folder string // where the name is
	back   func(torn bool)
	drop   func() // lets go of what the note holds; nil if nothing
}

type fileID struct{ device, inode uint64 }

// Disk is the one disk of this process.
var Disk = &FaultDisk{written: make(chan struct{}, 1)}

// Hang makes every sync wait until Heal.
func (d *FaultDisk) Hang() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.gate == nil {
		d.mu.gate = make(chan struct{})
	}
}

// Heal ends what Hang, FailSync and Slow have begun.
func (d *FaultDisk) Heal() {
	d.failing.Store(false)
	d.slow.Store(0)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.gate != nil {
		close(d.mu.gate)
		d.mu.gate = nil
	}
}

// FailSync makes every sync fail.
func (d *FaultDisk) FailSync() { d.failing.Store(true) }

// Slow makes every sync take longer.
func (d *FaultDisk) Slow(by time.Duration) { d.slow.Store(int64(by)) }

// lossWindow is how long PowerLoss waits for a write that is not synced yet: without one nothing is lost.
const lossWindow = 50 * time.Millisecond

// PowerLoss puts every file back to what was last synced; with torn, the newest write of each stays up to a
// sector in its middle, and names stay. It returns how many steps it took back. Nothing can be written or
// synced afterwards: the caller ends the process.
func (d *FaultDisk) PowerLoss(torn bool) (lost int) {
	d.Hang()
	window := time.NewTimer(lossWindow)
	defer window.Stop()
	for d.unsynced() == 0 {
		select {
		case <-d.written:
			continue
		case <-window.C:
		}
		break
	}
	d.turn.mu.Lock() // never unlocked
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := map[fileID]bool{}
	for _, n := range slices.Backward(d.mu.notes) {
		keep := torn && (n.file == fileID{} || seen[n.file])
		seen[n.file] = true
		if !keep {
			n.back(torn)
		}
	}
	return len(d.mu.notes)
}

func (d *FaultDisk) unsynced() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.mu.notes)
}

// pass waits while the disk hangs, takes its time when it is slow, and fails when it is broken.
func (d *FaultDisk) pass() error {
	for gate := d.gate(); gate != nil; gate = d.gate() {
		<-gate
	}
	if by := d.slow.Load(); by > 0 {
		time.Sleep(time.Duration(by))
	}
	if d.failing.Load() {
		return unix.EIO
	}
	return nil
}

func (d *FaultDisk) gate() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.gate
}

// step runs one change together with its note.
func (d *FaultDisk) step(n note, change func() error) error {
	d.turn.mu.RLock()
	defer d.turn.mu.RUnlock()
	d.mu.Lock()
	d.mu.last++
	n.number = d.mu.last
	d.mu.notes = append(d.mu.notes, n)
	d.mu.Unlock()
	wake(d.written)
	return change()
}

// sync runs a sync of f and forgets the notes that were there when it began.
func (d *FaultDisk) sync(f *os.File, do func(*os.File) error) error {
	if err := d.pass(); err != nil {
		return &os.PathError{Op: "sync", Path: f.Name(), Err: err}
	}
	d.turn.mu.RLock()
	defer d.turn.mu.RUnlock()
	d.mu.Lock()
	last := d.mu.last
	d.mu.Unlock()
	if err := do(f); err != nil {
		return err
	}
	id, folder := identify(f), filepath.Clean(f.Name())
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.notes = slices.DeleteFunc(d.mu.notes, func(n note) bool {
		kept := n.number > last || n.file != id && (n.file != fileID{} || n.folder != folder)
		if !kept && n.drop != nil {
			n.drop()
		}
		return !kept
	})
	return nil
}

func identify(f *os.File) fileID {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return fileID{}
	}
	return fileID{uint64(st.Dev), st.Ino}
}

func writeAt(f *os.File, b []byte, at int64) (n int, err error) {
	err = Disk.step(contentNote(f, at, len(b)), func() error {
		n, err = f.WriteAt(b, at)
		return err
	})
	return n, err
}

func write(f *os.File, b []byte) (n int, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, err
	}
	err = Disk.step(contentNote(f, st.Size, len(b)), func() error {
		n, err = f.Write(b)
		return err
	})
	return n, err
}

// contentNote remembers what stands where size bytes are about to be written. It holds a descriptor of its
// own, because the file may be closed or renamed before the power goes.
func contentNote(f *os.File, at int64, size int) note {
	old := make([]byte, size)
	n, _ := unix.Pread(int(f.Fd()), old, at)
	old = old[:max(n, 0)]
	var st unix.Stat_t
	known := unix.Fstat(int(f.Fd()), &st) == nil
	own, err := unix.Dup(int(f.Fd()))
	drop := func() {
		if err == nil {
			unix.Close(own)
		}
	}
	return note{file: identify(f), drop: drop, back: func(torn bool) {
		from := int64(0)
		if torn {
			from = max((at+int64(size)/2)&^(sectorSize-1)-at, 0)
		}
		if err != nil || !known {
			return
		}
		if from < int64(len(old)) {
			unix.Pwrite(own, old[from:], at+from)
		}
		if end := max(st.Size, at+from); end < at+int64(size) {
			unix.Ftruncate(own, end)
		}
	}}
}

func syncFile(f *os.File) error { return Disk.sync(f, (*os.File).Sync) }
func syncData(f *os.File) error { return Disk.sync(f, syncContent) }

// rename notes what the new name stood for: the files replaced in this way are small.
func rename(from, to string) error {
	old, err := os.ReadFile(to)
	replaced := err == nil
	return Disk.step(note{folder: filepath.Dir(to), back: func(bool) {
		if os.Rename(to, from) == nil && replaced {
			os.WriteFile(to, old, 0o640)
		}
	}}, func() error { return os.Rename(from, to) })
}

func named(path string) {
	remove := note{folder: filepath.Dir(path), back: func(bool) { os.Remove(path) }}
	_ = Disk.step(remove, func() error { return nil })
}

func settle(transaction func() error) error {
	if err := Disk.pass(); err != nil {
		return err
	}
	Disk.turn.mu.RLock()
	defer Disk.turn.mu.RUnlock()
	return transaction()
}
