package cluster

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
	"golang.org/x/sys/unix"
)

// segmentSpace is the file system that raft-wal writes its segments to. It makes a sync cost one write to
// the disk and nothing else.
//
// raft-wal reserves the space of a segment without writing it, and syncs with fsync. So each sync of fresh
// log also changes the file's metadata: the extent just written is marked as holding data, and the time of
// change is noted. Here a segment is filled with zeros before it is used, and synced with fdatasync, which
// leaves the time alone: half again as many syncs per second on the machines measured.
//
// The zeros for the next segment are written in the background, one step at a time so that syncs of the log
// get in between, into a spare file that Create renames. A spare whose size is right is complete, because it
// only grows, or was complete when it got its name; one left over from the last run is used.
//
// A segment that raft-wal deletes is kept under another name, up to keptSegments of them while the disk has
// room (keptShare), cut to its size if its last batch made it longer, and overwritten with zeros to make a
// spare: its blocks are reserved and its pages often still in memory, which makes that eight times cheaper
// than a new file. So the log takes as much of the disk as it took at its longest. raft-wal deletes a segment
// only after its own directory has let go of it and its last reader has. Should a power loss bring the
// old name back, with zeros in it, raft-wal removes the file, for it is not on the list.
//
// Rejected: using old segments as they are, which needs their old content to be told from new. Drawback: the
// log is written twice, once as zeros.
type segmentSpace struct {
	*walfs.FS
	path string // of the spare
	size int64
	want chan struct{}
	stop chan struct{}
	work sync.WaitGroup
}

const (
	spareFile    = "spare.tmp"
	spareStep    = 1 << 20
	keptSuffix   = ".kept.tmp"
	keptSegments = 24
	keptShare    = 16 // of what the disk has free, kept segments take one part in so many at most
)

var _ types.VFS = (*segmentSpace)(nil)

// newSegmentSpace returns the space of the log in dir. A new log waits for its first segment to be filled.
func newSegmentSpace(dir string, size int) *segmentSpace {
	s := &segmentSpace{
		FS: walfs.New(), path: filepath.Join(dir, spareFile), size: int64(size),
		want: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	s.discard()
	if _, err := os.Stat(filepath.Join(dir, walListFile)); errors.Is(err, fs.ErrNotExist) {
		_ = s.fill()
	}
	s.work.Go(s.run)
	return s
}

// discard removes what a run with another size of segments has left and what can never be used. What is too
// large is cut to size when it is filled; a spare that is too small only has to grow.
func (s *segmentSpace) discard() {
	kept, _ := filepath.Glob(filepath.Join(filepath.Dir(s.path), "*"+keptSuffix)) // the pattern is well formed
	for _, path := range kept {
		if sizeOf(path) < s.size {
			_ = os.Remove(path)
		}
	}
	if sizeOf(s.path) > s.size {
		_ = os.Remove(s.path)
	}
}

func (s *segmentSpace) close() {
	close(s.stop)
	s.work.Wait()
}

func (s *segmentSpace) run() {
	for {
		select {
		case <-s.want:
			_ = s.fill() // without a spare, Create reserves space as raft-wal does
		case <-s.stop:
			return
		}
	}
}

// fill makes the spare, from a segment that was kept or from nothing, unless there is one.
func (s *segmentSpace) fill() error {
	if _, err := os.Stat(s.path); err == nil {
		_, err := writeZeros(s.path, sizeOf(s.path), s.size, s.stop)
		return err
	}
	kept := s.kept()
	if len(kept) == 0 {
		_, err := writeZeros(s.path, 0, s.size, s.stop)
		return err
	}
	if err := os.Truncate(kept[0], s.size); err != nil {
		return err
	}
	done, err := writeZeros(kept[0], 0, s.size, s.stop)
	if err != nil || !done {
		return err
	}
	return rename(kept[0], s.path)
}

// kept lists the segments that were kept to be filled again.
func (s *segmentSpace) kept() []string {
	all, _ := filepath.Glob(filepath.Join(filepath.Dir(s.path), "*"+keptSuffix)) // the pattern is well formed
	return slices.DeleteFunc(all, func(path string) bool { return sizeOf(path) < s.size })
}

// mostKept is how many segments may be kept.
func (s *segmentSpace) mostKept() int {
	return int(min(keptSegments, max(diskFree(filepath.Dir(s.path)), 0)/keptShare/s.size))
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return info.Size()
}

// zeros are never written to, so they take no memory.
var zeros [spareStep]byte

// writeZeros fills a file with zeros from an offset up to its size, and syncs them. done is false if it was
// stopped before.
func writeZeros(path string, at, size int64, stop <-chan struct{}) (done bool, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for ; at < size; at += spareStep {
		select {
		case <-stop:
			return false, nil
		default:
		}
		if _, err := writeAt(f, zeros[:min(spareStep, size-at)], at); err != nil {
			return false, err
		}
		if err := syncFile(f); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Delete takes a segment out of the log, and keeps its file if it can be of use.
func (s *segmentSpace) Delete(dir, name string) error {
	path := filepath.Join(dir, name)
	if sizeOf(path) < s.size || len(s.kept()) >= s.mostKept() {
		return s.FS.Delete(dir, name)
	}
	if err := rename(path, path+keptSuffix); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	wake(s.want)
	return nil
}

// Create makes a segment from the spare, or like raft-wal if there is none, and orders the next spare.
func (s *segmentSpace) Create(dir, name string, size uint64) (types.WritableFile, error) {
	defer wake(s.want)
	target := filepath.Join(dir, name)
	if info, err := os.Stat(s.path); err != nil || info.Size() != int64(size) {
		return s.reserve(dir, name, size)
	}
	if _, err := os.Stat(target); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fs.ErrExist, err)
	}
	if err := rename(s.path, target); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(target, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &segmentFile{File: f, dir: dir}, nil
}

// reserve makes a segment as raft-wal does, but for the way it is synced.
func (s *segmentSpace) reserve(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := s.FS.Create(dir, name, size)
	if err != nil {
		return nil, err
	}
	named(filepath.Join(dir, name))
	return &segmentFile{File: &f.(*walfs.File).File, dir: dir}, nil
}

// OpenWriter opens the segment that was being written when the last run ended.
func (s *segmentSpace) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	wake(s.want)
	return &segmentFile{File: f, dir: dir}, nil
}

// segmentFile is a segment open for writing.
type segmentFile struct {
	*os.File
	dir   string
	named atomic.Bool // its name is durable
}

// WriteAt goes through the disk floor.
func (f *segmentFile) WriteAt(b []byte, at int64) (int, error) { return writeAt(f.File, b, at) }

// Sync makes the content durable, and the first time the file's name.
func (f *segmentFile) Sync() error {
	if f.named.Load() {
		return syncData(f.File)
	}
	if err := errors.Join(syncFile(f.File), syncDir(f.dir)); err != nil {
		return err
	}
	f.named.Store(true)
	return nil
}

// syncContent makes the content of a file durable, and of its metadata only what is needed to read it.
func syncContent(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for failed = unix.Fdatasync(int(fd)); failed == unix.EINTR; {
			failed = unix.Fdatasync(int(fd))
		}
	})
	return errors.Join(err, failed)
}
