package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"
)

// snapshotStore is raft's file store of snapshots, corrected in three points.
//
// It shows the newest snapshot alone. raft would fall back to an older one when the newest cannot be
// restored, but the log that followed the older one is gone; here the node does not start, and says which
// byte of which file is wrong.
//
// It leaves verifying to the state machine, where the format has checksums of its own, because raft's store
// reads the whole file once more before it hands it out, and a restart waits for that.
//
// It writes steadily; see Create.
type snapshotStore struct {
	*raft.FileSnapshotStore
	dir    string
	verify func(io.Reader) error // nil: the content has no checksums, so raft's store verifies
}

// stateFile is the content of a snapshot in its directory.
const stateFile = "state.bin"

// List returns the newest snapshot, or nothing.
func (s *snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	list, err := s.FileSnapshotStore.List()
	return list[:min(len(list), 1)], err
}

// Open returns a snapshot's description and content.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if s.verify == nil {
		return s.FileSnapshotStore.Open(id)
	}
	list, err := s.FileSnapshotStore.List()
	if err != nil {
		return nil, nil, err
	}
	for _, meta := range list {
		if meta.ID == id {
			return s.open(meta)
		}
	}
	return nil, nil, fmt.Errorf("snapshot %s: %w", id, os.ErrNotExist)
}

func (s *snapshotStore) open(meta *raft.SnapshotMeta) (*raft.SnapshotMeta, io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(s.dir, meta.ID, stateFile))
	if err != nil {
		return nil, nil, err
	}
	if info, err := f.Stat(); err != nil || info.Size() != meta.Size {
		f.Close()
		return nil, nil, fmt.Errorf("%w snapshot %s: it does not have the %d bytes noted",
			ErrCorrupt, meta.ID, meta.Size)
	}
	return meta, f, nil
}

// damage returns what is wrong with the newest snapshot, as an error that names file and offset; nil if
// nothing is.
func (s *snapshotStore) damage() error {
	list, err := s.List()
	if err != nil || len(list) == 0 {
		return err
	}
	path := filepath.Join(s.dir, list[0].ID, stateFile)
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		err = s.read(f, list[0].ID)
	}
	if err != nil {
		return fmt.Errorf("%w snapshot file %s: %w", ErrCorrupt, path, err)
	}
	return nil
}

func (s *snapshotStore) read(f *os.File, id string) error {
	if s.verify != nil {
		return s.verify(f)
	}
	_, r, err := s.FileSnapshotStore.Open(id)
	if err != nil {
		return fmt.Errorf("offset 0: %w", err)
	}
	return r.Close()
}

// checkMeta refuses a directory whose newest snapshot is left out of the list because its meta.json is
// unreadable.
func (s *snapshotStore) checkMeta() error {
	list, err := s.FileSnapshotStore.List()
	if err != nil {
		return fmt.Errorf("list snapshots in %s: %w", s.dir, err)
	}
	names, err := filepath.Glob(filepath.Join(s.dir, "*-*-*"))
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, m := range list {
		listed[m.ID] = true
		if _, err := checkSnapshotSeal(filepath.Join(s.dir, m.ID)); err != nil {
			return err
		}
		if !strings.HasPrefix(m.ID, fmt.Sprintf("%d-%d-", m.Term, m.Index)) {
			return fmt.Errorf("%w snapshot file %s offset 0: index and term do not match the directory's name",
				ErrCorrupt, filepath.Join(s.dir, m.ID, "meta.json"))
		}
	}
	for _, path := range names {
		if len(list) < 2 && !listed[filepath.Base(path)] && filepath.Ext(path) != ".tmp" {
			return fmt.Errorf("%w snapshot file %s offset 0: unreadable", ErrCorrupt, filepath.Join(path, "meta.json"))
		}
	}
	return nil
}

// Create returns a sink that puts the content on disk as it comes. Left to the one sync at the end, a
// snapshot would pile up in memory and then keep the disk busy for as long as that takes to write, with
// every sync of the log waiting behind it.
func (s *snapshotStore) Create(
	version raft.SnapshotVersion, index, term uint64, conf raft.Configuration, confIndex uint64,
	trans raft.Transport,
) (raft.SnapshotSink, error) {
	sink, err := s.FileSnapshotStore.Create(version, index, term, conf, confIndex, trans)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, sink.ID()+".tmp", stateFile), os.O_WRONLY, 0)
	if err != nil {
		return nil, errors.Join(err, sink.Cancel())
	}
	return &pacedSink{SnapshotSink: sink, file: f, dir: filepath.Join(s.dir, sink.ID())}, nil
}

// pacedSink syncs through a file handle of its own: raft's sink does not show its.
type pacedSink struct {
	raft.SnapshotSink
	file *os.File
	dir  string // of the finished snapshot
	size int    // written since the last sync
}

// paceBytes is what may be unsynced: a fraction of what a disk writes during one request.
const paceBytes = 2 << 20

func (s *pacedSink) Write(b []byte) (n int, err error) {
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
func (s *pacedSink) Close() error {
	if s.dir == "" {
		return s.SnapshotSink.Close()
	}
	dir := s.dir
	s.dir = ""
	if err := errors.Join(settle(s.SnapshotSink.Close), s.letGo()); err != nil {
		return err
	}
	return sealSnapshot(dir)
}

func (s *pacedSink) Cancel() error {
	s.dir = ""
	return errors.Join(s.SnapshotSink.Cancel(), s.letGo())
}

// letGo may be called twice: raft closes a sink that the state machine has closed.
func (s *pacedSink) letGo() error {
	if err := s.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
