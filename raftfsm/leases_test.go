package raftfsm

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/lease"
	"github.com/redkeep/redkeep/locks"
	"github.com/redkeep/redkeep/mvcc"
)

func reencodeLease(s *Submission, kind RequestKind, body *reader) {
	switch kind {
	case ReqLeaseGrant:
		s.AddLeaseGrant(mvcc.LeaseID(body.u64()), body.millis())
	case ReqLeaseRevoke:
		if body.enum("revocation", revokeByClient, revokeExpired) == revokeExpired {
			s.addLeaseExpire(body.refs())
		} else {
			s.AddLeaseRevoke(mvcc.LeaseID(body.u64()))
		}
	default:
		if body.enum("checkpoint", checkpointTime, checkpointRenews) == checkpointRenews {
			s.addLeaseRenew(body.refs())
		} else {
			s.addCheckpoint(body.millis(), body.marks())
		}
	}
}

// goldenLeases holds one of every request about leases and queues.
func goldenLeases() []byte {
	var s Submission
	refs := []lease.Ref{{ID: 7, Seq: 1, Gen: 300}, {ID: -1, Seq: 2}}
	s.AddLeaseGrant(7, 60_000)
	s.AddLeaseRevoke(7)
	s.addLeaseExpire(refs)
	s.addLeaseRenew(refs)
	s.addCheckpoint(12_345, []lease.Mark{{Ref: refs[0], Left: 55}, {Ref: refs[1]}})
	s.AddTxn(&mvcc.Txn{
		Compares: []mvcc.Compare{{Target: mvcc.TargetLock, Op: mvcc.CmpEqual, Span: mvcc.KeySpan("m"), Num: 9}},
		Then: []mvcc.Op{
			{Kind: mvcc.OpModify, Modify: mvcc.ModifyQueueJoin, Span: mvcc.KeySpan("m"), Lease: 7, Delta: 1000,
				Value: "v", Flags: mvcc.FlagShared | mvcc.FlagTry},
			{Kind: mvcc.OpModify, Modify: mvcc.ModifyQueueRelease, Span: mvcc.KeySpan("m"), Delta: 9},
			{Kind: mvcc.OpModify, Modify: mvcc.ModifyQueueLeave, Span: mvcc.KeySpan("m"), Lease: 7},
			{Kind: mvcc.OpModify, Modify: mvcc.ModifyQueueValue, Span: mvcc.KeySpan("m"), Delta: 9, Value: "w",
				Flags: mvcc.FlagElection},
		},
	})
	return s.buf
}

func TestGoldenLeases(t *testing.T) {
	got, path := hex.Dump(goldenLeases()), filepath.Join("testdata", "leases-v1.hex")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("version 1 is encoded differently (a change needs version 2):\n%s", diff)
	}
}

func lockOp(kind mvcc.ModifyKind, id mvcc.LeaseID, n int64) *mvcc.Txn {
	return &mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpModify, Modify: kind, Span: mvcc.KeySpan("m"), Lease: id,
		Delta: n}}}
}

// withLeases is a machine with leases, keys on them, and a queue.
func withLeases(t *testing.T) *lone {
	l := newLone(t)
	l.entry(1, 1, func(s *Submission) {
		for id := range mvcc.LeaseID(5) {
			s.AddLeaseGrant(id+1, lease.Millis(1000*(id+1)))
			s.AddTxn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: mvcc.KeySpan(fmt.Sprint("k", id)),
				Lease: id + 1}}})
			s.AddTxn(lockOp(mvcc.ModifyQueueJoin, id+1, 0))
		}
		s.addCheckpoint(40, []lease.Mark{{Ref: lease.Ref{ID: 2, Seq: 2}, Left: 1500}})
	})
	return l
}

func leasesOf(l *lone) (all []lease.Lease) {
	s := l.leases.Capture()
	s.Each(func(one lease.Lease) { all = append(all, one) })
	return all
}

// Leases, what hangs on them and the queues come back with a snapshot.
func TestSnapshotHasLeases(t *testing.T) {
	l, other := withLeases(t), newLone(t)
	file := persisted(t, l)
	if err := VerifySnapshot(bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	if err := other.Restore(io.NopCloser(bytes.NewReader(file))); err != nil {
		t.Fatal(err)
	}
	if got, want := leasesOf(other), leasesOf(l); !slices.Equal(got, want) || len(got) != 5 {
		t.Errorf("leases %+v, want %+v", got, want)
	}
	if _, left, _ := other.leases.Left(2); left != 1500 {
		t.Errorf("lease 2 has %d ms left", left)
	}
	holders, waiters := other.book.Places(mvcc.Queue{Name: "m"})
	if len(holders) != 1 || len(waiters) != 4 {
		t.Errorf("%d hold, %d wait", len(holders), len(waiters))
	}
	for _, m := range []*lone{l, other} {
		sub := m.entry(2, 1, func(s *Submission) { s.AddLeaseRevoke(1) })
		if got := sub.Result(0).Ops[0]; got.N != 2 || got.Err != nil {
			t.Errorf("revoked: %+v", got)
		}
		if now, _ := m.book.Places(mvcc.Queue{Name: "m"}); len(now) != 1 || now[0].Lease() != 2 {
			t.Errorf("holders after the revocation: %v", now)
		}
	}
	_, a := l.store.Hash()
	if _, b := other.store.Hash(); a != b {
		t.Error("the two went apart")
	}
}

// Who holds a place that the state does not have any more which came with a snapshot is told; who still holds
// his is not.
func TestASnapshotTellsOfLosses(t *testing.T) {
	l := withLeases(t)
	file := persisted(t, l)
	l.entry(2, 1, func(s *Submission) { s.AddLeaseRevoke(1) })
	var kept, lost int
	for i, m := range []*lone{newLoneFrom(t, file), newLoneFrom(t, persisted(t, l))} {
		places, _ := m.book.Places(mvcc.Queue{Name: "m"})
		times := []*int{&lost, &kept}[i]
		m.holders.Add(&locks.Hold{Queue: mvcc.Queue{Name: "m"}, Token: places[0].CreateRevision(),
			Key: places[0].Key(), Gone: func(*locks.Hold) { *times++ }})
		if err := m.Restore(io.NopCloser(bytes.NewReader(persisted(t, l)))); err != nil {
			t.Fatal(err)
		}
	}
	if lost != 1 || kept != 0 {
		t.Errorf("told %d times of what was lost, %d times of what was not", lost, kept)
	}
}

// A snapshot of version 1, which knew no leases, is still read.
func TestSnapshotVersion1(t *testing.T) {
	l := filled(t, 300)
	snap, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	s := snap.(*snapshot)
	var file bytes.Buffer
	w := newBlockWriter(&file)
	w.raw(binary.BigEndian.AppendUint16([]byte(snapshotMagic), withoutLeases))
	w.block(s.header.encode())
	w.block([]byte{'M', 0})
	s.records(w)
	if err := w.finish(s.header.Records); err != nil {
		t.Fatal(err)
	}
	other := newLone(t)
	if err := other.Restore(io.NopCloser(&file)); err != nil {
		t.Fatal(err)
	}
	if _, sum := other.store.Hash(); sum != s.header.Hash || other.leases.Len() != 0 {
		t.Error("not what was written")
	}
}

// A renewal in the log makes void what was proposed before it: an end, and a checkpoint.
func TestRenewalInTheLogWins(t *testing.T) {
	l := withLeases(t)
	old := lease.Ref{ID: 3, Seq: 3}
	l.entry(2, 1, func(s *Submission) { s.addLeaseRenew([]lease.Ref{old}) })
	l.entry(2, 1, func(s *Submission) { s.addCheckpoint(900, []lease.Mark{{Ref: old, Left: 5}}) })
	l.entry(2, 1, func(s *Submission) { s.addLeaseExpire([]lease.Ref{old}) })
	if _, left, ok := l.leases.Left(3); !ok || left != 3000 {
		t.Errorf("left %d, %v", left, ok)
	}
	now, _ := l.leases.Get(3)
	l.entry(2, 1, func(s *Submission) { s.addLeaseExpire([]lease.Ref{now.Ref}) })
	if rec := l.store.Get("k2"); rec.Exists() || l.leases.Granted(3) {
		t.Error("the lease did not end")
	}
	if past, _ := l.store.History("k2", 1); past[0].Kind() != mvcc.KindExpire {
		t.Errorf("its key ended as %d", past[0].Kind())
	}
}

// The changes of a queue come out in order, once, and a lock's own lease is full again when it is acquired.
func TestLockChanges(t *testing.T) {
	l := newLone(t)
	var all []string
	told := func() {
		for _, m := range l.told.messages {
			var c struct {
				Type, Lease string
				Revision    int64
			}
			if err := json.Unmarshal([]byte(m.Payload), &c); err != nil || m.Channel != "lock:m" {
				t.Errorf("%q on %q: %v", m.Payload, m.Channel, err)
			}
			all = append(all, fmt.Sprint(c.Type, " ", c.Lease[15:], " ", c.Revision))
		}
	}
	l.entry(1, 1, func(s *Submission) {
		s.AddTxn(lockOp(mvcc.ModifyQueueJoin, 1, 5000))
		s.AddTxn(lockOp(mvcc.ModifyQueueJoin, 2, 6000))
	})
	told()
	was, _ := l.leases.Get(2)
	l.entry(1, 1, func(s *Submission) { s.addCheckpoint(10, []lease.Mark{{Ref: was.Ref, Left: 1}}) })
	l.entry(1, 1, func(s *Submission) { s.AddTxn(lockOp(mvcc.ModifyQueueRelease, 0, 2)) })
	told()
	if want := []string{"acquired 1 2", "released 1 4", "acquired 2 4"}; !slices.Equal(all, want) {
		t.Errorf("changes %q, want %q", all, want)
	}
	if _, left, ok := l.leases.Left(2); !ok || left != 6000 {
		t.Errorf("the new holder has %d ms left", left)
	}
	if l.leases.Granted(1) {
		t.Error("the lease made for the lock outlives its release")
	}
}

func (m *member) ask(asks ...LeaseAsk) ([]LeaseAnswer, error) {
	call := m.AskLeases(asks)
	<-call.Done()
	return call.Answers, call.Err()
}

func (m *member) grant(t *testing.T, id mvcc.LeaseID, ttl lease.Millis) {
	t.Helper()
	s := m.NewSubmission()
	s.AddLeaseGrant(id, ttl)
	s.AddTxn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: mvcc.KeySpan(fmt.Sprint("on", id)), Lease: id}}})
	m.Submit(s)
	if <-s.Done(); s.Err() != nil || s.Result(0).Ops[0].Err != nil {
		t.Fatal(s.Err())
	}
}

// Granted, renewed and looked at through a follower; ends in time; unknown ones are said to be unknown.
func TestLeaseThroughAFollower(t *testing.T) {
	g := newGroup(t, 3, Config{})
	m := g.follower()
	m.grant(t, 1, 700)
	m.grant(t, 2, 60_000)
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); {
		a, err := m.ask(LeaseAsk{ID: 1, Renew: true}, LeaseAsk{ID: 2}, LeaseAsk{ID: 3, Renew: true})
		if err != nil || !a[0].Found || a[0].Left != 700 || a[1].Left > 60_000 || a[1].Granted != 60_000 ||
			a[2].Found {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	asked := time.Now()
	if _, err := m.ask(LeaseAsk{ID: 1, Renew: true}); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the lease", func() bool { return !m.Leases().Granted(1) })
	if took := time.Since(asked); took < 700*time.Millisecond || took > 2*time.Second {
		t.Errorf("it ended after %v", took)
	}
	if rec, err := m.read("on1"); err != nil || rec.Exists() {
		t.Errorf("its key: %v, %v", rec, err)
	}
	g.sameState()
}

// A leader that cannot reach a majority renews nothing, whether it knows yet that it is deposed or not.
func TestDeposedLeaderRenewsNothing(t *testing.T) {
	g := newGroup(t, 3, Config{RequestTimeout: time.Second})
	lead := g.leader()
	lead.grant(t, 1, 60_000)
	for _, m := range g.members {
		if m != lead {
			m.halt()
		}
	}
	if a, err := lead.ask(LeaseAsk{ID: 1, Renew: true}); err == nil {
		t.Errorf("renewed by a leader without followers: %+v", a)
	}
}

// A change of leader does not shorten a lease, and does not start it anew.
func TestLeaseAcrossLeaders(t *testing.T) {
	var skip atomic.Int64
	began := time.Now()
	clock := func() time.Duration { return time.Since(began) + time.Duration(skip.Load()) }
	g := newGroup(t, 3, Config{Monotonic: clock})
	lead := g.leader()
	lead.grant(t, 1, 100_000)
	lead.grant(t, 2, 100_000)
	skip.Add(int64(60 * time.Second))
	await(t, "a checkpoint", func() bool {
		_, left, _ := lead.Leases().Left(1)
		_, other, _ := lead.Leases().Left(2)
		return left < 50_000 && other < 50_000
	})
	if a, err := g.follower().ask(LeaseAsk{ID: 2, Renew: true}); err != nil || !a[0].Found {
		t.Fatalf("%+v, %v", a, err)
	}
	lead.halt()
	next := g.leader()
	a, err := next.ask(LeaseAsk{ID: 1}, LeaseAsk{ID: 2})
	if err != nil {
		t.Fatal(err)
	}
	if left := a[0].Left; left > 42_000 || left < 30_000 {
		t.Errorf("the lease nobody renewed has %d ms left", left)
	}
	if left := a[1].Left; left < 90_000 {
		t.Errorf("the renewed lease has %d ms left", left)
	}
}

// Many leases that end at once go in slices: a write in between does not wait for all of them.
func TestManyLeasesEndAtOnce(t *testing.T) {
	const n = 20_000
	g := newGroup(t, 1, Config{})
	m := g.leader()
	s := m.NewSubmission()
	for i := range mvcc.LeaseID(n) {
		s.AddLeaseGrant(i+1, 1500)
		key := mvcc.KeySpan(fmt.Sprint("k", i))
		s.AddTxn(&mvcc.Txn{Then: []mvcc.Op{{Kind: mvcc.OpPut, Span: key, Lease: i + 1}}})
	}
	m.Submit(s)
	if <-s.Done(); s.Err() != nil {
		t.Fatal(s.Err())
	}
	worst := time.Duration(0)
	await(t, "their end", func() bool {
		start := time.Now()
		if _, err := m.do(put("other", "1", mvcc.Expiry{})); err != nil {
			t.Fatal(err)
		}
		worst = max(worst, time.Since(start))
		return m.Leases().Len() == 0
	})
	t.Logf("slowest write %v", worst)
	if worst > 500*time.Millisecond {
		t.Errorf("a write took %v while leases ended", worst)
	}
	if m.Store().Len() != 1 {
		t.Errorf("%d keys left", m.Store().Len())
	}
}

// A follower asks the leader once, although a renewal that has to be replicated takes its time.
func TestASlowRenewalIsAskedOnce(t *testing.T) {
	g := newGroup(t, 3, Config{})
	lead, m := g.leader(), g.follower()
	m.grant(t, 1, 60_000)
	var asked atomic.Int32
	lead.node.Handle(kindLeases, func(from cluster.MemberID, payload []byte, reply func([]byte)) {
		asked.Add(1)
		time.AfterFunc(1500*time.Millisecond, func() { lead.leases.receive(from, payload, reply) })
	})
	a, err := m.ask(LeaseAsk{ID: 1, Renew: true})
	if err != nil || !a[0].Found || asked.Load() != 1 {
		t.Errorf("%v, %v; asked %d times", a, err, asked.Load())
	}
}

// But it does not wait for a leader that leads no more.
func TestADeposedLeaderIsNotWaitedFor(t *testing.T) {
	g := newGroup(t, 3, Config{})
	lead, m := g.leader(), g.follower()
	m.grant(t, 1, 60_000)
	asked := make(chan struct{}, 1)
	lead.node.Handle(kindLeases, func(cluster.MemberID, []byte, func([]byte)) { wake(asked) })
	call := m.AskLeases([]LeaseAsk{{ID: 1, Renew: true}})
	<-asked
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	if err := lead.node.HandOver(ctx); err != nil {
		t.Fatal(err)
	}
	if <-call.Done(); call.Err() != nil || !call.Answers[0].Found {
		t.Errorf("%v, %v", call.Answers, call.Err())
	}
}

// A call that no leader was asked for is definitely not done; of another one that is not known.
func TestLateCallsSayWhatIsKnown(t *testing.T) {
	for tried, want := range map[bool]error{false: ErrNoLeader, true: ErrUnconfirmed} {
		c := &LeaseCall{done: make(chan struct{}), tried: tried}
		if left := late([]*LeaseCall{c}, time.Now()); len(left) != 0 || !errors.Is(c.Err(), want) {
			t.Errorf("asked %v: %v", tried, c.Err())
		}
	}
}
