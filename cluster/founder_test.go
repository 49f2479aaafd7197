package cluster

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// empty makes the data directory of a stopped member that of one that never ran.
func (c *testCluster) empty(i int) {
	c.t.Helper()
	if err := os.RemoveAll(c.dirs[i]); err != nil {
		c.t.Fatal(err)
	}
}

func (c *testCluster) tryStart(i int, change func(*Config)) (*testNode, error) {
	return trySingle(c.t, c.dirs[i], func(cfg *Config) {
		cfg.Name, cfg.PeerAddr, cfg.InitialCluster = c.initial[i].Name, c.initial[i].Addr, c.initial
		change(cfg)
	})
}

// A founder whose data is gone is not let in as the member it was; one that never ran is, however late.
func TestFounderWithoutItsData(t *testing.T) {
	introduced := map[MemberID]bool{}
	c := newCluster(t, 3, func(c *Config) {
		c.HasRun = func(id MemberID) (ran, sure bool) { return introduced[id], true }
	})
	lead := c.leader()
	c.nodes[lead].put(t, "x")
	c.converge("x")
	lost := (lead + 1) % 3
	id := c.nodes[lost].Self()
	c.stop(lost)
	c.empty(lost)
	_, err := c.tryStart(lost, func(*Config) {}) // the leader has its acknowledgements
	mustContain(t, err, ErrHasRun, "--join", "--replace "+c.initial[lost].Name)
	if _, err := os.Stat(c.dirs[lost]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused start has left a directory: %v", err)
	}
	introduced[id] = true
	c.stop(lead)
	_, err = c.tryStart(lost, func(*Config) {}) // the other one has its introduction
	mustContain(t, err, ErrHasRun, c.initial[3-lead-lost].Addr)
}

// Without a leader nobody can say who has run: the start waits, and is refused in the end. With nothing in
// the logs but the first configuration there is nothing to be lost.
func TestFounderThatNobodyKnows(t *testing.T) {
	c := newCluster(t, 3, nil)
	lead := c.leader()
	c.nodes[lead].put(t, "x")
	c.converge("x")
	lost, other := (lead+1)%3, (lead+2)%3
	c.stop(lost)
	c.stop(lead)
	eventually(t, "the last one has no leader", func() bool {
		_, _, led := c.nodes[other].Leader()
		return !led
	})
	c.empty(lost)
	_, err := c.tryStart(lost, func(cfg *Config) { cfg.JoinTimeout = time.Millisecond })
	mustContain(t, err, ErrHasRun, c.initial[other].Addr, "no leader")

	late := &testCluster{t: t, nodes: make([]*testNode, 3)}
	for i, addr := range freePorts(t, 3) {
		late.initial = append(late.initial, Peer{fmt.Sprint("m", i), addr})
		late.dirs = append(late.dirs, t.TempDir())
	}
	for i := range 3 {
		began := time.Now()
		late.start(i)
		if took := time.Since(began); took > handshakeTimeout {
			t.Errorf("member %d was %v about its first start", i, took)
		}
	}
	late.nodes[late.leader()].put(t, "y")
	late.converge("y")
}

// raft's messages reach the member they are for, and no other one at its address, be it that one has to dial
// or that connections to the other one are idle.
func TestRaftDialsTheMemberMeant(t *testing.T) {
	c := newCluster(t, 3, nil)
	lead := c.leader()
	gone := (lead + 1) % 3
	meant := c.nodes[gone].Self()
	c.stop(gone)
	c.dirs[gone] = t.TempDir()
	d, err := openDataDir(c.dirs[gone])
	if err != nil {
		t.Fatal(err)
	}
	other := memberID(1, "another")
	d.meta = metaData{
		Format: metaFormat, ClusterID: c.nodes[lead].ClusterID().String(), MemberID: other.String(),
		Name: c.initial[gone].Name, LogStore: LogStoreWAL, Bootstrapped: true, Joined: true,
	}
	if err := errors.Join(d.saveMeta(), d.release()); err != nil {
		t.Fatal(err)
	}
	stranger, err := trySingle(t, c.dirs[gone], func(cfg *Config) {
		cfg.Name, cfg.PeerAddr = c.initial[gone].Name, c.initial[gone].Addr
	})
	if err != nil {
		t.Fatal(err)
	}
	n := c.nodes[lead]
	req := &raft.RequestVoteRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.self.serverID()),
			Addr: []byte(n.mux.advertise)},
		Term: uint64(n.Term()) + 1, LastLogIndex: 1 << 40, LastLogTerm: 1 << 40, LeadershipTransfer: true,
	}
	var resp raft.RequestVoteResponse
	addr := raft.ServerAddress(c.initial[gone].Addr)
	early := raft.RequestPreVoteRequest{RPCHeader: req.RPCHeader}
	err = n.trans.RequestPreVote(other.serverID(), addr, &early, &raft.RequestPreVoteResponse{})
	if err != nil {
		t.Fatal(err) // else its connection is idle now
	}
	eventually(t, "the old connections are used up", func() bool {
		err = n.trans.RequestVote(meant.serverID(), addr, req, &resp)
		return err == nil || errors.Is(err, errBadHello)
	})
	if err == nil || resp.Granted {
		t.Errorf("another member at %s: granted %v, error %v", addr, resp.Granted, err)
	}
	if term := stranger.Term(); term != 0 {
		t.Errorf("it has taken over term %d", term)
	}
}

// A crash between a snapshot from the leader and the removal of the log before it: the log ends before the
// snapshot begins.
func TestSnapshotBeyondTheLog(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			dir := t.TempDir()
			use := func(c *Config) { c.LogStore = store }
			n := single(t, dir, use)
			for range 20 {
				n.put(t, "before")
			}
			snapshotAt(t, n, n.Stats().LastIndex+1000)
			shut(t, n.Node)
			for range 2 {
				n = single(t, dir, use)
				n.put(t, "behind")
				shut(t, n.Node)
			}
			if got := len(n.fsm.all()); got != 22 {
				t.Errorf("%d entries of 22", got)
			}
		})
	}
}

// snapshotAt stores a snapshot of what the node has, as if it were of that index.
func snapshotAt(t *testing.T, n *testNode, index Index) {
	t.Helper()
	content, err := n.fsm.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	future := n.raft.GetConfiguration()
	if err := future.Error(); err != nil {
		t.Fatal(err)
	}
	sink, err := n.snaps.Create(raft.SnapshotVersionMax, uint64(index), uint64(n.Term()),
		future.Configuration(), 1, n.trans)
	if err != nil {
		t.Fatal(err)
	}
	if err := content.Persist(sink); err != nil {
		t.Fatal(err)
	}
}
