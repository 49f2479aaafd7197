package resp

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// script is a handler for tests. PING, ECHO, AUTH, QUIT, BIG n, BOOM, WAIT and COUNT are all it knows; WAIT
// blocks until release is closed and answers whether the client was still there.
type script struct {
	release chan struct{}
	made    atomic.Int64 // members of MANY
	mu      struct {
		sync.Mutex
		served  []string // every command in order
		batches []int
		closed  int
		waiting int
		gone    int
	}
}

func newScript() *script { return &script{release: make(chan struct{})} }

func (s *script) ServePipeline(c *Conn, cmds []Command) {
	s.mu.Lock()
	s.mu.batches = append(s.mu.batches, len(cmds))
	s.mu.Unlock()
	for _, cmd := range cmds {
		if c.Closing() {
			return
		}
		s.mu.Lock()
		s.mu.served = append(s.mu.served, string(cmd.Args[0]))
		s.mu.Unlock()
		s.one(c, cmd)
	}
}

func (s *script) one(c *Conn, cmd Command) {
	switch strings.ToUpper(string(cmd.Args[0])) {
	case "PING":
		c.Reply(Simple("PONG"))
	case "ECHO":
		c.Reply(BulkBytes(cmd.Args[1]))
	case "AUTH":
		c.Authenticated(true)
		c.Reply(OK())
	case "HELLO":
		c.SetProto(3)
		c.Reply(Map(Bulk("proto"), Int(3)))
	case "QUIT":
		c.CloseAfterReply()
		c.Reply(OK())
	case "BIG":
		n, _ := strconv.Atoi(string(cmd.Args[1]))
		c.Reply(Bulk(strings.Repeat("x", n)))
	case "MANY":
		s.many(c, cmd)
	case "BOOM":
		panic("boom")
	case "WAIT":
		s.wait(c)
	default:
		c.Reply(Err("ERR unknown command '" + string(cmd.Args[0]) + "'"))
	}
}

// many answers MANY n size: n strings of so many bytes, one after the other.
func (s *script) many(c *Conn, cmd Command) {
	n, _ := strconv.Atoi(string(cmd.Args[1]))
	size, _ := strconv.Atoi(string(cmd.Args[2]))
	text := strings.Repeat("m", size)
	c.Reply(Array(Int(1), Map(Bulk("list"), ArrayBy(n, func(int) Value {
		s.made.Add(1)
		return Bulk(text)
	})), Int(2)))
}

func (s *script) wait(c *Conn) {
	s.mu.Lock()
	s.mu.waiting++
	s.mu.Unlock()
	there := c.Wait(s.release)
	s.mu.Lock()
	s.mu.waiting--
	if !there {
		s.mu.gone++
	}
	s.mu.Unlock()
	c.Reply(Bool(there))
}

func (s *script) Closed(*Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closed++
}

// see reads the script's numbers under its lock.
func (s *script) see(cond func() bool) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return cond()
	}
}

// logText collects a log.
type logText struct {
	mu struct {
		sync.Mutex
		buf bytes.Buffer
	}
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.buf.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.buf.String()
}

func (l *logText) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// start serves cfg on a loopback port until the test ends.
func start(t testing.TB, cfg Config) (*Server, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, cfg, ln), ln.Addr().String()
}

// startTLS is start for a port that speaks TLS.
func startTLS(t testing.TB, cfg Config, secure *tls.Config) (*Server, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, cfg, func(s *Server) error { return s.ServeTLS(ln, secure) }), ln.Addr().String()
}

func startOn(t testing.TB, cfg Config, ln net.Listener) *Server {
	t.Helper()
	return serveOn(t, cfg, func(s *Server) error { return s.Serve(ln) })
}

func serveOn(t testing.TB, cfg Config, serve func(*Server) error) *Server {
	s := NewServer(cfg)
	served := make(chan error, 1)
	go func() { served <- serve(s) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ctx)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// peer is a raw client.
type peer struct {
	net.Conn
	t testing.TB
}

func dial(t testing.TB, addr string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, conn)
}

func newPeer(t testing.TB, conn net.Conn) *peer {
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &peer{Conn: conn, t: t}
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, s); err != nil {
		p.t.Fatalf("send %.40q: %v", s, err)
	}
}

func (p *peer) expect(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(p.Conn, got)
	if err != nil || string(got) != want {
		p.t.Fatalf("got %.200q (%v), want %.200q", got[:n], err, want)
	}
}

// expectEnd reads the rest: it must be want, and then the end of the connection.
func (p *peer) expectEnd(want string) {
	p.t.Helper()
	got, err := io.ReadAll(p.Conn)
	if err != nil || string(got) != want {
		p.t.Fatalf("got %.200q (%v), want %.200q and the end", got, err, want)
	}
}

// eventually polls cond.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not so after %v: %s", patience, what)
		}
	}
}
