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
	"strings"
	"sync"
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

	clientPort, httpPort net.Listener // httpPort is nil without --http-addr
	server               *resp.Server
	dispatcher           *commands.Dispatcher
	engine               *raftfsm.Engine
	raft                 *cluster.Node
	http                 *http.Server

	serving sync.WaitGroup // one per listener, and those that make users
	leaving chan struct{}  // closed by close
	audit   *os.File       // nil without --audit-file
}

// startNode returns a node that accepts connections, or an error after it has undone what it had begun.
func startNode(s settings, log *slog.Logger) (*node, error) {
	n := &node{settings: s, log: log, meter: newMeter(), fatal: make(chan error, 1), asked: make(chan struct{}),
		leaving: make(chan struct{})}
	for _, step := range []func() error{n.listen, n.openEngine, n.serveClients, n.serveHTTP} {
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
	if n.clientPort, err = listenOn("client-addr", n.settings.clientAddr); err != nil {
		return err
	}
	if n.settings.httpAddr != "" {
		if n.httpPort, err = listenOn("http-addr", n.settings.httpAddr); err != nil {
			return err
		}
	}
	if n.settings.advertiseClient == "" {
		n.settings.advertiseClient = dialable(n.clientPort.Addr().String(), n.settings.advertisePeer)
	}
	return nil
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
		ClientAddr: s.advertiseClient, Name: s.name, Logger: n.log, Clock: wallClock,
	})
	n.meter.watch(engine.Stats())
	raft, err := cluster.Open(cluster.Config{
		DataDir: s.dataDir, Name: s.name, PeerAddr: s.peerAddr, AdvertisePeer: s.advertisePeer,
		InitialCluster: s.initialCluster, LogStore: s.logStore,
		HeartbeatTimeout: 10 * s.heartbeatInterval, ElectionTimeout: s.electionTime, SnapshotBytes: s.snapshotBytes,
		FSM: engine.FSM(), CheckEntry: raftfsm.CheckEntry, VerifySnapshot: raftfsm.VerifySnapshot,
		OnStored: engine.OnStored, OnFatal: n.fail, Logger: n.log,
		Metrics: cluster.Metrics{StoreLogs: n.meter.storeLogs, Snapshot: n.meter.tookSnapshot},
	})
	if err != nil {
		return err
	}
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
	_, port, _ := net.SplitHostPort(n.clientPort.Addr().String())
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
	n.dispatcher = commands.New(commands.Config{
		DefaultPassword: secrets.first, Audit: audit, CertificateName: s.certificateName(),
		PushLimits: s.pushLimits,
		Engine:     n.engine, Logger: n.log, Version: version, ClientPort: number, MaxClients: int(s.maxClients),
		MaxRequestBytes: s.maxRequestBytes, QuotaBytes: s.quotaBytes, DataDir: s.dataDir,
		MaxTxnOps: int(s.maxTxnOps), LockTTL: s.lockTTL, ConfigFile: s.configFile,
		RequestTimeout: s.requestTimeout, ScriptTimeout: s.scriptTimeout, WatchBufferBytes: s.watchBufferBytes,
		Clock:    wallClock,
		Shutdown: func() { n.asking.Do(func() { close(n.asked) }) },
	})
	notify, _ := pubsub.ParseNotify(s.notifyEvents) // checked with the settings
	n.engine.Hub().SetNotify(notify)
	n.engine.Hub().Tracker().SetLimit(int(s.trackingKeys))
	n.server = resp.NewServer(resp.Config{
		Handler: n.dispatcher, MaxClients: int(s.maxClients), MaxRequestBytes: int(s.maxRequestBytes),
		MaxClientsPerAddr: int(s.clientsPerAddr), Admit: n.admit, AuthRequired: n.dispatcher.PasswordNeeded,
		Logger: n.log,
	})
	n.dispatcher.Attach(n.server)
	n.makeUsers(secrets)
	n.log.Info("listening for clients", "addr", n.clientPort.Addr().String())
	n.serving.Go(func() {
		if err := n.server.Serve(n.clientPort); err != nil {
			n.fail(fmt.Errorf("client listener: %w", err))
		}
	})
	return nil
}

// serveHTTP answers /livez, /readyz and /metrics.
func (n *node) serveHTTP() error {
	limits := map[string]float64{
		"quota_bytes": float64(n.settings.quotaBytes), "history_bytes": float64(n.settings.historyBytes),
		"max_clients": float64(n.settings.maxClients), "max_request_bytes": float64(n.settings.maxRequestBytes),
	}
	n.meter.registry.MustRegister(newPartsCollector(n.look, n.dispatcher.Stats, limits))
	if n.httpPort == nil {
		return nil
	}
	mux, probes := http.NewServeMux(), &prober{engine: n.engine}
	serveChecks(mux, "/livez", probes.liveChecks())
	serveChecks(mux, "/readyz", probes.readyChecks())
	mux.Handle("GET /metrics", n.meter.handler())
	n.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
	n.serving.Go(func() {
		if err := n.http.Serve(n.httpPort); !errors.Is(err, http.ErrServerClosed) {
			n.fail(fmt.Errorf("http listener: %w", err))
		}
	})
	return nil
}

func (n *node) look() moment {
	return moment{
		status: n.engine.Status(), engine: n.engine.Stats(), hub: n.engine.Hub().Stats(),
		node: n.raft.Stats(), clients: n.server.Stats(),
	}
}

// stop ends the node gracefully: the others have a leader again before this one leaves.
func (n *node) stop(ctx context.Context) error {
	n.log.Info("stopping")
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	if len(n.raft.Voters()) > 1 {
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

// close ends the parts that exist, in the order of the requests, and waits for all goroutines.
func (n *node) close(ctx context.Context) error {
	var failed []error
	close(n.leaving)
	if n.server != nil {
		n.dispatcher.Interrupt()
		if err := n.server.Close(ctx); err != nil {
			n.log.Warn("connections were cut while their commands ran")
		}
		failed = append(failed, n.dispatcher.Close(ctx))
	} else if n.clientPort != nil {
		failed = append(failed, n.clientPort.Close())
	}
	if n.http != nil {
		failed = append(failed, n.http.Close())
	} else if n.httpPort != nil {
		failed = append(failed, n.httpPort.Close())
	}
	if n.engine != nil {
		n.engine.Close(ctx)
		failed = append(failed, n.raft.Close(ctx))
		n.engine.Release()
	}
	n.serving.Wait()
	if n.audit != nil {
		failed = append(failed, n.audit.Close())
	}
	return errors.Join(failed...)
}

// greeting is what stdout says once: where the node can be reached and how.
func (n *node) greeting() string {
	s, client := &n.settings, n.clientPort.Addr().String()
	host, port, _ := net.SplitHostPort(dialable(client, ""))
	program := os.Args[0]
	var b strings.Builder
	fmt.Fprintf(&b, "redkeep %s, node %s: Ready to accept connections on %s (peers %s", version, s.name, client,
		s.peerAddr)
	if n.httpPort != nil {
		fmt.Fprintf(&b, ", http %s", n.httpPort.Addr())
	}
	fmt.Fprintf(&b, "), data in %s\n\nTry it from another terminal:\n", s.dataDir)
	fmt.Fprintf(&b, "  redis-cli -h %s -p %s SET foo \"Hello World!\"\n", host, port)
	fmt.Fprintf(&b, "  %s --endpoints %s get foo\n", program, net.JoinHostPort(host, port))
	if n.httpPort != nil {
		fmt.Fprintf(&b, "  curl \"http://%s/readyz?verbose\"\n", dialable(n.httpPort.Addr().String(), ""))
	}
	b.WriteString("Ctrl-C stops the node; the data stays.\n")
	return b.String()
}
