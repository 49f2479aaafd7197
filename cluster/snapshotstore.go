package cluster

import (
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
// It writes the content itself, past the page cache where that can be; see snapshotSink.
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
