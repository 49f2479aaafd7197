package cluster

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Reading a WAL segment before raft-wal does.
//
// A segment is a 32-byte header {magic, version, base index, segment id, codec} and then frames, each
// padded to 8 bytes: an 8-byte header {type, 3 zero bytes, length or checksum} and a payload. Type 1 is an
// entry, 2 the index (the offsets of all entries; its presence seals the segment), 3 a commit, which has no
// payload and holds in place of a length the CRC32C of everything since the previous commit (the first one
// covers the file header too). One StoreLogs is one batch: entries, perhaps the index, one commit, one
// write, one sync. The file is allocated ahead as zeros.
//
// raft-wal assumes that bytes once synced never change. At start it walks the tail segment up to the first
// header it cannot understand, verifies the last batch only and drops what follows the last commit it
// believes; of a sealed segment it reads the header. A flipped byte therefore either loses acknowledged
// entries without a word or comes back as data. So each byte is verified here first, and what is not right
// is sorted into two kinds:
//
//	torn      the last batch, never acknowledged, was not written completely when the machine or process died;
//	damage    anything else: the node refuses to start and names file, offset and entry.
//
// What a torn batch can look like, given that repairTail zeroes all that follows the last commit (so no
// remains of an older torn batch can mix in): some of its bytes are still zero, either all from some point
// on (cut) or whole 512-byte sectors in any place (reordered). Hence the first frame that does not verify
// must be explained by zeros:
//
//	T1  nothing but zeros follows the frame, and the frame is not whole; or
//	T2  the frame has a sector, or the part of a sector that belongs to it, of zeros only, and no intact
//	    batch follows.
//
// An acknowledged batch has all its bytes, and one flipped byte can explain neither, but for one case: a
// record with 512 zero bytes in its value, flipped elsewhere, in the very last batch. That is taken for
// torn. The alternative, taking it for damage, would refuse to start after an ordinary power cut.
//
// Where a header is damaged the frame can look like a longer one that was cut (T1). Records carry their own
// length and checksum, and a commit can be recomputed, so both are recognised whatever their frame header
// says.
const (
	segHeader   = 32
	frameHeader = 8
	segMagic    = 0x58eb6b0d
	sectorSize  = 512

	frameNone   = 0
	frameEntry  = 1
	frameIndex  = 2
	frameCommit = 3
)

// segmentScan is what a segment holds.
type segmentScan struct {
	entries   []int  // frame offsets of the committed entries
	end       int    // just after the last good commit; 0 when there is none
	used      int    // just after the last byte that is not zero
	sealedAt  uint64 // raft-wal's IndexStart: offset of the index payload; 0 when the segment is not sealed
	commitFix int    // when > 0: a commit cut short, whose batch is whole, has its checksum here ...
	commitSum uint32 // ... and this is what it should be
}

// torn reports whether something must be wiped behind the last commit.
func (s *segmentScan) torn() bool { return s.used > s.end && s.sealedAt == 0 }

// damage is the position of a bad byte, as near as it can be told.
type damage struct {
	offset int
	index  Index
	why    string
}

func (d *damage) String() string {
	return fmt.Sprintf("offset %d (entry index %d): %s", d.offset, d.index, d.why)
}

type segmentID struct{ base, id uint64 }

type scanner struct {
	b       []byte
	want    segmentID
	scan    segmentScan
	pos     int
	pending []int  // entries since the last commit
	index   uint64 // offset of an index payload since the last commit
}

// scanSegment verifies a segment. With tail, a torn last batch is allowed.
func scanSegment(b []byte, want segmentID, tail bool) (segmentScan, *damage) {
	s := &scanner{b: b, want: want, pos: segHeader}
	s.scan.used = len(bytes.TrimRight(b, "\x00"))
	for s.scan.sealedAt == 0 {
		more, bad := s.step()
		if bad != nil {
			return s.scan, bad
		}
		if !more {
			break
		}
	}
	if !tail && s.scan.sealedAt == 0 {
		return s.scan, s.damaged(s.pos, "the segment ends before its index")
	}
	return s.scan, nil
}

func (s *scanner) damaged(at int, why string) *damage {
	return &damage{offset: at, index: Index(s.want.base) + Index(len(s.scan.entries)+len(s.pending)), why: why}
}

// step verifies one frame. more is false at the end of the intact part.
func (s *scanner) step() (more bool, bad *damage) {
	kind, size := s.header()
	switch kind {
	case frameEntry:
		return s.entry(size)
	case frameIndex:
		return s.indexFrame(size)
	case frameCommit:
		return s.commit()
	case frameNone:
		return false, s.zeroHeader()
	}
	return false, s.unknownHeader()
}

// header reads the frame header at pos. Kind is frameNone only for eight zero bytes or the end of the file.
func (s *scanner) header() (kind int, size int) {
	if s.pos+frameHeader > len(s.b) {
		return frameNone, 0
	}
	h := s.b[s.pos:]
	size = int(binary.LittleEndian.Uint32(h[4:]))
	if h[1]|h[2]|h[3] != 0 || h[0] == 0 && size != 0 {
		return -1, size
	}
	return int(h[0]), size
}

func (s *scanner) frameEnd(size int) int { return s.pos + frameHeader + (size+7)&^7 }

func (s *scanner) payload(size int) []byte {
	from := min(s.pos+frameHeader, len(s.b))
	return s.b[from:min(from+size, len(s.b))]
}

func (s *scanner) nextIndex() Index {
	return Index(s.want.base) + Index(len(s.scan.entries)+len(s.pending))
}

func (s *scanner) entry(size int) (bool, *damage) {
	rec, err := checkRecord(s.payload(size))
	if err == nil && len(rec) == size && recordIndex(rec) == s.nextIndex() {
		s.pending = append(s.pending, s.pos)
		s.pos = s.frameEnd(size)
		return true, nil
	}
	return false, s.judge(size, "the entry does not match its checksum")
}

func (s *scanner) indexFrame(size int) (bool, *damage) {
	want := s.expectedIndex()
	if bytes.Equal(want, s.payload(size)) {
		s.index = uint64(s.pos + frameHeader)
		s.pos = s.frameEnd(size)
		return true, nil
	}
	if size != len(want) && s.scan.used > s.pos+frameHeader {
		return false, s.damaged(s.pos, "the index has the wrong length")
	}
	return false, s.judge(len(want), "the index does not match the entries")
}

func (s *scanner) expectedIndex() []byte {
	var want []byte
	for _, list := range [][]int{s.scan.entries, s.pending} {
		for _, off := range list {
			want = binary.LittleEndian.AppendUint32(want, uint32(off))
		}
	}
	return want
}

// batchSum is the checksum a commit at pos should have.
func (s *scanner) batchSum() uint32 {
	return crc32.Checksum(s.b[s.scan.end:min(s.pos, len(s.b))], castagnoli)
}

// isCommit reports whether the eight bytes at pos end the batch, whatever type they claim.
func (s *scanner) isCommit() bool {
	return s.pos+frameHeader <= len(s.b) && s.pos > max(s.scan.end, segHeader) &&
		binary.LittleEndian.Uint32(s.b[s.pos+4:]) == s.batchSum()
}

func (s *scanner) commit() (bool, *damage) {
	if s.scan.end == 0 && !s.headerMatches() {
		return false, s.damaged(0, "the segment header is wrong")
	}
	stored, want := binary.LittleEndian.Uint32(s.b[s.pos+4:]), s.batchSum()
	if stored != want && !s.cutCommit(stored, want) {
		return false, s.damaged(s.scan.end, "the batch does not match its checksum")
	}
	if stored != want {
		s.scan.commitFix, s.scan.commitSum = s.pos+4, want
		s.scan.used = s.pos + frameHeader
	}
	s.scan.entries, s.pending = append(s.scan.entries, s.pending...), nil
	s.pos += frameHeader
	s.scan.end, s.scan.sealedAt = s.pos, s.index
	return true, nil
}

// cutCommit reports whether the checksum of a commit was cut. Every entry before it has been verified, so
// the batch is kept and the commit completed: keeping an entry that nobody was told of is always right,
// dropping one that somebody was told of never.
func (s *scanner) cutCommit(stored, want uint32) bool {
	written := max(s.scan.used-(s.pos+4), 0)
	if written >= 4 {
		return false
	}
	return stored == want&(1<<(8*written)-1)
}

func (s *scanner) headerMatches() bool {
	var want [segHeader]byte
	binary.LittleEndian.PutUint32(want[0:], segMagic)
	binary.LittleEndian.PutUint64(want[8:], s.want.base)
	binary.LittleEndian.PutUint64(want[16:], s.want.id)
	binary.LittleEndian.PutUint64(want[24:], walCodecID)
	return bytes.HasPrefix(s.b, want[:])
}

// zeroHeader: the log ends here, or the sector with the next frame's header was not written (T2).
func (s *scanner) zeroHeader() *damage {
	if s.scan.used <= s.pos || s.zeroSector(s.pos, s.pos+1) {
		return nil
	}
	return s.damaged(s.pos, "a frame has no header")
}

// unknownHeader: a header lies within one sector, so tearing cannot make it up; only a few stray bytes in
// the unused part of the file, where no batch fits, lose nothing.
func (s *scanner) unknownHeader() *damage {
	if s.scan.used-s.pos < frameHeader && !s.isCommit() {
		return nil
	}
	return s.damaged(s.pos, "a frame has an unknown type")
}

// judge decides between torn (nil) and damage for a frame at pos that does not verify.
func (s *scanner) judge(size int, why string) *damage {
	if s.isCommit() {
		return s.damaged(s.pos, "a commit has the wrong type")
	}
	if s.pos+frameHeader < len(s.b) {
		if rec, err := checkRecord(s.b[s.pos+frameHeader:]); err == nil && recordIndex(rec) == s.nextIndex() {
			return s.damaged(s.pos, "the frame header does not fit its entry")
		}
	}
	end := s.frameEnd(size)
	if s.scan.used <= end { // T1
		return nil
	}
	if s.zeroSector(s.pos+frameHeader, end) && !s.batchAfter(end) { // T2
		return nil
	}
	return s.damaged(s.pos, why)
}

// zeroSector reports whether [from, to) touches a sector whose bytes behind the last commit are all zero.
func (s *scanner) zeroSector(from, to int) bool {
	for at := from &^ (sectorSize - 1); at < min(to, len(s.b)); at += sectorSize {
		part := s.b[max(at, s.scan.end):min(at+sectorSize, len(s.b))]
		if len(bytes.Trim(part, "\x00")) == 0 {
			return true
		}
	}
	return false
}

// batchAfter reports whether a whole batch follows the one that the frame ending at pos belongs to: then
// this one was acknowledged before that one was written.
func (s *scanner) batchAfter(pos int) bool {
	probe := scanner{b: s.b, want: s.want, pos: pos}
	for commits := 0; ; {
		kind, size := probe.header()
		switch kind {
		case frameEntry, frameIndex:
			probe.pos = probe.frameEnd(size)
		case frameCommit:
			if commits > 0 && probe.isCommit() {
				return true
			}
			commits++
			probe.pos += frameHeader
			probe.scan.end = probe.pos
		default:
			return false
		}
	}
}
