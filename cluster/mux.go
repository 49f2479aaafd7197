package cluster

import (
	"bytes"
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"
)

// The peer port carries two protocols. The first byte of a connection says which: 'R' for raft's own, 'P'
// for the peer protocol (peer.go). It is read by a goroutine of that connection under a deadline, so that a
// silent client holds up nobody. It is the first byte of the hello that each side sends, the dialler first:
//
//	0   lead      1   'R' or 'P'
//	1   magic     7   "redkeep"
//	8   version   4   big-endian
//	12  zero      4
//	16  cluster   8   big-endian
//	24  member    8   big-endian
//
// Both sides compare before any other byte is read or written: a node of another cluster is refused at both
// ends, and both log it. The hello does not authenticate; that is what Config.ListenWrap and DialWrap (TLS)
// do, before it, on both sides.
const (
	leadRaft = 'R'
	leadPeer = 'P'

	helloMagic   = "redkeep"
	helloVersion = 1
	helloLen     = 32

	handshakeTimeout = 2 * time.Second
	dialTimeout      = time.Second
	refusalLogEvery  = 10 * time.Second
	// maxStrangers is how many accepted connections may be without a welcome at a time. When one more comes the
	// oldest is cut, so that silent ones keep no member out.
	maxStrangers = 256
	// unsentTimeout is how long sent bytes may stay unacknowledged by the peer's kernel before the connection
	// breaks.
	unsentTimeout = 5 * time.Second
)

type hello struct {
	lead    byte
	version uint32
	cluster ClusterID
	member  MemberID
}

func (h hello) encode() []byte {
	b := make([]byte, helloLen)
	b[0] = h.lead
	copy(b[1:], helloMagic)
	binary.BigEndian.PutUint32(b[8:], h.version)
	binary.BigEndian.PutUint64(b[16:], uint64(h.cluster))
	binary.BigEndian.PutUint64(b[24:], uint64(h.member))
	return b
}

func readHello(r io.Reader) (h hello, err error) {
	b := make([]byte, helloLen)
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return h, err
	}
	if b[0] != leadRaft && b[0] != leadPeer {
		return h, fmt.Errorf("%w: not a redkeep peer", errBadHello)
	}
	if _, err := io.ReadFull(r, b[1:]); err != nil {
		return h, err
	}
	if !bytes.Equal(b[1:8], []byte(helloMagic)) {
		return h, fmt.Errorf("%w: not a redkeep peer", errBadHello)
	}
	h.lead, h.version = b[0], binary.BigEndian.Uint32(b[8:])
	h.cluster = ClusterID(binary.BigEndian.Uint64(b[16:]))
	h.member = MemberID(binary.BigEndian.Uint64(b[24:]))
	return h, nil
}

// peerMux listens on the peer port and dials other members' ports. It owns every connection it made or
// accepted.
type peerMux struct {
	ln        net.Listener
	advertise string
	self      hello // lead unset
	cfg       Config
	servePeer func(net.Conn, MemberID) // returns when the connection is finished
	raftConns chan net.Conn
	lineEnded func(MemberID) // a member's raft connection to here has ended
	closing   chan struct{}
	dialing   context.Context // ends with closing
	stopDials context.CancelFunc
	work      sync.WaitGroup

	mu struct {
		sync.Mutex
		open      map[*muxConn]struct{}
		strangers list.List // of *muxConn, the oldest first
		closed    bool
		refused   map[string]time.Time // when a refusal was last logged
	}
}

// muxConn is a tracked connection; closing it twice is harmless.
type muxConn struct {
	net.Conn          // with TLS around it, once the handshake has begun
	raw      net.Conn // what was accepted or dialled
	mux      *peerMux
	once     sync.Once
	err      error
}

func (c *muxConn) Close() error {
	c.once.Do(func() {
		c.err = c.Conn.Close()
		c.mux.mu.Lock()
		delete(c.mux.mu.open, c)
		c.mux.mu.Unlock()
		c.mux.work.Done()
	})
	return c.err
}

// SyscallConn lets frameWriter try a write without waiting. TLS connections have none.
func (c *muxConn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

func listenPeer(cfg Config) (net.Listener, error) {
	ln, err := net.Listen("tcp", cfg.PeerAddr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPeerAddrInUse, err)
	}
	return ln, nil
}

func newPeerMux(ln net.Listener, advertise string, self hello, cfg Config) *peerMux {
	m := &peerMux{
		ln: ln, advertise: advertise, self: self, cfg: cfg,
		raftConns: make(chan net.Conn), closing: make(chan struct{}), lineEnded: func(MemberID) {},
	}
	m.dialing, m.stopDials = context.WithCancel(context.Background())
	m.self.version = helloVersion
	m.mu.open = map[*muxConn]struct{}{}
	m.mu.refused = map[string]time.Time{}
	return m
}

// start begins to accept. REQUIRES: servePeer is set.
func (m *peerMux) start() {
	m.work.Add(1)
	go m.acceptLoop()
}

func (m *peerMux) acceptLoop() {
	defer m.work.Done()
	delay := time.Duration(0)
	for {
		c, err := m.ln.Accept()
		if err == nil {
			delay = 0
			if tracked := m.track(c); tracked != nil {
				go m.serve(tracked)
			}
			continue
		}
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		select {
		case <-m.closing:
			return
		case <-time.After(delay):
			m.cfg.Logger.Error("peer port: accept failed", "error", err)
		}
	}
}

// track returns nil, and closes c, when the mux is closed.
func (m *peerMux) track(c net.Conn) *muxConn {
	t := &muxConn{Conn: c, raw: c, mux: m}
	m.mu.Lock()
	ok := !m.mu.closed
	if ok {
		m.mu.open[t] = struct{}{}
		m.work.Add(1)
	}
	m.mu.Unlock()
	if !ok {
		c.Close()
		return nil
	}
	return t
}

// tune sets how soon a dead peer is noticed.
func tune(c net.Conn) {
	tc, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	alive := net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}
	_ = tc.SetKeepAliveConfig(alive)
	if raw, err := tc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			ms := int(unsentTimeout / time.Millisecond)
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ms)
		})
	}
}

// meet notes a connection that has not been welcomed yet; met forgets it.
func (m *peerMux) meet(c *muxConn) (met func()) {
	m.mu.Lock()
	place := m.mu.strangers.PushBack(c)
	var oldest *muxConn
	if m.mu.strangers.Len() > maxStrangers {
		oldest = m.mu.strangers.Remove(m.mu.strangers.Front()).(*muxConn)
	}
	m.mu.Unlock()
	if oldest != nil {
		_ = oldest.raw.Close()
	}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.mu.strangers.Remove(place) // does nothing when it was cut
	}
}

func (m *peerMux) serve(c *muxConn) {
	met := m.meet(c)
	from, err := m.welcome(c)
	met()
	if err != nil {
		m.logRefusal("from", c.RemoteAddr().String(), from.member, err)
		c.Close()
		return
	}
	if from.lead == leadPeer {
		m.servePeer(c, from.member)
		c.Close()
		return
	}
	select {
	case m.raftConns <- &raftLine{c, func() { m.lineEnded(from.member) }}:
	case <-m.closing:
		c.Close()
	}
}

// welcome reads the dialler's hello and answers. The answer goes out even when the hello is refused: the
// other side then knows why.
func (m *peerMux) welcome(c *muxConn) (from hello, err error) {
	tune(c.raw)
	if err := c.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return from, err
	}
	if m.cfg.ListenWrap != nil {
		wrapped, err := m.cfg.ListenWrap(c.Conn)
		if err != nil {
			return from, err
		}
		c.Conn = wrapped
	}
	if from, err = readHello(c); err != nil {
		return from, err
	}
	answer := m.self
	answer.lead = from.lead
	_, err = c.Write(answer.encode())
	if from.guest() && from.version == helloVersion {
		return from, errors.Join(err, c.SetDeadline(time.Time{}))
	}
	return from, errors.Join(m.accept(from), err, c.SetDeadline(time.Time{}))
}

func (m *peerMux) accept(h hello) error {
	switch {
	case h.version != helloVersion:
		return fmt.Errorf("%w: it speaks peer protocol %d, this node %d", errBadHello, h.version, helloVersion)
	case h.cluster != m.self.cluster:
		return fmt.Errorf("%w: it is of cluster %s, this node of %s", errBadHello, h.cluster, m.self.cluster)
	}
	return nil
}

// dial connects to addr and shakes hands. The address must answer as member want, unless that is 0.
func (m *peerMux) dial(lead byte, addr string, want MemberID, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: min(timeout, dialTimeout)}
	raw, err := d.DialContext(m.dialing, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := m.track(raw)
	if c == nil {
		return nil, net.ErrClosed
	}
	answer, err := m.introduce(c, lead, addr)
	if err == nil {
		err = m.accept(answer)
	}
	if err == nil && want != 0 && answer.member != want {
		err = fmt.Errorf("%w: %s is member %s, not %s", errBadHello, addr, answer.member, want)
	}
	if errors.Is(err, errBadHello) || errors.Is(err, errNoTrust) {
		m.logRefusal("to", addr, answer.member, err)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (m *peerMux) introduce(c *muxConn, lead byte, addr string) (answer hello, err error) {
	tune(c.raw)
	if err := c.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return answer, err
	}
	if m.cfg.DialWrap != nil {
		wrapped, err := m.cfg.DialWrap(c.Conn, addr)
		if err != nil {
			return answer, untrusted(err)
		}
		c.Conn = wrapped
	}
	mine := m.self
	mine.lead = lead
	if _, err := c.Write(mine.encode()); err != nil {
		return answer, err
	}
	answer, err = readHello(c)
	switch {
	case err != nil && m.cfg.DialWrap != nil:
		return answer, untrusted(err)
	case err != nil:
		return answer, err
	}
	return answer, c.SetDeadline(time.Time{})
}

// untrusted marks that one side did not trust the other, unless it was only slow or is gone. In TLS 1.3 the
// dialler learns when it reads the answer to its hello that its certificate was refused, and perhaps not
// more than that: a reset can overtake the reason.
func untrusted(err error) error {
	var slow net.Error
	if errors.Is(err, errBadHello) || errors.As(err, &slow) && slow.Timeout() || errors.Is(err, io.EOF) ||
		errors.Is(err, net.ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: %w", errNoTrust, err)
}

// logRefusal logs at most once per peer and way of connecting in refusalLogEvery.
func (m *peerMux) logRefusal(way, addr string, id MemberID, err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return // a port probe, or our own end
	}
	key := way + id.String()
	if host, _, e := net.SplitHostPort(addr); e == nil {
		key += host
	}
	m.mu.Lock()
	now := time.Now()
	again := now.Sub(m.mu.refused[key]) < refusalLogEvery
	if len(m.mu.refused) > 1000 {
		clear(m.mu.refused)
	}
	if !again {
		m.mu.refused[key] = now
	}
	m.mu.Unlock()
	if !again {
		m.cfg.Logger.Error("peer refused", "connection", way, "address", addr, "member", id, "reason", err)
	}
}

// hangUp closes the port and breaks all connections. Those who use them get an error and let go of them.
func (m *peerMux) hangUp() error {
	m.mu.Lock()
	again := m.mu.closed
	m.mu.closed = true
	open := make([]*muxConn, 0, len(m.mu.open))
	for c := range m.mu.open {
		open = append(open, c)
	}
	m.mu.Unlock()
	if again {
		return nil
	}
	close(m.closing)
	m.stopDials()
	err := m.ln.Close()
	for _, c := range open {
		_ = c.raw.Close()
	}
	return err
}

// wait returns when every connection has been let go of.
func (m *peerMux) wait() { m.work.Wait() }

// raftStream is the raft side of the mux as hashicorp's transport wants it; addressee.go has Dial.
type raftStream struct {
	*peerMux
	done chan struct{}
}

var _ raft.StreamLayer = (*raftStream)(nil)

// Accept fails only when raft's transport has been closed: it would log and retry until then.
func (s *raftStream) Accept() (net.Conn, error) {
	select {
	case c := <-s.raftConns:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close is called once, by raft's transport. The port is closed by the node.
func (s *raftStream) Close() error {
	close(s.done)
	return nil
}

// Addr is what raft takes for this node's address.
func (s *raftStream) Addr() net.Addr { return peerAddr(s.advertise) }

type peerAddr string

func (peerAddr) Network() string  { return "tcp" }
func (a peerAddr) String() string { return string(a) }
