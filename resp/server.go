package resp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"
)

// Handler serves the commands of all connections.
type Handler interface {
	// ServePipeline answers cmds in order with exactly one Reply each (none for None). cmds and all they hold
	// are valid until it returns. It runs on the connection's goroutine and may block.
	ServePipeline(c *Conn, cmds []Command)

	// Closed is called exactly once for every connection, also for one that never sent a command, after its last
	// ServePipeline has returned.
	Closed(c *Conn)
}

// Config says how to serve. Only Handler is required.
type Config struct {
	Handler           Handler
	MaxClients        int // 0: no limit
	MaxRequestBytes   int // largest request, 64 KiB .. 1 GiB; default 8 MiB
	PreAuthBytes      int // the same before authentication, at least 64 KiB, which is the default
	MaxClientsPerAddr int // the same from one address
	// Admit may refuse a connection before a request is read, by the error it is told; nil: all may come. Over
	// TLS it is asked after the handshake.
	Admit func(from net.Addr, overTLS bool) (refusal string)
	// AuthRequired says at each accept whether RequireAuth holds for the connection; nil: as RequireAuth says.
	AuthRequired     func() bool
	RequireAuth      bool                // PreAuthBytes is in force until Conn.Authenticated(true)
	HandshakeTimeout time.Duration       // for TLS; default 10 s
	MaxHandshakes    int                 // of TLS, under way at a time; see handshake.go; default 1024
	WriteTimeout     time.Duration       // for 256 KiB of replies to be taken by the client; default 30 s
	KeepAlive        net.KeepAliveConfig // default: probe after 15 s, every 5 s, 3 times
	Logger           *slog.Logger        // nil: silent
}

// Stats are totals since the server began.
type Stats struct {
	Received       int64 // connections accepted, without the rejected ones
	Rejected       int64 // connections above MaxClients
	Current        int64 // connections open now
	BytesIn        int64
	BytesOut       int64
	ProtocolErrors int64

	Handshakes        int64 // of TLS, completed
	HandshakeFailures int64 // of TLS: refused by one side, or not completed in time
	HandshakesCut     int64 // of TLS: given up, because too many newer ones were under way
}

// Server accepts connections and serves them. Safe for concurrent use.
type Server struct {
	cfg  Config
	log  *slog.Logger
	done chan struct{} // closed when the server stops accepting

	// Own synchronisation.
	loops          sync.WaitGroup // one per connection and one per Serve
	protocolErrors atomic.Int64
	handshakes     handshakes

	mu struct {
		sync.Mutex
		stopping  bool
		listeners []net.Listener
		conns     map[uint64]*Conn
		lastID    uint64
		admitted  int            // accepted and not yet forgotten
		byHost    map[string]int // of these, by address
		rejected  int64
		oldIn     int64 // bytes of connections that have ended
		oldOut    int64
	}
}

// NewServer returns a server that does not listen yet.
func NewServer(cfg Config) *Server {
	if cfg.Handler == nil {
		panic("resp: Config.Handler is required")
	}
	setDefault(&cfg.MaxRequestBytes, 8<<20)
	setDefault(&cfg.PreAuthBytes, 64<<10)
	setDefault(&cfg.HandshakeTimeout, 10*time.Second)
	setDefault(&cfg.MaxHandshakes, 1024)
	setDefault(&cfg.WriteTimeout, 30*time.Second)
	setDefault(&cfg.KeepAlive, net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	})
	cfg.MaxRequestBytes = min(max(cfg.MaxRequestBytes, requestFloor), requestCeiling)
	cfg.PreAuthBytes = min(max(cfg.PreAuthBytes, requestFloor), cfg.MaxRequestBytes)
	s := &Server{cfg: cfg, log: cfg.Logger, done: make(chan struct{})}
	if s.log == nil {
		s.log = discardLogger()
	}
	s.handshakes.limit = cfg.MaxHandshakes
	s.mu.conns, s.mu.byHost = make(map[uint64]*Conn), map[string]int{}
	return s
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Serve accepts on ln until Close, then returns nil. It may be called for several listeners; it closes ln.
func (s *Server) Serve(ln net.Listener) error { return s.serve(ln, nil) }

// ServeTLS is Serve for connections that speak TLS.
func (s *Server) ServeTLS(ln net.Listener, secure *tls.Config) error { return s.serve(ln, secure) }

func (s *Server) serve(ln net.Listener, secure *tls.Config) error {
	if !s.opened(ln) {
		return errors.Join(ErrServerClosed, ln.Close())
	}
	defer s.loops.Done()
	takeOver := func(rc redcon.Conn) bool { return s.takeOver(rc, secure) }
	host := redcon.NewServer("", func(redcon.Conn, redcon.Command) {}, takeOver, nil)
	return host.Serve(&listener{Listener: ln, server: s, secure: secure != nil})
}

func (s *Server) opened(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.stopping {
		return false
	}
	s.mu.listeners = append(s.mu.listeners, ln)
	s.loops.Add(1)
	return true
}

// takeOver is redcon's accept callback: it starts our loop on the socket, and redcon forgets the connection.
func (s *Server) takeOver(rc redcon.Conn, secure *tls.Config) bool {
	plain := rc.NetConn().(guard).Conn
	c := &Conn{server: s, plain: plain, conn: plain, created: time.Now(), cut: make(chan struct{})}
	if secure == nil {
		c.raw, c.admitted = newRawReader(plain), true
	} else {
		c.conn = tls.Server(plain, secure)
	}
	c.proto.Store(2)
	c.lastActive.Store(c.created.UnixMilli())
	c.parser = newParser(s.limits(s.cfg.AuthRequired != nil && !s.cfg.AuthRequired()))
	if !s.register(c) {
		_ = plain.Close()
		return false
	}
	go c.run()
	return false
}

func (s *Server) register(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.stopping {
		return false
	}
	s.mu.lastID++
	c.id = s.mu.lastID
	s.mu.conns[c.id] = c
	s.loops.Add(1)
	return true
}

// forget is the last act of a connection's goroutine.
func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	delete(s.mu.conns, c.id)
	if c.admitted {
		s.leaveLocked(c.plain.RemoteAddr())
	}
	s.mu.oldIn += c.bytesIn.Load()
	s.mu.oldOut += c.bytesOut.Load()
	s.mu.Unlock()
	s.loops.Done()
}

func (s *Server) limits(authenticated bool) bounds {
	if (s.cfg.RequireAuth || s.cfg.AuthRequired != nil) && !authenticated {
		return bounds{RequestBytes: s.cfg.PreAuthBytes, BeforeAuth: true}
	}
	return bounds{RequestBytes: s.cfg.MaxRequestBytes}
}

func (s *Server) stopped() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// pause waits; false means the server stopped meanwhile.
func (s *Server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.done:
		return false
	}
}

// Close stops accepting, ends connections at rest, lets running batches finish and be answered until ctx
// ends, then cuts those too. It returns when every goroutine has ended; the error is ctx's if connections
// were cut. REQUIRES: the handler returns from ServePipeline soon after Conn.Wait said false.
func (s *Server) Close(ctx context.Context) error {
	s.stopListening()
	for _, c := range s.snapshot() {
		if c.stage.Swap(stageStopping) == stageResting {
			c.Kill()
		}
	}
	ended := make(chan struct{})
	go func() {
		s.loops.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	for _, c := range s.snapshot() {
		c.Kill()
	}
	<-ended
	return ctx.Err()
}

func (s *Server) stopListening() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.stopping {
		return
	}
	s.mu.stopping = true
	close(s.done)
	for _, ln := range s.mu.listeners {
		_ = ln.Close() // redcon closes it again; the first result says nothing that matters now
	}
}

// snapshot returns the open connections in the order of their ids.
func (s *Server) snapshot() []*Conn {
	s.mu.Lock()
	all := make([]*Conn, 0, len(s.mu.conns))
	for _, c := range s.mu.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b *Conn) int { return cmp.Compare(a.id, b.id) })
	return all
}

// Conns calls fn for every open connection in the order of ids until it returns false; no lock is held.
func (s *Server) Conns(fn func(*Conn) bool) {
	for _, c := range s.snapshot() {
		if !fn(c) {
			return
		}
	}
}

// Find returns the open connection with this id, or nil.
func (s *Server) Find(id uint64) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.conns[id]
}

// Stats returns the totals.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Received: int64(s.mu.lastID), Rejected: s.mu.rejected, Current: int64(len(s.mu.conns)),
		BytesIn: s.mu.oldIn, BytesOut: s.mu.oldOut, ProtocolErrors: s.protocolErrors.Load(),
	}
	s.handshakes.count(&st)
	for _, c := range s.mu.conns {
		st.BytesIn += c.bytesIn.Load()
		st.BytesOut += c.bytesOut.Load()
	}
	return st
}
