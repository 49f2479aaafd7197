package raftfsm

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math"

	"github.com/hashicorp/raft"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// Backups, and the state that a new cluster starts from.
//
// Idea. A backup is a snapshot: the same capture, the same file. Raft's own is taken on the goroutine that
// applies; a backup is taken from any other, between two batches, which is what machine.mu is for. It costs
// the writes the time of reading a few numbers, and holds compaction up for as long as the file takes to
// write; so whoever feeds a slow client writes to a file first and feeds the client from that.
//
// A new cluster starts from a snapshot of its own: restored from a backup, or replayed from what a survivor
// has. Both go through begin, which makes the header that of a beginning:
//
//  1. Index and term are 1: the log of the new cluster is empty. No LeaderStart has been applied, so no
//     term of the old cluster can be taken for one in which somebody here has led (the read barrier).
//  2. The members are forgotten, and the alarms that were up for them; each tells of itself when it starts.
//  3. The revision goes up by a bump and everything below it counts as compacted. Clients may have seen
//     revisions above the backup's. Without a bump, new writes would carry those numbers again, and caches
//     and fencing tokens of before would look valid. With it every number that is given from now on is
//     greater than any that was, and a watch that resumes is told COMPACTED instead of missing events in
//     silence.
//
// Blocks that are none of the above are copied as they are, of kinds this file need not know.
//
// Rejected: raft's newest snapshot as the backup, without a capture: it is as old as --snapshot-bytes
// allows. Drawback: a bump too small for what was lost is not noticed; the default is etcd's.

// DefaultBump is how much a new cluster raises the revision it starts from.
const DefaultBump = 1_000_000_000

// maxRevision keeps revisions exact in JSON and Lua, and cursors of SCAN valid.
const maxRevision = 1 << 53

// Capture is a moment of this member's state on its way into a file. Not safe for concurrent use.
type Capture struct{ s *snapshot }

// Capture captures what has been applied. The owner calls Release, soon: compaction waits for it. Safe for
// concurrent use.
func (e *Engine) Capture() *Capture {
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	return &Capture{e.machine.capture()}
}

// Header returns what the file will say of itself.
func (c *Capture) Header() SnapshotHeader { return c.s.header }

// Write writes the file and returns its SHA-256. It may be called once.
func (c *Capture) Write(out io.Writer) (sum [sha256.Size]byte, err error) {
	if err := c.s.write(out); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(c.s.sum.Sum(nil)), nil
}

// Release lets compaction go on. A second call does nothing.
func (c *Capture) Release() { c.s.Release() }

// Inspection is what a snapshot file turned out to be.
type Inspection struct {
	Header SnapshotHeader
	Bytes  int64
	SHA256 [sha256.Size]byte // of the whole file
}

// InspectSnapshot reads a whole snapshot. The error names the offset of what is wrong with it.
func InspectSnapshot(in io.Reader) (Inspection, error) {
	var st state
	r := newBlockReader(in)
	err := r.walk(&st, func(mvcc.Revision, uint32, string) error { return nil })
	return Inspection{st.header, r.at, [sha256.Size]byte(r.sum.Sum(nil))}, err
}

// begin makes h the header of a new cluster's first snapshot.
func (h *SnapshotHeader) begin(bump int64) error {
	if bump < 0 || bump > math.MaxInt64-maxRevision || int64(h.Revision)+bump >= maxRevision {
		return fmt.Errorf("%w: revision %d cannot be raised by %d: it must stay below %d",
			ErrSnapshot, h.Revision, bump, int64(maxRevision))
	}
	if bump > 0 {
		h.Revision += mvcc.Revision(bump)
		h.CompactRevision = h.Revision
	}
	h.Applied, h.Term, h.Ready = 1, 1, 0
	return nil
}

// ResetSnapshot copies a snapshot for a new cluster to start from. It returns the header it wrote.
func ResetSnapshot(in io.Reader, out io.Writer, bump int64) (h SnapshotHeader, err error) {
	r, w := newBlockReader(in), newBlockWriter(out)
	var intro [len(snapshotMagic) + 2]byte
	r.read(intro[:])
	w.raw(intro[:])
	for r.err == nil && w.err == nil {
		sum := r.sum.Sum(nil)
		payload := r.block()
		if r.err != nil {
			break
		}
		switch payload[0] {
		case 'H':
			if h, err = resetHeader(payload, bump); err != nil {
				return h, err
			}
			w.block(payload)
		case 'M':
			w.block([]byte{'M', 0})
		case 'A': // of members that the new cluster does not have
		case 'F':
			w.records = h.Records
			if err := r.footer(payload, sum, h.Records, h.Records); err != nil {
				return h, err
			}
			return h, w.finish(h.Records)
		default:
			w.block(payload)
		}
	}
	if r.err != nil {
		return h, r.err
	}
	return h, w.err
}

// resetHeader changes the fields of a header block that this version knows, in place.
func resetHeader(payload []byte, bump int64) (h SnapshotHeader, err error) {
	p := reader{b: payload[1:]}
	h.decode(&p)
	if p.err == nil {
		p.err = h.begin(bump)
	}
	if p.err == nil {
		copy(payload, h.encode())
	}
	return h, p.err
}

// Replay applies a log to a state that nobody serves, for `redkeep recover`. Not safe for concurrent use.
type Replay struct {
	m      *machine
	broken bool // an entry could not be applied: the store is locked for good (mvcc.Store.Update)
}

// NewReplay starts from the state of a new store.
func NewReplay() *Replay {
	m := newMachine(&Stats{})
	m.hooks = hooks{
		claim: func(Header) *batch { return nil }, newTerm: func(cluster.Term) {},
		advanced: func(cluster.Index) {}, foreign: func(uint64, uint64) {},
		compacted: func() {}, restored: func() {}, alarmed: func() {},
	}
	return &Replay{m: m}
}

// Restore replaces the state by that of a snapshot.
func (r *Replay) Restore(in io.ReadCloser) error { return r.m.Restore(in) }

// Apply applies the next entry. After an error the state is good for nothing, and only Close may be called.
func (r *Replay) Apply(l *raft.Log) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			r.broken = true
			err = fmt.Errorf("%w: %v", ErrCodec, cause)
		}
	}()
	r.m.Apply(l)
	return nil
}

// Header returns what a snapshot of the state as it is would say of itself.
func (r *Replay) Header() SnapshotHeader {
	s := r.m.capture()
	defer s.Release()
	return s.header
}

// Write writes the state as a new cluster's first snapshot and returns the header it wrote.
func (r *Replay) Write(out io.Writer, bump int64) (SnapshotHeader, error) {
	s := r.m.capture()
	defer s.Release()
	if err := s.header.begin(bump); err != nil {
		return s.header, err
	}
	s.members, s.alarms = nil, nil
	return s.header, s.write(out)
}

// Close frees the state, but for one that is broken: that ends with the process.
func (r *Replay) Close() {
	if !r.broken {
		r.m.store.Close()
	}
}
