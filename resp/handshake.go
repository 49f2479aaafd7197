package resp

import (
	"container/list"
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

// TLS handshakes are work and memory for somebody who is nobody yet. So they are bounded apart from clients:
//
//  1. A handshake runs on its connection's goroutine, never in the accept loop, where one silent client would
//     stop all.
//  2. It ends after HandshakeTimeout. (etcd had none until 2026, GHSA-6vch-q96h-7gc3.)
//  3. A connection counts as a client, against MaxClients, only when its handshake is complete: half ones
//     take no client's place.
//  4. At most MaxHandshakes are under way. When one more begins, the oldest is cut. Whoever wants to keep
//     others out must open connections faster than MaxHandshakes of them fit into the time of an honest
//     handshake; honest ones take milliseconds, idle ones are the oldest soon.
//
// Rejected. Refusing the newest when all places are taken: a few silent connections would then keep everybody
// out for HandshakeTimeout. Drawback: in a storm of honest clients above the limit some are cut, and try
// again.
type handshakes struct {
	limit  int
	done   atomic.Int64
	failed atomic.Int64
	cut    atomic.Int64
	toldAt atomic.Int64 // Unix milliseconds of the last failure that was logged as a warning

	mu struct {
		sync.Mutex
		underWay list.List // of *Conn, the oldest first
	}
}

// warnEvery is how often a failed handshake is a line in the log; between them it is one at debug level.
const warnEvery = 10 * time.Second

// enter takes a place, and leave gives it back.
func (h *handshakes) enter(c *Conn) (leave func()) {
	h.mu.Lock()
	place := h.mu.underWay.PushBack(c)
	var oldest *Conn
	if h.mu.underWay.Len() > h.limit {
		oldest = h.mu.underWay.Remove(h.mu.underWay.Front()).(*Conn)
	}
	h.mu.Unlock()
	if oldest != nil {
		h.cut.Add(1)
		oldest.Kill()
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.mu.underWay.Remove(place) // does nothing when it was cut
	}
}

func (h *handshakes) count(st *Stats) {
	st.Handshakes, st.HandshakeFailures, st.HandshakesCut = h.done.Load(), h.failed.Load(), h.cut.Load()
}

// secured does the handshake, if there is one to do; false ends the connection.
func (c *Conn) secured() bool {
	secure, ok := c.conn.(*tls.Conn)
	if !ok {
		return true
	}
	if err := c.shakeHands(secure); err != nil {
		if !c.killed.Load() {
			c.server.handshakes.failed.Add(1)
			c.server.logHandshake(c, err)
		}
		return false
	}
	c.server.handshakes.done.Add(1)
	refusal := c.server.admit(c.plain.RemoteAddr(), true)
	if c.admitted = refusal == ""; !c.admitted {
		tellRefusal(c.conn, refusal)
	}
	return c.admitted
}

func (c *Conn) shakeHands(secure *tls.Conn) error {
	defer c.server.handshakes.enter(c)()
	ctx, cancel := context.WithTimeout(context.Background(), c.server.cfg.HandshakeTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	if chains := secure.ConnectionState().VerifiedChains; len(chains) > 0 {
		c.owner.Store(chains[0][0])
	}
	return nil
}

// logHandshake says why, at most once in warnEvery where everybody sees it: anybody can make handshakes fail.
func (s *Server) logHandshake(c *Conn, err error) {
	now, last := time.Now().UnixMilli(), s.handshakes.toldAt.Load()
	if now-last >= warnEvery.Milliseconds() && s.handshakes.toldAt.CompareAndSwap(last, now) {
		s.log.Warn("TLS handshake failed", "client", c.RemoteAddr(), "err", err)
		return
	}
	s.log.Debug("TLS handshake failed", "client", c.RemoteAddr(), "err", err)
}
