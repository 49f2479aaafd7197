package cluster

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// What raft-wal v0.4.2 needs around it:
//
//   - It marks new segments with its own codec's id whatever codec it was given, and then refuses to reopen
//     them. codecFiler and segmentList put the right id into files and metadata.
//   - When the process dies after the write that seals a segment and before the metadata says so, RecoverTail
//     hands back a writer that answers "segment is sealed" to every append, for ever; the same after a torn
//     sealing write. checkWAL finishes the rotation, or wipes the torn write, before raft-wal looks.
type codecFiler struct{ types.SegmentFiler }

func (f codecFiler) Create(i types.SegmentInfo) (types.SegmentWriter, error) {
	i.Codec = walCodecID
	return f.SegmentFiler.Create(i)
}

func (f codecFiler) RecoverTail(i types.SegmentInfo) (types.SegmentWriter, error) {
	i.Codec = walCodecID
	return f.SegmentFiler.RecoverTail(i)
}

// segmentList keeps raft-wal's list of segments in one small file: a line with the CRC32C of what follows
// in hex, and JSON. It is replaced by renaming. raft-wal's own keeps it in bbolt, which has no checksums: a
// flipped byte there can bring back an older list, or an empty one, and raft-wal deletes the files that are
// not on its list.
type segmentList struct{ dir string }

// walListFile is the list's name inside the log directory.
const walListFile = "segments.json"

var _ types.MetaStore = (*segmentList)(nil)

func (m *segmentList) path() string { return filepath.Join(m.dir, walListFile) }

// Load returns an empty state when there is no log yet.
func (m *segmentList) Load(dir string) (s types.PersistentState, err error) {
	m.dir = dir
	raw, err := os.ReadFile(m.path())
	if errors.Is(err, fs.ErrNotExist) {
		if stray, _ := filepath.Glob(filepath.Join(dir, "*.wal")); len(stray) > 0 {
			return s, fmt.Errorf("%w log file %s: missing, but there are segments", ErrCorrupt, m.path())
		}
		return s, nil
	}
	if err != nil {
		return s, err
	}
	sum, list, _ := bytes.Cut(raw, []byte("\n"))
	if string(sum) != listSum(list) {
		return s, fmt.Errorf("%w log file %s offset 0: the list does not match its checksum", ErrCorrupt, m.path())
	}
	if err := json.Unmarshal(list, &s); err != nil {
		return s, fmt.Errorf("%w log file %s: %w", ErrCorrupt, m.path(), err)
	}
	return s, nil
}

func listSum(list []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(list, castagnoli)) }

func (m *segmentList) CommitState(s types.PersistentState) error {
	s.Segments = append([]types.SegmentInfo(nil), s.Segments...)
	for i := range s.Segments {
		s.Segments[i].Codec = walCodecID
	}
	list, err := json.Marshal(s)
	if err != nil {
		return err
	}
	tmp := m.path() + ".tmp"
	if err := writeSynced(tmp, append([]byte(listSum(list)+"\n"), list...)); err != nil {
		return err
	}
	if err := rename(tmp, m.path()); err != nil {
		return err
	}
	return syncDir(m.dir)
}

// The stable store is stableStore; nobody asks this one.
func (*segmentList) GetStable([]byte) ([]byte, error) { return nil, errors.ErrUnsupported }
func (*segmentList) SetStable(_, _ []byte) error      { return errors.ErrUnsupported }
func (*segmentList) Close() error                     { return nil }

// checkWAL verifies all segments of the log in dir, wipes a torn tail and finishes an interrupted rotation.
// Unless it returns nil it has changed nothing.
func checkWAL(dir string, checkEntry func([]byte) error, segmentSize int, log *slog.Logger) error {
	meta := &segmentList{}
	state, err := meta.Load(dir)
	if err != nil {
		return err
	}
	c := walCheck{dir: dir, checkEntry: checkEntry, log: log}
	if err = c.segments(state.Segments); err == nil && c.tail != nil {
		err = c.repair(meta, state, segmentSize)
	}
	return err
}

type walCheck struct {
	dir        string
	checkEntry func([]byte) error
	log        *slog.Logger
	buf        []byte
	tail       *types.SegmentInfo
	scan       segmentScan // of the tail
}

func (c *walCheck) segments(list []types.SegmentInfo) error {
	for i, info := range list {
		if i > 0 && list[i-1].MaxIndex+1 != info.BaseIndex {
			return fmt.Errorf("%w log file %s: the list of segments has a gap before entry %d",
				ErrCorrupt, filepath.Join(c.dir, walListFile), info.BaseIndex)
		}
		if err := c.segment(info); err != nil {
			return err
		}
	}
	return nil
}

func (c *walCheck) segment(info types.SegmentInfo) error {
	path, tail := filepath.Join(c.dir, segment.FileName(info)), info.SealTime.IsZero()
	b, err := c.read(path)
	if errors.Is(err, fs.ErrNotExist) && tail {
		return nil // died between the metadata and the file: raft-wal makes it
	}
	if err != nil {
		return fmt.Errorf("%w log file %s: %w", ErrCorrupt, path, err)
	}
	scan, bad := scanSegment(b, segmentID{info.BaseIndex, info.ID}, tail)
	entries := uint64(len(scan.entries))
	if bad == nil && !tail && (scan.sealedAt != info.IndexStart || info.MaxIndex-info.BaseIndex >= entries) {
		bad = &damage{int(info.IndexStart), Index(info.MaxIndex), "the metadata does not fit the segment"}
	}
	if bad == nil {
		bad = c.entries(b, scan, info)
	}
	if bad != nil {
		return fmt.Errorf("%w log file %s %s", ErrCorrupt, path, bad)
	}
	if tail {
		c.tail, c.scan = &info, scan
	}
	return nil
}

// entries lets the owner of the data verify its own checksum too.
func (c *walCheck) entries(b []byte, scan segmentScan, info types.SegmentInfo) *damage {
	for i, off := range scan.entries {
		rec, err := checkRecord(b[off+frameHeader:])
		if err == nil && recordType(rec) == 0 {
			err = c.checkEntry(recordData(rec))
		}
		if err != nil {
			return &damage{off, Index(info.BaseIndex) + Index(i), err.Error()}
		}
	}
	return nil
}

func (c *walCheck) read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if int64(cap(c.buf)) < st.Size() {
		c.buf = make([]byte, st.Size())
	}
	c.buf = c.buf[:st.Size()]
	_, err = f.ReadAt(c.buf, 0)
	return c.buf, err
}

// repair wipes a torn tail, completes a cut commit and finishes a rotation.
func (c *walCheck) repair(meta *segmentList, state types.PersistentState, segmentSize int) error {
	path := filepath.Join(c.dir, segment.FileName(*c.tail))
	if c.scan.commitFix > 0 {
		c.log.Warn("log: completing a commit mark that was cut", "file", path, "offset", c.scan.commitFix)
		sum := binary.LittleEndian.AppendUint32(nil, c.scan.commitSum)
		if err := overwrite(path, int64(c.scan.commitFix), sum); err != nil {
			return err
		}
	}
	if c.scan.torn() {
		c.log.Warn("log: dropping a write that was never completed", "file", path, "offset", c.scan.end,
			"bytes", c.scan.used-c.scan.end)
		if err := overwrite(path, int64(c.scan.end), make([]byte, c.scan.used-c.scan.end)); err != nil {
			return err
		}
	}
	if c.scan.sealedAt == 0 {
		return nil
	}
	c.log.Info("log: finishing an interrupted segment rotation", "file", path)
	last := &state.Segments[len(state.Segments)-1]
	last.SealTime, last.IndexStart = time.Now(), c.scan.sealedAt
	last.MaxIndex = last.BaseIndex + uint64(len(c.scan.entries)) - 1
	state.Segments = append(state.Segments, types.SegmentInfo{
		ID: state.NextSegmentID, BaseIndex: last.MaxIndex + 1, MinIndex: last.MaxIndex + 1,
		SizeLimit: uint32(segmentSize), CreateTime: time.Now(),
	})
	state.NextSegmentID++
	return meta.CommitState(state)
}

func overwrite(path string, at int64, b []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = writeAt(f, b, at)
	return errors.Join(err, syncFile(f), f.Close())
}
