package raftfsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/pubsub"
)

// aged has a lease, an overwritten, a deleted and an expiring key, and a member.
func aged(t *testing.T) *lone {
	l := newLone(t)
	l.term = 7
	l.entry(1000, 7, func(s *Submission) { s.AddLeaseGrant(5, 60_000) })
	l.entry(1001, 7, func(s *Submission) { s.AddTxn(put("a", "1", mvcc.Expiry{})) })
	l.entry(1002, 7, func(s *Submission) { s.AddTxn(put("a", "2", mvcc.Expiry{})) })
	in := mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: 900_000}
	l.entry(1003, 7, func(s *Submission) { s.AddTxn(put("b", "3", in)) })
	l.ready.Store(7)
	l.members.Store(&[]memberRecord{{ID: 9, Name: "old", ClientAddr: "127.0.0.1:1"}})
	l.alarms.Store(&[]Alarm{{Kind: AlarmCorrupt, Member: 9, Since: 1, Detail: "old", Replicated: true}})
	return l
}

// A snapshot for a new cluster has the same keys and leases, and none of the old cluster's terms, indexes
// and members.
func TestResetSnapshot(t *testing.T) {
	old := aged(t)
	for _, bump := range []int64{0, 1000} {
		var b bytes.Buffer
		h, err := ResetSnapshot(bytes.NewReader(persisted(t, old)), &b, bump)
		if err != nil {
			t.Fatal(err)
		}
		l := newLone(t)
		if err := l.Restore(io.NopCloser(bytes.NewReader(b.Bytes()))); err != nil {
			t.Fatal(err)
		}
		before, after := old.store.Revision(), l.store.Revision()
		if after != before+mvcc.Revision(bump) || h.Revision != after {
			t.Errorf("bump %d: revision %d after %d", bump, after, before)
		}
		if bump > 0 && l.store.CompactRevision() != after {
			t.Errorf("what was before is readable: compacted at %d of %d", l.store.CompactRevision(), after)
		}
		if l.applied.Load() != 1 || l.ready.Load() != 0 || l.term != 1 || len(*l.members.Load()) != 0 {
			t.Errorf("applied %d, ready %d, term %d, members %v",
				l.applied.Load(), l.ready.Load(), l.term, *l.members.Load())
		}
		if left := *l.alarms.Load(); len(left) != 0 {
			t.Errorf("alarms of members that are not there: %v", left)
		}
		if got := l.get("a"); got.Value() != "2" || got.Version() != 2 || l.get("b").Deadline() != 901_003 {
			t.Errorf("a is %q, b ends at %d", got.Value(), l.get("b").Deadline())
		}
		if !l.leases.Granted(5) || l.clock.Load() != 1003 {
			t.Error("the lease or the clock is gone")
		}
		l.term, l.index = 2, 1
		s := l.entry(2000, 2, func(s *Submission) { s.AddTxn(put("c", "4", mvcc.Expiry{})) })
		if s.Result(0).Revision != after+1 {
			t.Errorf("the next revision is %d after %d", s.Result(0).Revision, after)
		}
	}
	if _, err := ResetSnapshot(bytes.NewReader(persisted(t, old)), io.Discard, maxRevision); err == nil {
		t.Error("a revision above 2^53 was taken")
	}
}

var atOffset = regexp.MustCompile(`at offset \d+`)

// Every flipped byte and every cut of a snapshot is found, with an offset, by those who only read it and by
// those who copy it.
func TestEveryFlippedByteIsFound(t *testing.T) {
	whole := persisted(t, aged(t))
	if in, err := InspectSnapshot(bytes.NewReader(whole)); err != nil || in.Bytes != int64(len(whole)) {
		t.Fatalf("%+v, %v", in, err)
	}
	for at := range whole {
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(whole)
			bad[at] ^= mask
			mustRefuse(t, fmt.Sprintf("byte %d xor %#x", at, mask), bad)
		}
		mustRefuse(t, fmt.Sprintf("cut after %d bytes", at), whole[:at])
	}
	mustRefuse(t, "one byte more", append(bytes.Clone(whole), 0))
}

func mustRefuse(t *testing.T, what string, bad []byte) {
	t.Helper()
	_, err := InspectSnapshot(bytes.NewReader(bad))
	if !errors.Is(err, ErrSnapshot) || !atOffset.MatchString(err.Error()) {
		t.Fatalf("%s: status says %v", what, err)
	}
	if _, err := ResetSnapshot(bytes.NewReader(bad), io.Discard, 1); err == nil {
		t.Fatalf("%s: copied", what)
	}
}

// A capture taken while others write is one moment: leases and keys belong together.
func TestCaptureBesideWrites(t *testing.T) {
	g := newGroup(t, 1, Config{})
	m := g.members[0]
	var writers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := m.do(put(fmt.Sprint("k", w, ".", i%50), fmt.Sprint(i), mvcc.Expiry{})); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		captureAndLoad(t, m.Engine)
	}
	close(stop)
	writers.Wait()
}

func captureAndLoad(t *testing.T, e *Engine) {
	t.Helper()
	c := e.Capture()
	defer c.Release()
	var b bytes.Buffer
	sum, err := c.Write(&b)
	if err != nil {
		t.Fatal(err)
	}
	in, err := InspectSnapshot(bytes.NewReader(b.Bytes()))
	if err != nil || in.SHA256 != sum || in.Header != c.Header() {
		t.Fatalf("read back %+v, %v", in, err)
	}
	l := newLone(t)
	if err := l.Restore(io.NopCloser(&b)); err != nil {
		t.Fatal(err) // among other things the hash of the state, which the machine counts as it applies
	}
}

// What a survivor's log holds is what a recovered cluster starts with.
func TestReplay(t *testing.T) {
	old := aged(t)
	r := NewReplay()
	defer r.Close()
	if err := r.Restore(io.NopCloser(bytes.NewReader(persisted(t, old)))); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	h, err := r.Write(&b, DefaultBump)
	if err != nil || h.Revision != old.store.Revision()+DefaultBump {
		t.Fatalf("%+v, %v", h, err)
	}
	if in, err := InspectSnapshot(&b); err != nil || in.Header != h {
		t.Errorf("read back %+v, %v", in.Header, err)
	}
}

// A capture that is asked for in the middle of a batch is made behind it: index, leases and keys are of one
// moment.
func TestCaptureWaitsForTheBatch(t *testing.T) {
	e := New(Config{})
	defer e.Release()
	applying, goOn := make(chan struct{}), make(chan struct{})
	e.machine.hooks = newLone(t).hooks
	e.machine.hooks.claim = func(Header) *batch {
		close(applying)
		<-goOn
		return nil
	}
	s := &Submission{done: make(chan struct{}, 1)}
	s.AddLeaseGrant(5, 60_000)
	data := append(make([]byte, headerSize), s.buf...)
	putHeader(data, Header{Term: 1, Time: 1, Count: uint32(s.n)})
	var work sync.WaitGroup
	work.Go(func() {
		e.FSM().ApplyBatch([]*raft.Log{{Index: 1, Term: 1, Type: raft.LogCommand, Data: data}})
	})
	<-applying
	captured := make(chan *Capture, 1)
	work.Go(func() { captured <- e.Capture() })
	select {
	case <-captured:
		t.Error("captured in the middle of a batch")
	case <-time.After(50 * time.Millisecond): // it can only be late, never early
	}
	close(goOn)
	work.Wait()
	select {
	case c := <-captured:
		defer c.Release()
		if c.Header().Applied != 1 || c.s.leases.Len() != 1 {
			t.Errorf("applied %d with %d leases", c.Header().Applied, c.s.leases.Len())
		}
	default:
	}
}

// A recovery applies whatever a log can hold, and starts without members and their alarms.
func TestReplayTakesEveryKind(t *testing.T) {
	r := NewReplay()
	defer r.Close()
	fills := map[RequestKind]func(*Submission){
		ReqTxn:             func(s *Submission) { s.AddTxn(put("a", "1", mvcc.Expiry{})) },
		ReqLeaseGrant:      func(s *Submission) { s.AddLeaseGrant(5, 60_000) },
		ReqLeaseCheckpoint: func(s *Submission) { s.addCheckpoint(1, nil) },
		ReqLeaseRevoke:     func(s *Submission) { s.AddLeaseRevoke(5) },
		ReqExpire:          func(s *Submission) { s.AddExpire([]mvcc.ExpireKey{{Key: "a", Mod: 1}}) },
		ReqCompact:         func(s *Submission) { s.AddCompact(2) },
		ReqPublish:         func(s *Submission) { s.AddPublish(pubsub.Message{Channel: "c", Payload: "p"}) },
		ReqMember:          func(s *Submission) { s.addMember(memberRecord{ID: 1, Name: "n1"}) },
		ReqUser:            func(s *Submission) { s.AddUsers(0, []UserChange{setUser("u", "on")}) },
		ReqAlarm:           func(s *Submission) { s.addAlarmRaise(AlarmCorrupt, 0, "members differ") },
		ReqLeaderStart: func(s *Submission) {
			s.add(ReqLeaderStart, func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, 1) })
		},
	}
	for kind := ReqTxn; kind <= ReqLeaderStart; kind++ {
		s := &Submission{}
		if fills[kind] == nil {
			t.Fatalf("no request of kind %d", kind)
		}
		fills[kind](s)
		data := append(make([]byte, headerSize), s.buf...)
		putHeader(data, Header{Term: 1, Time: 1, Count: uint32(s.n)})
		l := &raft.Log{Index: uint64(kind), Term: 1, Type: raft.LogCommand, Data: data}
		if err := r.Apply(l); err != nil {
			t.Fatalf("kind %d: %v", kind, err)
		}
	}
	var b bytes.Buffer
	if _, err := r.Write(&b, DefaultBump); err != nil {
		t.Fatal(err)
	}
	l := newLone(t)
	if err := l.Restore(io.NopCloser(&b)); err != nil {
		t.Fatal(err)
	}
	if members, alarms := *l.members.Load(), l.up(); len(members)+len(alarms) != 0 || !l.get("a").Exists() {
		t.Errorf("starts with the members %v and the alarms %v", members, alarms)
	}
}

// An entry that cannot be applied is an error, which whoever recovers is told: nothing hangs.
func TestReplayOfABadEntryEnds(t *testing.T) {
	r := NewReplay()
	defer r.Close()
	s := &Submission{}
	s.add(ReqLeaderStart+1, func(b []byte) []byte { return b })
	data := append(make([]byte, headerSize), s.buf...)
	putHeader(data, Header{Term: 1, Time: 1, Count: uint32(s.n)})
	err := r.Apply(&raft.Log{Index: 1, Term: 1, Type: raft.LogCommand, Data: data})
	if !errors.Is(err, ErrCodec) {
		t.Error(err)
	}
}
