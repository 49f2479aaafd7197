package cluster

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// The peer protocol carries what hashicorp's transport cannot: questions between members that are not
// raft's own. To each peer there are two connections, dialled when first used: control for small, urgent
// messages, bulk for kinds of 0x80 and above, so that half a megabyte of forwarded writes does not stand
// before a read barrier. A connection carries requests one way and replies the other; the peer dials its
// own for its requests.
//
// Delivery is at most once. When a connection breaks, every call on it fails with ErrPeerUnreachable and it
// is unknown whether the request arrived. While a peer cannot be reached calls fail at once and the link
// keeps dialling with a growing pause, so no call waits for a dead peer longer than one dial.
const (
	bulkKinds = 0x80
	// Kinds below 0x10 belong to this package.
	kindTerm    = 0x01
	kindGreet   = 0x02 // the only one for guests, see join.go
	kindPast    = 0x03 // see founder.go
	ownKinds    = 0x10
	backoffMin  = 50 * time.Millisecond
	backoffMax  = time.Second
	readBufSize = 64 << 10
)

type peerNet struct {
	mux      *peerMux
	addrOf   func(MemberID) (string, bool) // false when the member is not in the configuration
	observe  func(kind byte, took time.Duration, err error)
	handlers [256]atomic.Pointer[Handler]
	work     sync.WaitGroup
	closing  chan struct{}

	mu struct {
		sync.Mutex
		links  map[linkKey]*link
		closed bool
	}
}

type linkKey struct {
	to   MemberID
	bulk bool
}

func newPeerNet(m *peerMux, addrOf func(MemberID) (string, bool), cfg Config) *peerNet {
	n := &peerNet{mux: m, addrOf: addrOf, observe: cfg.Metrics.PeerCall, closing: make(chan struct{})}
	n.mu.links = map[linkKey]*link{}
	m.servePeer = n.serve
	return n
}

func (n *peerNet) handle(kind byte, h Handler) { n.handlers[kind].Store(&h) }

// serve answers the requests of one accepted connection until it breaks.
func (n *peerNet) serve(c net.Conn, from MemberID) {
	w := newFrameWriter(c)
	var writer sync.WaitGroup
	writer.Go(w.run)
	r := bufio.NewReaderSize(c, readBufSize)
	for {
		f, err := readFrame(r)
		if err != nil || f.typ != frameRequest {
			break
		}
		n.dispatch(w, from, f)
	}
	w.shut()
	writer.Wait()
}

func (n *peerNet) dispatch(w *frameWriter, from MemberID, f frame) {
	h := n.handlers[f.kind].Load()
	if h == nil || from == helloGuest && f.kind != kindGreet {
		_ = w.send(frame{typ: frameError, kind: f.kind, seq: f.seq})
		return
	}
	(*h)(from, f.payload, func(payload []byte) {
		if len(payload) > MaxFrame {
			_ = w.send(frame{typ: frameError, kind: f.kind, seq: f.seq})
			return
		}
		if w.send(frame{frameReply, f.kind, f.seq, payload}) == ErrPeerBusy {
			w.shut() // the asker does not read its answers: let it find out
		}
	})
}

// send starts a call; done runs exactly once, never within send.
func (n *peerNet) send(to MemberID, kind byte, payload []byte, done func([]byte, error)) {
	if n.observe != nil {
		start, inner := time.Now(), done
		done = func(reply []byte, err error) {
			n.observe(kind, time.Since(start), err)
			inner(reply, err)
		}
	}
	err := ErrFrameTooLarge
	if len(payload) <= MaxFrame {
		err = n.trySend(to, kind, payload, done)
	}
	if err != nil {
		go done(nil, err) // ends when done does; it owns nothing here
	}
}

func (n *peerNet) trySend(to MemberID, kind byte, payload []byte, done func([]byte, error)) error {
	l, err := n.link(linkKey{to, kind >= bulkKinds})
	if err != nil {
		return err
	}
	return l.call(kind, payload, done)
}

func (n *peerNet) link(key linkKey) (*link, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.closed {
		return nil, ErrShutdown
	}
	if l := n.mu.links[key]; l != nil {
		return l, nil
	}
	if key.to == n.mux.self.member {
		return nil, ErrUnknownMember
	}
	if _, ok := n.addrOf(key.to); !ok {
		return nil, ErrUnknownMember
	}
	l := &link{net: n, key: key}
	l.mu.state = linkDialing
	l.mu.calls = map[uint64]call{}
	n.mu.links[key] = l
	n.work.Add(1)
	go l.run()
	return l, nil
}

// forget removes a link whose member has left the configuration.
func (n *peerNet) forget(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.links[l.key] == l {
		delete(n.mu.links, l.key)
	}
}

// close fails all calls and waits for the links.
func (n *peerNet) close() {
	n.mu.Lock()
	again := n.mu.closed
	n.mu.closed = true
	links := make([]*link, 0, len(n.mu.links))
	for _, l := range n.mu.links {
		links = append(links, l)
	}
	n.mu.Unlock()
	if again {
		return
	}
	close(n.closing)
	for _, l := range links {
		l.hangUp()
	}
	n.work.Wait()
}

type linkState uint8

const (
	linkDialing linkState = iota // first attempt, or the first after a break: calls wait for it
	linkUp
	linkDown // the last attempt failed: calls fail at once
	linkGone
)

type call struct {
	kind byte
	done func([]byte, error)
}

// link is the outgoing connection to one peer. Its goroutine dials, reads replies and starts again.
type link struct {
	net *peerNet
	key linkKey

	mu struct {
		sync.Mutex
		state  linkState
		writer *frameWriter // when up
		early  []byte       // frames sent while dialling
		seq    uint64
		calls  map[uint64]call
	}
}

func (l *link) call(kind byte, payload []byte, done func([]byte, error)) error {
	l.mu.Lock()
	switch {
	case l.mu.state == linkDown || l.mu.state == linkGone:
		l.mu.Unlock()
		return ErrPeerUnreachable
	case l.mu.state == linkDialing && len(l.mu.early)+len(payload) > maxPending:
		l.mu.Unlock()
		return ErrPeerBusy
	}
	l.mu.seq++
	f := frame{frameRequest, kind, l.mu.seq, payload}
	l.mu.calls[f.seq] = call{kind, done}
	w := l.mu.writer
	if l.mu.state == linkDialing {
		l.mu.early = appendFrame(l.mu.early, f)
	}
	l.mu.Unlock()
	if w == nil {
		return nil
	}
	if err := w.send(f); err != nil {
		return l.withdraw(f.seq, err)
	}
	return nil
}

// withdraw takes back a call that could not be sent. It returns nil when the call has been failed already.
func (l *link) withdraw(seq uint64, err error) error {
	if _, ok := l.take(seq); !ok {
		return nil
	}
	if errors.Is(err, errNoSuchConn) {
		return ErrPeerUnreachable
	}
	return err
}

func (l *link) take(seq uint64) (call, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.mu.calls[seq]
	delete(l.mu.calls, seq)
	return c, ok
}

func (l *link) run() {
	defer l.net.work.Done()
	pause := backoffMin
	for {
		addr, known := l.net.addrOf(l.key.to)
		if !known {
			l.net.forget(l)
			l.drop(linkGone)
			return
		}
		if c, err := l.net.mux.dial(leadPeer, addr, l.key.to, dialTimeout); err == nil {
			pause = backoffMin
			l.talk(c)
			l.drop(linkDialing)
		} else {
			l.drop(linkDown)
			if !l.rest(pause) {
				return
			}
			pause = min(2*pause, backoffMax)
		}
		if l.stopped() {
			l.drop(linkGone)
			return
		}
	}
}

// rest returns false when the node is closing.
func (l *link) rest(pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.net.closing:
		l.drop(linkGone)
		return false
	}
}

func (l *link) stopped() bool {
	select {
	case <-l.net.closing:
		return true
	default:
		return false
	}
}

// talk sends what has waited and reads replies until the connection breaks.
func (l *link) talk(c net.Conn) {
	w := newFrameWriter(c)
	l.mu.Lock()
	l.mu.state, l.mu.writer = linkUp, w
	w.mu.pending, l.mu.early = l.mu.early, nil // nobody else has w yet
	w.mu.busy = len(w.mu.pending) > 0
	if w.mu.busy {
		w.wake <- struct{}{}
	}
	l.mu.Unlock()
	if l.stopped() { // hangUp may have looked before the writer was there
		w.shut()
	}
	var writer sync.WaitGroup
	writer.Go(w.run)
	l.readReplies(bufio.NewReaderSize(c, readBufSize))
	w.shut()
	writer.Wait()
}

func (l *link) readReplies(r *bufio.Reader) {
	for {
		f, err := readFrame(r)
		if err != nil || f.typ == frameRequest {
			return
		}
		c, ok := l.take(f.seq)
		switch {
		case !ok:
		case f.typ == frameError:
			c.done(nil, ErrPeerRefused)
		default:
			c.done(f.payload, nil)
		}
	}
}

// drop fails all calls and sets what becomes of the next ones.
func (l *link) drop(next linkState) {
	l.mu.Lock()
	calls := l.mu.calls
	l.mu.calls = map[uint64]call{}
	l.mu.state, l.mu.writer, l.mu.early = next, nil, nil
	l.mu.Unlock()
	for _, c := range calls {
		c.done(nil, ErrPeerUnreachable)
	}
}

// hangUp breaks the connection; the link's goroutine then ends, since the net is closing.
func (l *link) hangUp() {
	l.mu.Lock()
	w := l.mu.writer
	l.mu.Unlock()
	if w != nil {
		w.shut()
	}
}

// answerTerm serves kindTerm: the highest term this member has ever persisted.
func answerTerm(highest func() Term) Handler {
	return func(_ MemberID, _ []byte, reply func([]byte)) {
		reply(binary.BigEndian.AppendUint64(nil, uint64(highest())))
	}
}

func decodeTerm(reply []byte, err error) (Term, error) {
	if err != nil {
		return 0, err
	}
	if len(reply) != 8 {
		return 0, errBadFrame
	}
	return Term(binary.BigEndian.Uint64(reply)), nil
}
