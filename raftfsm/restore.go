package raftfsm

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/mvcc"
)

// state is what a snapshot holds, built aside.
type state struct {
	header  SnapshotHeader
	members []memberRecord
	leases  lease.State
	alarms  []Alarm
	users   *UserTable
	store   *mvcc.Store
}

// VerifySnapshot reads a whole snapshot and returns an error that names the offset of what is wrong
// with it. It needs memory for one block.
func VerifySnapshot(in io.Reader) error {
	var st state
	return walkSnapshot(in, &st, func(mvcc.Revision, uint32, string) error { return nil })
}

// ReadSnapshotHeader returns what a verified snapshot says of itself, reading no further.
func ReadSnapshotHeader(in io.Reader) (SnapshotHeader, error) {
	var st state
	r := newBlockReader(in)
	r.start(&st)
	return st.header, r.err
}

// readState builds the state that a snapshot holds.
func readState(in io.Reader) (*state, *lease.Deadlines, error) {
	st := &state{users: &UserTable{}}
	var loader *mvcc.Loader
	err := walkSnapshot(in, st, func(mod mvcc.Revision, sub uint32, enc string) error {
		if loader == nil {
			loader = mvcc.NewLoader(st.header.Revision, st.header.CompactRevision)
		}
		return loader.Add(mod, sub, enc)
	})
	if loader == nil {
		loader = mvcc.NewLoader(st.header.Revision, st.header.CompactRevision)
	}
	if err != nil {
		loader.Abort()
		return nil, nil, err
	}
	if st.store, err = loader.Finish(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if _, sum := st.store.Hash(); sum != st.header.Hash {
		st.store.Close()
		return nil, nil, fmt.Errorf("%w: state hash %016x, header says %016x", ErrSnapshot, sum, st.header.Hash)
	}
	return st, deadlinesOf(st.store), nil
}

// deadlinesOf builds the deadline index of a store that nobody else uses yet.
func deadlinesOf(s *mvcc.Store) *lease.Deadlines {
	d := lease.NewDeadlines()
	if s.Expiring() == 0 {
		return d
	}
	for cursor := s.Scan(0, 4096, d.Add); cursor != 0; {
		cursor = s.Scan(cursor, 4096, d.Add)
	}
	return d
}

// walkSnapshot verifies a snapshot from the first to the last byte and hands out its records in order.
func walkSnapshot(in io.Reader, st *state, add func(mvcc.Revision, uint32, string) error) error {
	return newBlockReader(in).walk(st, add)
}

func (r *blockReader) walk(st *state, add func(mvcc.Revision, uint32, string) error) error {
	r.start(st)
	var records int64
	for r.err == nil {
		sum := r.sum.Sum(nil)
		payload := r.block()
		if r.err != nil {
			break
		}
		if payload[0] == 'F' {
			return r.footer(payload, sum, records, st.header.Records)
		}
		if payload[0] == 'U' && records == 0 {
			r.usersBlock(payload, st)
			continue
		}
		records += r.recordBlock(payload, add)
	}
	return r.err
}

// blockReader reads blocks, knows where it is, and remembers the first error.
type blockReader struct {
	in  *bufio.Reader
	sum hash.Hash
	buf []byte
	at  int64 // offset of the next block
	was int64 // offset of the last block
	err error
}

func newBlockReader(in io.Reader) *blockReader {
	return &blockReader{in: bufio.NewReaderSize(in, blockBytes), sum: sha256.New()}
}

func (r *blockReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w at offset %d: %s", ErrSnapshot, r.was, fmt.Sprintf(format, args...))
	}
}

// start reads what comes before the records.
func (r *blockReader) start(st *state) {
	var intro [len(snapshotMagic) + 2]byte
	r.read(intro[:])
	if r.err == nil && string(intro[:len(snapshotMagic)]) != snapshotMagic {
		r.fail("not a Redkeep snapshot")
	}
	version := binary.BigEndian.Uint16(intro[len(snapshotMagic):])
	if r.err == nil && (version == 0 || version > snapshotVersion) {
		r.fail("format version %d, this program reads version %d", version, snapshotVersion)
	}
	r.parse('H', func(p *reader) { st.header.decode(p) })
	r.parse('M', func(p *reader) {
		for range p.count(10) {
			st.members = append(st.members, p.member().clone())
		}
	})
	st.leases = lease.NewState()
	if version > withoutLeases {
		r.parse('L', func(p *reader) { st.leases = p.leases() })
	}
	if version > withoutAlarms && r.peek() == 'A' {
		r.parse('A', func(p *reader) { st.alarms = p.alarms() })
	}
}

// peek returns the kind of the next block; 0 where none can be read.
func (r *blockReader) peek() byte {
	if head, err := r.in.Peek(9); r.err == nil && err == nil {
		return head[8]
	}
	return 0
}

func (r *blockReader) parse(kind byte, body func(*reader)) {
	payload := r.block()
	if r.err != nil {
		return
	}
	if payload[0] != kind {
		r.fail("block of kind %q where %q belongs", payload[0], kind)
		return
	}
	p := reader{b: payload[1:]}
	body(&p)
	if err := p.end(); err != nil {
		r.fail("%v", err)
	}
}

func (r *blockReader) read(b []byte) {
	if r.err != nil {
		return
	}
	if _, err := io.ReadFull(r.in, b); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			r.fail("the file ends early")
			return
		}
		r.err = fmt.Errorf("%w at offset %d: %w", ErrSnapshot, r.was, err)
		return
	}
	r.sum.Write(b)
	r.at += int64(len(b))
}

// block reads and verifies the next block; the payload is valid until the next call and never empty.
func (r *blockReader) block() []byte {
	r.was = r.at
	var head [8]byte
	r.read(head[:])
	size := binary.BigEndian.Uint32(head[:])
	if r.err == nil && (size == 0 || size > maxBlockBytes) {
		r.fail("impossible block length %d", size)
	}
	if r.err != nil {
		return nil
	}
	payload := r.payload(int(size))
	if sum := crc32.Checksum(payload, castagnoli); r.err == nil && sum != binary.BigEndian.Uint32(head[4:]) {
		r.fail("block checksum does not match")
	}
	return payload
}

// payload reads size bytes, growing with what is really there, not with what a damaged length says.
func (r *blockReader) payload(size int) []byte {
	r.buf = r.buf[:0]
	for len(r.buf) < size && r.err == nil {
		from := len(r.buf)
		n := min(size-from, 4<<20)
		r.buf = append(r.buf, make([]byte, n)...)
		r.read(r.buf[from:])
	}
	return r.buf
}

// usersBlock reads the users, who stand before the records if there are any.
func (r *blockReader) usersBlock(payload []byte, st *state) {
	p := reader{b: payload[1:]}
	users := p.users()
	if err := p.end(); err != nil {
		r.fail("%v", err)
		return
	}
	if st.users != nil && st.users.Version > 0 {
		r.fail("users stand twice")
	}
	st.users = users
}

func (r *blockReader) recordBlock(payload []byte, add func(mvcc.Revision, uint32, string) error) (n int64) {
	if payload[0] != 'R' {
		r.fail("unknown block kind %q", payload[0])
		return 0
	}
	p := reader{b: payload[1:]}
	mod := mvcc.Revision(0)
	for len(p.b) > 0 && p.err == nil {
		mod += p.revision()
		sub, enc := p.uvarint(), p.bytes()
		if p.err != nil {
			break
		}
		if err := add(mod, uint32(sub), enc); err != nil {
			r.fail("record of revision %d: %v", mod, err)
			return n
		}
		n++
	}
	if p.err != nil {
		r.fail("%v", p.err)
	}
	return n
}

// footer checks the totals and that nothing follows.
func (r *blockReader) footer(payload, sum []byte, records, promised int64) error {
	p := reader{b: payload[1:]}
	total := int64(p.u64())
	switch {
	case p.err != nil || !bytes.Equal(p.b, sum):
		r.fail("SHA-256 does not match")
	case total != records || promised != records:
		r.fail("%d records, the footer says %d, the header %d", records, total, promised)
	}
	if _, err := r.in.ReadByte(); r.err == nil && !errors.Is(err, io.EOF) {
		r.was = r.at
		r.fail("bytes after the end")
	}
	return r.err
}
