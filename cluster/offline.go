package cluster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
	"go.etcd.io/bbolt"
)

// Reading the data directory of a node that does not run. Nothing here changes a file, but for LOCK: neither
// the torn tail of a log nor an interrupted rotation is mended, both are only understood.

// Checks are how the owner of the data verifies what it wrote. Both are required.
type Checks struct {
	Entry    func(data []byte) error // as Config.CheckEntry
	Snapshot func(r io.Reader) error // as Config.VerifySnapshot
}

// Offline is a data directory that no node uses. Not safe for concurrent use.
type Offline struct {
	dir    *dataDir
	snaps  *snapshotStore
	checks Checks
	torn   int       // bytes of a write at the end of the log that was never completed
	parts  []Finding // files of the log that eachEntry has read, relative to its folder
}

// OpenOffline locks the directory. Its owner calls Close.
func OpenOffline(path string, checks Checks) (*Offline, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDataDirAccess, err)
	}
	d, err := openDataDir(path)
	if err != nil {
		return nil, err
	}
	if !d.exists {
		return nil, errors.Join(fmt.Errorf("%w: %s has no %s", ErrDataDirFormat, path, metaFile), d.release())
	}
	return &Offline{dir: d, checks: checks}, nil
}

// Close gives the directory back.
func (o *Offline) Close() error { return o.dir.release() }

// snapshotStore opens raft's store, which makes its folder if there is none.
func (o *Offline) snapshotStore() (*snapshotStore, error) {
	if o.snaps != nil {
		return o.snaps, nil
	}
	quiet := newRaftLogger(slog.New(slog.DiscardHandler), "snapshot")
	files, err := raft.NewFileSnapshotStoreWithLogger(o.dir.path, 2, quiet)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDataDirAccess, err)
	}
	o.snaps = &snapshotStore{files, o.dir.file(snapshotDir), o.checks.Snapshot}
	return o.snaps, nil
}

// eachEntry calls fn with the entries of the log, in order. It ends with the first entry that is damaged or
// missing, or with fn's error. Before an error that wraps ErrCorrupt all entries in front of the damage have
// been handed out.
func (o *Offline) eachEntry(fn func(*raft.Log) error) error {
	if o.dir.meta.LogStore == LogStoreBoltDB {
		return o.eachBoltEntry(fn)
	}
	dir := o.dir.file(walDir)
	state, err := (&segmentList{}).Load(dir)
	o.parts = []Finding{{File: walListFile, Note: "list of segments", Err: err}}
	if err != nil {
		return err
	}
	next := uint64(0)
	for _, info := range state.Segments {
		if next != 0 && info.MinIndex != next {
			return fmt.Errorf("%w log file %s: the list of segments has a gap before entry %d",
				ErrCorrupt, filepath.Join(dir, walListFile), info.MinIndex)
		}
		name := segment.FileName(info)
		next, err = o.eachOfSegment(filepath.Join(dir, name), info, fn)
		note := fmt.Sprintf("log from entry %d to %d", info.MinIndex, next-1)
		if next == info.MinIndex {
			note = fmt.Sprintf("log from entry %d, empty", info.MinIndex)
		}
		if err != nil {
			note = "log"
		}
		o.parts = append(o.parts, Finding{File: name, Note: note, Err: err})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachOfSegment returns the index that follows the segment.
func (o *Offline) eachOfSegment(path string, info types.SegmentInfo, fn func(*raft.Log) error) (uint64,
	error) {
	tail := info.SealTime.IsZero()
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && tail {
		return info.MinIndex, nil // see walCheck.segment
	}
	if err != nil {
		return 0, fmt.Errorf("%w log file %s: %w", ErrCorrupt, path, err)
	}
	scan, bad := scanSegment(b, segmentID{info.BaseIndex, info.ID}, tail)
	if tail && scan.torn() {
		o.torn = scan.used - scan.end
	}
	next := info.MinIndex
	for i, off := range scan.entries {
		index := info.BaseIndex + uint64(i)
		if index < info.MinIndex || !tail && index > info.MaxIndex {
			continue
		}
		var l raft.Log
		rec, err := checkRecord(b[off+frameHeader:])
		if err == nil {
			err = new(walCodec).Decode(rec, &l)
		}
		if err == nil && l.Type == raft.LogCommand {
			err = o.checks.Entry(l.Data)
		}
		if err != nil {
			return 0, fmt.Errorf("%w log file %s %s", ErrCorrupt, path, &damage{off, Index(index), err.Error()})
		}
		if err := fn(&l); err != nil {
			return 0, err
		}
		next = index + 1
	}
	if bad == nil && !tail && next != info.MaxIndex+1 {
		bad = &damage{int(info.IndexStart), Index(next), "the metadata does not fit the segment"}
	}
	if bad != nil {
		return 0, fmt.Errorf("%w log file %s %s", ErrCorrupt, path, bad)
	}
	return next, nil
}

func (o *Offline) eachBoltEntry(fn func(*raft.Log) error) error {
	path := o.dir.file(boltLogFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := checkBoltPages(path); err != nil {
		return err
	}
	var failed error
	err := guardBolt(path, func() error {
		s, err := raftboltdb.New(raftboltdb.Options{
			Path: path, BoltOptions: &bbolt.Options{ReadOnly: true, Timeout: boltLockWait},
		})
		if err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		defer s.Close()
		log := &boltLog{BoltStore: s, path: path, checkEntry: o.checks.Entry}
		first, err1 := log.FirstIndex()
		last, err2 := log.LastIndex()
		if err := errors.Join(err1, err2); err != nil || last == 0 {
			return err
		}
		given := uint64(0)
		for i := first; i <= last && failed == nil; i++ {
			var l raft.Log
			if err := log.GetLog(i, &l); errors.Is(err, raft.ErrLogNotFound) {
				continue // raft leaves a hole behind an installed snapshot: whoever reads looks for gaps
			} else if err != nil {
				return err
			}
			given = i
			failed = fn(&l)
		}
		if failed == nil && given != last {
			return fmt.Errorf("%w log file %s: the entries from index %d to %d are missing", ErrCorrupt, path,
				given+1, last)
		}
		return nil
	})
	return errors.Join(err, failed)
}

// newestSnapshots returns the snapshots, the newest first.
func (o *Offline) newestSnapshots() ([]*raft.SnapshotMeta, error) {
	s, err := o.snapshotStore()
	if err != nil {
		return nil, err
	}
	list, err := s.FileSnapshotStore.List()
	if err != nil {
		return nil, fmt.Errorf("list snapshots in %s: %w", s.dir, err)
	}
	return slices.Clone(list), nil
}
