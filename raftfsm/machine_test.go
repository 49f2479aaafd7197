package raftfsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// lone is a machine without a node: a test hands it log entries itself.
type lone struct {
	*machine
	index uint64
	term  cluster.Term
	own   *batch // what the next entry answers
}

func newLone(t testing.TB) *lone {
	l := newUnclosed()
	t.Cleanup(func() { l.store.Close() })
	return l
}

func newUnclosed() *lone {
	l := &lone{machine: newMachine(&Stats{}), term: 1}
	l.hooks = hooks{
		claim:   func(Header) *batch { b := l.own; l.own = nil; return b },
		newTerm: func(cluster.Term) {}, advanced: func(cluster.Index) {}, foreign: func(uint64, uint64) {},
		compacted: func() {}, restored: func() {}, alarmed: func() {},
	}
	return l
}

// entry logs the requests that fill adds, at a time, meant for a term, and returns their submission.
func (l *lone) entry(now mvcc.UnixMilli, meant cluster.Term, fill func(*Submission)) *Submission {
	s := &Submission{done: make(chan struct{}, 1)}
	fill(s)
	data := append(make([]byte, headerSize), s.buf...)
	putHeader(data, Header{Term: meant, Time: now, Count: uint32(s.n)})
	l.index++
	l.own = &batch{subs: []*Submission{s}, counts: []int{s.n}}
	l.ApplyBatch([]*raft.Log{{Index: l.index, Term: uint64(l.term), Type: raft.LogCommand, Data: data}})
	return s
}

func put(key, value string, x mvcc.Expiry) *mvcc.Txn {
	return &mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: mvcc.KeySpan(key), Value: value, Expiry: x}}}
}

func (l *lone) get(key string) mvcc.Record {
	var rec mvcc.Record
	l.store.View(func(v *mvcc.View) { rec = v.Get(key) })
	return rec
}

func TestApplyAnswersTheSubmission(t *testing.T) {
	l := newLone(t)
	s := l.entry(1000, 1, func(s *Submission) {
		s.AddTxn(put("a", "1", mvcc.Expiry{}))
		s.AddTxn(put("b", "2", mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: 500}))
		s.AddCompact(99)
		s.AddCompact(2)
	})
	select {
	case <-s.Done():
	default:
		t.Fatal("not finished")
	}
	if s.Err() != nil || s.Result(0).Revision != 2 || s.Result(1).Revision != 3 {
		t.Errorf("results %+v %+v, err %v", s.Result(0), s.Result(1), s.Err())
	}
	if err := s.Result(2).Ops[0].Err; !errors.Is(err, mvcc.ErrFutureRevision) {
		t.Errorf("compaction of a future revision: %v", err)
	}
	if err := s.Result(3).Ops[0].Err; err != nil || l.store.CompactRevision() != 2 {
		t.Errorf("compaction: %v, compact revision %d", err, l.store.CompactRevision())
	}
	if got := l.get("b").Deadline(); got != 1500 {
		t.Errorf("deadline %d, want the stamp plus 500", got)
	}
}

// An entry of another term than its leader meant it for is void on every member.
func TestApplyVoidEntry(t *testing.T) {
	l := newLone(t)
	l.term = 5
	l.entry(1000, 4, func(s *Submission) { s.AddTxn(put("a", "1", mvcc.Expiry{})) })
	if l.store.Revision() != 1 || l.get("a").Exists() {
		t.Error("a void entry changed the state")
	}
	if l.applied.Load() != 1 {
		t.Error("a void entry must still advance the applied index")
	}
}

// A second LeaderStart of a term, proposed because the outcome of the first did not show in time, begins
// nothing: what followers have forwarded since, and the clock that counts the leases, go on.
func TestATermStartsOnce(t *testing.T) {
	e := New(Config{})
	defer e.Release()
	start := func(index uint64) {
		s := &Submission{}
		s.add(ReqLeaderStart, func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, 1) })
		data := append(make([]byte, headerSize), s.buf...)
		putHeader(data, Header{Term: 3, Time: 1, Count: 1})
		e.machine.Apply(&raft.Log{Index: index, Term: 3, Type: raft.LogCommand, Data: data})
	}
	start(1)
	p := e.proposer
	p.mu.taken[9] = taken{number: 4, answer: verdictAccepted}
	p.mu.rounds.waiting = []forwarded{{header: Header{Origin: 9, Batch: 4}}}
	e.leases.clock.Start(3, e.machine.leases.Capture())
	start(2)
	if p.mu.taken[9].number != 4 || len(p.mu.rounds.waiting) != 1 {
		t.Errorf("forwarded batches are forgotten: %v, %v", p.mu.taken, p.mu.rounds.waiting)
	}
	if term, running := e.leases.clock.Term(); !running || term != 3 {
		t.Errorf("the leases are counted anew: term %d, %v", term, running)
	}
}

// Time never goes back, even when a later leader's clock is behind.
func TestApplyClockIsMonotone(t *testing.T) {
	l := newLone(t)
	l.entry(5000, 1, func(s *Submission) { s.AddTxn(put("a", "1", mvcc.Expiry{Mode: mvcc.ExpiryAt, MS: 4500})) })
	l.entry(4000, 1, func(s *Submission) { s.AddTxn(put("b", "1", mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: 10})) })
	if got := l.get("b").Deadline(); got != 5010 {
		t.Errorf("deadline %d, want 5010: the earlier stamp counts", got)
	}
	if l.clock.Load() != 5000 {
		t.Errorf("clock %d", l.clock.Load())
	}
}

// Expire ends a key only if it is still the one that was seen, and the deadline index follows.
func TestApplyExpire(t *testing.T) {
	l := newLone(t)
	in := mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: 10}
	l.entry(1000, 1, func(s *Submission) { s.AddTxn(put("a", "1", in)); s.AddTxn(put("b", "1", in)) })
	due, _ := l.deadlines.Due(1010, 10, 100)
	if len(due) != 2 || l.deadlines.Next() != 1010 {
		t.Fatalf("due %v, next %d", due, l.deadlines.Next())
	}
	l.entry(1005, 1, func(s *Submission) { s.AddTxn(put("b", "2", mvcc.Expiry{})) })
	l.entry(1010, 1, func(s *Submission) { s.AddExpire(due) })
	if l.get("a").Exists() || !l.get("b").Exists() {
		t.Errorf("a %v, b %v", l.get("a").Exists(), l.get("b").Exists())
	}
	if l.deadlines.Len() != 0 || l.stats.Expired.Load() != 1 {
		t.Errorf("index has %d keys, %d expired", l.deadlines.Len(), l.stats.Expired.Load())
	}
}

func TestApplyPanicsOnDamage(t *testing.T) {
	l := newUnclosed() // the panic leaves its store locked: the process would have died
	for name, data := range map[string][]byte{
		"checksum": func() []byte { b := goldenEntry(); b[60] ^= 1; return b }(),
		"kind": func() []byte {
			b := appendRequest(make([]byte, headerSize), ReqUser, func(b []byte) []byte { return b })
			putHeader(b, Header{Term: 1, Count: 1})
			return b
		}(),
	} {
		func() {
			defer func() {
				if msg := fmt.Sprint(recover()); !strings.Contains(msg, "entry 7") {
					t.Errorf("%s: panic %q does not name the entry", name, msg)
				}
			}()
			l.Apply(&raft.Log{Index: 7, Term: 1, Data: data})
		}()
	}
}

// fileSink is a raft.SnapshotSink in memory.
type fileSink struct {
	bytes.Buffer
	canceled bool
}

func (*fileSink) ID() string      { return "test" }
func (s *fileSink) Cancel() error { s.canceled = true; return nil }
func (*fileSink) Close() error    { return nil }

// filled returns a machine with overwritten, deleted, expired and compacted keys, and members.
func filled(t testing.TB, writes int) *lone {
	l := newLone(t)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range writes {
		l.entry(mvcc.UnixMilli(i), 1, func(s *Submission) {
			key := fmt.Sprint("key", r.IntN(writes/2))
			switch r.IntN(10) {
			case 0:
				s.AddTxn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpDelete, Span: mvcc.KeySpan(key)}}})
			case 1:
				s.AddTxn(put(key, "x", mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: 100000}))
			default:
				s.AddTxn(put(key, strings.Repeat("v", r.IntN(300)), mvcc.Expiry{}))
			}
		})
	}
	l.entry(0, 1, func(s *Submission) { s.AddCompact(mvcc.Revision(writes / 4)) })
	l.entry(0, 1, func(s *Submission) { s.addMember(memberRecord{ID: 2, Name: "n2", ClientAddr: "b:1"}) })
	l.entry(0, 1, func(s *Submission) { s.addMember(memberRecord{ID: 1, Name: "n1", ClientAddr: "a:1"}) })
	return l
}

func persisted(t testing.TB, l *lone) []byte {
	snap, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	var sink fileSink
	if err := snap.Persist(&sink); err != nil {
		t.Fatal(err)
	}
	return sink.Bytes()
}

// A restored machine is the one that was captured, and goes on like it.
func TestSnapshotRoundTrip(t *testing.T) {
	l := filled(t, 2000)
	file := persisted(t, l)
	if err := VerifySnapshot(bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	other := newLone(t)
	if err := other.Restore(io.NopCloser(bytes.NewReader(file))); err != nil {
		t.Fatal(err)
	}
	if err := other.store.Check(); err != nil {
		t.Fatal(err)
	}
	if got, want := *other.members.Load(), *l.members.Load(); len(got) != 2 || !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}
	if other.deadlines.Len() != l.deadlines.Len() || other.deadlines.Len() == 0 {
		t.Errorf("deadlines %d, want %d", other.deadlines.Len(), l.deadlines.Len())
	}
	if a, b := l.applied.Load(), other.applied.Load(); a != b || l.clock.Load() != other.clock.Load() {
		t.Errorf("applied %d and %d, clock %d and %d", a, b, l.clock.Load(), other.clock.Load())
	}
	for _, m := range []*lone{l, other} {
		m.entry(5000, 1, func(s *Submission) { s.AddTxn(put("after", "1", mvcc.Expiry{})) })
	}
	revA, hashA := l.store.Hash()
	revB, hashB := other.store.Hash()
	if revA != revB || hashA != hashB {
		t.Errorf("revision %d and %d, hash %x and %x", revA, revB, hashA, hashB)
	}
}

// A snapshot is of the moment it was taken, whatever is written while it is persisted.
func TestSnapshotBesideWrites(t *testing.T) {
	l := filled(t, 500)
	snap, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	rev, sum := l.store.Hash()
	l.entry(9000, 1, func(s *Submission) {
		s.AddTxn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpDelete, Span: mvcc.PrefixSpan("")}}})
		s.AddCompact(rev + 1)
	})
	for range 100 {
		l.store.CompactSlice(1000)
	}
	var sink fileSink
	if err := snap.Persist(&sink); err != nil {
		t.Fatal(err)
	}
	snap.Release()
	st, _, err := readState(&sink)
	if err != nil {
		t.Fatal(err)
	}
	defer st.store.Close()
	if gotRev, got := st.store.Hash(); gotRev != rev || got != sum {
		t.Errorf("revision %d hash %x, want %d %x", gotRev, got, rev, sum)
	}
}

// Each flipped byte and each truncation is found, and the message names an offset at or before it.
func TestSnapshotDamage(t *testing.T) {
	file := persisted(t, filled(t, 60))
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 0x10
		err := VerifySnapshot(bytes.NewReader(bad))
		var at int
		if err == nil || !strings.Contains(err.Error(), "offset") {
			t.Fatalf("flip at %d of %d: %v", i, len(file), err)
		}
		_, where, _ := strings.Cut(err.Error(), "offset ")
		if _, e := fmt.Sscan(strings.TrimRight(strings.Fields(where)[0], ":"), &at); e != nil || at > i {
			t.Fatalf("flip at %d: %v", i, err)
		}
		if err := VerifySnapshot(bytes.NewReader(file[:i])); !errors.Is(err, ErrSnapshot) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if err := VerifySnapshot(bytes.NewReader(append(bytes.Clone(file), 0))); err == nil {
		t.Error("a byte after the end was not noticed")
	}
}

// A failed Persist cancels the sink, and a failed Restore leaves the state as it was.
func TestSnapshotFailures(t *testing.T) {
	l := filled(t, 60)
	file := persisted(t, l)
	rev, sum := l.store.Hash()
	file[len(file)/2] ^= 1
	if err := l.Restore(io.NopCloser(bytes.NewReader(file))); !errors.Is(err, ErrSnapshot) {
		t.Fatalf("Restore of a damaged file: %v", err)
	}
	if gotRev, got := l.store.Hash(); gotRev != rev || got != sum {
		t.Error("a failed Restore changed the state")
	}
	snap, _ := l.Snapshot()
	defer snap.Release()
	sink := &failingSink{}
	if err := snap.Persist(sink); !errors.Is(err, io.ErrShortWrite) || !sink.canceled {
		t.Errorf("Persist to a full disk: %v, canceled %v", err, sink.canceled)
	}
}

type failingSink struct{ fileSink }

func (*failingSink) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(snapshotMagic))
	f.Fuzz(func(t *testing.T, in []byte) {
		if VerifySnapshot(bytes.NewReader(in)) == nil && len(in) < 100 {
			t.Error("accepted")
		}
	})
}
