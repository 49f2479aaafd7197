package resp

import (
	"net"
	"sync/atomic"
)

// A connection that waits for a slow reply does not read, so it would not notice that its client has gone:
// a lock waiter would keep its place in the queue for ever. While it waits, one Read runs in the
// background, as in net/http's server. It is never aborted (a deadline set to abort it could hit after
// bytes were taken, and TLS connections do not survive it); bytes it brings are kept for the next
// foreground read, which also takes over a Read still pending. All state belongs to the connection's
// goroutine; the background goroutine owns the buffer while pending is true and only hands over its result.
//
// Drawback. A client that half-closes its side (shutdown for writing) and waits for a slow answer counts as
// gone.

// sideBuffer is the size of one background read, and sideLimit how much may be kept: with more, reading
// stops and the client is no longer watched, as a client cannot make us hold what it pipelines behind a
// blocked command.
const (
	sideBuffer = 512
	sideLimit  = 16 << 10
)

type sideResult struct {
	n   int
	err error
}

// background is nil in a connection that never waited long.
type background struct {
	pending bool
	err     error
	kept    []byte
	count   *atomic.Int64   // bytes received on the connection
	result  chan sideResult // one slot
	buf     [sideBuffer]byte
}

// watch makes sure that a Read is under way, unless enough is kept or the end was seen.
func (b *background) watch(conn net.Conn) {
	if b.pending || b.err != nil || len(b.kept) >= sideLimit {
		return
	}
	b.pending = true
	go func() {
		n, err := conn.Read(b.buf[:])
		b.result <- sideResult{n, err}
	}()
}

// collect takes in what the background read brought.
func (b *background) collect(r sideResult) {
	b.pending = false
	b.count.Add(int64(r.n))
	b.kept = append(b.kept, b.buf[:r.n]...)
	b.err = r.err
}

// drain waits for a pending read to end, which it does when bytes arrive or the connection is closed.
func (b *background) drain() {
	if b != nil && b.pending {
		b.collect(<-b.result)
	}
}

// take moves kept bytes to dst, waiting for a pending read if nothing is kept. done is false when there is
// neither, and the caller must read for itself.
func (b *background) take(dst []byte) (n int, done bool, err error) {
	if len(b.kept) == 0 {
		b.drain()
	}
	if n = copy(dst, b.kept); n > 0 {
		b.kept = b.kept[n:]
		return n, true, nil
	}
	return 0, b.err != nil, b.err
}
