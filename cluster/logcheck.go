package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"runtime/debug"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// guardBolt runs f, which reads a bbolt file. bbolt trusts its pages: a damaged one makes it panic, or read
// outside its mapping, which without SetPanicOnFault ends the process without a word of which file it was.
func guardBolt(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w file %s: %v", ErrCorrupt, path, r)
		}
	}()
	if err := checkBoltMeta(path); err != nil {
		return err
	}
	if err = f(); errors.Is(err, berrors.ErrInvalid) || errors.Is(err, berrors.ErrChecksum) ||
		errors.Is(err, berrors.ErrVersionMismatch) {
		err = fmt.Errorf("%w file %s: %w", ErrCorrupt, path, err)
	}
	return err
}

// A bbolt file starts with two meta pages, written in turn; the newer valid one counts. When the newer one
// is damaged bbolt silently goes back by one transaction, which for a log or a vote is a loss of something
// acknowledged. A crash cannot damage one: it is 64 bytes within one sector. Layout, little-endian, after a
// 16-byte page header: magic 4, version 4, page size 4, flags 4, root 16, freelist 8, high water mark 8,
// transaction 8, FNV-64a of all this 8.
const (
	boltPageHeader = 16
	boltMetaSum    = 56
	boltPageSize   = 8 // offset of the page size in the meta
)

func checkBoltMeta(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	first := make([]byte, boltMetaSum+8)
	n, err := f.ReadAt(first, boltPageHeader)
	if n == 0 && errors.Is(err, io.EOF) {
		return nil // made, but never written: bbolt starts it anew
	}
	second := make([]byte, len(first))
	if err == nil {
		page := int64(binary.LittleEndian.Uint32(first[boltPageSize:]))
		_, err = f.ReadAt(second, page+boltPageHeader)
	}
	if err != nil || !boltMetaValid(first) || !boltMetaValid(second) {
		return fmt.Errorf("%w file %s offset 0: a meta page does not match its checksum", ErrCorrupt, path)
	}
	return nil
}

func boltMetaValid(b []byte) bool {
	h := fnv.New64a()
	h.Write(b[:boltMetaSum])
	return h.Sum64() == binary.LittleEndian.Uint64(b[boltMetaSum:])
}

// checkBoltLog reads every entry of the log, read-only: each is whole and equals its checksum, and none is
// missing but those a snapshot covers: raft leaves a hole behind the entries a follower had before it was
// sent a snapshot.
func checkBoltLog(path string, checkEntry func([]byte) error, snapshot Index) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := checkBoltPages(path); err != nil {
		return err
	}
	return guardBolt(path, func() error {
		s, err := raftboltdb.New(raftboltdb.Options{
			Path: path, BoltOptions: &bbolt.Options{ReadOnly: true, Timeout: boltLockWait},
		})
		if err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		defer s.Close()
		return checkBoltEntries(&boltLog{BoltStore: s, path: path, checkEntry: checkEntry}, snapshot)
	})
}

func checkBoltEntries(s *boltLog, snapshot Index) error {
	first, err1 := s.FirstIndex()
	last, err2 := s.LastIndex()
	if err := errors.Join(err1, err2); err != nil || last == 0 {
		return err
	}
	for i := first; i <= last; i++ {
		err := s.GetLog(i, new(raft.Log))
		if errors.Is(err, raft.ErrLogNotFound) && i <= uint64(snapshot) {
			continue
		}
		if errors.Is(err, raft.ErrLogNotFound) {
			err = fmt.Errorf("%w log file %s key %d (entry index %d): missing", ErrCorrupt, s.path, i, i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
