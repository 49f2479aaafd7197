package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

const (
	// boltLockWait bounds the wait for bbolt's own file lock. LOCK already keeps other processes out.
	boltLockWait = time.Second
	boltMmap     = 4 << 30
	// boltDeleteSlice is how many entries one prefix deletion removes: it holds the only write lock meanwhile.
	boltDeleteSlice = 256
)

// boltLog is raft-boltdb as a log store. bbolt has no checksums, so each entry carries one in Extensions,
// which raft reserves for middleware; it is taken off again when the entry is read.
type boltLog struct {
	*raftboltdb.BoltStore
	path       string
	checkEntry func([]byte) error
}

func openBoltLog(path string, checkEntry func([]byte) error) (*boltLog, error) {
	s, err := raftboltdb.New(raftboltdb.Options{
		Path:                    path,
		MsgpackUseNewTimeFormat: true,
		BoltOptions: &bbolt.Options{
			Timeout: boltLockWait, InitialMmapSize: boltMmap,
			NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &boltLog{s, path, checkEntry}, nil
}

func entrySum(l *raft.Log) uint32 {
	var h [17]byte
	binary.LittleEndian.PutUint64(h[0:], l.Index)
	binary.LittleEndian.PutUint64(h[8:], l.Term)
	h[16] = byte(l.Type)
	return crc32.Update(crc32.Checksum(h[:], castagnoli), castagnoli, l.Data)
}

func (b *boltLog) StoreLogs(logs []*raft.Log) error {
	sealed := make([]raft.Log, len(logs))
	list := make([]*raft.Log, len(logs))
	for i, l := range logs {
		sealed[i] = *l
		sealed[i].Extensions = binary.LittleEndian.AppendUint32(nil, entrySum(l))
		list[i] = &sealed[i]
	}
	return settle(func() error { return b.BoltStore.StoreLogs(list) })
}

func (b *boltLog) StoreLog(l *raft.Log) error { return b.StoreLogs([]*raft.Log{l}) }

func (b *boltLog) GetLog(index uint64, l *raft.Log) error {
	err := b.BoltStore.GetLog(index, l)
	if errors.Is(err, raft.ErrLogNotFound) {
		return raft.ErrLogNotFound
	}
	if err == nil {
		err = b.verify(index, l)
	}
	if err != nil {
		return fmt.Errorf("%w log file %s key %d (entry index %d): %w", ErrCorrupt, b.path, index, index, err)
	}
	return nil
}

func (b *boltLog) verify(index uint64, l *raft.Log) error {
	if len(l.Extensions) != 4 || l.Index != index || binary.LittleEndian.Uint32(l.Extensions) != entrySum(l) {
		return errRecordSum
	}
	l.Extensions = nil
	if l.Type == raft.LogCommand {
		return b.checkEntry(l.Data)
	}
	return nil
}

// DeleteRange removes a prefix in slices, so that StoreLogs never waits for long, and a suffix at once: a
// suffix that is half gone would be a log with a hole.
func (b *boltLog) DeleteRange(from, to uint64) error {
	first, err1 := b.FirstIndex()
	last, err2 := b.LastIndex()
	if err := errors.Join(err1, err2); err != nil || last == 0 {
		return err
	}
	from, to = max(from, first), min(to, last)
	for from == first && to < last && to-from >= boltDeleteSlice {
		slice := func() error { return b.BoltStore.DeleteRange(from, from+boltDeleteSlice-1) }
		if err := settle(slice); err != nil {
			return err
		}
		from += boltDeleteSlice
		first = from
	}
	return settle(func() error { return b.BoltStore.DeleteRange(from, to) })
}
