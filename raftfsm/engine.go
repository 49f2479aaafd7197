package raftfsm

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/mvcc"
)

// Config is what New needs. Zero fields have the defaults named beside them.
type Config struct {
	Name       string // of this member
	ClientAddr string // advertised address of its client port, replicated

	SentinelAddr string // advertised address of its Sentinel listener, told on request; "": it has none

	RequestTimeout   time.Duration // 5 s
	MaxRequestBytes  int64         // 8 MiB: one submission in the log
	QuotaBytes       int64         // 2 GiB of live state
	HistoryBytes     int64         // 256 MiB of superseded records
	HistoryAge       time.Duration // 1 h
	DiskReserveBytes int64         // 128 MiB: below that no writes
	OnFence          func()        // runs when this member begins to serve nothing: see Fenced
	Clock            func() time.Time
	Monotonic        func() time.Duration // counts leases; nil: the time since New
	Logger           *slog.Logger
	Stats            *Stats

	patience time.Duration // 3 ms: of patient submissions; only tests give another
}

func (c Config) withDefaults() Config {
	c.RequestTimeout = or(c.RequestTimeout, 5*time.Second)
	c.MaxRequestBytes = or(c.MaxRequestBytes, 8<<20)
	c.QuotaBytes = or(c.QuotaBytes, 2<<30)
	c.HistoryBytes = or(c.HistoryBytes, 256<<20)
	c.HistoryAge = or(c.HistoryAge, time.Hour)
	c.DiskReserveBytes = or(c.DiskReserveBytes, 128<<20)
	c.patience = or(c.patience, 3*time.Millisecond)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Monotonic == nil {
		began := time.Now()
		c.Monotonic = func() time.Duration { return time.Since(began) }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Stats == nil {
		c.Stats = &Stats{}
	}
	return c
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Limits of a batch and of what waits. A batch is one log entry.
const (
	entryBytes    = 512 << 10
	entryRequests = 4096
	maxInflight   = 2 // one on the way back, one on the way out
	queueBytes    = 64 << 20
	entrySlack    = 1 << 20 // a request is a little longer in the log than on the wire
	crowdedFactor = 4
	crowdedBytes  = 256 << 20
)

// Engine is the replicated store of one member. All methods are safe for concurrent use, except where
// they say otherwise.
type Engine struct {
	cfg     Config
	log     *slog.Logger
	stats   *Stats
	machine *machine

	node      *cluster.Node // set by Start
	running   atomic.Bool   // node is set: entries are applied before that, too
	proposer  *proposer
	barrier   *barrier
	compactor *compactor
	leases    *leaseDesk
	clock     *clock
	guard     *guard
	member    membership
	contacts  *contacts

	diskFree    atomic.Int64
	introducing *Submission // of the leadership goroutine
	readyOnce   sync.Once
	readyCh     chan struct{}
	stop        chan struct{}
	wg          sync.WaitGroup
}

// New returns an engine whose state machine can be given to cluster.Open. Start makes it run.
func New(cfg Config) *Engine {
	cfg = cfg.withDefaults()
	e := &Engine{
		cfg: cfg, log: cfg.Logger, stats: cfg.Stats, machine: newMachine(cfg.Stats),
		contacts: newContacts(),
		readyCh:  make(chan struct{}), stop: make(chan struct{}),
	}
	e.member.open()
	e.openHub()
	offerFlip(e.machine)
	e.clock, e.guard = newClock(cfg, &e.machine.clock), newGuard(e)
	e.diskFree.Store(-1)
	e.compactor = newCompactor(e)
	e.leases = newLeaseDesk(e)
	e.machine.leases.Observe(e.leases.clock)
	e.proposer = &proposer{
		origin: rand.Uint64(), quota: cfg.QuotaBytes, kick: make(chan struct{}, 1), stop: make(chan struct{}),
		stats: cfg.Stats, ready: &e.machine.ready, now: e.Now, crowded: e.crowded,
		limits: limits{
			timeout: cfg.RequestTimeout, entryBytes: entryBytes, entryRequests: entryRequests,
			maxRequest: int(cfg.MaxRequestBytes) + entrySlack, inflight: maxInflight, queueBytes: queueBytes,
			patience: cfg.patience,
		},
	}
	e.barrier = &barrier{
		ready: &e.machine.ready, applied: &e.machine.applied, now: e.Now, timeout: cfg.RequestTimeout,
		stats: cfg.Stats, kick: make(chan struct{}, 1), reached: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	e.machine.hooks = hooks{
		claim: e.claim, newTerm: e.newTerm, advanced: e.barrier.advanced, foreign: e.foreign,
		compacted: e.compactor.compacted, restored: e.restored,
		alarmed: e.guard.alarmed,
	}
	return e
}

// FSM returns the state machine for cluster.Config.
func (e *Engine) FSM() raft.BatchingFSM {
	return outerMachine{e.machine, e.proposer, &e.member.newcomer}
}

// outerMachine is the machine as raft sees it. It tells the proposer that a round is committed before the
// machine begins to apply it, and measures how long that takes, because the machine reads no clock.
type outerMachine struct {
	*machine
	proposer *proposer
	newcomer *atomic.Bool
}

func (m outerMachine) ApplyBatch(logs []*raft.Log) []any {
	m.proposer.committed(logs)
	start := time.Now()
	m.mu.Lock()
	answers := m.machine.ApplyBatch(logs)
	m.mu.Unlock()
	m.stats.applied(len(logs), time.Since(start))
	return answers
}

// Restore takes the state of a snapshot; a node that joins takes its time.
func (m outerMachine) Restore(in io.ReadCloser) error {
	if !m.newcomer.Load() {
		return m.machine.Restore(in)
	}
	slow, free := paced(in)
	defer free()
	return m.machine.Restore(slow)
}

// VerifySnapshot is the function VerifySnapshot, for cluster.Config.
func (e *Engine) VerifySnapshot(r io.Reader) error { return VerifySnapshot(r) }

// OnStored is the group-commit clock, for cluster.Config. It does not block.
func (e *Engine) OnStored() { e.proposer.onStored() }

// Start runs the engine on a node that was opened with this engine's FSM.
func (e *Engine) Start(node *cluster.Node) {
	e.node, e.proposer.node, e.barrier.node, e.barrier.raft = node, node, node, node
	e.startTelling(node.Stats().LastIndex)
	e.machine.hub.Start()
	e.running.Store(true)
	node.Handle(kindForward, e.proposer.receive)
	node.Handle(kindTurnAway, e.proposer.turnedAway)
	node.Handle(kindReadIndex, e.barrier.answer)
	node.Handle(kindStatus, e.answerStatus)
	node.Handle(kindLeases, e.leases.receive)
	node.Handle(kindVitals, e.answerVitals)
	node.Handle(kindChange, e.receiveChange)
	node.Handle(kindMembership, e.answerMembership)
	node.OnGreet(e.greet)
	node.SetNames(e.nameOf)
	e.member.newcomer.Store(node.Joining() != nil)
	if node.Retired() {
		e.retire()
	}
	node.Handle(kindContact, e.answerContact)
	e.proposer.wg.Add(1)
	go e.proposer.run()
	e.barrier.wg.Add(1)
	go e.barrier.run()
	for _, loop := range []func(){e.leadership, e.expiry, e.compactor.decide, e.compactor.remove,
		e.leases.run, e.leases.expire, e.guard.run, e.contact} {
		e.wg.Add(1)
		go loop()
	}
}

// Close takes no more writes, waits until those taken are answered (at most until ctx is done), and
// ends all goroutines. The node must be closed after it.
func (e *Engine) Close(ctx context.Context) {
	e.proposer.drain(ctx.Done())
	close(e.stop)
	e.leases.close()
	e.barrier.close()
	e.proposer.close()
	e.wg.Wait()
	e.member.close()
	e.leases.slow.Wait()
	e.machine.hub.Close()
}

// Release frees the store. REQUIRES: the node is closed.
func (e *Engine) Release() { e.machine.store.Close() }

// Ready is closed once a leader is known and this member has applied the start of its term.
func (e *Engine) Ready() <-chan struct{} { return e.readyCh }

// Submit queues s; Done follows. REQUIRES: s.Len() > 0 and Start was called.
func (e *Engine) Submit(s *Submission) { e.proposer.submit(s) }

// Barrier joins a round that starts after this call. REQUIRES: Start was called.
func (e *Engine) Barrier() *Round {
	if p, ok := e.barrier.immediate(); ok {
		return &Round{done: closedChan, point: p}
	}
	return e.barrier.join(nil)
}

// Store returns the store; it is the same for the engine's life.
func (e *Engine) Store() *mvcc.Store { return e.machine.store }

// Stats returns the counters.
func (e *Engine) Stats() *Stats { return e.stats }

// Compacted returns a channel that is closed when the history compacted so far has been removed from
// memory here; nil if it has been already.
func (e *Engine) Compacted() <-chan struct{} { return e.compactor.done() }

// AcceptsWrites returns nil, or why writes that grow the state are refused now.
func (e *Engine) AcceptsWrites() error {
	if err := e.ownSpace(); err != nil {
		return err
	}
	if e.guard.leaderLow.Load() {
		return ErrLeaderDiskFull
	}
	return nil
}

// ownSpace is what this member alone says.
func (e *Engine) ownSpace() error {
	if e.machine.store.StateBytes() > e.cfg.QuotaBytes {
		return ErrQuota
	}
	if free := e.diskFree.Load(); free >= 0 && free < e.cfg.DiskReserveBytes {
		return ErrDiskFull
	}
	return nil
}

// crowded reports whether the history is so far above its bound that what may copy long values has to wait:
// compaction comes once a second, and entries that copy a quarter of a gigabyte each may be faster.
func (e *Engine) crowded() bool {
	return e.machine.store.HistoryBytes() > crowdedFactor*e.cfg.HistoryBytes+crowdedBytes
}

func (e *Engine) claim(h Header) *batch {
	if h.Origin != e.proposer.origin {
		return nil
	}
	return e.proposer.claim(h.Batch, h.Term)
}

func (e *Engine) newTerm(term cluster.Term) {
	e.proposer.newTerm(term)
	e.leases.newTerm(term)
}

// foreign hurries the commit of another member's batch to that member, which waits for it.
func (e *Engine) foreign(origin uint64, index uint64) {
	if !e.running.Load() || !e.node.IsLeader() {
		return
	}
	if from := e.proposer.forwarder(origin); from != 0 {
		e.node.Nudge(from, cluster.Index(index))
	}
}

func (e *Engine) restored() {
	e.machine.hub.Replaced()
	e.proposer.abandon(cluster.Term(e.machine.ready.Load()))
	e.leases.clock.Stop()
	e.guard.alarmed()
	e.compactor.compacted()
}
