package cluster

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// Names of the log stores.
const (
	LogStoreWAL    = "wal"
	LogStoreBoltDB = "boltdb"
)

// Config is what Open needs. Zero fields have the defaults named beside them.
type Config struct {
	DataDir       string
	Name          string // this member's name; it must be in InitialCluster when that is given
	PeerAddr      string // listen address of the peer port
	AdvertisePeer string // address other members dial; default: what PeerAddr listens on

	// InitialCluster is the same list on each node of a new cluster; empty means a cluster of this node alone.
	// A data directory that already belongs to a cluster keeps its own, but refuses a list that names another
	// cluster.
	InitialCluster []Peer

	// Join is the peer addresses of members of a running cluster that a node without data joins. A node with
	// data only compares its cluster with theirs. See join.go.
	Join          []string
	JoinAsLearner bool            // it stays a learner until it is promoted by hand
	Replace       string          // name of the dead member whose place it takes
	JoinTimeout   time.Duration   // how long Open looks for a member that answers; default 10 s
	Stop          <-chan struct{} // closed: Open looks no longer; may be nil

	// Announce makes a member tell the others when AdvertisePeer is not the address they know.
	Announce bool

	LogStore string // LogStoreWAL (default) or LogStoreBoltDB

	// FSM receives committed entries. Its Restore must build aside and swap.
	FSM raft.BatchingFSM
	// CheckEntry verifies the checksum that a command entry carries itself; nil means it has none.
	CheckEntry func(data []byte) error
	// VerifySnapshot reads a whole snapshot and returns an error that names the offset of what is wrong with
	// it; nil means that only the snapshot store's own checksum is verified.
	VerifySnapshot func(r io.Reader) error

	HeartbeatTimeout time.Duration // default 1 s
	ElectionTimeout  time.Duration // default HeartbeatTimeout; never less
	SnapshotBytes    int64         // log bytes since the last snapshot that trigger one; default 64 MiB; < 0 off
	CacheBytes       int64         // recent log entries kept in memory; default 64 MiB
	SegmentBytes     int           // size of a WAL segment file; default 16 MiB

	// HasRun reports whether the log says that a member has run; sure is false while this member does not know
	// the end of the log. It is called at any time, also before Open returns. See founder.go; the default knows
	// of nobody.
	HasRun func(id MemberID) (ran, sure bool)

	// OnStored runs after each successful StoreLogs, on raft's main goroutine: it must not block.
	OnStored func()
	// OnFatal runs once, after a write to the log or stable store failed. The process must exit: what the disk
	// holds is no longer known. It must not call Close synchronously.
	OnFatal func(err error)

	// ListenWrap and DialWrap put TLS around peer connections; nil leaves them plain. Both authenticate the
	// other side before they return: not a byte of it is read or answered otherwise. addr is what was dialled.
	ListenWrap func(c net.Conn) (net.Conn, error)
	DialWrap   func(c net.Conn, addr string) (net.Conn, error)

	DisableNudge  bool                    // tests: leave followers to learn of commits from raft alone
	wrapLog       func(logInner) logInner // tests: a log that fails or hangs
	noOffer       bool                    // tests: a leader whose disk hangs offers leadership to nobody
	trailingBytes int64                   // tests: log bytes kept behind a snapshot
	Logger        *slog.Logger
	Metrics       Metrics
}

// Metrics are called, when set, from hot paths: they must be quick and must not block.
type Metrics struct {
	StoreLogs func(took time.Duration, entries, bytes int)
	Snapshot  func(took time.Duration, err error)
	PeerCall  func(kind byte, took time.Duration, err error)
}

// These are changed only by binaries that inject faults, in faultlog.go.
var (
	defaultCacheBytes   int64 = 64 << 20
	defaultSegmentBytes       = 16 << 20
)

const (
	defaultTimeout       = time.Second
	defaultSnapshotBytes = 64 << 20
)

func (c Config) withDefaults() Config {
	c.LogStore = cmp.Or(c.LogStore, LogStoreWAL)
	c.HeartbeatTimeout = cmp.Or(c.HeartbeatTimeout, defaultTimeout)
	c.ElectionTimeout = cmp.Or(c.ElectionTimeout, c.HeartbeatTimeout)
	c.SnapshotBytes = cmp.Or(c.SnapshotBytes, defaultSnapshotBytes)
	c.JoinTimeout = cmp.Or(c.JoinTimeout, joinTimeout)
	c.CacheBytes = cmp.Or(c.CacheBytes, defaultCacheBytes)
	c.SegmentBytes = cmp.Or(c.SegmentBytes, defaultSegmentBytes)
	if c.OnStored == nil {
		c.OnStored = func() {}
	}
	if c.OnFatal == nil {
		c.OnFatal = func(error) {}
	}
	if c.HasRun == nil {
		c.HasRun = func(MemberID) (ran, sure bool) { return false, true }
	}
	if c.CheckEntry == nil {
		c.CheckEntry = func([]byte) error { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.InitialCluster = slices.Clone(c.InitialCluster)
	return c
}

func (c Config) validate() error {
	switch {
	case c.DataDir == "":
		return fmt.Errorf("%w: no data directory", ErrConfig)
	case c.Name == "":
		return fmt.Errorf("%w: the node has no name", ErrConfig)
	case c.PeerAddr == "":
		return fmt.Errorf("%w: no peer address", ErrConfig)
	case len(c.Join) > 0 && len(c.InitialCluster) > 0:
		return fmt.Errorf("%w: --join and --initial-cluster exclude each other: the first is for a cluster that "+
			"runs, the second for a new one", ErrConfig)
	case len(c.Join) == 0 && (c.JoinAsLearner || c.Replace != ""):
		return fmt.Errorf("%w: --join-as-learner and --replace need --join", ErrConfig)
	case c.JoinAsLearner && c.Replace != "":
		return fmt.Errorf("%w: --replace makes a voter, --join-as-learner does not", ErrConfig)
	case c.FSM == nil:
		return fmt.Errorf("%w: no state machine", ErrConfig)
	case c.LogStore != LogStoreWAL && c.LogStore != LogStoreBoltDB:
		return fmt.Errorf("%w: unknown log store %q, use %q or %q",
			ErrConfig, c.LogStore, LogStoreWAL, LogStoreBoltDB)
	case c.ElectionTimeout < c.HeartbeatTimeout:
		return fmt.Errorf("%w: the election timeout is shorter than the heartbeat timeout", ErrConfig)
	case c.HeartbeatTimeout < 5*time.Millisecond:
		return fmt.Errorf("%w: a heartbeat timeout below 5 ms is not supported", ErrConfig)
	}
	return c.validatePeers()
}

// validatePeers checks that names and addresses are present and unique and that this node is on the list.
func (c Config) validatePeers() error {
	names, addrs := map[string]bool{}, map[string]bool{}
	for _, p := range c.InitialCluster {
		if _, _, err := net.SplitHostPort(p.Addr); err != nil || p.Name == "" {
			return fmt.Errorf("%w: initial cluster: bad member %q", ErrConfig, p.Name+"="+p.Addr)
		}
		if names[p.Name] || addrs[p.Addr] {
			return fmt.Errorf("%w: initial cluster: %s=%s is there twice", ErrConfig, p.Name, p.Addr)
		}
		names[p.Name], addrs[p.Addr] = true, true
	}
	if len(names) > 0 && !names[c.Name] {
		return fmt.Errorf("%w: initial cluster does not name this node %q", ErrConfig, c.Name)
	}
	return nil
}
