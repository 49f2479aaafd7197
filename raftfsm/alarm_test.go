package raftfsm

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/redkeep/redkeep/cluster"
)

// goldenAlarms holds one of every request about alarms.
func goldenAlarms() []byte {
	s := &Submission{}
	s.addAlarmRaise(AlarmCorrupt, 7, "why")
	s.AddAlarmDisarm(0, 0)
	s.addAlarmClear(AlarmCorrupt, 7)
	return s.buf
}

// The bytes of the log format never change: an old log must stay readable.
func TestAlarmsGolden(t *testing.T) {
	got, path := hex.Dump(goldenAlarms()), filepath.Join("testdata", "alarms-v1.hex")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("alarms are encoded differently (a change needs version 2):\n%s", got)
	}
}

func (l *lone) up() (list []Alarm) { return *l.alarms.Load() }

func TestAlarmsAreRaisedOnceAndDisarmed(t *testing.T) {
	l := newLone(t)
	raise := func(now int64, m cluster.MemberID, detail string) {
		l.entry(unixMilli(now), 1, func(s *Submission) { s.addAlarmRaise(AlarmCorrupt, m, detail) })
	}
	raise(1000, 9, "nine")
	raise(2000, 7, "seven")
	raise(3000, 9, "again")
	want := []Alarm{{AlarmCorrupt, 7, 2000, "seven", true}, {AlarmCorrupt, 9, 1000, "nine", true}}
	if !slices.Equal(l.up(), want) {
		t.Fatalf("up: %+v", l.up())
	}
	count := func(kind AlarmKind, m cluster.MemberID) int64 {
		return l.entry(4000, 1, func(s *Submission) { s.AddAlarmDisarm(kind, m) }).Result(0).Ops[0].N
	}
	if n := count(AlarmNoSpace, 0); n != 0 || len(l.up()) != 2 {
		t.Errorf("another kind: %d", n)
	}
	if n := count(0, 8); n != 0 || len(l.up()) != 2 {
		t.Errorf("another member: %d", n)
	}
	l.entry(5000, 1, func(s *Submission) { s.addAlarmClear(AlarmCorrupt, 0) })
	if len(l.up()) != 2 {
		t.Error("clearing member 0 cleared others")
	}
	if n := count(AlarmCorrupt, 9); n != 1 || !slices.Equal(l.up(), want[:1]) {
		t.Errorf("one of two: %d, %+v", n, l.up())
	}
	raise(6000, 0, "nobody knows")
	if n := count(0, 0); n != 2 || len(l.up()) != 0 {
		t.Errorf("all: %d, %+v", n, l.up())
	}
	if revision, _ := l.store.Hash(); revision != 1 {
		t.Errorf("revision %d: alarms are no writes", revision)
	}
}

// Alarms are in the snapshot; a snapshot without any has no block for them and is what version 2 wrote.
func TestSnapshotHasAlarms(t *testing.T) {
	for _, raised := range []bool{true, false} {
		l := newLone(t)
		l.entry(1000, 1, func(s *Submission) { s.AddTxn(put("k", "v", noExpiry)) })
		if raised {
			l.entry(1000, 1, func(s *Submission) { s.addAlarmRaise(AlarmCorrupt, 7, "why") })
		}
		file := snapshotOf(t, l)
		if err := VerifySnapshot(bytes.NewReader(file)); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(file, []byte("why")) != raised {
			t.Error("the block of alarms is there or not, but wrongly so")
		}
		other := newLone(t)
		other.entry(1000, 1, func(s *Submission) { s.addAlarmRaise(AlarmCorrupt, 8, "old") })
		if err := other.Restore(io.NopCloser(bytes.NewReader(file))); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(other.up(), l.up()) || other.get("k").Value() != "v" {
			t.Errorf("restored: %+v", other.up())
		}
	}
}

func snapshotOf(t *testing.T, l *lone) []byte {
	t.Helper()
	snap, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	var file bytes.Buffer
	if err := snap.(*snapshot).write(&file); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// Every entry leaves a footprint, void ones and those of other kinds do not.
func TestTrail(t *testing.T) {
	l := newLone(t)
	if f := l.trail.newest(); f != (footprint{}) {
		t.Errorf("before anything: %+v", f)
	}
	l.entry(1, 1, func(s *Submission) { s.AddTxn(put("a", "1", noExpiry)) })
	l.entry(1, 2, func(s *Submission) { s.AddTxn(put("b", "1", noExpiry)) }) // void: meant for another term
	l.index++
	l.ApplyBatch([]*raft.Log{{Index: l.index, Term: 1, Type: raft.LogConfiguration}})
	revision, hash := l.store.Hash()
	want := footprint{1, revision, hash}
	if f := l.trail.newest(); f != want {
		t.Errorf("newest %+v, want %+v", f, want)
	}
	if f := l.trail.asOf(9); f != want {
		t.Errorf("as of 9: %+v", f)
	}
	for range trailLength {
		l.entry(1, 1, func(s *Submission) { s.AddTxn(put("a", "2", noExpiry)) })
	}
	if f := l.trail.asOf(1); f != (footprint{}) {
		t.Errorf("the first entry is still known: %+v", f)
	}
	if f := l.trail.asOf(4); f.index != 4 {
		t.Errorf("as of 4: %+v", f)
	}
}
