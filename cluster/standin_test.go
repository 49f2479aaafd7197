package cluster

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// standIn sends a member what the leader of a term would send, each message when the test says so.
type standIn struct {
	t      *testing.T
	trans  *transport
	header raft.RPCHeader
	target raft.ServerAddress
	id     raft.ServerID
	term   uint64
}

// followerOf is a member of three whose others do not run: it has a snapshot at index 1 of term 1, and an
// empty log, as after an installation. reopen starts it once more.
func followerOf(t *testing.T, store string) (n *testNode, lead *standIn, reopen func() *testNode) {
	t.Helper()
	dir := t.TempDir()
	var initial []Peer
	for i, addr := range freePorts(t, 3) {
		initial = append(initial, Peer{fmt.Sprintf("n%d", i+1), addr})
	}
	founding := Founding{DataDir: dir, Name: "n1", Initial: initial, LogStore: store}
	made, err := Found(founding, testReplay{newTestFSM()}.Write)
	if err != nil {
		t.Fatal(err)
	}
	lead = newStandIn(t, made.Cluster, initial)
	reopen = func() *testNode {
		t.Helper()
		if n != nil {
			shut(t, n.Node)
			lead.trans.CloseStreams() // or the next message meets a connection that has ended
		}
		n, err = trySingle(t, dir, func(c *Config) {
			c.Name, c.PeerAddr, c.InitialCluster, c.LogStore = "n1", initial[0].Addr, initial, store
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return reopen(), lead, reopen
}

// newStandIn stands in for the second member, and speaks to the first.
func newStandIn(t *testing.T, cluster ClusterID, initial []Peer) *standIn {
	t.Helper()
	cfg, _, _ := testConfig(t, "")
	ln, err := net.Listen("tcp", "127.0.0.1:0") // nobody is to find it there
	if err != nil {
		t.Fatal(err)
	}
	self := memberID(cluster, initial[1].Name)
	mux := newPeerMux(ln, initial[1].Addr, hello{cluster: cluster, member: self}, cfg.withDefaults())
	trans := newTransport(mux, cfg.withDefaults(), new(stopwatch).running)
	t.Cleanup(func() {
		if err := errors.Join(trans.Close(), mux.hangUp()); err != nil {
			t.Error(err)
		}
		trans.wait()
		mux.wait()
	})
	return &standIn{
		t: t, trans: trans, term: 2,
		header: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax,
			ID: []byte(self.serverID()), Addr: []byte(initial[1].Addr)},
		target: raft.ServerAddress(initial[0].Addr), id: memberID(cluster, initial[0].Name).serverID(),
	}
}

// entries are commands of the stand-in's term.
func (s *standIn) entries(from, to uint64) (list []*raft.Log) {
	for i := from; i <= to; i++ {
		list = append(list, &raft.Log{Index: i, Term: s.term, Type: raft.LogCommand,
			Data: fmt.Appendf(nil, "%d of term %d", i, s.term)})
	}
	return list
}

// append sends entries that follow the one given, and returns the answer.
func (s *standIn) append(prev, prevTerm, commit uint64, entries []*raft.Log) raft.AppendEntriesResponse {
	s.t.Helper()
	req := &raft.AppendEntriesRequest{
		RPCHeader: s.header, Term: s.term, Leader: s.header.Addr,
		PrevLogEntry: prev, PrevLogTerm: prevTerm, LeaderCommitIndex: commit, Entries: entries,
	}
	var resp raft.AppendEntriesResponse
	if err := s.trans.AppendEntries(s.id, s.target, req, &resp); err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// install sends the member its own newest snapshot.
func (s *standIn) install(n *testNode) {
	s.t.Helper()
	meta, content, err := n.snaps.Open(n.LastSnapshot().ID)
	if err != nil {
		s.t.Fatal(err)
	}
	defer content.Close()
	req := &raft.InstallSnapshotRequest{
		RPCHeader: s.header, SnapshotVersion: meta.Version, Term: s.term, Leader: s.header.Addr,
		LastLogIndex: meta.Index, LastLogTerm: meta.Term, Size: meta.Size,
		Configuration: raft.EncodeConfiguration(meta.Configuration), ConfigurationIndex: meta.ConfigurationIndex,
	}
	var resp raft.InstallSnapshotResponse
	err = s.trans.addressee.InstallSnapshot(s.id, s.target, req, &resp, content)
	if err != nil || !resp.Success {
		s.t.Fatalf("the snapshot is not installed: %v, %+v", err, resp)
	}
}

// catchUp does what raft's leader does when its log begins behind the snapshot: it sends the entries that
// follow the snapshot's own, and where that is refused the snapshot, a few times. It returns how many
// snapshots that took.
func (s *standIn) catchUp(n *testNode, commit uint64, entries []*raft.Log) (installs int) {
	s.t.Helper()
	for ; installs < 3; installs++ {
		if s.append(1, 1, commit, entries).Success {
			return installs
		}
		s.install(n)
	}
	s.t.Fatalf("%d snapshots were sent, and the entries behind them are still refused", installs)
	return installs
}

func (s *standIn) applies(n *testNode, want ...string) {
	s.t.Helper()
	eventually(s.t, "applied "+strings.Join(want, ", "), func() bool {
		return strings.Join(n.fsm.all(), ", ") == strings.Join(want, ", ")
	})
}

// A leader whose message was taken and whose answer was lost sends it again. If what stands before it is the
// entry that the follower's snapshot ends with, raft alone finds that neither in the log nor at its end.
func TestWhatFollowsASnapshotMayBeSentAgain(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			n, lead, reopen := followerOf(t, store)
			first := lead.entries(2, 2)
			if !lead.append(1, 1, 1, first).Success {
				t.Fatal("an empty log takes no entry")
			}
			if got := lead.catchUp(n, 1, first); got != 0 {
				t.Errorf("%d snapshots were sent for an answer that was lost", got)
			}
			n = reopen()
			if got := lead.catchUp(n, 4, lead.entries(2, 4)); got != 0 {
				t.Errorf("%d snapshots were sent after a restart", got)
			}
			lead.applies(n, "2 of term 2", "3 of term 2", "4 of term 2")
			if s := n.Stats(); s.FirstIndex != 2 || s.LastIndex != 4 || s.SnapshotsInstalled != 0 {
				t.Errorf("%+v", s)
			}
			if lead.append(1, 9, 4, nil).Success {
				t.Error("an entry of another term is taken for the one that the snapshot ends with")
			}
		})
	}
}

// A new leader whose log ends where the follower's snapshot does replaces what the follower has behind it.
func TestWhatFollowsASnapshotMayBeReplaced(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			n, lead, reopen := followerOf(t, store)
			lead.append(1, 1, 1, lead.entries(2, 40))
			lead.term = 3
			if got := lead.catchUp(n, 3, lead.entries(2, 3)); got != 0 {
				t.Errorf("%d snapshots were sent", got)
			}
			lead.applies(n, "2 of term 3", "3 of term 3")
			n = reopen()
			lead.append(3, 3, 4, lead.entries(4, 4))
			lead.applies(n, "2 of term 3", "3 of term 3", "4 of term 3")
			if s := n.Stats(); s.FirstIndex != 2 || s.LastIndex != 4 {
				t.Errorf("the log holds %d to %d", s.FirstIndex, s.LastIndex)
			}
		})
	}
}

// raft that has been given a snapshot over a longer log believes in the end of that log, and takes what
// follows it. With that gap in its log the node could not start again.
func TestNoGapBehindASnapshot(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			n, lead, reopen := followerOf(t, store)
			fatal := make(chan error, 2)
			n.fatal.tell = func(err error) { fatal <- err }
			if !lead.append(1, 1, 1, lead.entries(2, 5)).Success {
				t.Fatal("an empty log takes no entry")
			}
			lead.install(n)
			if lead.append(5, 2, 1, lead.entries(6, 6)).Success {
				t.Error("an entry was taken that follows none")
			}
			select {
			case err := <-fatal:
				if !errors.Is(err, ErrWedged) {
					t.Errorf("the node ends with %v", err)
				}
			default:
				t.Error("the node goes on")
			}
			if last, err := n.log.LastIndex(); err != nil || last != 0 {
				t.Fatalf("the log ends at %d, %v", last, err)
			}
			n = reopen()
			lead.catchUp(n, 6, lead.entries(2, 6))
			lead.applies(n, "2 of term 2", "3 of term 2", "4 of term 2", "5 of term 2", "6 of term 2")
		})
	}
}

// A log that does not go on from its snapshot is told as such when the node starts.
func TestALogBeyondItsSnapshotIsRefused(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			n, lead, _ := followerOf(t, store)
			if err := n.log.inner.StoreLogs(lead.entries(6, 6)); err != nil {
				t.Fatal(err)
			}
			shut(t, n.Node)
			_, err := trySingle(t, n.cfg.DataDir, func(c *Config) {
				c.Name, c.PeerAddr, c.InitialCluster, c.LogStore = "n1", n.cfg.PeerAddr, n.cfg.InitialCluster, store
			})
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "from index 2 to 5") {
				t.Error(err)
			}
		})
	}
}

// What stands for the entry that a snapshot ends with has its term, is of no type that raft applies, and is
// neither given to a leader, who would have to send the snapshot instead, nor sent by one.
func TestTheEndOfASnapshotIsNoEntry(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			n, lead, _ := followerOf(t, store)
			missing := func(when string, indexes ...uint64) {
				t.Helper()
				for _, i := range indexes {
					if err := n.log.GetLog(i, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
						t.Errorf("%s: entry %d: %v", when, i, err)
					}
				}
			}
			missing("nothing follows the snapshot", 0, 1, 2)
			lead.append(1, 1, 1, lead.entries(2, 3))
			missing("a follower", 0, 4)
			var end raft.Log
			if err := n.log.GetLog(1, &end); err != nil || end.Index != 1 || end.Term != 1 || end.Type != noEntry {
				t.Errorf("%+v, %v", end, err)
			}
			req := &raft.AppendEntriesRequest{RPCHeader: lead.header, Term: 2, Entries: []*raft.Log{&end}}
			err := lead.trans.AppendEntries(lead.id, lead.target, req, new(raft.AppendEntriesResponse))
			if !errors.Is(err, errNoEntry) {
				t.Errorf("it can be sent: %v", err)
			}

			alone := Founding{DataDir: t.TempDir(), Name: "n1", LogStore: store}
			alone.Initial = []Peer{{"n1", freePorts(t, 1)[0]}}
			if _, err := Found(alone, testReplay{newTestFSM()}.Write); err != nil {
				t.Fatal(err)
			}
			n = single(t, alone.DataDir, func(c *Config) { c.LogStore, c.PeerAddr = store, alone.Initial[0].Addr })
			n.put(t, "behind the snapshot")
			missing("a leader", 0, 1)
		})
	}
}

// What a follower has behind what a message compares may be of another leader: no message makes it apply
// that, whatever has been committed in between.
func TestNothingIsCommittedBeyondWhatWasCompared(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			n, lead, _ := followerOf(t, store)
			lead.append(1, 1, 2, lead.entries(2, 5))
			lead.applies(n, "2 of term 2")
			lead.term = 3
			if !lead.append(2, 2, 4, nil).Success {
				t.Fatal("what it has applied it has")
			}
			if got := n.CommitIndex(); got != 2 {
				t.Fatalf("the follower takes up to %d for committed", got)
			}
			lead.append(2, 2, 4, lead.entries(3, 4))
			lead.applies(n, "2 of term 2", "3 of term 3", "4 of term 3")
		})
	}
}
