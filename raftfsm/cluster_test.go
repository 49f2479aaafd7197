package raftfsm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// buntdb's background goroutine notices a Close within a second, and one test leaves its store open.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/tidwall/buntdb.(*DB).backgroundManager"))
}

// member is one in-process member of a test cluster.
type member struct {
	*Engine
	node *cluster.Node
	cfg  cluster.Config
	ecfg Config
}

// group is a test cluster on loopback.
type group struct {
	t       *testing.T
	members []*member
}

func freeAddr(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// newGroup starts n members with short timeouts.
func newGroup(t *testing.T, n int, ecfg Config) *group {
	t.Helper()
	g := &group{t: t}
	var peers []cluster.Peer
	for i := range n {
		peers = append(peers, cluster.Peer{Name: fmt.Sprint("n", i), Addr: freeAddr(t)})
	}
	for i := range n {
		m := &member{ecfg: ecfg, cfg: cluster.Config{
			DataDir: t.TempDir(), Name: peers[i].Name, PeerAddr: peers[i].Addr, InitialCluster: peers,
			HeartbeatTimeout: 200 * time.Millisecond, SegmentBytes: 1 << 20,
		}}
		m.ecfg.Name = peers[i].Name
		m.ecfg.ClientAddr = "client-of-" + peers[i].Name
		g.members = append(g.members, m)
		m.start(t)
	}
	t.Cleanup(func() {
		for _, m := range g.members {
			m.halt()
		}
	})
	for _, m := range g.members {
		await(t, "ready", func() bool { return m.Status().HasLeader })
	}
	return g
}

func (m *member) start(t *testing.T) {
	m.Engine = New(m.ecfg)
	m.cfg.FSM, m.cfg.OnStored = m.FSM(), m.OnStored
	m.cfg.CheckEntry, m.cfg.VerifySnapshot = CheckEntry, VerifySnapshot
	node, err := cluster.Open(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.node = node
	m.Start(node)
}

// halt stops a member without handing anything over; it may be called twice.
func (m *member) halt() {
	if m.node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	gone, stop := context.WithCancel(context.Background())
	stop()
	m.Close(gone)
	if err := m.node.Close(ctx); err != nil {
		panic(err)
	}
	m.Release()
	m.node = nil
}

func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not in time", what)
		}
	}
}

func (g *group) leader() *member {
	var found *member
	await(g.t, "a leader", func() bool {
		for _, m := range g.members {
			if m.node != nil && m.leading() {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

func (g *group) follower() *member {
	lead := g.leader()
	for _, m := range g.members {
		if m != lead && m.node != nil {
			return m
		}
	}
	g.t.Fatal("no follower")
	return nil
}

// do submits one transaction and waits.
func (m *member) do(txn *mvcc.Txn) (*mvcc.Result, error) {
	s := m.NewSubmission()
	s.AddTxn(txn)
	m.Submit(s)
	<-s.Done()
	if s.Err() != nil {
		return nil, s.Err()
	}
	return s.Result(0), nil
}

// read does a linearizable read.
func (m *member) read(key string) (mvcc.Record, error) {
	r := m.Barrier()
	<-r.Done()
	if r.Err() != nil {
		return mvcc.Record{}, r.Err()
	}
	var rec mvcc.Record
	m.Store().View(func(v *mvcc.View) { rec = v.Get(key) })
	return rec, nil
}

func incr(key string) *mvcc.Txn {
	op := mvcc.Op{Kind: mvcc.OpModify, Modify: mvcc.ModifyIncrBy, Span: mvcc.KeySpan(key), Delta: 1}
	return &mvcc.Txn{Then: []mvcc.Op{op}}
}

func TestWriteAnywhereReadEverywhere(t *testing.T) {
	g := newGroup(t, 3, Config{})
	for round := range 20 {
		for i, m := range g.members {
			key := fmt.Sprint("k", i)
			if _, err := m.do(put(key, fmt.Sprint(round), mvcc.Expiry{})); err != nil {
				t.Fatal(err)
			}
			for j, reader := range g.members {
				rec, err := reader.read(key)
				if err != nil || !rec.Exists() || rec.Value() != fmt.Sprint(round) {
					t.Fatalf("round %d: written through %d, read through %d: %v, %v", round, i, j, rec, err)
				}
			}
		}
	}
	for _, m := range g.members {
		await(t, "members introduced", func() bool { return len(*m.machine.members.Load()) == 3 })
	}
	for _, seen := range g.members[0].Members() {
		if seen.Status != MemberStarted || seen.ClientAddr != "client-of-"+seen.Name {
			t.Errorf("member %+v", seen)
		}
	}
}

// Increments through every member while leaders stop and come back: each acknowledged one is there,
// and nothing is there that was refused.
func TestExactlyOnceAcrossLeaders(t *testing.T) {
	g := newGroup(t, 3, Config{RequestTimeout: 3 * time.Second})
	var acked, doubtful atomic.Int64
	var clients sync.WaitGroup
	stop := make(chan struct{})
	var mu sync.RWMutex // held by the one who stops a member, shared by its users
	for i := range 9 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.RLock()
				m := g.members[i%3]
				s := m.NewSubmission()
				for range 1 + i%3 {
					s.AddTxn(incr("n"))
				}
				m.Submit(s)
				mu.RUnlock()
				<-s.Done()
				switch {
				case s.Err() == nil:
					acked.Add(int64(s.Len()))
				case errors.Is(s.Err(), ErrUncertain):
					doubtful.Add(int64(s.Len()))
				}
			}
		})
	}
	for range 4 {
		before := acked.Load()
		await(t, "progress", func() bool { return acked.Load() > before+200 })
		lead := g.leader()
		mu.Lock()
		lead.halt()
		lead.start(t)
		mu.Unlock()
	}
	before := acked.Load()
	await(t, "progress after the last stop", func() bool { return acked.Load() > before+200 })
	close(stop)
	clients.Wait()
	for _, m := range g.members {
		rec, err := m.read("n")
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.ParseInt(rec.Value(), 10, 64)
		if n < acked.Load() || n > acked.Load()+doubtful.Load() {
			t.Errorf("counter is %d; %d acknowledged, %d in doubt", n, acked.Load(), doubtful.Load())
		}
	}
	g.sameState()
	t.Logf("%d acknowledged, %d in doubt", acked.Load(), doubtful.Load())
}

// sameState checks that all members hold the same state at the same revision.
func (g *group) sameState() {
	g.t.Helper()
	lead := g.leader()
	rev, want := lead.Store().Hash()
	for _, m := range g.members {
		await(g.t, "catching up", func() bool { return m.Store().Revision() >= rev })
		if at, sum := m.Store().Hash(); at != rev || sum != want {
			g.t.Errorf("%s: revision %d hash %x, leader %d %x", m.ecfg.Name, at, sum, rev, want)
		}
		if err := m.Store().Check(); err != nil {
			g.t.Error(err)
		}
	}
}

// Without a majority a write in flight is uncertain, one that comes later is definitely not done, and
// reads fail; nobody waits for ever.
func TestNoMajority(t *testing.T) {
	g := newGroup(t, 3, Config{RequestTimeout: time.Second})
	lead := g.leader()
	for _, m := range g.members {
		if m != lead {
			m.halt()
		}
	}
	_, err := lead.do(put("a", "1", mvcc.Expiry{}))
	if !errors.Is(err, ErrUncertain) && !errors.Is(err, ErrNoLeader) {
		t.Errorf("in flight: %v", err)
	}
	await(t, "stepping down", func() bool { return !lead.node.IsLeader() })
	if _, err := lead.do(put("b", "1", mvcc.Expiry{})); !errors.Is(err, ErrNoLeader) {
		t.Errorf("without a leader: %v", err)
	}
	if _, err := lead.read("a"); !errors.Is(err, ErrNoLeader) {
		t.Errorf("read: %v", err)
	}
	for _, m := range g.members {
		if m != lead {
			m.start(t)
		}
	}
	await(t, "service again", func() bool { _, err := lead.do(put("c", "1", mvcc.Expiry{})); return err == nil })
	if rec, err := lead.read("b"); err != nil || rec.Exists() {
		t.Errorf("a write that was refused is there: %v, %v", rec, err)
	}
}

// A leader that says nothing does not hold a read for longer than the request timeout.
func TestBarrierAtASilentLeader(t *testing.T) {
	g := newGroup(t, 3, Config{RequestTimeout: 300 * time.Millisecond})
	m := g.follower()
	g.leader().node.Handle(kindReadIndex, func(cluster.MemberID, []byte, func([]byte)) {})
	for range 3 {
		start := time.Now()
		if _, err := m.read("a"); !errors.Is(err, ErrUnconfirmed) {
			t.Errorf("read: %v", err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("the read took %v", took)
		}
	}
}

// The leader of a term takes a batch number once, answers a repetition the same, and refuses older ones.
func TestTakeOnce(t *testing.T) {
	g := newGroup(t, 3, Config{})
	lead := g.leader()
	p, term, from := lead.proposer, lead.node.Term(), g.follower().node.Self()
	for i, step := range []struct {
		h     Header
		want  verdict
		first bool
	}{
		{Header{Origin: 1, Batch: 5, Term: term}, verdictAccepted, true},
		{Header{Origin: 1, Batch: 5, Term: term}, verdictAccepted, false},
		{Header{Origin: 1, Batch: 4, Term: term}, verdictRefused, false},
		{Header{Origin: 2, Batch: 1, Term: term}, verdictAccepted, true},
		{Header{Origin: 1, Batch: 7, Term: term}, verdictAccepted, true},
		{Header{Origin: 1, Batch: 6, Term: term}, verdictRefused, false},
		{Header{Origin: 1, Batch: 8, Term: term - 1}, verdictNotLeader, false},
		{Header{Origin: 1, Batch: 8, Term: term + 1}, verdictNotLeader, false},
	} {
		if v, first := p.take(from, step.h, make([]byte, headerSize)); v != step.want || first != step.first {
			t.Errorf("step %d: %v, %v", i, v, first)
		}
	}
	if got := g.follower().proposer; got != nil {
		if v, _ := got.take(from, Header{Origin: 9, Batch: 1, Term: term}, nil); v != verdictNotLeader {
			t.Errorf("a follower took a batch: %v", v)
		}
	}
}

// Keys end by the log on every member, by the leader's loop alone.
func TestExpiryLoop(t *testing.T) {
	g := newGroup(t, 3, Config{})
	m := g.follower()
	const keys = 2500
	s := m.NewSubmission()
	for i := range keys {
		s.AddTxn(put(fmt.Sprint("k", i), "v", mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: 150}))
	}
	s.AddTxn(put("stays", "v", mvcc.Expiry{}))
	m.Submit(s)
	<-s.Done()
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	for _, m := range g.members {
		await(t, "keys to end", func() bool { return m.Store().Len() == 1 })
		if m.machine.deadlines.Len() != 0 {
			t.Errorf("%d deadlines left", m.machine.deadlines.Len())
		}
	}
	g.sameState()
}

// The history stays under its bound by itself, on every member.
func TestHistoryIsBounded(t *testing.T) {
	const bound = 256 << 10
	g := newGroup(t, 3, Config{HistoryBytes: bound})
	m := g.leader()
	value := string(make([]byte, 1000))
	for range 1500 {
		if _, err := m.do(put("hot", value, mvcc.Expiry{})); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range g.members {
		await(t, "compaction", func() bool {
			return m.Store().HistoryBytes() <= bound && m.Store().CompactRevision() > 0
		})
	}
	g.sameState()
}

// A member that was away so long that the log has moved on gets a snapshot, and then answers as the others
// do.
func TestSnapshotInstall(t *testing.T) {
	g := newGroup(t, 3, Config{})
	for _, m := range g.members {
		m.halt()
		m.cfg.SnapshotBytes = 64 << 10
		m.start(t)
	}
	away := g.follower()
	away.halt()
	lead := g.leader()
	value := string(make([]byte, 4000))
	for i := range 400 {
		in := mvcc.Expiry{Mode: mvcc.ExpiryIn, MS: 3600_000}
		if _, err := lead.do(put(fmt.Sprint("k", i), value, in)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "a snapshot", func() bool { return lead.node.Stats().LastSnapshotIndex > 0 })
	away.start(t)
	rec, err := away.read("k399")
	if err != nil || !rec.Exists() {
		t.Fatalf("after the install: %v, %v", rec, err)
	}
	if away.machine.deadlines.Len() != 400 {
		t.Errorf("%d deadlines", away.machine.deadlines.Len())
	}
	g.sameState()
}

func TestRefusals(t *testing.T) {
	g := newGroup(t, 1, Config{MaxRequestBytes: 1000, QuotaBytes: 2000})
	m := g.members[0]
	if _, err := m.do(put("big", string(make([]byte, 2<<20)), mvcc.Expiry{})); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if err := m.AcceptsWrites(); err != nil {
		t.Errorf("empty: %v", err)
	}
	for i := range 30 {
		if _, err := m.do(put(fmt.Sprint(i), string(make([]byte, 100)), mvcc.Expiry{})); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.AcceptsWrites(); !errors.Is(err, ErrQuota) {
		t.Errorf("above the quota: %v", err)
	}
	m.cfg.DataDir = "" // not used again
	m.ecfg.DiskReserveBytes = 1 << 60
	full := New(m.ecfg)
	full.diskFree.Store(1)
	if err := full.AcceptsWrites(); !errors.Is(err, ErrDiskFull) {
		t.Errorf("disk nearly full: %v", err)
	}
	full.Release()
	m.halt()
	s := m.NewSubmission()
	s.AddTxn(incr("n"))
	m.Submit(s)
	<-s.Done()
	if !errors.Is(s.Err(), ErrClosed) {
		t.Errorf("after Close: %v", s.Err())
	}
	r := m.barrier.join(nil)
	<-r.Done()
	if !errors.Is(r.Err(), ErrClosed) {
		t.Errorf("barrier after Close: %v", r.Err())
	}
}
