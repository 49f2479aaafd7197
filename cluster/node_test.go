package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testFSM keeps every applied entry. Its snapshot is {crc32c, count, entries with length}.
type testFSM struct {
	mu struct {
		sync.Mutex
		applied [][]byte
		times   map[string]time.Time
		changed chan struct{}
	}
	install time.Duration
}

func newTestFSM() *testFSM {
	f := &testFSM{}
	f.mu.times, f.mu.changed = map[string]time.Time{}, make(chan struct{})
	return f
}

func (f *testFSM) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

func (f *testFSM) ApplyBatch(logs []*raft.Log) []any {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range logs {
		if l.Type == raft.LogCommand {
			f.mu.applied = append(f.mu.applied, bytes.Clone(l.Data))
			f.mu.times[string(l.Data)] = time.Now()
		}
	}
	close(f.mu.changed)
	f.mu.changed = make(chan struct{})
	return make([]any, len(logs))
}

func (f *testFSM) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var s []string
	for _, b := range f.mu.applied {
		s = append(s, string(b))
	}
	return s
}

func (f *testFSM) appliedAt(data string) (time.Time, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.mu.times[data]
	return t, ok
}

type testSnapshot []byte

func (f *testFSM) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(len(f.mu.applied)))
	for _, e := range f.mu.applied {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(e))), e...)
	}
	binary.BigEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return testSnapshot(b), nil
}

func (s testSnapshot) Persist(sink raft.SnapshotSink) error {
	_, err := sink.Write(s)
	return errors.Join(err, sink.Close())
}
func (testSnapshot) Release() {}

func verifyTestSnapshot(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(b) < 8 || binary.BigEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		return errors.New("offset 0: checksum")
	}
	return nil
}

func (f *testFSM) Restore(r io.ReadCloser) error {
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := verifyTestSnapshot(bytes.NewReader(b)); err != nil {
		return err
	}
	var list [][]byte
	for b = b[8:]; len(b) > 0; {
		n := binary.BigEndian.Uint32(b)
		list = append(list, b[4:4+n])
		b = b[4+n:]
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.applied = list
	return nil
}

// testLog collects log lines for tests that look for one, and prints them when the test fails.
type testLog struct {
	mu struct {
		sync.Mutex
		bytes.Buffer
	}
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.String()
}

func newTestLog(t testing.TB) *testLog {
	l := &testLog{}
	t.Cleanup(func() {
		if t.Failed() && testing.Verbose() {
			t.Log(l.String())
		}
	})
	return l
}

type testNode struct {
	*Node
	fsm *testFSM
	cfg Config
	out *testLog
}

func testConfig(t testing.TB, dir string) (Config, *testFSM, *testLog) {
	fsm, out := newTestFSM(), newTestLog(t)
	return Config{
		DataDir: dir, Name: "n1", PeerAddr: "127.0.0.1:0", FSM: fsm, VerifySnapshot: verifyTestSnapshot,
		HeartbeatTimeout: 250 * time.Millisecond, SnapshotBytes: -1, SegmentBytes: 1 << 20,
		Logger: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, fsm, out
}

// single opens a node of its own cluster and waits until it leads.
func single(t testing.TB, dir string, change func(*Config)) *testNode {
	t.Helper()
	n, err := trySingle(t, dir, change)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "leads", n.IsLeader)
	return n
}

func trySingle(t testing.TB, dir string, change func(*Config)) (*testNode, error) {
	cfg, fsm, out := testConfig(t, dir)
	if change != nil {
		change(&cfg)
	}
	n, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { shut(t, n) })
	return &testNode{n, fsm, cfg, out}, nil
}

func shut(t testing.TB, n *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !within(10*time.Second, cond) {
		t.Fatalf("not in time: %s", what)
	}
}

func within(limit time.Duration, cond func() bool) bool {
	end := time.After(limit)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-end:
			return cond()
		}
	}
	return true
}

func (n *testNode) put(t testing.TB, data string) Index {
	t.Helper()
	f := n.Apply([]byte(data))
	select {
	case <-f.Done():
	case <-time.After(10 * time.Second):
		t.Fatalf("apply %q: no outcome", data)
	}
	if f.Err() != nil {
		t.Fatalf("apply %q: %v", data, f.Err())
	}
	return f.Index()
}

func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var list []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		list = append(list, ln.Addr().String())
	}
	return list
}

type testCluster struct {
	t       testing.TB
	initial []Peer
	dirs    []string
	nodes   []*testNode // nil when stopped
	change  func(*Config)
}

func newCluster(t testing.TB, size int, change func(*Config)) *testCluster {
	c := &testCluster{t: t, change: change, nodes: make([]*testNode, size)}
	for i, addr := range freePorts(t, size) {
		c.initial = append(c.initial, Peer{fmt.Sprintf("n%d", i+1), addr})
		c.dirs = append(c.dirs, t.TempDir())
	}
	for i := range size {
		c.start(i)
	}
	return c
}

func (c *testCluster) start(i int) *testNode {
	c.t.Helper()
	n, err := trySingle(c.t, c.dirs[i], func(cfg *Config) {
		cfg.Name, cfg.PeerAddr, cfg.InitialCluster = c.initial[i].Name, c.initial[i].Addr, c.initial
		if c.change != nil {
			c.change(cfg)
		}
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[i] = n
	return n
}

func (c *testCluster) stop(i int) {
	c.t.Helper()
	shut(c.t, c.nodes[i].Node)
	c.nodes[i] = nil
}

// leader waits until one running node leads and the others know it.
func (c *testCluster) leader() (at int) {
	c.t.Helper()
	eventually(c.t, "a leader all agree on", func() bool {
		at = -1
		for i, n := range c.nodes {
			if n != nil && n.IsLeader() {
				at = i
			}
		}
		if at < 0 {
			return false
		}
		for _, n := range c.nodes {
			if n == nil {
				continue
			}
			if id, _, ok := n.Leader(); !ok || id != c.nodes[at].Self() {
				return false
			}
		}
		return true
	})
	return at
}

func (c *testCluster) converge(last string) {
	c.t.Helper()
	for i, n := range c.nodes {
		if n == nil {
			continue
		}
		eventually(c.t, fmt.Sprintf("node %d applies %q", i, last), func() bool {
			all := n.fsm.all()
			return len(all) > 0 && all[len(all)-1] == last
		})
	}
}

func mustContain(t *testing.T, got error, want error, parts ...string) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
	for _, p := range parts {
		if !strings.Contains(got.Error(), p) {
			t.Errorf("error %q lacks %q", got, p)
		}
	}
}

func listFiles(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	root := os.DirFS(dir)
	walk(t, root, ".", out)
	return out
}

var stores = []string{LogStoreWAL, LogStoreBoltDB}

// TestRestart: what was acknowledged is there again, in order, and the node leads at once: a sole voter
// does not wait for an election timeout.
func TestRestart(t *testing.T) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			dir := t.TempDir()
			use := func(c *Config) { c.LogStore, c.HeartbeatTimeout = store, time.Second }
			var want []string
			var id ClusterID
			for round := range 4 {
				start := time.Now()
				n := single(t, dir, use)
				if took := time.Since(start); took > 950*time.Millisecond {
					t.Errorf("round %d: leading only after %v", round, took)
				}
				if round > 0 && n.ClusterID() != id {
					t.Errorf("cluster id changed from %v to %v", id, n.ClusterID())
				}
				id = n.ClusterID()
				for i := range 20 {
					want = append(want, fmt.Sprintf("%d/%d", round, i))
					n.put(t, want[len(want)-1])
				}
				if got := n.fsm.all(); strings.Join(got, " ") != strings.Join(want, " ") {
					t.Fatalf("round %d: got %v, want %v", round, got, want)
				}
				shut(t, n.Node)
			}
		})
	}
}

// TestRefusedStart: each reason is one clear error, and nothing in the directory changes.
func TestRefusedStart(t *testing.T) {
	dir := t.TempDir()
	shut(t, single(t, dir, nil).Node)
	other := []Peer{{"n1", "127.0.0.1:1"}, {"n2", "127.0.0.1:2"}}
	before := listFiles(t, dir)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   error
	}{
		{"other log store", func(c *Config) { c.LogStore = LogStoreBoltDB }, ErrOtherLogStore},
		{"other cluster", func(c *Config) { c.InitialCluster = other }, ErrOtherCluster},
		{"port in use", func(c *Config) { c.PeerAddr = busy.Addr().String() }, ErrPeerAddrInUse},
		{"not on the list", func(c *Config) { c.InitialCluster = other; c.Name = "n3" }, ErrConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := trySingle(t, dir, c.change)
			mustContain(t, err, c.want)
			if after := listFiles(t, dir); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Error("the directory has changed")
			}
		})
	}
	fresh := t.TempDir()
	_, err = trySingle(t, fresh, func(c *Config) { c.PeerAddr = busy.Addr().String() })
	mustContain(t, err, ErrPeerAddrInUse)
	if left := listFiles(t, fresh); len(left) > 0 {
		t.Errorf("left in a new directory: %v", left)
	}
}

func TestDataDirLock(t *testing.T) {
	dir := t.TempDir()
	n := single(t, dir, nil)
	_, err := trySingle(t, dir, nil)
	mustContain(t, err, ErrDataDirInUse, dir, fmt.Sprint(os.Getpid()))
	shut(t, n.Node)
	shut(t, single(t, dir, nil).Node)
}

// TestHalfBootstrapped: a crash between meta.json and the first configuration is finished at the next
// start.
func TestHalfBootstrapped(t *testing.T) {
	dir := t.TempDir()
	d, err := openDataDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, _ := testConfig(t, dir)
	if _, err = d.identify(cfg.withDefaults(), "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if err = errors.Join(d.saveMeta(), d.release()); err != nil {
		t.Fatal(err)
	}
	single(t, dir, nil).put(t, "x")
}

func TestApplyErrors(t *testing.T) {
	c := newCluster(t, 3, nil)
	follower := c.nodes[(c.leader()+1)%3]
	f := follower.Apply([]byte("x"))
	<-f.Done()
	if !DefinitelyNotLogged(f.Err()) {
		t.Errorf("on a follower: %v", f.Err())
	}
	n := c.nodes[c.leader()]
	shut(t, n.Node)
	f = n.Apply([]byte("y"))
	<-f.Done()
	if !DefinitelyNotLogged(f.Err()) || !errors.Is(f.Err(), ErrShutdown) {
		t.Errorf("after close: %v", f.Err())
	}
	if DefinitelyNotLogged(raft.ErrLeadershipLost) || DefinitelyNotLogged(ErrStoreFailed) {
		t.Error("an unknown outcome is called definite")
	}
}

// TestLeaderChange: a follower takes over, the old leader comes back as a follower and has everything.
func TestLeaderChange(t *testing.T) {
	c := newCluster(t, 3, nil)
	old := c.leader()
	for i := range 50 {
		c.nodes[old].put(t, fmt.Sprint("a", i))
	}
	term := c.nodes[old].Term()
	c.stop(old)
	next := c.leader()
	if got := c.nodes[next].Term(); got <= term {
		t.Errorf("new leader in term %d, after %d", got, term)
	}
	c.nodes[next].put(t, "b")
	c.start(old)
	c.converge("b")
	if got := len(c.nodes[old].fsm.all()); got != 51 {
		t.Errorf("the old leader has %d entries", got)
	}
}

func TestHandOver(t *testing.T) {
	c := newCluster(t, 3, nil)
	old := c.leader()
	changes := c.nodes[old].LeaderChanges()
	c.nodes[old].put(t, "x")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	start := time.Now()
	if err := c.nodes[old].HandOver(ctx); err != nil {
		t.Fatal(err)
	}
	if c.nodes[old].IsLeader() {
		t.Error("still the leader")
	}
	t.Logf("handed over in %v", time.Since(start))
	select {
	case <-changes:
	case <-ctx.Done():
		t.Error("no token")
	}
	next := c.leader()
	c.nodes[next].put(t, "y")
	c.converge("y")
	if err := c.nodes[old].HandOver(ctx); err != nil {
		t.Errorf("on a follower: %v", err)
	}
}
