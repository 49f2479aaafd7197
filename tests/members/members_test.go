package members

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// A cluster grows by a node that joins through a follower, and shrinks by its leader, while clients write.
func TestGrowAndShrink(t *testing.T) {
	s := newStage(t, 3)
	follower := s.Follower()
	n4 := s.spare("n4", seed(follower))
	w := s.write(s.Nodes...)
	w.grow(s, 100)
	n4.Start()
	s.awaitMember(follower, "n4", "a voter", votes)
	w.grow(s, 50)
	s.must(n4, "MEMBER.MOVELEADER", s.id(n4, s.Followers()[1].Name))
	leader := s.Leader()
	s.must(n4, "MEMBER.REMOVE", s.id(n4, leader.Name))
	s.awaitRemoved(leader)
	w.grow(s, 50)
	w.check(s, n4)
	if members, err := list(n4); err != nil || len(members) != 3 {
		t.Errorf("n4 lists %v, %v", members, err)
	}
	leader.Kill9()
	leader.Launch() // it prints no ready line: it will never know a leader
	s.awaitRemoved(leader)
	leader.Stop()
}

// Each bad request is refused with what to do instead, and the cluster untouched.
func TestBadRequests(t *testing.T) {
	s := newStage(t, 3)
	via := s.Follower()
	other := s.spare("other")
	other.Start()
	late := s.spare("late", seed(via), "--join-as-learner")
	late.Start()
	s.awaitMember(via, "late", "a learner", func(e entry) bool { return learns(e) && e["client_addr"] != "" })
	learner, n1 := s.id(via, "late"), s.id(via, "n1")
	dead := s.net.Machines[4].Addr.String() + ":1"
	late.Pause()
	s.awaitMember(via, "late", "away", func(e entry) bool { return e["status"] == "unreachable" })
	for _, n := range s.Nodes {
		s.refused(n, "nobody answers", "MEMBER.ADD", "x", dead)
		s.refused(n, "is taken by", "MEMBER.ADD", "n2", dead)
		s.refused(n, "is the peer address of n2", "MEMBER.ADD", "x", s.Nodes[1].PeerAddr)
		s.refused(n, "of cluster", "MEMBER.ADD", "x", other.PeerAddr)
		s.refused(n, "is the peer address of n3", "MEMBER.UPDATE", n1, s.Nodes[2].PeerAddr)
		s.refused(n, "is a learner", "MEMBER.MOVELEADER", learner)
		s.refused(n, "does not answer", "MEMBER.PROMOTE", learner)
		s.refused(n, "no member has the id", "MEMBER.REMOVE", "00000000000000aa")
		s.refused(n, "invalid member id", "MEMBER.REMOVE", "n1")
		s.refused(n, "syntax error", "MEMBER.ADD", "x", dead, "VOTER")
	}
	late.Resume()
	s.must(via, "MEMBER.PROMOTE", learner)
	s.refused(other, "only voter", "MEMBER.REMOVE", s.id(other, "other"))
}

// Data of one cluster never join another, and both sides say so.
func TestWrongCluster(t *testing.T) {
	s := newStage(t, 1)
	other := s.spare("other")
	other.Start()
	other.Stop()
	other.Flags = append(other.Flags, seed(s.Nodes[0]))
	other.Launch()
	other.ExpectExit()
	if code, err := other.Proc.WaitExit(patience); err != nil || code != 1 {
		t.Fatalf("exit code %d, %v", code, err)
	}
	if out := other.Proc.Output(); !strings.Contains(out, "belongs to another cluster") {
		t.Errorf("the stranger says %s", out)
	}
	if out := s.Nodes[0].Proc.Output(); !strings.Contains(out, "peer refused") {
		t.Errorf("the member says %s", out)
	}
}

// Without a third voter the two that are left are needed, and say so; the one that is away can be removed.
func TestRemovalThatWouldEndTheMajority(t *testing.T) {
	s := newStage(t, 3)
	leader := s.Leader()
	gone := s.Followers()[0]
	left := s.Followers()[1]
	goneID := s.id(left, gone.Name)
	s.cut(gone, true)
	s.awaitMember(left, gone.Name, "unreachable", func(e entry) bool { return e["status"] == "unreachable" })
	s.refused(left, "a majority of 2 is needed", "MEMBER.REMOVE", s.id(left, left.Name))
	s.refused(left, "a majority of 2 is needed", "MEMBER.REMOVE", s.id(left, leader.Name))
	s.must(left, "MEMBER.REMOVE", goneID)
	st, err := left.Status()
	if err != nil {
		t.Fatal(err)
	}
	// It has missed its removal, and has called elections all the while; nobody heeds them.
	s.cut(gone, false)
	s.awaitRemoved(gone)
	after, err := left.Status()
	if err != nil || after["term"] != st["term"] || after["leader"] != st["leader"] {
		t.Errorf("the removed member disturbed the others: %v became %v (%v)", st, after, err)
	}
}

// A machine is lost for good. One command puts a new one in its place, under the same name.
func TestReplaceInOneStep(t *testing.T) {
	s := newStage(t, 3)
	gone, via := s.Followers()[0], s.Followers()[1]
	w := s.write(via)
	w.grow(s, 50)
	old := s.id(via, gone.Name)
	gone.Kill9()
	fresh := s.spare(gone.Name, seed(via), "--replace="+gone.Name)
	fresh.Start()
	s.awaitMember(via, gone.Name, "a new voter", func(e entry) bool { return votes(e) && e["id"] != old })
	members, err := list(via)
	if err != nil || len(members) != 3 {
		t.Errorf("members %v, %v", members, err)
	}
	w.grow(s, 50)
	w.check(s, fresh, via)
	gone.Launch()
	s.awaitRemoved(gone)
}

// The disk of a machine is lost: the node comes back with the same name and address and no data.
func TestReplaceOnTheSameMachine(t *testing.T) {
	s := newStage(t, 3)
	n, via := s.Followers()[0], s.Followers()[1]
	old := s.id(via, n.Name)
	if r := via.Do("SET", "a", "1"); r.Text != "OK" {
		t.Fatal(r)
	}
	n.Kill9()
	n.Rejoin(seed(via), "--replace="+n.Name)
	n.Start()
	s.awaitMember(via, n.Name, "a new voter", func(e entry) bool { return votes(e) && e["id"] != old })
	if members, err := list(via); err != nil || len(members) != 3 {
		t.Errorf("members %v, %v", members, err)
	}
	if r := n.Do("GET", "a"); r.Text != "1" {
		t.Errorf("GET: %s", r)
	}
}

// A founder whose data is gone does not come back as itself, also when only a follower is there to know it.
func TestFounderWithoutItsData(t *testing.T) {
	s := newStage(t, 3)
	n, via, leader := s.Followers()[0], s.Followers()[1], s.Leader()
	n.Kill9()
	if err := os.RemoveAll(n.Dir); err != nil {
		t.Fatal(err)
	}
	refused := func(by ...string) {
		t.Helper()
		n.Launch()
		n.ExpectExit()
		code, err := n.Proc.WaitExit(30 * time.Second)
		if code != 1 || err != nil {
			t.Fatalf("exit code %d, %v", code, err)
		}
		for _, want := range append(by, "this member of the initial cluster is not new", "--replace "+n.Name) {
			if !strings.Contains(n.Proc.Output(), want) {
				t.Errorf("the refusal lacks %q:\n%s", want, n.Proc.Tail(20))
			}
		}
	}
	refused()
	leader.Kill9()
	refused(via.PeerAddr)
	leader.Start()
	n.Rejoin(seed(via), "--replace="+n.Name)
	n.Start()
	s.awaitMember(via, n.Name, "a voter", votes)
}

// A joining node dies again and again on its way; in the end it is one member.
func TestJoinSurvivesCrashes(t *testing.T) {
	s := newStage(t, 1)
	via := s.Nodes[0]
	n2 := s.spare("n2", seed(via))
	for _, line := range []string{"", "listening for clients", "msg=leader"} {
		n2.Launch()
		node.Eventually(t, patience, line, func() error {
			if !strings.Contains(n2.Proc.Output(), line) {
				return os.ErrNotExist
			}
			return nil
		})
		n2.Kill9()
	}
	n2.Start()
	s.awaitMember(via, "n2", "a voter", votes)
	if members, err := list(via); err != nil || len(members) != 2 {
		t.Errorf("members %v, %v", members, err)
	}
	if _, err := os.Stat(filepath.Join(n2.Dir, "meta.json")); err != nil {
		t.Error(err)
	}
}

// A member comes back on another machine with its data, and tells the others where it is.
func TestMemberMoves(t *testing.T) {
	s := newStage(t, 3)
	n, via := s.Followers()[0], s.Followers()[1]
	id := s.id(via, n.Name)
	n.Stop()
	s.place(s.next, n)
	n.Flags = append(n.Flags, "--advertise-peer-addr="+n.PeerAddr)
	n.Start()
	s.awaitMember(via, n.Name, "at its new address", func(e entry) bool {
		return e["peer_addr"] == n.PeerAddr && e["client_addr"] == n.ClientAddr && e["id"] == id && votes(e)
	})
	if r := n.Do("SET", "a", "1"); r.Text != "OK" {
		t.Errorf("SET through the moved member: %s", r)
	}
}

// Leadership goes where it is asked to, and not where nobody answers.
func TestMoveLeader(t *testing.T) {
	s := newStage(t, 3)
	w := s.write(s.Nodes...)
	for _, n := range append(s.Nodes, s.Nodes[0]) {
		s.must(s.Nodes[1], "MEMBER.MOVELEADER", s.id(n, n.Name))
		if leader := s.Leader(); leader != n {
			t.Errorf("%s leads, not %s", leader.Name, n.Name)
		}
	}
	w.grow(s, 50)
	away := s.Follower()
	id := s.id(away, away.Name)
	s.cut(away, true)
	via := s.Leader()
	s.refused(via, "does not answer", "MEMBER.MOVELEADER", id)
	s.cut(away, false)
	w.grow(s, 50)
	w.check(s, s.Nodes...)
}

// A learner counts for nothing: with it away, and only it, the cluster writes and is healthy.
func TestLearnerDoesNotCount(t *testing.T) {
	s := newStage(t, 1)
	via := s.Nodes[0]
	learner := s.spare("l", seed(via), "--join-as-learner")
	learner.Start()
	s.awaitMember(via, "l", "a learner", learns)
	if r := learner.Do("SET", "a", "1"); r.Text != "OK" {
		t.Errorf("SET through the learner: %s", r)
	}
	if r := learner.Do("GET", "a"); r.Text != "1" {
		t.Errorf("GET through the learner: %s", r)
	}
	s.cut(learner, true)
	if r := via.Do("SET", "a", "2"); r.Text != "OK" {
		t.Errorf("SET without the learner: %s", r)
	}
	if healthy, _ := via.Do("CLUSTER.HEALTH").Field("healthy"); healthy.Text != "1" {
		t.Error("not healthy for want of a learner")
	}
	if r := learner.Do("GET", "a"); !strings.HasPrefix(r.Text, "CLUSTERDOWN") {
		t.Errorf("the learner reads alone: %s", r)
	}
}

// The verbs say what etcdctl says.
func TestVerbs(t *testing.T) {
	s := newStage(t, 3)
	via := s.Nodes[0]
	ctl := func(words ...string) string {
		t.Helper()
		cmd := exec.Command(node.FaultBinary(t), append([]string{"--endpoints", via.ClientAddr}, words...)...)
		out, err := cmd.CombinedOutput()
		if err != nil && !strings.HasPrefix(string(out), "Error: ") {
			t.Fatalf("%v: %v %s", words, err, out)
		}
		return string(out)
	}
	says := func(pattern string, words ...string) {
		t.Helper()
		if out := ctl(words...); !regexp.MustCompile("(?s)^" + pattern + "$").MatchString(out) {
			t.Errorf("%v: %s, want %s", words, out, pattern)
		}
	}
	l := s.spare("l")
	const id = "[0-9a-f]{16}"
	says("Error: ERR nobody answers at .*--join .*\n", "member", "add", "l", "--peer-addr", l.PeerAddr)
	says("Member "+id+" added to cluster "+id+"\n\nredkeep server --name l --peer-addr "+l.PeerAddr+
		" --join .*--join-as-learner\n", "member", "add", "l", "--peer-urls=http://"+l.PeerAddr, "--learner")
	l.Flags = append(l.Flags, seed(via))
	l.Start()
	s.awaitMember(via, "l", "a learner", func(e entry) bool { return learns(e) && e["client_addr"] != "" })
	says("Member "+id+" promoted in cluster "+id+"\n", "member", "promote", s.id(via, "l"))
	says("Leadership transferred from "+id+" to "+s.id(via, "l")+"\n", "move-leader", s.id(via, "l"))
	says("Leadership transferred from .*\n", "endpoint", "move-leader", "n1")
	says("Member "+id+" removed from cluster "+id+"\n", "member", "remove", "l")
	says("Member "+id+" updated in cluster "+id+"\n", "member", "update", "n2", "--peer-addr",
		s.Nodes[1].PeerAddr)
	says("Error: ERR no member has the id .*\n", "member", "remove", "aa")
	says("Error: bad member ID arg .*\n", "member", "remove", "nobody")
	says("Error: member ID is not provided\n", "member", "remove")
}
