package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/commands"
	"github.com/redkeep/redkeep/pubsub"
	"github.com/redkeep/redkeep/raftfsm"
	"github.com/redkeep/redkeep/resp"
)

// A node is its parts in the order in which a request passes them: listener, server (resp), dispatcher
// (commands), engine (raftfsm), raft (cluster). They are built from the far end, because each needs the
// next, with two exceptions: the ports are opened first, so that a port in use is found before the data
// directory is touched, and the engine exists before raft, whose log it applies. Closing goes the way of
// the requests: what takes new work goes first, so each part may rely on the next until it has ended.
type node struct {
	settings settings
	log      *slog.Logger
	meter    *meter
	fatal    chan error    // at most one: the log or stable store failed
	asked    chan struct{} // closed when a client asked for SHUTDOWN
	asking   sync.Once

	clientPort, tlsPort net.Listener // one of them may be nil
	httpPort            net.Listener // nil without --http-addr
	trust               trust
	sentinel            sentinel
	server              *resp.Server
	serverRef           atomic.Pointer[resp.Server] // the same, for the engine's goroutines
	dispatcher          *commands.Dispatcher
	engine              *raftfsm.Engine
	raft                *cluster.Node
	http                *http.Server

	serving  sync.WaitGroup  // one per listener, and those that make users
	stopping <-chan struct{} // a signal has come
	leaving  chan struct{}   // closed by close
	audit    *os.File        // nil without --audit-file
}

// startNode returns a node that accepts connections, or an error after it has undone what it had begun. A
// node that looks for a cluster to join gives up with cluster.ErrStopped when stop is closed.
func startNode(s settings, log *slog.Logger, stop <-chan struct{}) (*node, error) {
	n := &node{settings: s, log: log, meter: newMeter(), fatal: make(chan error, 1), asked: make(chan struct{}),
		stopping: stop, leaving: make(chan struct{})}
	steps := []func() error{n.listen, n.openTrust, n.openEngine, n.serveClients, n.serveSentinel, n.serveHTTP}
	for _, step := range steps {
		if err := step(); err != nil {
			ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
			defer cancel()
			return nil, errors.Join(err, n.close(ctx))
		}
	}
	return n, nil
}

// listen opens the ports and settles the addresses that others are told.
func (n *node) listen() (err error) {
	if n.settings.clientAddr != "" {
		if n.clientPort, err = listenOn("client-addr", n.settings.clientAddr); err != nil {
			return err
		}
	}
	if n.settings.tls.addr != "" {
		if n.tlsPort, err = listenOn("tls-addr", n.settings.tls.addr); err != nil {
			return err
		}
	}
	if n.settings.httpAddr != "" {
		if n.httpPort, err = listenOn("http-addr", n.settings.httpAddr); err != nil {
			return err
		}
	}
	n.settings.advertiseClient = n.advertised(n.settings.advertiseClient, n.mainPort())
	return n.listenSentinel()
}

// advertised is what others are told of a listener: what the flag says, else where it listens, with a host
// that can be dialled.
func (n *node) advertised(flag string, l net.Listener) string {
	if flag == "" {
		flag = l.Addr().String()
	}
	return dialable(flag, n.settings.advertisePeer)
}

// mainPort is where clients are sent: the plain port, if there is one.
func (n *node) mainPort() net.Listener {
	if n.clientPort == nil {
		return n.tlsPort
	}
	return n.clientPort
}

func listenOn(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %w", flag, addr, plainReason(err))
	}
	return l, nil
}

// dialable gives addr the host of like when its own means "every interface".
func dialable(addr, like string) string {
	host, port, _ := net.SplitHostPort(addr)
	if !isUnspecified(host) {
		return addr
	}
	if host, _, _ = net.SplitHostPort(like); host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// openEngine builds the state machine and starts raft, which brings it up to the log.
func (n *node) openEngine() error {
	s := &n.settings
	engine := raftfsm.New(raftfsm.Config{
		RequestTimeout: s.requestTimeout, MaxRequestBytes: s.maxRequestBytes, QuotaBytes: s.quotaBytes,
		HistoryBytes: s.historyBytes, HistoryAge: s.historyAge, DiskReserveBytes: n.diskReserve(),
		ClientAddr: s.advertiseClient, SentinelAddr: s.advertiseSentinel, Name: s.name, Logger: n.log,
		Clock: wallClock, OnFence: n.cutClients,
	})
	n.meter.watch(engine.Stats())
	raft, err := cluster.Open(cluster.Config{
		DataDir: s.dataDir, Name: s.name, PeerAddr: s.peerAddr, AdvertisePeer: s.advertisePeer,
		Join: s.join, JoinAsLearner: s.joinAsLearner, Replace: s.replace, Stop: n.stopping,
		Announce:       s.announcePeer,
		InitialCluster: s.initialCluster, LogStore: s.logStore,
		HeartbeatTimeout: 10 * s.heartbeatInterval, ElectionTimeout: s.electionTime, SnapshotBytes: s.snapshotBytes,
		FSM: engine.FSM(), CheckEntry: raftfsm.CheckEntry, VerifySnapshot: raftfsm.VerifySnapshot,
		OnStored: engine.OnStored, OnFatal: n.fail, HasRun: engine.HasRun, Logger: n.log,
		ListenWrap: n.trust.listenWrap(), DialWrap: n.trust.dialWrap(),
		Metrics: cluster.Metrics{StoreLogs: n.meter.storeLogs, Snapshot: n.meter.tookSnapshot},
	})
	if err != nil {
		return err
	}
	n.trust.members.Store(raft)
	engine.Start(raft)
	n.raft, n.engine = raft, engine
	return nil
}

// diskReserve is below every amount of free space when the guard is off: for the engine 0 means its default.
func (n *node) diskReserve() int64 {
	if n.settings.diskReserveBytes == 0 {
		return math.MinInt64
	}
	return n.settings.diskReserveBytes
}

// cutClients ends all connections of clients when this node's state is in doubt: they are to go elsewhere,
// and what watches is not to be told more.
func (n *node) cutClients() {
	if server := n.serverRef.Load(); server != nil {
		server.Conns(func(c *resp.Conn) bool { c.Kill(); return true })
	}
}

// fail reports a failed disk. It is called once at most, and never blocks.
func (n *node) fail(err error) {
	select {
	case n.fatal <- err:
	default:
	}
}

// serveClients starts to accept. Commands that need a quorum wait, or are told that there is no leader yet.
func (n *node) serveClients() error {
	s := &n.settings
	_, port, _ := net.SplitHostPort(n.mainPort().Addr().String())
	number, _ := strconv.Atoi(port)
	secrets, err := s.readSecrets()
	if err != nil {
		return err
	}
	audit, file, err := s.openAudit(n.log)
	if err != nil {
		return err
	}
	n.audit = file
	n.sentinel.password, n.sentinel.audit = secrets.first, audit
	n.dispatcher = commands.New(commands.Config{
		DefaultPassword: secrets.first, Audit: audit, CertificateName: s.certificateName(),
		PushLimits: s.pushLimits, ClusterProtocol: s.clusterProtocol,
		Engine: n.engine, Logger: n.log, Version: version, ClientPort: number, MaxClients: int(s.maxClients),
		MaxRequestBytes: s.maxRequestBytes, QuotaBytes: s.quotaBytes, DataDir: s.dataDir,
		MaxTxnOps: int(s.maxTxnOps), LockTTL: s.lockTTL, ConfigFile: s.configFile,
		RequestTimeout: s.requestTimeout, ScriptTimeout: s.scriptTimeout, WatchBufferBytes: s.watchBufferBytes,
		Rewrite: rewriteConfig(s.configFile),
		Clock:   wallClock, Troubles: n.trust.troubles, TLS: n.tlsParameters(),
		Shutdown: func() { n.asking.Do(func() { close(n.asked) }) },
	})
	notify, _ := pubsub.ParseNotify(s.notifyEvents) // checked with the settings
	n.engine.Hub().SetNotify(notify)
	n.engine.Hub().Tracker().SetLimit(int(s.trackingKeys))
	n.dispatcher.Notice(s.slowerThan, s.slowLogLength, s.latencyThreshold)
	n.server = resp.NewServer(resp.Config{
		Handler: n.dispatcher, MaxClients: int(s.maxClients), MaxRequestBytes: int(s.maxRequestBytes),
		MaxClientsPerAddr: int(s.clientsPerAddr), Admit: n.admit, AuthRequired: n.dispatcher.PasswordNeeded,
		Logger: n.log,
	})
	n.serverRef.Store(n.server)
	n.dispatcher.Attach(n.server)
	n.makeUsers(secrets)
	n.trust.server.Store(n.server)
	n.serveClientPort("listening for clients", n.clientPort, n.server.Serve)
	n.serveClientPort("listening for clients with TLS", n.tlsPort, func(ln net.Listener) error {
		return n.server.ServeTLS(ln, n.trust.clientPort(nil))
	})
	return nil
}

func (n *node) serveClientPort(what string, port net.Listener, serve func(net.Listener) error) {
	if port == nil {
		return
	}
	n.log.Info(what, "addr", port.Addr().String())
	n.serving.Go(func() {
		if err := serve(port); err != nil {
			n.fail(fmt.Errorf("client listener: %w", err))
		}
	})
}

// serveHTTP answers /livez, /readyz and /metrics.
func (n *node) serveHTTP() error {
	limits := map[string]float64{
		"quota_bytes": float64(n.settings.quotaBytes), "history_bytes": float64(n.settings.historyBytes),
		"max_clients": float64(n.settings.maxClients), "max_request_bytes": float64(n.settings.maxRequestBytes),
	}
	n.meter.registry.MustRegister(newPartsCollector(n.look, n.dispatcher.Stats, limits),
		newTrustCollector(&n.trust))
	if n.httpPort == nil {
		return nil
	}
	mux, probes := http.NewServeMux(), &prober{engine: n.engine}
	serveChecks(mux, "/livez", probes.liveChecks())
	serveChecks(mux, "/readyz", probes.readyChecks())
	mux.Handle("GET /metrics", n.meter.handler())
	n.http = &http.Server{
		Handler: n.trust.checked(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
	n.serving.Go(func() {
		if err := n.http.Serve(n.trust.secureHTTP(n.httpPort)); !errors.Is(err, http.ErrServerClosed) {
			n.fail(fmt.Errorf("http listener: %w", err))
		}
	})
	return nil
}

func (n *node) look() moment {
	return moment{
		status: n.engine.Status(), engine: n.engine.Stats(), hub: n.engine.Hub().Stats(),
		node: n.raft.Stats(), clients: n.server.Stats(), guards: readGuards(n.engine),
	}
}

// stop ends the node gracefully: the others have a leader again before this one leaves.
func (n *node) stop(ctx context.Context) error {
	n.log.Info("stopping")
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	if len(n.raft.Voters()) > 1 && !n.engine.IsRemoved() {
		if err := n.raft.HandOver(ctx); err != nil {
			n.log.Warn("leadership was not handed over", "error", err)
		}
	}
	if err := n.close(ctx); err != nil {
		return fmt.Errorf("not everything was closed in time: %w", err)
	}
	n.log.Info("stopped")
	return nil
}

// expel cuts the clients of a member that was removed from the cluster. Those who come back are told so.
func (n *node) expel() {
	n.server.Conns(func(c *resp.Conn) bool {
		c.Kill()
		return true
	})
}

// close ends the parts that exist, in the order of the requests, and waits for all goroutines.
func (n *node) close(ctx context.Context) error {
	failed := n.sentinel.close(ctx)
	close(n.leaving)
	if n.server != nil {
		n.dispatcher.Interrupt()
		if err := n.server.Close(ctx); err != nil {
			n.log.Warn("connections were cut while their commands ran")
		}
		failed = append(failed, n.dispatcher.Close(ctx))
	} else {
		failed = append(failed, closeIfOpen(n.clientPort), closeIfOpen(n.tlsPort))
	}
	if n.http != nil {
		failed = append(failed, n.http.Close())
	} else {
		failed = append(failed, closeIfOpen(n.httpPort))
	}
	if n.engine != nil {
		n.engine.Close(ctx)
		failed = append(failed, n.raft.Close(ctx))
		n.engine.Release()
	}
	n.trust.close()
	n.serving.Wait()
	if n.audit != nil {
		failed = append(failed, n.audit.Close())
	}
	return errors.Join(failed...)
}

func closeIfOpen(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}
