package raftfsm

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/hashicorp/raft"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/mvcc"
)

// The snapshot format, version 3: one file for raft's snapshots, backups and streams. Integers are
// big-endian; uvarint and bytes are those of the log format.
//
//	file   = "REDKEEP\x00", u16 version, block…
//	block  = u32 length of the payload, u32 CRC-32C of the payload, payload
//	payload, by its first byte:
//	  'H'  once, first:  u64 × 9: revision, compact revision, applied index, its term, term of the last
//	                     LeaderStart, clock (Unix ms), state hash, number of records, number of live keys
//	  'M'  once, second: uvarint n, member × n (as in the log)
//	  'L'  once, third, not in version 1: uvarint grants ever, uvarint lease time, uvarint n,
//	                     (ref, uvarint ttl ms, u8 full, uvarint deadline in lease time) × n
//	  'A'  at most once, next, not before version 3, only if an alarm is up: uvarint n, alarm × n (alarm.go)
//	  'U'  once at most, before the first 'R', left out while nobody has ever changed a user: uvarint
//	                     version, uvarint n, (bytes name, bytes rules) × n
//	  'R'  any number:   (uvarint mod minus the previous record's in this block, uvarint sub,
//	                     bytes encoded record) … in revision order
//	  'F'  once, last:   u64 records, 32 bytes SHA-256 of everything before this block
//
// Idea. The history up to the captured revision never changes: records are immutable, and compaction
// is pinned. So the capture is a few numbers, and writing walks the history in short chunks beside
// new writes. The index is not written: it follows from the records.
//
// Version 1 had no leases and no marks in records (mvcc/queues.go), version 2 no alarms; both are still read.
// A block that is not always there comes between 'L' and 'R' and is known by its first byte.
//
// Every byte is covered by a block checksum, which names the offset of what is wrong, and all of them
// by the SHA-256. Rejected: compressing by default, which costs more time than the disk here.
// Drawback: a pinned compaction lets history grow while a snapshot is written.
const (
	snapshotMagic   = "REDKEEP\x00"
	snapshotVersion = 3
	withoutLeases   = 1         // the last version that has no block of leases
	withoutAlarms   = 2         // the last version that has none of alarms
	blockBytes      = 256 << 10 // payload of a record block, about
	maxBlockBytes   = 600 << 20 // one record of the largest value fits
	headerFields    = 9
)

// SnapshotHeader is what a snapshot says of itself.
type SnapshotHeader struct {
	Revision, CompactRevision mvcc.Revision
	Applied                   cluster.Index
	Term, Ready               cluster.Term
	Clock                     mvcc.UnixMilli
	Hash                      uint64
	Records, Keys             int64
}

func (h *SnapshotHeader) encode() []byte {
	b := []byte{'H'}
	for _, v := range [headerFields]uint64{
		uint64(h.Revision), uint64(h.CompactRevision), uint64(h.Applied), uint64(h.Term), uint64(h.Ready),
		uint64(h.Clock), h.Hash, uint64(h.Records), uint64(h.Keys),
	} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

func (h *SnapshotHeader) decode(r *reader) {
	h.Revision, h.CompactRevision = mvcc.Revision(r.u64()), mvcc.Revision(r.u64())
	h.Applied, h.Term, h.Ready = cluster.Index(r.u64()), cluster.Term(r.u64()), cluster.Term(r.u64())
	h.Clock, h.Hash = mvcc.UnixMilli(r.u64()), r.u64()
	h.Records, h.Keys = int64(r.u64()), int64(r.u64())
}

// snapshot is a captured state on its way to a file.
type snapshot struct {
	pin     *mvcc.Pin
	header  SnapshotHeader
	members []memberRecord
	leases  lease.State
	alarms  []Alarm
	sum     hash.Hash // SHA-256 of what write has written
	users   *UserTable
}

// Persist implements raft.FSMSnapshot.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.write(sink); err != nil {
		return fmt.Errorf("snapshot at revision %d: %w", s.header.Revision, errors.Join(err, sink.Cancel()))
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (s *snapshot) Release() { s.pin.Release() }

func (s *snapshot) write(out io.Writer) error {
	w := newBlockWriter(out)
	s.sum = w.sum
	w.raw(binary.BigEndian.AppendUint16([]byte(snapshotMagic), snapshotVersion))
	w.block(s.header.encode())
	members := binary.AppendUvarint([]byte{'M'}, uint64(len(s.members)))
	for _, m := range s.members {
		members = appendMember(members, m)
	}
	w.block(members)
	w.block(appendLeases([]byte{'L'}, s.leases))
	if len(s.alarms) > 0 {
		w.block(appendAlarms([]byte{'A'}, s.alarms))
	}
	if s.users != nil && s.users.Version > 0 {
		w.block(appendUsers([]byte{'U'}, s.users))
	}
	s.records(w)
	return w.finish(s.header.Records)
}

// records writes the history in chunks; the store is not locked while a chunk is written out.
func (s *snapshot) records(w *blockWriter) {
	after, sub := mvcc.Revision(0), int64(-1)
	block := make([]byte, 0, blockBytes+4096)
	for more := true; more && w.err == nil; {
		block = append(block[:0], 'R')
		previous := mvcc.Revision(0)
		more = s.pin.Ascend(after, sub, blockBytes, func(rec mvcc.Record) {
			after, sub = rec.ModRevision(), int64(rec.Sub())
			block = binary.AppendUvarint(block, uint64(after-previous))
			block = appendBytes(binary.AppendUvarint(block, uint64(sub)), rec.Encoded())
			previous = after
			w.records++
		})
		if len(block) > 1 {
			w.block(block)
		}
	}
}

// blockWriter writes blocks and remembers the first error.
type blockWriter struct {
	out     *bufio.Writer
	sum     hash.Hash
	records int64
	err     error
}

func newBlockWriter(out io.Writer) *blockWriter {
	return &blockWriter{out: bufio.NewWriter(out), sum: sha256.New()} // large payloads pass by its buffer
}

func (w *blockWriter) raw(b []byte) {
	if w.err == nil {
		w.sum.Write(b)
		_, w.err = w.out.Write(b)
	}
}

func (w *blockWriter) block(payload []byte) {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
	w.raw(binary.BigEndian.AppendUint32(head, crc32.Checksum(payload, castagnoli)))
	w.raw(payload)
}

func (w *blockWriter) finish(want int64) error {
	if w.err == nil && w.records != want {
		return fmt.Errorf("%w: wrote %d records, the capture had %d", ErrSnapshot, w.records, want)
	}
	footer := binary.BigEndian.AppendUint64([]byte{'F'}, uint64(w.records))
	w.block(w.sum.Sum(footer))
	if w.err != nil {
		return w.err
	}
	return w.out.Flush()
}
