package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"unsafe"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"
)

// snapshotSink writes a snapshot. raft's sink makes the folder, the description and the name; the content
// goes into the file that raft's has made by another way.
//
// Idea: a snapshot is hundreds of megabytes that nobody reads again soon. Written as files usually are, it
// costs a copy into the page cache, pushes out of it what is needed, and piles up until one sync keeps the
// disk busy for as long as all of it takes, with every sync of the log waiting behind it. So it is written
// past the page cache, in aligned blocks, each on its way to the disk when the call returns. What is left at
// the end, less than a block, is written as usual, and raft's sink syncs the file.
//
// raft's checksum of the content, CRC-64, is left out too: the format has its own, and nobody reads raft's.
//
// Where a file system does not offer that (tmpfs), or the content has no checksums of its own, raft's sink
// writes, and what it has written is synced every paceBytes.
//
// Drawback: the first reader after a restart gets the content from the disk.
type snapshotSink struct {
	raft.SnapshotSink
	dir   string   // of the finished snapshot
	file  *os.File // raft's sink does not show its own
	size  int      // written by raft's sink since the last sync
	block *directBlock
}

const (
	// paceBytes is what may be unsynced: a fraction of what a disk writes during one request.
	paceBytes = 2 << 20
	// directBytes is the size of a block, directAlign what its address, size and place are multiples of.
	directBytes = 256 << 10
	directAlign = 4 << 10
)

// directBlock is what gathers for a file that is written past the page cache.
type directBlock struct {
	file  *os.File
	plain *os.File // the same file, for what cannot be written that way
	data  []byte   // aligned; its capacity is directBytes
	at    int64    // where in the file it begins
}

// openDirect returns nil if the file cannot be opened that way.
func openDirect(path string, plain *os.File) *directBlock {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil
	}
	data := make([]byte, directBytes+directAlign)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(data)))) & (directAlign - 1)
	return &directBlock{file: f, plain: plain, data: data[skip : skip : skip+directBytes]}
}

// write takes bytes, and writes a block when it is full. An error is final.
func (d *directBlock) write(b []byte) (n int, err error) {
	for len(b) > 0 {
		part := b[:min(len(b), directBytes-len(d.data))]
		d.data = append(d.data, part...)
		b, n = b[len(part):], n+len(part)
		if len(d.data) == directBytes {
			if err := d.put(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// put writes a full block. A file system may let a file be opened this way and then refuse to write it.
func (d *directBlock) put() error {
	_, err := d.file.WriteAt(d.data, d.at)
	if errors.Is(err, unix.EINVAL) {
		_, err = d.plain.WriteAt(d.data, d.at)
	}
	d.data, d.at = d.data[:0], d.at+directBytes
	return err
}

// rest writes what is less than a block.
func (d *directBlock) rest() error {
	_, err := d.plain.WriteAt(d.data, d.at)
	return err
}

// Create returns a sink for a new snapshot.
func (s *snapshotStore) Create(
	version raft.SnapshotVersion, index, term uint64, conf raft.Configuration, confIndex uint64,
	trans raft.Transport,
) (raft.SnapshotSink, error) {
	sink, err := s.FileSnapshotStore.Create(version, index, term, conf, confIndex, trans)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.dir, sink.ID()+".tmp", stateFile)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, errors.Join(err, sink.Cancel())
	}
	out := &snapshotSink{SnapshotSink: sink, file: f, dir: filepath.Join(s.dir, sink.ID())}
	if s.verify != nil {
		out.block = openDirect(path, f)
	}
	return out, nil
}

func (s *snapshotSink) Write(b []byte) (n int, err error) {
	if s.block != nil {
		return s.block.write(b)
	}
	if n, err = s.SnapshotSink.Write(b); err != nil {
		return n, err
	}
	if s.size += n; s.size >= paceBytes {
		s.size = 0
		err = syncData(s.file)
	}
	return n, err
}

// Close may be called twice, and after Cancel, which leaves nothing to seal.
func (s *snapshotSink) Close() error {
	if s.dir == "" {
		return s.SnapshotSink.Close()
	}
	dir := s.dir
	s.dir = ""
	if s.block != nil {
		if err := s.block.rest(); err != nil {
			return errors.Join(err, s.Cancel())
		}
	}
	if err := errors.Join(settle(s.SnapshotSink.Close), s.letGo()); err != nil {
		return err
	}
	return sealSnapshot(dir)
}

func (s *snapshotSink) Cancel() error {
	s.dir = ""
	return errors.Join(s.SnapshotSink.Cancel(), s.letGo())
}

// letGo may be called twice: raft closes a sink that the state machine has closed.
func (s *snapshotSink) letGo() error {
	err := closeOnce(s.file)
	if s.block != nil {
		err = errors.Join(err, closeOnce(s.block.file))
	}
	return err
}

func closeOnce(f *os.File) error {
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
