package commands

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
)

// Writing backups.
//
// Idea. Both commands first write a file in the folder of backups: SNAPSHOT.SAVE keeps it, SNAPSHOT.STREAM
// takes its name away at once and sends it. The capture behind it, which holds compaction up, lives only as
// long as the disk takes, however slow the client is; and the size and the checksum are known before the
// first byte is sent.
//
// Invariants.
//  1. A file has its final name only when all of it is on disk; until then the name ends in ".part".
//  2. One file is written at a time; others wait for their turn. Several could fill the disk together.
//  3. A backup has every write that was acknowledged before it was asked for, unless SERIALIZABLE was
//     said or the connection is READONLY: then it is what this node has, and needs no majority.
//  4. The goroutine that writes is the dispatcher's: it ends when the client goes away, when the node
//     leaves, and Close waits for it.
//
// Rejected: sending the capture without a file (compaction would wait for the slowest client, and an array
// needs its length first). Drawback: SNAPSHOT.STREAM needs free disk for the whole of it.
type backups struct {
	turn    chan struct{} // one slot
	running sync.WaitGroup
}

const unfinished = ".part"

type backupRequest struct {
	name        string // empty: made up
	keep, local bool
}

// backup is a finished one. file is nil when it was kept under its name.
type backup struct {
	name   string
	header raftfsm.SnapshotHeader
	bytes  int64
	sum    [sha256.Size]byte
	file   *os.File
}

// backUp makes a backup. It returns nil and no error iff the client vanished.
func (d *Dispatcher) backUp(req backupRequest, wait waiting) (*backup, error) {
	if err := d.roomForBackup(); err != nil {
		return nil, err
	}
	if !req.local {
		round := d.engine.Barrier()
		if !wait(round.Done()) {
			return nil, nil
		}
		if err := round.Err(); err != nil {
			return nil, readFate(err)
		}
	}
	var made *backup
	var failed error
	var gone atomic.Bool
	done := make(chan struct{})
	d.backups.running.Go(func() {
		defer close(done)
		d.backups.turn <- struct{}{} // who has it gives it back soon, also when the node leaves
		made, failed = d.writeBackup(req, &gone)
		<-d.backups.turn
	})
	if !wait(done) {
		gone.Store(true)
		d.backups.running.Go(func() { <-done; made.discard() })
		return nil, nil
	}
	return made, failed
}

// discard closes a file that nobody will send.
func (b *backup) discard() {
	if b != nil && b.file != nil {
		_ = b.file.Close()
	}
}

// roomForBackup refuses early what would fill the disk. The state in memory is larger than in a file.
func (d *Dispatcher) roomForBackup() error {
	if errors.Is(d.engine.AcceptsWrites(), raftfsm.ErrDiskFull) {
		return errBackupSpace
	}
	st := d.engine.Status()
	if st.DiskFree >= 0 && st.DiskFree < st.StateBytes+st.HistoryBytes {
		return errBackupSpace
	}
	return nil
}

func (d *Dispatcher) backupDir() string {
	if d.cfg.BackupDir != "" {
		return d.cfg.BackupDir
	}
	return filepath.Join(d.cfg.DataDir, cluster.BackupDir)
}

func (d *Dispatcher) writeBackup(req backupRequest, gone *atomic.Bool) (*backup, error) {
	dir := d.backupDir()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, errBackup(err)
	}
	capture := d.engine.Capture()
	defer capture.Release()
	b := &backup{header: capture.Header(), name: req.name}
	if b.name == "" {
		b.name = fmt.Sprintf("%s-revision-%d.snapshot", d.cfg.Clock().UTC().Format("20060102T150405Z"),
			b.header.Revision)
	}
	path := filepath.Join(dir, b.name)
	if req.keep && fileExists(path) {
		return nil, errBackupExists(b.name)
	}
	f, err := d.openBackup(path, req.keep)
	if err != nil {
		return nil, err
	}
	w := &backupWriter{file: f, paced: req.keep, ended: func() bool { return gone.Load() || d.leaving.Load() }}
	b.sum, err = capture.Write(w)
	capture.Release()
	b.bytes = w.bytes
	if !req.keep && err == nil {
		b.file = f
		return b, nil
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil && req.keep {
		err = giveName(dir, f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // of a stream it is gone already
		return nil, errBackup(err)
	}
	d.log.Info("backup written", "file", path, "bytes", b.bytes, "revision", int64(b.header.Revision))
	return b, nil
}

// openBackup makes the file that is written to. One for a stream has no name any more, so that nothing of it
// is left whatever happens to this process.
func (d *Dispatcher) openBackup(path string, keep bool) (*os.File, error) {
	if keep {
		f, err := os.OpenFile(path+unfinished, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
		if err != nil {
			return nil, errBackup(err)
		}
		return f, nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "stream-*"+unfinished)
	if err == nil {
		err = os.Remove(f.Name())
	}
	if err != nil {
		return nil, errBackup(err)
	}
	return f, nil
}

// giveName gives a finished file its name.
func giveName(dir, from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func fileExists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// backupWriter counts, notices that nobody wants the rest, and, if paced, syncs as it goes: left to the
// end, the whole file would keep the disk busy while every sync of the log waits behind it.
type backupWriter struct {
	file     *os.File
	paced    bool
	ended    func() bool
	bytes    int64
	unsynced int
}

const backupPace = 4 << 20

func (w *backupWriter) Write(p []byte) (int, error) {
	if w.ended() {
		return 0, errBackupEnded
	}
	n, err := w.file.Write(p)
	w.bytes += int64(n)
	if w.unsynced += n; err == nil && w.paced && w.unsynced >= backupPace {
		w.unsynced = 0
		err = w.file.Sync()
	}
	return n, err
}
