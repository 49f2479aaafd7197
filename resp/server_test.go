package resp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestPipelineIsOneBatchAndAnsweredInOrder(t *testing.T) {
	h := newScript()
	_, addr := start(t, Config{Handler: h})
	p := dial(t, addr)
	var want strings.Builder
	var stream strings.Builder
	for i := range 100 {
		word := fmt.Sprintf("word-%04d", i)
		stream.WriteString(wire("ECHO", word))
		want.WriteString("$9\r\n" + word + "\r\n")
	}
	p.send(stream.String()) // 2.9 kB: one packet on loopback
	p.expect(want.String())
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.mu.batches) != 1 {
		t.Errorf("one packet was served in batches of %v", h.mu.batches)
	}
}

func TestInlineAndProtocolSwitch(t *testing.T) {
	_, addr := start(t, Config{Handler: newScript()})
	p := dial(t, addr)
	p.send("PING\r\n\r\nECHO 'a b'\r\nHELLO 3\r\nWHAT\n")
	p.expect("+PONG\r\n$3\r\na b\r\n%1\r\n$5\r\nproto\r\n:3\r\n-ERR unknown command 'WHAT'\r\n")
}

func TestBreachAnswersWhatCameBeforeAndCloses(t *testing.T) {
	h := newScript()
	s, addr := start(t, Config{Handler: h})
	p := dial(t, addr)
	p.send("PING\r\n*1\r\n$-5\r\nPING\r\n")
	p.expectEnd("+PONG\r\n-ERR Protocol error: invalid bulk length\r\n")
	if got := s.Stats().ProtocolErrors; got != 1 {
		t.Errorf("%d protocol errors counted", got)
	}
	// The reply survives although the client goes on sending: it is not overtaken by a reset.
	p = dial(t, addr)
	p.send("*1\r\n$20000000\r\n" + strings.Repeat("x", 200_000))
	p.expectEnd("-ERR Protocol error: request exceeds max-request-bytes (8388608)\r\n")
	eventually(t, "both are closed", h.see(func() bool { return h.mu.closed == 2 }))
}

func TestCrossProtocolIsClosedWithoutAWord(t *testing.T) {
	h := newScript()
	_, addr := start(t, Config{Handler: h})
	p := dial(t, addr)
	p.send("PING\r\nPOST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nPING\r\n")
	p.expect("+PONG\r\n")
	eventually(t, "closed", h.see(func() bool { return h.mu.closed == 1 }))
	if h.mu.served[0] != "PING" || len(h.mu.served) != 1 {
		t.Errorf("served %q", h.mu.served)
	}
}

func TestLimitsBeforeAndAfterAuthentication(t *testing.T) {
	_, addr := start(t, Config{Handler: newScript(), RequireAuth: true})
	p := dial(t, addr)
	p.send(wire("ECHO", strings.Repeat("x", 16385)))
	p.expectEnd("-ERR Protocol error: unauthenticated bulk length\r\n")

	// The larger limit holds from the command after AUTH on, also within one packet.
	p = dial(t, addr)
	big := strings.Repeat("x", 100_000)
	p.send(wire("AUTH", "secret") + wire("ECHO", big))
	p.expect("+OK\r\n$100000\r\n" + big + "\r\n")
}

func TestQuitDropsTheRest(t *testing.T) {
	h := newScript()
	_, addr := start(t, Config{Handler: h})
	p := dial(t, addr)
	p.send("PING\r\nQUIT\r\nPING\r\nPING\r\n" + strings.Repeat(wire("PING"), 20_000))
	p.expectEnd("+PONG\r\n+OK\r\n")
	eventually(t, "closed", h.see(func() bool { return h.mu.closed == 1 }))
	if !slices.Equal(h.mu.served, []string{"PING", "QUIT"}) {
		t.Errorf("served %d commands", len(h.mu.served))
	}
}

func TestPanicEndsOnlyItsConnection(t *testing.T) {
	h, log := newScript(), &logText{}
	_, addr := start(t, Config{Handler: h, Logger: log.logger()})
	other := dial(t, addr)
	p := dial(t, addr)
	p.send("PING\r\nBOOM\r\nPING\r\n")
	p.expectEnd("+PONG\r\n-ERR internal error\r\n")
	other.send("PING\r\n")
	other.expect("+PONG\r\n")
	text := log.String()
	once := strings.Count(text, "level=ERROR") == 1
	if !once || !strings.Contains(text, "boom") || !strings.Contains(text, "harness_test.go") {
		t.Errorf("the log does not tell it once with its stack:\n%s", text)
	}
}

func TestMaxClients(t *testing.T) {
	s, addr := start(t, Config{Handler: newScript(), MaxClients: 2})
	first, second := dial(t, addr), dial(t, addr)
	for _, p := range []*peer{first, second} {
		p.send("PING\r\n")
		p.expect("+PONG\r\n")
	}
	dial(t, addr).expectEnd("-ERR max number of clients reached\r\n")
	_ = first.Close()
	eventually(t, "a place is free", func() bool { return s.Stats().Current == 1 })
	third := dial(t, addr)
	third.send("PING\r\n")
	third.expect("+PONG\r\n")
	if st := s.Stats(); st.Rejected != 1 || st.Received != 3 || st.Current != 2 {
		t.Errorf("%+v", st)
	}
}

// failing refuses a number of times before it accepts, as the system does without file descriptors.
type failing struct {
	net.Listener
	left atomic.Int32
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left.Add(-1) >= 0 {
		return nil, errors.New("too many open files")
	}
	return f.Listener.Accept()
}

func TestAcceptErrorsBackOff(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := &failing{Listener: inner}
	ln.left.Store(5)
	log := &logText{}
	started := time.Now()
	startOn(t, Config{Handler: newScript(), Logger: log.logger()}, ln)
	p := dial(t, inner.Addr().String())
	p.send("PING\r\n")
	p.expect("+PONG\r\n")
	if took := time.Since(started); took < 155*time.Millisecond { // 5+10+20+40+80
		t.Errorf("five failures were retried within %v", took)
	}
	if got := strings.Count(log.String(), "accept failed"); got != 5 {
		t.Errorf("%d failures logged", got)
	}
}

func TestRegistryAndCounters(t *testing.T) {
	s, addr := start(t, Config{Handler: newScript()})
	peers := []*peer{dial(t, addr), dial(t, addr), dial(t, addr)}
	for _, p := range peers {
		p.send(wire("PING") + wire("PING"))
		p.expect("+PONG\r\n+PONG\r\n")
	}
	var ids []uint64
	s.Conns(func(c *Conn) bool {
		ids = append(ids, c.ID())
		return true
	})
	if !slices.Equal(ids, []uint64{1, 2, 3}) {
		t.Errorf("ids %v", ids)
	}
	c := s.Find(2)
	if c.LocalAddr() != addr || !strings.HasPrefix(c.RemoteAddr(), "127.0.0.1:") || c.Proto() != 2 {
		t.Errorf("local %s remote %s proto %d", c.LocalAddr(), c.RemoteAddr(), c.Proto())
	}
	counted := func(got Counters) bool { return got.BytesIn == 28 && got.BytesOut == 14 && got.Commands == 2 }
	eventually(t, "what was written is counted", func() bool { return counted(c.Counters()) })
	c.Kill()
	peers[1].expectEnd("")
	eventually(t, "killed one is forgotten", func() bool { return s.Find(2) == nil })
	eventually(t, "all is counted", func() bool {
		st := s.Stats()
		return st.BytesIn == 3*28 && st.BytesOut == 3*14 && st.Current == 2
	})
}

func TestClientThatNeverReadsIsCut(t *testing.T) {
	h := newScript()
	s, addr := start(t, Config{Handler: h, WriteTimeout: 200 * time.Millisecond})
	p := dial(t, addr)
	before := heapBytes()
	largest := uint64(0)
	stream := []byte(strings.Repeat(wire("BIG", "60000"), 200))
	for { // until the server has cut the connection
		if _, err := p.Write(stream); err != nil {
			break
		}
		largest = max(largest, heapBytes())
	}
	eventually(t, "closed", h.see(func() bool { return h.mu.closed == 1 }))
	if grown := int64(largest) - int64(before); grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if st := s.Stats(); st.BytesOut > 64<<20 {
		t.Errorf("%d bytes went out to a client that reads nothing", st.BytesOut)
	}
}

func TestHugeReplyGoesOutInDeadlinedChunks(t *testing.T) {
	_, addr := start(t, Config{Handler: newScript()})
	p := dial(t, addr)
	p.send(wire("BIG", "20000000") + wire("PING"))
	p.expect("$20000000\r\n" + strings.Repeat("x", 20_000_000) + "\r\n+PONG\r\n")
}

func TestCloseLetsBatchesFinish(t *testing.T) {
	h := newScript()
	s, addr := start(t, Config{Handler: h})
	idle, busy := dial(t, addr), dial(t, addr)
	idle.send("PING\r\n")
	idle.expect("+PONG\r\n")
	busy.send("WAIT\r\n")
	eventually(t, "one is waiting", h.see(func() bool { return h.mu.waiting == 1 }))
	closed := make(chan error, 1)
	go func() { closed <- s.Close(context.Background()) }()
	idle.expectEnd("")
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("still accepting")
	}
	close(h.release)
	busy.expectEnd(":1\r\n")
	if err := <-closed; err != nil {
		t.Error(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(ln); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
}

func TestCloseCutsWhatDoesNotFinish(t *testing.T) {
	h := newScript()
	s, addr := start(t, Config{Handler: h})
	p := dial(t, addr)
	p.send("WAIT\r\n")
	eventually(t, "waiting", h.see(func() bool { return h.mu.waiting == 1 }))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	if h.mu.gone != 1 || h.mu.closed != 1 {
		t.Errorf("gone %d closed %d", h.mu.gone, h.mu.closed)
	}
}
