package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/hashicorp/raft"
)

// A log entry in a WAL segment. All integers are little-endian.
//
//	0   crc32c   4   over bytes 4 to the end
//	4   length   4   of the whole record, header included
//	8   index    8
//	16  term     8
//	24  type     1
//	25  zero     3
//	28  ext      4   length of Extensions
//	32  appended 8   Unix nanoseconds, 0 unknown
//	40  extensions, data
//
// raft-wal's frame header gives a length too and nothing covers it when a record is read, so the record
// repeats it under its own checksum: a flipped length in the frame header is then told from a record cut
// short (walscan.go).
const (
	recordHeader = 40
	// walCodecID is stored in each segment's header. Values below 1<<16 are raft-wal's.
	walCodecID = 0x7265646b_00000001
)

// raft-wal gives Encode a new buffer for each entry and copies what is in it before StoreLogs returns. So the
// memory of these buffers is used again (begin): under load it was a quarter of all that a node allocated.
type walCodec struct {
	room []byte // of the goroutine that stores
}

// roomBytes is the most memory kept for the next call of StoreLogs.
const roomBytes = 1 << 20

func (*walCodec) ID() uint64 { return walCodecID }

// begin is called before StoreLogs is: nothing that was encoded so far is looked at any more.
func (c *walCodec) begin() {
	if cap(c.room) > roomBytes {
		c.room = nil
	}
	c.room = c.room[:0]
}

// take returns memory for so many bytes, empty.
func (c *walCodec) take(size int) []byte {
	from := len(c.room)
	if cap(c.room)-from < size { // what was taken before stays where it is
		c.room, from = make([]byte, 0, max(size, 2*cap(c.room))), 0
	}
	c.room = c.room[:from+size]
	return c.room[from : from : from+size]
}

// Encode is called by StoreLogs alone.
func (c *walCodec) Encode(l *raft.Log, w io.Writer) error {
	size := recordHeader + len(l.Extensions) + len(l.Data)
	if size > maxRecord {
		return fmt.Errorf("log entry %d has %d bytes, only %d can be read back", l.Index, size, maxRecord)
	}
	if b, ok := w.(*bytes.Buffer); ok && b.Len() == 0 {
		*b = *bytes.NewBuffer(c.take(size))
	}
	var h [recordHeader]byte
	binary.LittleEndian.PutUint32(h[4:], uint32(size))
	binary.LittleEndian.PutUint64(h[8:], l.Index)
	binary.LittleEndian.PutUint64(h[16:], l.Term)
	h[24] = byte(l.Type)
	binary.LittleEndian.PutUint32(h[28:], uint32(len(l.Extensions)))
	if !l.AppendedAt.IsZero() {
		binary.LittleEndian.PutUint64(h[32:], uint64(l.AppendedAt.UnixNano()))
	}
	sum := crc32.Update(0, castagnoli, h[4:])
	sum = crc32.Update(sum, castagnoli, l.Extensions)
	binary.LittleEndian.PutUint32(h[0:], crc32.Update(sum, castagnoli, l.Data))
	_, err := w.Write(h[:])
	if err == nil {
		_, err = w.Write(l.Extensions)
	}
	if err == nil {
		_, err = w.Write(l.Data)
	}
	return err
}

// maxRecord is raft-wal's limit for a record it will read back.
const maxRecord = 64 << 20

var (
	errRecordShort = errors.New("record is cut short")
	errRecordSum   = errors.New("record does not match its checksum")
)

// checkRecord returns the whole record at the start of b, which may be followed by other bytes.
func checkRecord(b []byte) ([]byte, error) {
	if len(b) < recordHeader {
		return nil, errRecordShort
	}
	size := int64(binary.LittleEndian.Uint32(b[4:]))
	ext := int64(binary.LittleEndian.Uint32(b[28:]))
	if size < recordHeader || size > int64(len(b)) || ext > size-recordHeader {
		return nil, errRecordShort
	}
	if crc32.Checksum(b[4:size], castagnoli) != binary.LittleEndian.Uint32(b) {
		return nil, errRecordSum
	}
	return b[:size], nil
}

func recordIndex(rec []byte) Index { return Index(binary.LittleEndian.Uint64(rec[8:])) }
func recordType(rec []byte) byte   { return rec[24] }
func recordData(rec []byte) []byte { return rec[recordHeader+binary.LittleEndian.Uint32(rec[28:]):] }

// Decode fills l with copies: raft-wal reuses b.
func (*walCodec) Decode(b []byte, l *raft.Log) error {
	rec, err := checkRecord(b)
	if err == nil && len(rec) != len(b) {
		err = errRecordShort
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	*l = raft.Log{
		Index: binary.LittleEndian.Uint64(rec[8:]),
		Term:  binary.LittleEndian.Uint64(rec[16:]),
		Type:  raft.LogType(recordType(rec)),
	}
	body := make([]byte, len(rec)-recordHeader)
	copy(body, rec[recordHeader:])
	ext := binary.LittleEndian.Uint32(rec[28:])
	if ext > 0 {
		l.Extensions = body[:ext:ext]
	}
	if len(body) > int(ext) {
		l.Data = body[ext:]
	}
	if at := int64(binary.LittleEndian.Uint64(rec[32:])); at != 0 {
		l.AppendedAt = time.Unix(0, at)
	}
	return nil
}
