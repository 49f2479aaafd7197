package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// gatedFSM restores snapshots only while its gate is open.
type gatedFSM struct {
	raft.BatchingFSM
	gate    chan struct{}
	waiting atomic.Bool
}

func (f *gatedFSM) Restore(r io.ReadCloser) error {
	f.waiting.Store(true)
	<-f.gate
	return f.BatchingFSM.Restore(r)
}

// behind writes more than the log of the leader keeps while a follower is down.
func (c *testCluster) behind(lead int, entries int) {
	c.t.Helper()
	for i := range entries {
		c.nodes[lead].put(c.t, fmt.Sprintf("%01000d", i))
	}
	if err := c.nodes[lead].Snapshot(context.Background()); err != nil {
		c.t.Fatal(err)
	}
}

// While a follower loads a snapshot, the leader takes another one and would remove what that follower needs
// next.
func TestTheLogIsKeptForAFollowerThatLoadsASnapshot(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			slow := &gatedFSM{gate: make(chan struct{})}
			gated := ""
			c := newCluster(t, 3, func(c *Config) {
				c.LogStore, c.trailingBytes, c.SegmentBytes = store, 1, 64<<10
				c.HeartbeatTimeout = time.Second // one leader for all of it
				if c.Name == gated {
					slow.BatchingFSM, c.FSM = c.FSM, slow
				}
			})
			lead := c.leader()
			late := (lead + 1) % 3
			gated = c.initial[late].Name
			c.nodes[lead].put(t, "first")
			c.converge("first")
			c.stop(late)
			c.behind(lead, 300)
			c.start(late)
			eventually(t, "the snapshot is being loaded", slow.waiting.Load)
			snapshot := c.nodes[lead].LastSnapshot().Index
			c.behind(lead, 300)
			if first := c.nodes[lead].Stats().FirstIndex; first > snapshot+1 {
				t.Errorf("the log begins at %d, the follower needs what is behind %d", first, snapshot)
			}
			close(slow.gate)
			c.nodes[c.leader()].put(t, "last")
			c.converge("last")
			if got := c.nodes[late].Stats().SnapshotsInstalled; got != 1 {
				t.Errorf("%d snapshots installed", got)
			}
			eventually(t, "nothing is kept any more", func() bool {
				_, kept := c.nodes[lead].trans.pinned(c.nodes[lead].Term())
				return !kept
			})
		})
	}
}

// A former leader comes back with a tail that nobody else has and that reaches beyond the snapshot it is
// given: raft alone would be sent that snapshot for ever (hashicorp/raft issue 697).
func TestATailBeyondTheSnapshotEndsTheProcessOnce(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			fatal := make(chan error, 3)
			c := newCluster(t, 3, func(c *Config) {
				c.LogStore, c.trailingBytes, c.SegmentBytes = store, 1, 64<<10
				c.OnFatal = func(err error) { fatal <- err }
				c.HeartbeatTimeout = time.Second // time enough to write the tail before the leader steps down
			})
			old := c.leader()
			c.nodes[old].put(t, "first")
			c.converge("first")
			for i := range c.nodes {
				if i != old {
					c.stop(i)
				}
			}
			tail := c.nodes[old].Stats().LastIndex + 250
			for i := 0; c.nodes[old].IsLeader() && c.nodes[old].Stats().LastIndex < tail; i++ {
				c.nodes[old].Apply([]byte(fmt.Sprintf("lost %d", i)))
			}
			if last := c.nodes[old].Stats().LastIndex; last < tail-20 {
				t.Fatalf("the leader stepped down after %d of 250 entries: this machine is too busy", last+250-tail)
			}
			c.stop(old)
			for i := range c.nodes {
				if i != old {
					c.start(i)
				}
			}
			c.behind(c.leader(), 200)
			c.start(old)
			select {
			case err := <-fatal:
				if !errors.Is(err, ErrWedged) {
					t.Fatal(err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("the node goes on")
			}
			c.stop(old)
			c.start(old)
			c.nodes[c.leader()].put(t, "last")
			c.converge("last")
		})
	}
}

// A leader whose disk hangs offers leadership to another, which takes it long before anybody misses the
// leader.
func TestAHungLeaderOffersLeadership(t *testing.T) {
	disks := map[string]*faultyLog{"n1": {}, "n2": {}, "n3": {}}
	c := newCluster(t, 3, func(c *Config) { c.wrapLog = disks[c.Name].wrap })
	old := c.leader()
	c.nodes[old].put(t, "x")
	c.converge("x")
	hang := make(chan struct{})
	disks[c.initial[old].Name].block.Store(&hang)
	c.nodes[old].Apply([]byte("hangs"))
	eventually(t, "another leader", func() bool {
		return c.nodes[(old+1)%3].IsLeader() || c.nodes[(old+2)%3].IsLeader()
	})
	if d := c.nodes[old].Disk(); d.Hung == 0 {
		t.Error("the disk is not said to hang")
	}
	if !strings.Contains(c.nodes[old].out.String(), "leadership is offered") {
		t.Error("it was missed, it did not offer")
	}
	// Its raft believes that it leads, for as long as the disk hangs; it does not depose its successor.
	one, two := c.nodes[(old+1)%3], c.nodes[(old+2)%3]
	eventually(t, "both others follow the new leader", func() bool {
		id, _, ok := one.Leader()
		other, _, agreed := two.Leader()
		return ok && agreed && id == other && id != c.nodes[old].Self()
	})
	term := one.Term()
	deposed := func() bool { return one.Term() > term }
	if within(4*c.nodes[old].stallLimit(), deposed) {
		t.Error("the new leader was deposed")
	}
	disks[c.initial[old].Name].block.Store(nil)
	close(hang)
	eventually(t, "it has stepped down", func() bool { return !c.nodes[old].IsLeader() })
	if d := c.nodes[old].Disk(); d.Hung != 0 {
		t.Errorf("after the disk answered: %+v", d)
	}
	c.nodes[c.leader()].put(t, "y")
	c.converge("y")
}

// hungLeader hangs the disk of a cluster's leader; free ends that.
func hungLeader(t *testing.T) (c *testCluster, old int, free func()) {
	disks := map[string]*faultyLog{"n1": {}, "n2": {}, "n3": {}}
	c = newCluster(t, 3, func(c *Config) { c.wrapLog, c.HeartbeatTimeout = disks[c.Name].wrap, time.Second })
	old = c.leader()
	c.nodes[old].put(t, "x")
	c.converge("x")
	hang := make(chan struct{})
	disk := disks[c.initial[old].Name]
	disk.block.Store(&hang)
	c.nodes[old].Apply([]byte("hangs"))
	return c, old, func() { disk.block.Store(nil); close(hang) }
}

// The offer is what makes another lead: the heartbeats go on until then.
func TestAnOfferOfLeadershipIsTaken(t *testing.T) {
	c, old, free := hungLeader(t)
	defer free()
	eventually(t, "another leader", func() bool {
		return c.nodes[(old+1)%3].IsLeader() || c.nodes[(old+2)%3].IsLeader()
	})
	if n := c.nodes[old].Stats().HeartbeatsWithheld; n != 0 {
		t.Errorf("%d heartbeats were withheld before anybody took the offer", n)
	}
}

// Whoever was offered leadership has the time of an election before the next one is: two that stand at once
// may split the votes.
func TestOffersOfLeadershipTakeTurns(t *testing.T) {
	c, old, free := hungLeader(t)
	defer free()
	c.stop((old + 1) % 3) // nobody can take it
	c.stop((old + 2) % 3)
	offers := func(n int) func() bool {
		return func() bool { return strings.Count(c.nodes[old].out.String(), "leadership is offered") >= n }
	}
	eventually(t, "an offer", offers(1))
	first := time.Now()
	eventually(t, "two more", offers(3))
	if took, least := time.Since(first), c.nodes[old].Node.cfg.ElectionTimeout; took < least {
		t.Errorf("three offers within %v, an election takes up to %v", took, least)
	}
}

func TestSlowSyncs(t *testing.T) {
	var s slowSyncs
	s.note(SlowSync)
	s.note(SlowSync - 1)
	s.note(2 * SlowSync)
	if n, _ := s.slow(); n != 0 {
		t.Errorf("%d after two", n)
	}
	s.note(SlowSync)
	if n, worst := s.slow(); n != 3 || worst != 2*SlowSync {
		t.Errorf("%d, worst %v", n, worst)
	}
	s.mu.recent[0].at -= int64(slowWindow)
	if n, _ := s.slow(); n != 0 {
		t.Errorf("%d when one is forgotten", n)
	}
}

// A follower that is sent snapshots again and again without catching up is told of; one that has caught up
// is not.
func TestSnapshotLoopIsTold(t *testing.T) {
	p := &replica{}
	p.mu.term = 4
	send := func() {
		p.installing(&raft.InstallSnapshotRequest{Term: 4, LastLogIndex: 100})
		p.installed(150)
	}
	acknowledge := func(index uint64) {
		a := &raft.AppendEntriesRequest{Term: 4, PrevLogEntry: index, PrevLogTerm: 4}
		p.answered(a, &raft.AppendEntriesResponse{Term: 4, Success: true}, nil)
	}
	for range loopLeast {
		send()
	}
	acknowledge(149)
	if in := p.pending(4); in.number != loopLeast || in.from != 100 {
		t.Errorf("behind: %+v", in)
	}
	if in := p.pending(5); in.number != 0 {
		t.Errorf("in another term: %+v", in)
	}
	acknowledge(150)
	if in := p.pending(4); in.number != 0 {
		t.Errorf("up to date: %+v", in)
	}
	send()
	p.mu.install.at -= int64(pinnedFor)
	if in := p.pending(4); in.number != 0 {
		t.Errorf("not heard of for long: %+v", in)
	}
}

// A term that cannot be saved ends the node, which says why, and not by raft's panic.
func TestATermThatCannotBeSavedIsFatal(t *testing.T) {
	fatal := make(chan error, 3)
	c := newCluster(t, 3, func(c *Config) { c.OnFatal = func(err error) { fatal <- err } })
	lead := c.leader()
	c.nodes[lead].put(t, "x")
	c.converge("x")
	broken := (lead + 1) % 3
	if err := c.nodes[broken].stable.BoltStore.Close(); err != nil {
		t.Fatal(err)
	}
	c.stop(lead)
	select {
	case err := <-fatal:
		if !strings.Contains(err.Error(), "stable store") {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the node goes on")
	}
}

// Only what lasts is a log that raft cannot use any more: one good look begins anew.
func TestWedgedForLooksThatAgree(t *testing.T) {
	var s sentry
	for i, c := range []struct {
		believed, stored uint64
		now              int64
		want             time.Duration
	}{{5, 5, 10, 0}, {9, 5, 20, 0}, {9, 5, 30, 10}, {9, 9, 40, 0}, {12, 9, 50, 0}, {12, 13, 60, 0}} {
		if got := s.wedgedFor(c.believed, c.stored, c.now); got != c.want {
			t.Errorf("look %d: wedged for %d, want %d", i, got, c.want)
		}
	}
}

// lookedAt is a log that a test looks into while the sentry asks it where it ends.
type lookedAt struct {
	*faultyLog
	look atomic.Pointer[func(last uint64) uint64] // once; the log then says that it ends where this says
}

func (l *lookedAt) wrap(inner logInner) logInner {
	l.logInner = inner
	return l
}

func (l *lookedAt) LastIndex() (uint64, error) {
	last, err := l.logInner.LastIndex()
	if f := l.look.Swap(nil); f != nil {
		last = (*f)(last)
	}
	return last, err
}

// watched is a cluster with a follower whose log is looked at, and a sentry of the test's for it: the node's
// own may come in between.
func watched(t *testing.T) (c *testCluster, s *sentry, log *lookedAt) {
	logs := map[string]*lookedAt{}
	for i := range 3 {
		logs[fmt.Sprint("n", i+1)] = &lookedAt{faultyLog: &faultyLog{}}
	}
	c = newCluster(t, 3, func(c *Config) {
		c.wrapLog, c.HeartbeatTimeout = logs[c.Name].wrap, time.Second // one leader for all of it
	})
	lead := c.leader()
	c.nodes[lead].put(t, "first")
	c.converge("first")
	follower := (lead + 1) % 3
	return c, &sentry{node: c.nodes[follower].Node}, logs[c.initial[follower].Name]
}

// While the log stores something raft is not stuck, whatever was seen before, and whatever raft believes.
func TestStoringIsNotWedged(t *testing.T) {
	_, s, log := watched(t)
	shorter := func(last uint64) uint64 { return last - 1 }
	look := func() bool {
		log.look.Store(&shorter)
		s.watchLog()
		return s.wedged != 0
	}
	eventually(t, "a log that ends too early is suspected", look)
	s.node.log.running.start()
	defer s.node.log.running.stop()
	if look() {
		t.Error("a look while the log stores leaves the suspicion standing")
	}
}

// An entry that is stored between the two questions of a look is no sign of anything.
func TestAnEntryBetweenTwoQuestionsIsNotWedged(t *testing.T) {
	c, s, log := watched(t)
	lead := c.nodes[c.leader()]
	var between atomic.Int64
	more := func(last uint64) uint64 {
		lead.Apply([]byte("more"))
		if within(10*time.Second, func() bool { return s.node.raft.LastIndex() > last && s.node.storing() == 0 }) {
			between.Add(1)
		}
		return last
	}
	for range 20 {
		log.look.Store(&more)
		if s.watchLog(); s.wedged != 0 {
			t.Fatal("raft is said to believe in an entry that the log does not have")
		}
	}
	if n := between.Load(); n < 10 {
		t.Errorf("an entry came between the questions of %d looks", n)
	}
}

// Leadership is offered to the voter that has most, and in the same stall never to one a second time before
// all have been asked.
func TestWhomAHungLeaderOffersLeadership(t *testing.T) {
	tr := &transport{}
	tr.mu.peers = map[raft.ServerID]*replica{}
	self, far, near, quiet := MemberID(1), MemberID(2), MemberID(3), MemberID(4)
	for id, match := range map[MemberID]uint64{far: 90, near: 80, quiet: 0} {
		tr.peer(id.serverID()).mu.matchIndex = match
	}
	tr.peer(MemberID(5).serverID()).mu.matchIndex = 100 // a learner
	tried := map[raft.ServerID]bool{}
	for _, want := range []MemberID{far, near, quiet} {
		p := tr.bestOf([]MemberID{self, quiet, near, far}, tried)
		if p == nil || p.id != want.serverID() {
			t.Fatalf("offered to %+v, want %s", p, want)
		}
		tried[p.id] = true
	}
	if p := tr.bestOf([]MemberID{self, quiet, near, far}, tried); p != nil {
		t.Errorf("offered to %s again", p.id)
	}
}
