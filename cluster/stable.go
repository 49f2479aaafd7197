package cluster

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"runtime"
	"sync/atomic"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// Keys raft keeps in the stable store.
const (
	keyCurrentTerm  = "CurrentTerm"
	keyLastVoteTerm = "LastVoteTerm"
	keyLastVoteCand = "LastVoteCand"
)

// stableStore is raft's stable store. It adds two things to raft-boltdb.
//
// It knows the highest term ever written, which is what a member answers when a leader asks for its term
// (the read barrier). The number is raised before the write: a member that is about to vote in term T must
// already be unable to confirm a leader of a lower term. It never falls, whatever raft does with its own.
//
// It keeps a CRC32C behind every value: a term or a vote that comes back wrong breaks safety, and bbolt
// would not notice.
type stableStore struct {
	*raftboltdb.BoltStore
	path    string
	fatal   *fatalSwitch
	highest atomic.Uint64
	busy    stopwatch // of Set

	// inUse: raft runs. Then a write that fails does not return, for raft panics over a term that it cannot
	// save: the node is told, the goroutine that asked ends, and the process soon after.
	inUse atomic.Bool
}

func openStable(path string, fatal *fatalSwitch) (*stableStore, error) {
	s := &stableStore{path: path, fatal: fatal}
	err := guardBolt(path, func() (err error) {
		s.BoltStore, err = raftboltdb.New(raftboltdb.Options{
			Path:        path,
			BoltOptions: &bbolt.Options{Timeout: boltLockWait, FreelistType: bbolt.FreelistMapType},
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, key := range []string{keyCurrentTerm, keyLastVoteTerm} {
		v, err := s.GetUint64([]byte(key))
		if err != nil && err != raftboltdb.ErrKeyNotFound {
			s.Close()
			return nil, err
		}
		s.raise(v)
	}
	return s, nil
}

func (s *stableStore) raise(term uint64) {
	for {
		old := s.highest.Load()
		if term <= old || s.highest.CompareAndSwap(old, term) {
			return
		}
	}
}

func (s *stableStore) highestTerm() Term { return Term(s.highest.Load()) }

func (s *stableStore) Set(k, v []byte) error {
	if s.fatal.tripped() {
		s.giveUp()
		return ErrStoreFailed
	}
	sealed := binary.LittleEndian.AppendUint32(v[:len(v):len(v)], crc32.Checksum(v, castagnoli))
	s.busy.start()
	defer s.busy.stop()
	if err := settle(func() error { return s.BoltStore.Set(k, sealed) }); err != nil {
		err = s.fatal.trip(fmt.Errorf("stable store %s: %w", s.path, err))
		s.giveUp()
		return err
	}
	return nil
}

func (s *stableStore) giveUp() {
	if s.inUse.Load() {
		runtime.Goexit()
	}
}

func (s *stableStore) Get(k []byte) ([]byte, error) {
	sealed, err := s.BoltStore.Get(k)
	if err != nil {
		return nil, err // raft compares the text of "not found"
	}
	n := len(sealed) - 4
	if n < 0 || binary.LittleEndian.Uint32(sealed[n:]) != crc32.Checksum(sealed[:n], castagnoli) {
		return nil, fmt.Errorf("%w file %s key %q: value does not match its checksum", ErrCorrupt, s.path, k)
	}
	return sealed[:n:n], nil
}

func (s *stableStore) SetUint64(k []byte, v uint64) error {
	if string(k) == keyCurrentTerm || string(k) == keyLastVoteTerm {
		s.raise(v)
	}
	return s.Set(k, binary.BigEndian.AppendUint64(nil, v))
}

func (s *stableStore) GetUint64(k []byte) (uint64, error) {
	v, err := s.Get(k)
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("%w file %s key %q: not a number", ErrCorrupt, s.path, k)
	}
	return binary.BigEndian.Uint64(v), nil
}
