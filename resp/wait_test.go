package resp

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"
)

// both runs a test over plain TCP and over TLS.
func both(t *testing.T, test func(t *testing.T, h *script, connect func() *peer)) {
	t.Run("plain", func(t *testing.T) {
		h := newScript()
		_, addr := start(t, Config{Handler: h})
		test(t, h, func() *peer { return dial(t, addr) })
	})
	t.Run("tls", func(t *testing.T) {
		h := newScript()
		serverSide, clientSide := selfSigned(t)
		_, addr := startTLS(t, Config{Handler: h}, serverSide)
		test(t, h, func() *peer {
			conn, err := tls.Dial("tcp", addr, clientSide)
			if err != nil {
				t.Fatal(err)
			}
			return newPeer(t, conn)
		})
	})
}

func waiting(h *script, n int) func() bool { return h.see(func() bool { return h.mu.waiting == n }) }

func TestVanishedClientEndsItsWait(t *testing.T) {
	both(t, func(t *testing.T, h *script, connect func() *peer) {
		p := connect()
		p.send("PING\r\nWAIT\r\nPING\r\n")
		p.expect("+PONG\r\n") // written although the batch is still being served
		eventually(t, "waiting", waiting(h, 1))
		_ = p.Close()
		eventually(t, "noticed", h.see(func() bool { return h.mu.gone == 1 && h.mu.closed == 1 }))
	})
}

func TestVanishIsNoticedBehindPipelinedCommands(t *testing.T) {
	both(t, func(t *testing.T, h *script, connect func() *peer) {
		p := connect()
		p.send("WAIT\r\n")
		eventually(t, "waiting", waiting(h, 1))
		p.send(strings.Repeat("PING\r\n", 1000))
		_ = p.Close()
		eventually(t, "noticed", h.see(func() bool { return h.mu.gone == 1 && h.mu.closed == 1 }))
	})
}

func TestBytesReadWhileWaitingAreServedAfterwards(t *testing.T) {
	both(t, func(t *testing.T, h *script, connect func() *peer) {
		p := connect()
		p.send("PING\r\nWAIT\r\n")
		p.expect("+PONG\r\n") // flushed when the wait got long, so the background read is about to start
		big := strings.Repeat("y", 30_000)
		p.send(wire("ECHO", "first") + wire("ECHO", big)[:10_000])
		close(h.release)
		p.expect(":1\r\n$5\r\nfirst\r\n")
		p.send(wire("ECHO", big)[10_000:] + "PING\r\n")
		p.expect("$30000\r\n" + big + "\r\n+PONG\r\n")
		for range 3 { // a background read may be pending while the connection is at rest
			p.send("WAIT\r\nPING\r\n")
			p.expect(":1\r\n+PONG\r\n")
		}
	})
}

func TestPendingReadIsTakenOver(t *testing.T) {
	both(t, func(t *testing.T, h *script, connect func() *peer) {
		p := connect()
		p.send("PING\r\nWAIT\r\n")
		p.expect("+PONG\r\n")
		close(h.release)
		p.expect(":1\r\n")
		p.send(wire("ECHO", strings.Repeat("z", 2000)))
		p.expect("$2000\r\n" + strings.Repeat("z", 2000) + "\r\n")
	})
}

func TestWhatIsKeptWhileWaitingIsBounded(t *testing.T) {
	h := newScript()
	s, addr := start(t, Config{Handler: h})
	p := dial(t, addr)
	p.send("PING\r\nWAIT\r\n")
	p.expect("+PONG\r\n")
	_ = p.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	for {
		if _, err := p.Write([]byte(strings.Repeat("PING\r\n", 10_000))); err != nil {
			break
		}
	}
	if in := s.Stats().BytesIn; in > sideLimit+sideBuffer+100 {
		t.Errorf("%d bytes were taken in while waiting", in)
	}
}

func TestKillEndsAWait(t *testing.T) {
	h := newScript()
	s, addr := start(t, Config{Handler: h})
	p := dial(t, addr)
	p.send("WAIT\r\n")
	eventually(t, "waiting", waiting(h, 1))
	s.Find(1).Kill()
	eventually(t, "ended", h.see(func() bool { return h.mu.gone == 1 && h.mu.closed == 1 }))
}

func TestStalledHandshakeIsCut(t *testing.T) {
	h := newScript()
	serverSide, clientSide := selfSigned(t)
	s, addr := startTLS(t, Config{Handler: h, HandshakeTimeout: 100 * time.Millisecond}, serverSide)
	stalled := dial(t, addr)
	stalled.send("\x16\x03")
	conn, err := tls.Dial("tcp", addr, clientSide) // not held up by the other
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, conn)
	p.send("PING\r\nQUIT\r\n")
	p.expectEnd("+PONG\r\n+OK\r\n")
	stalled.expectEnd("")
	eventually(t, "forgotten", func() bool { return s.Stats().Current == 0 })
	if h.mu.closed != 2 {
		t.Errorf("Closed was called %d times", h.mu.closed)
	}
}

func TestOverAnInMemoryPipe(t *testing.T) {
	pipes := make(chan net.Conn, 1)
	h := newScript()
	ln := &pipeListener{conns: pipes, done: make(chan struct{})}
	startOn(t, Config{Handler: h}, ln)
	near, far := net.Pipe()
	pipes <- far
	p := newPeer(t, near)
	for _, b := range []byte(wire("ECHO", "one byte at a time")) { // a pipe hands over every byte by itself
		p.send(string(b))
	}
	p.expect("$18\r\none byte at a time\r\n")
	p.send("QUIT\r\n")
	p.expectEnd("+OK\r\n")
}

type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
