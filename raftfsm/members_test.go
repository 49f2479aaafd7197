package raftfsm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// prepare makes a node that will join by seed; it is not started.
func (g *group) prepare(name string, seed *member, change func(*cluster.Config)) *member {
	g.t.Helper()
	m := &member{ecfg: Config{Name: name, ClientAddr: "client-of-" + name}, cfg: cluster.Config{
		DataDir: filepath.Join(g.t.TempDir(), "data"), Name: name, PeerAddr: freeAddr(g.t),
		Join: []string{seed.node.PeerAddr()}, HeartbeatTimeout: 200 * time.Millisecond, SegmentBytes: 1 << 20,
		Announce: true,
	}}
	if change != nil {
		change(&m.cfg)
	}
	g.members = append(g.members, m)
	return m
}

// join starts a node that joins by seed.
func (g *group) join(name string, seed *member, change func(*cluster.Config)) *member {
	g.t.Helper()
	m := g.prepare(name, seed, change)
	m.start(g.t)
	return m
}

// changed makes a change through m and waits for its outcome.
func (m *member) changed(c Change) (cluster.MemberID, error) {
	ch := m.Change(c)
	<-ch.Done()
	if ch.Err() != nil {
		return 0, ch.Err()
	}
	return ch.ID(), nil
}

// listed is how m shows the member of that name, nil if it does not.
func (m *member) listed(name string) *Member {
	for _, l := range m.Members() {
		if l.Name == name {
			return &l
		}
	}
	return nil
}

func (m *member) votes(name string) bool {
	l := m.listed(name)
	return l != nil && !l.Learner && l.Status == MemberStarted && l.ClientAddr != ""
}

// config is the configuration as text, to see that a refusal has left it alone.
func (m *member) config() string { return fmt.Sprint(m.node.Members()) }

func (m *member) mustPut(t *testing.T, key, value string) {
	t.Helper()
	if _, err := m.do(put(key, value, mvcc.Expiry{})); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func (m *member) holds(key string) (ok bool) {
	m.Store().View(func(v *mvcc.View) { ok = v.Get(key).Exists() })
	return ok
}

func TestJoinThroughAFollower(t *testing.T) {
	g := newGroup(t, 3, Config{})
	g.leader().mustPut(t, "a", "1")
	n3 := g.join("n3", g.follower(), nil)
	for _, m := range g.members {
		await(t, "a voter called n3 on every member", func() bool { return m.votes("n3") })
	}
	if !n3.holds("a") {
		t.Error("a voter without the data")
	}
	n3.mustPut(t, "b", "2") // forwarded, and read on the connection it came from
	if !n3.holds("b") {
		t.Error("n3 does not read its own write")
	}
	await(t, "nothing left to ask for", func() bool { return !strings.Contains(meta(t, n3), `"seeds"`) })
	id := n3.node.Self()
	n3.halt()
	n3.cfg.Join = nil
	n3.start(t)
	await(t, "n3 is back", func() bool { return n3.Status().HasLeader })
	if n3.node.Self() != id {
		t.Error("a member changed its id by a restart")
	}
}

func meta(t *testing.T, m *member) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(m.cfg.DataDir, "meta.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestAskingToJoinAgainChangesNothing: a member that loads a snapshot has not heard of itself for as long as
// that takes, and asks again and again.
func TestAskingToJoinAgainChangesNothing(t *testing.T) {
	log := &keptLog{}
	g := newGroup(t, 1, Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
	n1 := g.join("n1", g.leader(), nil)
	await(t, "a voter", func() bool { return g.leader().votes("n1") })
	before := g.leader().config()
	again := Change{Kind: ChangeJoin, ID: n1.node.Self(), Name: "n1", Addr: n1.node.PeerAddr()}
	for range 3 {
		if id, err := g.leader().changed(again); err != nil || id != n1.node.Self() {
			t.Errorf("asked again: %v, %v", id, err)
		}
	}
	if after := g.leader().config(); after != before {
		t.Errorf("members %s, before %s", after, before)
	}
	if n := log.count("change=join"); n != 1 {
		t.Errorf("it was told %d times that a member joined", n)
	}
}

// A crash on the way: the first process has an identity and dies before anybody heard of it.
func TestJoinAgainAfterACrash(t *testing.T) {
	g := newGroup(t, 1, Config{})
	n1 := g.prepare("n1", g.leader(), nil)
	n1.Engine = New(n1.ecfg)
	n1.cfg.FSM, n1.cfg.OnStored = n1.FSM(), n1.OnStored
	node, err := cluster.Open(n1.cfg)
	if err != nil {
		t.Fatal(err)
	}
	id := node.Self()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := node.Close(ctx); err != nil {
		t.Fatal(err)
	}
	n1.Release()
	n1.start(t)
	await(t, "it has joined", func() bool { return g.members[0].votes("n1") })
	if n1.node.Self() != id {
		t.Error("the second start drew another id")
	}
}

func TestJoinAsLearnerAndPromoteByHand(t *testing.T) {
	g := newGroup(t, 1, Config{})
	lead := g.leader()
	n1 := g.join("n1", lead, func(c *cluster.Config) { c.JoinAsLearner = true })
	await(t, "it has joined", func() bool { return !strings.Contains(meta(t, n1), `"seeds"`) })
	l := lead.listed("n1")
	if l == nil || !l.Learner {
		t.Fatalf("n1 is %+v, want a learner", l)
	}
	n1.mustPut(t, "a", "1")
	if _, err := n1.changed(Change{Kind: ChangePromote, ID: l.ID}); err != nil {
		t.Fatal(err)
	}
	if len(lead.node.Voters()) != 2 {
		t.Error("not promoted")
	}
}

// A member is added before it runs, and started then: it gets the id that was given out, and stays a learner.
func TestAddedBeforeItRuns(t *testing.T) {
	g := newGroup(t, 1, Config{})
	lead := g.leader()
	n1 := g.prepare("n1", lead, nil)
	id, err := lead.changed(Change{Kind: ChangeAdd, Name: "n1", Addr: n1.cfg.PeerAddr, Learner: true})
	if err != nil {
		t.Fatal(err)
	}
	if l := lead.listed("n1"); l == nil || l.Status != MemberUnstarted {
		t.Errorf("before its start n1 is %+v", l)
	}
	n1.start(t)
	await(t, "it answers", func() bool {
		l := lead.listed("n1")
		return l.Status == MemberStarted && l.ClientAddr != ""
	})
	if n1.node.Self() != id {
		t.Errorf("it calls itself %s, not %s", n1.node.Self(), id)
	}
	if len(lead.node.Voters()) != 1 {
		t.Error("it promoted itself")
	}
}

func silentListener(t *testing.T) (addr string, met <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ch, done := make(chan struct{}, 16), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			ch <- struct{}{}
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String(), ch
}

// refusal is one bad change and a part of what it is told.
type refusal struct {
	name string
	c    Change
	want string
}

// refuse asks each through every member and sees that nothing was changed.
func (g *group) refuse(list []refusal) {
	g.t.Helper()
	for _, r := range list {
		for i, m := range g.members {
			if m.node == nil {
				continue
			}
			before := g.leader().config()
			_, err := m.changed(r.c)
			if _, ok := err.(cluster.RefusedChange); !ok || !strings.Contains(err.Error(), r.want) {
				g.t.Errorf("%s through member %d: %v, want a refusal with %q", r.name, i, err, r.want)
			}
			if after := g.leader().config(); after != before {
				g.t.Errorf("%s was refused, yet %s became %s", r.name, before, after)
			}
		}
	}
}

func TestBadChangesAreRefused(t *testing.T) {
	g := newGroup(t, 3, Config{})
	other := newGroup(t, 1, Config{})
	lead := g.leader()
	silent, _ := silentListener(t)
	learner, err := lead.changed(Change{Kind: ChangeAdd, Name: "late", Addr: freeAddr(t), Learner: true})
	if err != nil {
		t.Fatal(err)
	}
	n1, n2 := g.members[1].node, g.members[2].node
	g.refuse([]refusal{
		{"dead address", Change{Kind: ChangeAdd, Name: "x", Addr: freeAddr(t)}, "nobody answers"},
		{"silent address", Change{Kind: ChangeAdd, Name: "x", Addr: silent}, "cannot join"},
		{"no address", Change{Kind: ChangeAdd, Name: "x", Addr: "here"}, "host:port"},
		{"no name", Change{Kind: ChangeAdd, Name: "", Addr: freeAddr(t)}, "name"},
		{"taken name", Change{Kind: ChangeAdd, Name: "n1", Addr: freeAddr(t)}, "is taken"},
		{"taken address", Change{Kind: ChangeAdd, Name: "x", Addr: n1.PeerAddr()}, "peer address of n1"},
		{"other cluster", Change{Kind: ChangeAdd, Name: "x", Addr: other.members[0].node.PeerAddr()}, "of cluster"},
		{"unknown member", Change{Kind: ChangeRemove, ID: 7}, "no member has the id"},
		{"promote a voter", Change{Kind: ChangePromote, ID: n1.Self()}, "a voter already"},
		{"promote one that never ran", Change{Kind: ChangePromote, ID: learner}, "does not answer"},
		{"lead by a learner", Change{Kind: ChangeMove, ID: learner}, "learner"},
		{"address of another", Change{Kind: ChangeUpdate, ID: n1.Self(), Addr: n2.PeerAddr()},
			"peer address of n2"},
		{"address of another cluster",
			Change{Kind: ChangeUpdate, ID: n1.Self(), Addr: other.members[0].node.PeerAddr()}, "is not n1"},
	})
	other.refuse([]refusal{{"the last voter",
		Change{Kind: ChangeRemove, ID: other.members[0].node.Self()}, "only voter"}})
}

// With one of three away, the two others are needed: neither may be removed, only the one that is away.
func TestRemovalIsWeighed(t *testing.T) {
	g := newGroup(t, 3, Config{})
	lead, gone := g.leader(), g.follower()
	goneID := gone.node.Self()
	gone.halt()
	var left *member
	for _, m := range g.members {
		if m != lead && m != gone {
			left = m
		}
	}
	g.refuse([]refusal{
		{"a follower that is needed", Change{Kind: ChangeRemove, ID: left.node.Self()},
			"a majority of 2 is needed"},
		{"a leader that is needed", Change{Kind: ChangeRemove, ID: lead.node.Self()}, "a majority of 2 is needed"},
		{"lead by one that is away", Change{Kind: ChangeMove, ID: goneID}, "does not answer"},
	})
	if _, err := left.changed(Change{Kind: ChangeRemove, ID: goneID}); err != nil {
		t.Fatalf("remove the one that is away: %v", err)
	}
	left.mustPut(t, "a", "1")
	gone.start(t)
	await(t, "it knows that it was removed", gone.IsRemoved)
	await(t, "it says so", func() bool { return gone.listed(gone.cfg.Name).Status == MemberRemoved })
	gone.halt()
	gone.start(t)
	if !gone.IsRemoved() {
		t.Error("after a restart it has forgotten")
	}
	left.mustPut(t, "b", "2")
}

// A learner answers, but has not applied what the leader had when it was asked.
func TestPromotionIsWeighed(t *testing.T) {
	g := newGroup(t, 1, Config{})
	lead := g.leader()
	n1 := g.join("n1", lead, func(c *cluster.Config) { c.JoinAsLearner = true })
	await(t, "a learner", func() bool { l := lead.listed("n1"); return l != nil && l.ClientAddr != "" })
	n1.node.Handle(kindStatus, func(_ cluster.MemberID, _ []byte, reply func([]byte)) {
		reply(binary.BigEndian.AppendUint64(nil, 1))
	})
	g.refuse([]refusal{{"a learner that is behind", Change{Kind: ChangePromote, ID: n1.node.Self()},
		"has not caught up"}})
	n1.node.Handle(kindStatus, n1.answerStatus)
	if _, err := lead.changed(Change{Kind: ChangePromote, ID: n1.node.Self()}); err != nil {
		t.Fatal(err)
	}
}

func TestTwoChangesAtOnce(t *testing.T) {
	g := newGroup(t, 1, Config{})
	lead := g.leader()
	silent, met := silentListener(t)
	first := lead.Change(Change{Kind: ChangeAdd, Name: "x", Addr: silent})
	<-met
	_, err := lead.changed(Change{Kind: ChangeAdd, Name: "y", Addr: freeAddr(t), Learner: true})
	if err != oneAtATime {
		t.Errorf("the second change: %v", err)
	}
	<-first.Done()
	if _, err := lead.changed(Change{Kind: ChangeAdd, Name: "y", Addr: freeAddr(t), Learner: true}); err != nil {
		t.Errorf("after the first: %v", err)
	}
}

func TestLeaderHandsOverBeforeItIsRemoved(t *testing.T) {
	g := newGroup(t, 3, Config{})
	lead, other := g.leader(), g.follower()
	if _, err := other.changed(Change{Kind: ChangeRemove, ID: lead.node.Self()}); err != nil {
		t.Fatal(err)
	}
	await(t, "it knows", lead.IsRemoved)
	other.mustPut(t, "a", "1")
	if n := len(other.node.Voters()); n != 2 {
		t.Errorf("%d voters", n)
	}
}

func TestMoveLeader(t *testing.T) {
	g := newGroup(t, 3, Config{})
	for range 3 {
		to := g.follower()
		if _, err := to.changed(Change{Kind: ChangeMove, ID: to.node.Self()}); err != nil {
			t.Fatal(err)
		}
		if !to.node.IsLeader() {
			t.Error("it was said to lead and does not")
		}
		to.mustPut(t, "a", "1")
	}
}

// The dead member's name and place go to a new one, in one step; the old data never come back.
func TestReplaceADeadMember(t *testing.T) {
	g := newGroup(t, 3, Config{})
	gone := g.follower()
	old := gone.node.Self()
	g.leader().mustPut(t, "a", "1")
	gone.halt()
	name := gone.cfg.Name
	fresh := g.join(name, g.leader(), func(c *cluster.Config) { c.Replace = name })
	lead := g.leader()
	await(t, "the new one votes in place of the old", func() bool {
		l := lead.listed(name)
		return l != nil && l.ID == fresh.node.Self() && !l.Learner && len(lead.node.Voters()) == 3
	})
	gone.start(t)
	await(t, "the old one knows", gone.IsRemoved)
	if _, ok := lead.recordOf(old); !ok {
		t.Error("nobody remembers that it was removed")
	}
}

func TestALivingMemberIsNotReplaced(t *testing.T) {
	g := newGroup(t, 3, Config{})
	victim := g.follower()
	fresh := g.join("fresh", g.leader(), func(c *cluster.Config) { c.Replace = victim.cfg.Name })
	await(t, "it has caught up", func() bool { return fresh.Status().HasLeader })
	_, err := fresh.changed(Change{Kind: ChangeEnter, ID: fresh.node.Self(), Replace: victim.node.Self()})
	if err != oneAtATime && (err == nil || !strings.Contains(err.Error(), "is alive")) {
		t.Errorf("replacing a living member: %v", err)
	}
	if len(g.leader().node.Voters()) != 3 || !g.leader().votes(victim.cfg.Name) {
		t.Error("the living member was touched")
	}
}

// A founder that is started with another address to listen at, and without its old list, tells it, whether
// it is named as the address for others or not.
func TestMemberMovesToAnotherAddress(t *testing.T) {
	g := newGroup(t, 3, Config{})
	m := g.follower()
	for _, named := range []bool{true, false} {
		m.halt()
		m.cfg.PeerAddr, m.cfg.InitialCluster, m.cfg.Announce = freeAddr(t), nil, true
		m.cfg.AdvertisePeer = ""
		if named {
			m.cfg.AdvertisePeer = m.cfg.PeerAddr
		}
		m.start(t)
		for _, o := range g.members {
			await(t, "everybody knows the new address", func() bool {
				l := o.listed(m.cfg.Name)
				return l.PeerAddr == m.cfg.PeerAddr && l.Status == MemberStarted
			})
		}
		m.mustPut(t, "a", "1")
	}
}

func TestJoinRefusals(t *testing.T) {
	g, other := newGroup(t, 1, Config{}), newGroup(t, 1, Config{})
	lead, stopped := g.leader(), make(chan struct{})
	close(stopped)
	for _, c := range []struct {
		name, want string
		change     func(*cluster.Config)
	}{
		{"n0", "is taken", nil},
		{"x", "peer address of n0", func(c *cluster.Config) { c.AdvertisePeer = lead.node.PeerAddr() }},
		{"x", "no member nobody", func(c *cluster.Config) { c.Replace = "nobody" }},
		{"x", "--advertise-peer-addr", func(c *cluster.Config) { c.AdvertisePeer = "0.0.0.0:1" }},
		{"x", "no member of the cluster to join answers", func(c *cluster.Config) {
			c.Join, c.JoinTimeout = []string{freeAddr(t)}, time.Millisecond
		}},
		{"x", "stopped before", func(c *cluster.Config) { c.Join, c.Stop = []string{freeAddr(t)}, stopped }},
	} {
		m := g.prepare(c.name, lead, c.change)
		m.cfg.FSM = New(m.ecfg).FSM()
		if _, err := cluster.Open(m.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("join as %s: %v, want %q", c.name, err, c.want)
		}
		if _, err := os.Stat(m.cfg.DataDir); err == nil {
			t.Errorf("join as %s was refused and left %s behind", c.name, m.cfg.DataDir)
		}
	}
	stranger := other.members[0]
	stranger.halt()
	cfg := stranger.cfg
	cfg.InitialCluster, cfg.Join = nil, []string{lead.node.PeerAddr()}
	if _, err := cluster.Open(cfg); err == nil || !strings.Contains(err.Error(), "belongs to another cluster") {
		t.Errorf("data of another cluster: %v", err)
	}
}

// A record without a name is final, whatever comes later and in whatever order.
func TestRemovedRecordIsFinal(t *testing.T) {
	m := newMachine(&Stats{})
	defer m.store.Close()
	m.setMember(memberRecord{ID: 1, Name: "a", ClientAddr: "x"})
	m.setMember(memberRecord{ID: 1})
	m.setMember(memberRecord{ID: 1, Name: "a", ClientAddr: "y"})
	if list := *m.members.Load(); len(list) != 1 || !list[0].gone() {
		t.Errorf("records %+v", list)
	}
}

func TestChangeOnTheWire(t *testing.T) {
	c := Change{Kind: ChangeEnter, ID: 1, Replace: 2, Name: "n", Addr: "h:1", Learner: true}
	b := c.encode()
	if got, err := decodeChange(b); err != nil || got != c {
		t.Errorf("%+v, %v", got, err)
	}
	for i := range b {
		if _, err := decodeChange(b[:i]); err == nil {
			t.Errorf("%d of %d bytes were taken", i, len(b))
		}
	}
	for _, err := range []error{nil, oneAtATime, errElsewhere, ErrNoLeader, ErrUncertain} {
		if id, got := outcomeOf(encodeOutcome(9, err), nil); got != err || err == nil && id != 9 {
			t.Errorf("%v became %d, %v", err, id, got)
		}
	}
}

// A cluster of one that was started on one address is moved to another, before others join it there.
func TestSoleMemberMoves(t *testing.T) {
	g := newGroup(t, 1, Config{})
	m := g.leader()
	m.halt()
	m.cfg.PeerAddr, m.cfg.InitialCluster, m.cfg.Announce = freeAddr(t), nil, true
	m.cfg.AdvertisePeer = m.cfg.PeerAddr
	m.start(t)
	await(t, "it lists itself there", func() bool { return m.listed("n0").PeerAddr == m.cfg.PeerAddr })
	g.join("n1", m, nil)
	await(t, "another joins", func() bool { return m.votes("n1") })
}

// A member that calls itself by an address where it does not answer keeps the one it has.
func TestFalseAddressIsNotBelieved(t *testing.T) {
	g := newGroup(t, 3, Config{})
	m := g.follower()
	known := m.node.PeerAddr()
	_, err := m.changed(Change{Kind: ChangeAnnounce, ID: m.node.Self(), Addr: freeAddr(t)})
	if err == nil || !strings.Contains(err.Error(), "does not answer there") {
		t.Errorf("a false address: %v", err)
	}
	if l := g.leader().listed(m.cfg.Name); l.PeerAddr != known {
		t.Errorf("its address became %s", l.PeerAddr)
	}
}

// A change that stops behind its first step says what of it was made.
func TestHalfAReplacementIsTold(t *testing.T) {
	why := cluster.RefusedChange("the cluster takes no writes")
	if err := after("", why); err != why {
		t.Errorf("nothing was removed: %v", err)
	}
	if err := after("n2 (07)", nil); err != nil {
		t.Error(err)
	}
	if err := after("n2 (07)", raft.ErrNotLeader); !errors.Is(err, errElsewhere) {
		t.Errorf("the next leader goes on: %v", err)
	}
	err := after("n2 (07)", why)
	var refused cluster.RefusedChange
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	for _, part := range []string{"n2 (07) was removed", string(why), "Repeat this"} {
		if !strings.Contains(string(refused), part) {
			t.Errorf("%q does not say %q", refused, part)
		}
	}
}

// When the time of a promotion is over, the learner is not said to be down: it answers.
func TestPromotionOutOfTime(t *testing.T) {
	g := newGroup(t, 1, Config{})
	lead := g.leader()
	g.join("n1", lead, func(c *cluster.Config) { c.JoinAsLearner = true })
	await(t, "a learner", func() bool { l := lead.listed("n1"); return l != nil && l.ClientAddr != "" })
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for _, m := range lead.node.Members() {
		if m.Voter {
			continue
		}
		err := lead.awaitCaughtUp(over, m)
		if err == nil || !strings.Contains(err.Error(), "--request-timeout") {
			t.Error(err)
		}
	}
}
