package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Node is one member of a cluster: raft, its stores, its transport and the peer protocol.
// All methods are safe for concurrent use.
type Node struct {
	cfg        Config
	dir        *dataDir
	self       MemberID
	cluster    ClusterID
	names      map[MemberID]string // of the initial list
	naming     atomic.Pointer[func(MemberID) string]
	fatal      *fatalSwitch
	stable     *stableStore
	log        *logStore
	snaps      *snapshotStore
	fsm        *countingFSM
	mux        *peerMux
	peers      *peerNet
	trans      *transport
	raft       *raft.Raft
	proposals  *proposals
	snapshots  *snapshotter
	changes    *changeWatch
	sentry     *sentry
	succession succession
	stopOnce   sync.Once
	stopped    raft.Future // set by stopRaft
	closeOnce  sync.Once
	closeErr   error
}

// countingFSM counts restores, to tell installed snapshots from the one loaded at start.
type countingFSM struct {
	raft.BatchingFSM
	restores atomic.Int64
}

func (f *countingFSM) Restore(r io.ReadCloser) error {
	f.restores.Add(1)
	return f.BatchingFSM.Restore(r)
}

// Open locks the data directory, checks that it fits the configuration, verifies log and snapshots, and
// starts raft. When it returns an error it has let go of everything. What it refuses it has not changed:
// neither a directory that does not fit the configuration nor damaged files. But what it does before the
// step that failed is kept: a new directory has its identity, a crash's leftovers are cleaned up.
func Open(cfg Config) (n *Node, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	dir, err := openDataDir(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	n = &Node{cfg: cfg, dir: dir}
	n.fatal = &fatalSwitch{tell: n.onFatal}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.abandon())
			n = nil
		}
	}()
	if err := n.askFounders(); err != nil {
		return n, err
	}
	ln, err := listenPeer(cfg)
	if err != nil {
		return n, err
	}
	n.mux = newPeerMux(ln, cfg.advertise(ln), hello{}, cfg)
	if err := n.identify(); err != nil {
		return n, err
	}
	if err := n.openStores(); err != nil {
		return n, err
	}
	return n, n.start()
}

func (n *Node) onFatal(err error) {
	n.cfg.Logger.Error("the node cannot go on", "error", err)
	go n.cfg.OnFatal(err)
}

// advertise is the address this node calls itself by.
func (c Config) advertise(ln net.Listener) string {
	if c.AdvertisePeer != "" {
		return c.AdvertisePeer
	}
	for _, p := range c.InitialCluster {
		if p.Name == c.Name {
			return p.Addr
		}
	}
	return ln.Addr().String()
}

func (n *Node) identify() error {
	if len(n.cfg.Join) > 0 && !n.dir.exists {
		if err := n.join(); err != nil {
			return err
		}
		return n.become()
	}
	notes, err := n.dir.identify(n.cfg, n.mux.advertise)
	if err != nil {
		return err
	}
	for _, note := range notes {
		n.cfg.Logger.Warn(note)
	}
	if err := n.become(); err != nil {
		return err
	}
	return n.compareSeeds()
}

// become takes on the identity that meta.json has, or is going to have.
func (n *Node) become() error {
	n.self, n.cluster = n.dir.memberID(), n.dir.clusterID()
	n.mux.self.member, n.mux.self.cluster = n.self, n.cluster
	n.names = map[MemberID]string{}
	for _, p := range n.dir.meta.Initial {
		n.names[memberID(n.cluster, p.Name)] = p.Name
		if p.Name == n.dir.meta.Name && len(n.dir.meta.Initial) > 1 && !n.tellsAddress() {
			n.mux.advertise = p.Addr
		}
	}
	if n.dir.exists {
		return nil
	}
	return n.dir.saveMeta()
}

// tellsAddress reports whether the settings say where others dial this member. A founder whose settings do
// not, for they have neither its old list nor an address that means something elsewhere, is where that
// list had it.
func (n *Node) tellsAddress() bool {
	return n.cfg.AdvertisePeer != "" || n.cfg.Announce && !isUnspecified(n.mux.advertise)
}

// openStores verifies before it changes: snapshots, then terms and votes, then the log.
func (n *Node) openStores() (err error) {
	if err := n.dir.cleanSnapshots(); err != nil {
		return err
	}
	files, err := raft.NewFileSnapshotStoreWithLogger(n.dir.path, 2, newRaftLogger(n.cfg.Logger, "snapshot"))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDataDirAccess, err)
	}
	n.snaps = &snapshotStore{files, n.dir.file(snapshotDir), n.cfg.VerifySnapshot}
	if err := n.snaps.checkMeta(); err != nil {
		return err
	}
	hasTerm, err := checkStable(n.dir.file(stableFile))
	if err != nil {
		return err
	}
	if n.stable, err = openStable(n.dir.file(stableFile), n.fatal); err != nil {
		return err
	}
	snapshot := (&snapshotter{snaps: n.snaps}).last().Index
	if n.log, err = openLog(n.dir, n.cfg, snapshot, n.fatal); err != nil {
		return err
	}
	if last, err := n.log.LastIndex(); err != nil {
		return err
	} else if !hasTerm && (last > 0 || snapshot > 0) {
		return errNoVote(n.dir.file(stableFile))
	}
	if err := errors.Join(n.log.dropCovered(snapshot), n.log.follows(snapshot)); err != nil {
		return err
	}
	if err := n.bootstrap(); err != nil {
		return err
	}
	return n.log.warm(snapshot)
}

// bootstrap writes the first configuration, the same on every node of the initial list, as entry 1 of term
// 1. It does what raft.BootstrapCluster does, which however refuses to finish what a crash has left half
// done.
func (n *Node) bootstrap() error {
	if n.dir.meta.Bootstrapped {
		return nil
	}
	last, err := n.log.LastIndex()
	if err != nil {
		return err
	}
	if last == 0 {
		first := raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration}
		first.Data = raft.EncodeConfiguration(n.dir.firstConfiguration())
		err = errors.Join(n.stable.SetUint64([]byte(keyCurrentTerm), 1), n.log.inner.StoreLog(&first))
	}
	if err != nil {
		return err
	}
	n.dir.meta.Bootstrapped = true
	return n.dir.saveMeta()
}

func (d *dataDir) firstConfiguration() (c raft.Configuration) {
	for _, p := range sortedPeers(d.meta.Initial) {
		c.Servers = append(c.Servers, raft.Server{
			Suffrage: raft.Voter, ID: memberID(d.clusterID(), p.Name).serverID(), Address: raft.ServerAddress(p.Addr),
		})
	}
	return c
}

func (n *Node) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = n.self.serverID()
	c.HeartbeatTimeout = n.cfg.HeartbeatTimeout
	c.ElectionTimeout = n.cfg.ElectionTimeout
	c.LeaderLeaseTimeout = n.cfg.HeartbeatTimeout
	c.CommitTimeout = 10 * time.Millisecond
	c.MaxAppendEntries = 32
	c.BatchApplyCh = true
	c.ShutdownOnRemove = false
	c.SnapshotThreshold = 1 << 40 // the snapshotter decides
	c.SnapshotInterval = time.Hour
	c.TrailingLogs = 16384
	c.NoLegacyTelemetry = true
	c.Logger = newRaftLogger(n.cfg.Logger, "raft")
	return c
}

func (n *Node) start() (err error) {
	n.peers = newPeerNet(n.mux, n.addrOf, n.cfg)
	n.peers.handle(kindTerm, answerTerm(n.stable.highestTerm))
	n.peers.handle(kindPast, n.answerPast)
	n.trans = newTransport(n.mux, n.cfg, n.storing)
	n.trans.lastIndex = func() uint64 { last, _ := n.log.LastIndex(); return last }
	n.log.starting = n.trans.headStart
	n.fsm = &countingFSM{BatchingFSM: n.cfg.FSM}
	n.raft, err = raft.NewRaft(n.raftConfig(), n.fsm, n.log, n.stable, n.snaps, n.trans)
	if err != nil {
		return cmp.Or(n.snaps.damage(), fmt.Errorf("start raft: %w", err))
	}
	n.stable.inUse.Store(true)
	n.fsm.restores.Store(0)
	n.trans.lead(n.leading)
	n.changes = watchChanges(n.raft)
	n.proposals = newProposals(n.raft, n.fatal, n.cfg)
	n.snapshots = newSnapshotter(n.raft, n.snaps, n.log, n.cfg)
	n.snapshots.pinned.Store(new(func() (uint64, bool) { return n.trans.pinned(n.Term()) }))
	n.log.snapshotEnd.Store(new(n.snapshotEnd))
	n.log.snapshotAt.Store(new(func() Index { return n.snapshots.last().Index }))
	n.sentry = startSentry(n)
	n.mux.lineEnded = n.lineEnded
	n.mux.start()
	n.campaignIfAlone()
	return nil
}

// campaignIfAlone makes a sole voter lead at once. raft would first wait a heartbeat timeout for a leader
// that cannot exist. TimeoutNow makes a follower start an election without a pre-vote; the only vote needed
// is its own, which it persists like any other, so nothing is skipped but the wait. Should the message come
// when it leads already, it is elected once more in the next term.
func (n *Node) campaignIfAlone() {
	if v := n.Voters(); len(v) == 1 && v[0] == n.self {
		n.campaign()
	}
}

// abandon undoes a failed Open.
func (n *Node) abandon() error {
	if n.raft != nil {
		return n.Close(context.Background())
	}
	var errs []error
	if n.trans != nil {
		errs = append(errs, n.trans.Close())
	}
	if n.mux != nil {
		errs = append(errs, n.mux.hangUp())
		n.mux.wait()
	}
	return errors.Join(append(errs, n.closeStores())...)
}

func (n *Node) closeStores() error {
	var errs []error
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	if n.stable != nil {
		errs = append(errs, n.stable.Close())
	}
	return errors.Join(append(errs, n.dir.release())...)
}

// Close stops the node and releases the data directory. It does not hand over leadership. Entries in flight
// are waited for briefly; what then has no outcome yet never gets one. When ctx ends first, the data
// directory stays locked until the process exits.
func (n *Node) Close(ctx context.Context) error {
	n.closeOnce.Do(func() { n.closeErr = n.close(ctx) })
	return n.closeErr
}

func (n *Node) close(ctx context.Context) error {
	brief, cancel := context.WithTimeout(ctx, 2*n.cfg.HeartbeatTimeout)
	n.proposals.drain(brief.Done())
	cancel()
	close(n.snapshots.stop)
	n.sentry.close()
	n.fatal.quiet.Store(true)
	n.stopRaft()
	err := n.mux.hangUp()
	n.peers.close()
	var work sync.WaitGroup
	var raftErr error
	work.Go(func() {
		raftErr = n.stopped.Error()
		_ = n.trans.Close()
		n.trans.wait()
		n.mux.wait()
		n.changes.close()
		<-n.snapshots.done
	})
	if !waitFor(&work, ctx.Done()) {
		return fmt.Errorf("close: %w", ctx.Err())
	}
	return errors.Join(err, raftErr, n.closeStores())
}

// stopRaft begins raft's shutdown. Only the first future of it waits for raft, so that one is kept.
func (n *Node) stopRaft() {
	n.stopOnce.Do(func() { n.stopped = n.raft.Shutdown() })
}

// HandOver gives leadership to another voter and returns once another leader is known, or at once when this
// node does not lead or has nobody to hand over to. raft's own future is not waited for: it can hang
// (hashicorp/raft issue 696).
func (n *Node) HandOver(ctx context.Context) error {
	changed, stop := n.changes.subscribe()
	defer stop()
	for n.IsLeader() && len(n.Voters()) > 1 {
		_ = n.raft.LeadershipTransfer()
		gone := waitUntil(ctx, changed, 2*n.cfg.ElectionTimeout, func() bool { return !n.IsLeader() })
		if !gone && ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrNoHandOver, ctx.Err())
		}
	}
	known := func() bool { _, _, ok := n.Leader(); return ok || len(n.Voters()) < 2 }
	if !waitUntil(ctx, changed, 2*n.cfg.ElectionTimeout, known) {
		return fmt.Errorf("%w: no new leader is known", ErrNoHandOver)
	}
	return nil
}

// waitUntil waits for cond, looking again at each token of changed, for at most limit.
func waitUntil(ctx context.Context, changed <-chan struct{}, limit time.Duration, cond func() bool) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	for !cond() {
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		case <-t.C:
			return cond()
		}
	}
	return true
}
