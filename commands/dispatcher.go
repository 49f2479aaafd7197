package commands

// One pipeline, from the client's words to replies in order.
//
// Idea: waiting is what costs, so a pipeline waits as seldom as it can. A run of writes is planned without
// waiting and goes to the engine as one submission; a run of reads shares one barrier round. A run ends where
// the kind of command changes, so that each command sees the effects of those before it, and at the end of
// the pipeline. A simple read between writes joins their run: it is planned as an operation of its own
// request and done when that is applied, which costs no round more. A long run of writes is cut into several
// submissions, submitted one after the other without a wait in between, so that none is larger than what
// the engine packs into one log entry.
//
// Invariants:
//  1. Every command gets exactly one reply, in the order of the commands.
//  2. A command begins (a write is submitted, a read's barrier round begins) only after the replies to all
//     earlier commands of another kind are known.
//  3. Nothing here outlives ServePipeline except the session's scratch space, which then holds no client
//     bytes that are looked at again.
//  4. Waiting is always Conn.Wait. When the client vanished, what was submitted takes its course and the rest
//     of the pipeline is dropped; the submissions in flight are left to the engine and not used again.
//
// Rejected: a goroutine per command with a reply queue (it allocates, and reads would have to chase the
// writes before them); one submission per command (the proposer would touch a lock per command instead of per
// run).
//
// Drawback: a slow write holds up the replies of later, independent reads on the same connection. Clients
// that mind use another connection.

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/mvcc"
	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// Connections is what CLIENT LIST, CLIENT KILL and INFO need of the server; *resp.Server has it.
type Connections interface {
	Conns(each func(*resp.Conn) bool)
	Stats() resp.Stats
}

// Config is what New needs. Engine is required.
type Config struct {
	Engine *raftfsm.Engine
	Logger *slog.Logger // nil: silent

	ClusterProtocol bool            // speak Redis Cluster's protocol
	Sentinel        *SentinelConfig // serve Sentinel's commands, and no others

	Version         string // of Redkeep, for INFO
	RunID           string // 40 hex digits that differ at each start; empty: made from clock and process id
	ClientPort      int
	MaxClients      int
	MaxRequestBytes int64
	MaxTxnOps       int // in one list of a KV.TXN or a TXN.IF block; 0: 128
	QuotaBytes      int64
	DataDir         string
	BackupDir       string // of SNAPSHOT.SAVE; empty: backups in DataDir
	ConfigFile      string
	LockTTL         time.Duration    // of a lock that names neither TTL nor LEASE; 0: a minute
	Clock           func() time.Time // nil: time.Now
	Troubles        func() []string  // what else CLUSTER.STATUS is to report; nil: nothing
	Shutdown        func()           // begins to stop the node and does not wait; nil: SHUTDOWN is refused

	// Rewrite writes what CONFIG SET can change into the configuration file; nil: there is none.
	Rewrite func([]Setting) error

	RequestTimeout time.Duration // how long an EVAL may repeat itself; 0: 5 s
	ScriptTimeout  time.Duration // how long one attempt may run; 0: 5 s
	ScriptBytes    int64         // what it may allocate; 0: 128 MiB

	TLS TLSParameters // for CONFIG GET

	DefaultPassword string       // sealed; of the default user until somebody changes a user
	Audit           *slog.Logger // nil: Logger

	// CertificateName is the user named by a connection's verified certificate; nil, or "": none.
	CertificateName func(conn *resp.Conn) string

	PushLimits resp.OutputLimits // of a client with subscriptions; zero: resp.PubSubLimits

	WatchBufferBytes int64 // of events queued for one connection before it is fed from history; 0: 1 MiB
}

// Dispatcher serves the commands of all connections. It implements resp.Handler and is safe for concurrent
// use.
type Dispatcher struct {
	cfg     Config
	engine  *raftfsm.Engine
	log     *slog.Logger
	table   *Table
	hub     *pubsub.Hub // the engine's; Sentinel's messages have one of their own
	stats   *statistics
	scripts *scripts
	users   users
	started time.Time

	slow     slowLog
	latency  latencyMonitor
	pause    pausing
	monitors monitors
	backups  backups

	stop    chan struct{}
	done    chan struct{}
	watched chan struct{}  // closed when watchMaster has ended; nil without Sentinel
	master  *sentinelWatch // nil without Sentinel
	guarded chan struct{}  // closed when the guard has ended
	closing sync.Once

	departing sync.WaitGroup // places in queues that are being given up: see departure.go

	beforeCommit func() // for tests: a script has run, and its writes are about to be submitted

	leaving     atomic.Bool // see Interrupt
	connections atomic.Pointer[Connections]

	mu struct {
		sync.Mutex
		sessions map[uint64]*session
	}
}

// New returns a dispatcher; its owner calls Close.
func New(cfg Config) *Dispatcher {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.MaxTxnOps == 0 {
		cfg.MaxTxnOps = 128
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.scriptDefaults()
	d := &Dispatcher{
		cfg: cfg, engine: cfg.Engine, log: cfg.Logger, table: NewTable(), started: cfg.Clock(),
		scripts: newScripts(),
		stop:    make(chan struct{}), done: make(chan struct{}), guarded: make(chan struct{}),
	}
	d.users.secrets = newPasswords()
	d.users.log = newAudit(cmp.Or(cfg.Audit, cfg.Logger))
	if d.cfg.WatchBufferBytes == 0 {
		d.cfg.WatchBufferBytes = 1 << 20
	}
	if d.cfg.RunID == "" {
		d.cfg.RunID = newRunID(d.started)
	}
	d.stats = newStatistics()
	d.backups.turn = make(chan struct{}, 1)
	d.mu.sessions = map[uint64]*session{}
	d.slow.threshold.Store(slowLogThreshold)
	d.slow.room.Store(slowLogRoom)
	go d.sample()
	go d.guardUsers(d.engine.UsersNews())
	if d.hub = d.engine.Hub(); cfg.Sentinel != nil {
		d.openSentinel()
	}
	return d
}

// openSentinel makes the dispatcher a Sentinel's.
func (d *Dispatcher) openSentinel() {
	d.table, d.hub, d.watched = newSentinelTable(), pubsub.New(d.engine.Store()), make(chan struct{})
	d.hub.Start()
	d.master = newSentinelWatch()
	go d.watchMaster()
}

// Attach tells the dispatcher which server it serves, for the counts in INFO.
func (d *Dispatcher) Attach(c Connections) { d.connections.Store(&c) }

// Close stops the dispatcher's goroutines and the backups, and waits for them. Call it after the server has
// been closed.
func (d *Dispatcher) Close(ctx context.Context) error {
	d.closing.Do(func() { close(d.stop) })
	d.pause.end()
	d.leaving.Store(true)
	if d.watched != nil {
		<-d.watched
		d.hub.Close()
	}
	ended := make(chan struct{})
	go func() {
		<-d.done
		d.backups.running.Wait()
		d.departing.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		<-d.guarded // it looks at connections and waits for nobody
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Table returns the table of commands.
func (d *Dispatcher) Table() *Table { return d.table }

// ServePipeline answers the commands of one read from a connection.
func (d *Dispatcher) ServePipeline(conn *resp.Conn, cmds []resp.Command) {
	s := d.session(conn)
	defer s.run.shrink()
	for i := range cmds {
		if conn.Stopping() {
			break
		}
		if conn.Closing() || !d.serve(conn, s, cmds[i].Args) {
			s.run.abandon()
			return
		}
	}
	if !d.finish(conn, s) {
		s.run.abandon()
	}
}

// serve takes one command. It returns false iff the rest of the pipeline is not to be served.
func (d *Dispatcher) serve(conn *resp.Conn, s *session, args [][]byte) bool {
	c := &s.call
	c.begin(args)
	if passed, here := d.pass(conn, s); !passed {
		return here
	}
	if d.monitors.count.Load() > 0 {
		d.feed(s, c)
	}
	defer s.served()
	switch {
	case s.tx.takes(c.row):
		s.run.note(s.tx.take(c))
		return true
	case c.row.prompt:
		s.run.settle(c, s)
		return true
	case c.row.renew != nil:
		return d.renew(conn, s)
	case c.row.join != nil && mustWait(c):
		return d.finish(conn, s) && d.waitForTurn(conn, s)
	case c.row.plan != nil:
		return d.write(conn, s)
	case c.row.script != nil:
		return d.finish(conn, s) && d.evaluate(conn, s)
	case c.row.planRead != nil && s.run.kind == KindWrite && !s.local && !c.row.wide && !s.tracks.on():
		s.run.plan(d.engine, c, c.row.planRead(c))
		return true
	case c.row.read != nil && !s.local && (c.row.local == nil || !c.row.local(c)):
		return d.read(conn, s)
	default:
		return d.finish(conn, s) && d.answer(conn, s)
	}
}

// pass takes the command through the gates, and again when a pause that held it up is over: what the user may
// do, and what the node takes, may have changed meanwhile. here is false iff the client vanished.
func (d *Dispatcher) pass(conn *resp.Conn, s *session) (passed, here bool) {
	for c := &s.call; ; {
		if err := admit(s, c); err != nil {
			if c.row != nil && c.row.inMulti == endsMulti && !d.finish(conn, s) { // it forgets a WATCH before it, too
				return false, false
			}
			s.run.decide(c, true, s.tx.refused(c.row, err))
			return false, true
		}
		s.last.Store(c.row)
		over := d.pause.holds(c.row)
		if over == nil {
			return true, true
		}
		if !d.finish(conn, s) || !conn.Wait(over) {
			return false, false
		}
	}
}

// write plans the command into the current run of writes.
func (d *Dispatcher) write(conn *resp.Conn, s *session) bool {
	if s.run.kind != KindWrite && !d.finish(conn, s) {
		return false
	}
	c := &s.call
	s.run.begin(KindWrite)
	if c.row.inMulti == endsMulti && s.tracks.wants() {
		s.trackBlock(conn)
	}
	render, err := c.row.plan(c)
	if err != nil {
		s.run.decide(c, false, err)
		return true
	}
	if err := c.permitPlanned(); err != nil {
		s.run.decide(c, false, err)
		return true
	}
	if c.unsent {
		return d.finish(conn, s) && d.replyNow(conn, s, c, render(&mvcc.Result{Succeeded: true}))
	}
	s.run.plan(d.engine, c, render)
	s.run.sweeps += c.sweeps()
	if c.held > 0 {
		c.txn = mvcc.Txn{} // it is in the log's form now, and may be large
	}
	return !c.apart && s.run.sweeps < runSweeps || d.finish(conn, s) && !d.left(conn, s)
}

// answer serves a command that needs neither log nor barrier.
func (d *Dispatcher) answer(conn *resp.Conn, s *session) bool {
	c, began := &s.call, time.Now()
	var v resp.Value
	var err error
	if c.row.session != nil {
		v, err = c.row.session(c, s)
	} else if c.row.block != nil {
		v, err = c.row.block(c, s, conn.Wait)
	} else {
		s.trackOne(conn, c.row, c.args)
		s.view.begin(d.engine.Store(), d.engine.Now(), false)
		v, err = c.row.read(c, &s.view)
		d.stats.lookups(&s.view)
	}
	if err != nil {
		v = refused(err)
	}
	if s.settled { // what was queued for subscriptions that ended stands before the reply that says so
		s.settled = false
		conn.Deliver()
	}
	d.reply(conn, s, c.row, c.args, v, time.Since(began))
	return !d.left(conn, s)
}

// replyNow sends a reply that took no time to find.
func (d *Dispatcher) replyNow(conn *resp.Conn, s *session, c *call, v resp.Value) bool {
	d.reply(conn, s, c.row, c.args, v, 0)
	return !d.left(conn, s)
}

// left closes the connection if a command asked for that, and reports it.
func (d *Dispatcher) left(conn *resp.Conn, s *session) bool {
	if s.closing {
		conn.CloseAfterReply()
	}
	return s.closing
}

// reply sends one reply, in the protocol that HELLO may just have chosen, and counts it.
func (d *Dispatcher) reply(
	conn *resp.Conn, s *session, row *Command, args [][]byte, v resp.Value, took time.Duration,
) {
	if s.who.changed {
		s.who.changed = false
		conn.Authenticated(s.who.account != nil)
	}
	if s.proto != conn.Proto() {
		conn.SetProto(s.proto)
	}
	d.stats.observe(row, v, took)
	if row.audited && !v.IsErr() {
		d.audit(s, row, args)
	}
	if d.noticeable(took) {
		d.notice(s, row, args, took)
	}
	s.send(conn, v)
}

// finish ends the current run: waits for it and sends its replies. It returns false iff the client vanished.
func (d *Dispatcher) finish(conn *resp.Conn, s *session) bool {
	ok := true
	switch s.run.kind {
	case KindWrite:
		ok = d.finishWrites(conn, s)
	case KindRead:
		ok = d.finishReads(conn, s)
	case kindRenew:
		ok = d.finishRenewals(conn, s)
	}
	if !ok {
		return false
	}
	d.answerRun(conn, s, len(s.run.items))
	s.run.end()
	return true
}

// answerRun sends the replies of the run's commands before end that are not sent yet, and lets go of them.
func (d *Dispatcher) answerRun(conn *resp.Conn, s *session, end int) {
	took := s.run.took()
	for ; s.run.answered < end; s.run.answered++ {
		it := &s.run.items[s.run.answered]
		v := s.run.result(d, it)
		it.reply = resp.Value{}
		if it.gated {
			d.stats.reject(it.row, v)
		}
		if it.gated || it.row == nil {
			s.send(conn, v)
			continue
		}
		d.reply(conn, s, it.row, it.args, v, took)
	}
}

// finishWrites submits what is left and waits for all submissions of the run.
func (d *Dispatcher) finishWrites(conn *resp.Conn, s *session) bool {
	s.run.submit(d.engine)
	for _, sub := range s.run.submitted() {
		if !conn.Wait(sub.Done()) {
			return false
		}
	}
	s.written = d.engine.AppliedIndex()
	if s.run.physical {
		if removed := d.engine.Compacted(); removed != nil {
			return conn.Wait(removed)
		}
	}
	return true
}
