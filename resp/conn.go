package resp

import (
	"crypto/x509"
	"net"
	"sync/atomic"
	"time"
	"unsafe"
)

// Conn is one client connection.
//
// Methods marked "handler only" belong to the connection's goroutine: they may be called inside
// ServePipeline and Closed. All others are safe for concurrent use.
type Conn struct {
	// Session belongs to the handler, which may keep its state of this client here. Handler only.
	Session any

	id      uint64
	server  *Server
	plain   net.Conn // the socket
	conn    net.Conn // what bytes are read from and written to: the socket or TLS over it
	raw     *rawReader
	created time.Time
	cut     chan struct{} // closed by Kill

	// Owned by the connection's goroutine.
	admitted      bool // counts among the clients
	parser        parser
	side          *background
	authenticated bool
	leaving       bool // CloseAfterReply was called
	gone          bool // nothing can be written any more
	writeBy       time.Time
	pushes        atomic.Pointer[outbox] // nil until EnablePushes; see push.go
	resting       atomic.Bool            // whether the outbox is to be open

	// Own synchronisation.
	owner      atomic.Pointer[x509.Certificate] // nil until a handshake has verified one
	remote     atomic.Pointer[string]           // nil until somebody asks for it
	proto      atomic.Int32
	stage      atomic.Int32
	killed     atomic.Bool
	lastActive atomic.Int64 // Unix milliseconds
	bytesIn    atomic.Int64
	bytesOut   atomic.Int64
	commands   atomic.Int64
	running    atomic.Int64
	query      atomic.Int64
	queryFree  atomic.Int64
	output     atomic.Int64
}

// The stages of a connection. Close of the server may cut a connection at rest at once, but lets one that is
// serving finish its batch; the compare-and-swap between the two decides which one it met.
const (
	stageResting int32 = iota
	stageServing
	stageStopping
)

// Counters is a moment's view of a connection's numbers; they are read one by one, not at one instant.
type Counters struct {
	BytesIn, BytesOut int64 // since the connection began
	Commands          int64 // commands handed to the handler since the connection began
	Running           int64 // commands of the batch being served, 0 at rest
	QueryBuffer       int64 // bytes received and not yet served
	QueryFree         int64 // room left in the read buffer
	OutputBuffer      int64 // bytes of replies being written
	PushBytes         int64 // bytes of pushes that wait
	Pushes            int64 // their number
}

// ID is unique in this process and grows from 1 in the order of accepting.
func (c *Conn) ID() uint64 { return c.id }

// Proto is the protocol of replies: 2 until SetProto.
func (c *Conn) Proto() int { return int(c.proto.Load()) }

// SetProto chooses the protocol of all replies from now on: 2 or 3. Handler only.
func (c *Conn) SetProto(proto int) { c.proto.Store(int32(proto)) }

// RemoteAddr is the client's address, host:port for TCP.
func (c *Conn) RemoteAddr() string {
	if known := c.remote.Load(); known != nil {
		return *known
	}
	addr := c.plain.RemoteAddr().String()
	c.remote.Store(&addr)
	return addr
}

// LocalAddr is the address the client connected to.
func (c *Conn) LocalAddr() string { return c.plain.LocalAddr().String() }

// PeerCertificate is the certificate that the client has shown and proved to own, and that the port's
// configuration has verified; nil without TLS, for a client that has shown none, and during the handshake.
func (c *Conn) PeerCertificate() *x509.Certificate { return c.owner.Load() }

// Created is when the connection was accepted.
func (c *Conn) Created() time.Time { return c.created }

// LastActive is when the last batch of commands began, or Created.
func (c *Conn) LastActive() time.Time { return time.UnixMilli(c.lastActive.Load()) }

// Counters returns the connection's numbers.
func (c *Conn) Counters() Counters {
	bytes, frames := c.queued()
	return Counters{
		PushBytes: int64(bytes), Pushes: int64(frames),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Commands: c.commands.Load(), Running: c.running.Load(),
		QueryBuffer: c.query.Load(), QueryFree: c.queryFree.Load(), OutputBuffer: c.output.Load(),
	}
}

// Authenticated says whether the client may send requests of full size. It takes effect with the next
// request, even inside one packet: before authentication batches hold one command. Handler only.
func (c *Conn) Authenticated(yes bool) {
	c.authenticated = yes
	c.parser.limits = c.server.limits(yes)
}

// CloseAfterReply ends the connection once the replies of this batch are written. The handler must not run
// the commands that remain in the batch (see Closing); those not yet parsed are dropped. Handler only.
func (c *Conn) CloseAfterReply() { c.leaving = true }

// Closing is true when further commands of the batch are not worth running: CloseAfterReply or Kill was
// called, or the client is gone. Handler only.
func (c *Conn) Closing() bool { return c.leaving || c.gone || c.killed.Load() }

// Stopping is true when the server is closing: what has not begun of the batch is to be left, for a pipeline
// of many commands that wait would hold up the stop. The client is told by the end of the connection.
// Handler only.
func (c *Conn) Stopping() bool { return c.stage.Load() == stageStopping }

// Kill cuts the connection at once; replies not yet written are lost. Closed is still called. It returns
// false iff somebody has cut it before.
func (c *Conn) Kill() bool {
	if !c.killed.CompareAndSwap(false, true) {
		return false
	}
	// The socket, not TLS over it: ending TLS in order would wait for a client that does not read.
	_ = c.plain.Close()
	close(c.cut)
	return true
}

// Reply adds one reply. It is written when the handler returns, or earlier when much has gathered; then Reply
// blocks until the client has taken it, at most the write timeout. After a failed write it does nothing.
// Handler only.
func (c *Conn) Reply(v Value) {
	if c.gone {
		return
	}
	c.put(v, c.Proto())
}

// put adds a reply, or a part of one, and writes what has gathered whenever it is much. So a reply of any
// size takes little more memory than its tree, however slowly the client reads.
func (c *Conn) put(v Value, proto int) {
	w := c.parser.work
	switch {
	case v.isAggregate():
		w.out = appendHeader(w.out, v.aggregateMark(proto), v.aggregateLen(proto))
		for i := 0; i < v.count() && !c.gone; i++ {
			c.put(v.member(i), proto)
		}
	case v.kind == KindBulk && len(v.text) > flushAbove:
		w.out = appendHeader(w.out, '$', len(v.text))
		c.writeOut()
		c.writeAll(unsafe.Slice(unsafe.StringData(v.text), len(v.text))) // Write only reads
		w.out = append(w.out, '\r', '\n')
	default:
		w.out = v.Append(w.out, proto)
	}
	if len(w.out) > flushAbove {
		c.writeOut() // no pushes: they would stand between the replies of one run of commands
	}
}

// Wait blocks until done is closed or receives, and returns true; or returns false because the client
// vanished or the connection was killed. Handler only.
//
// The first waitQuietly of it cost no more than a timer: nearly every wait is for one round of group
// commit. Then replies gathered so far are written and a background read begins to watch the client.
func (c *Conn) Wait(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
	}
	if c.gone || c.killed.Load() {
		return false
	}
	alarm := c.parser.work.alarm(waitQuietly)
	defer c.parser.work.stopAlarm()
	select {
	case <-done:
		return true
	case <-c.cut:
		return false
	case <-alarm:
	}
	return c.waitWatching(done)
}

// WaitAlert is Wait for what may take long and must not be given to a client that is gone: it watches the
// client from the start, and returns false if the client is known to have vanished although done came, too.
func (c *Conn) WaitAlert(done <-chan struct{}) bool {
	if c.gone || c.killed.Load() {
		return false
	}
	there := c.waitWatching(done)
	if !there || c.side == nil {
		return there
	}
	select {
	case r := <-c.side.result:
		c.side.collect(r)
	default:
	}
	c.gone = c.side.err != nil
	return !c.gone
}

func (c *Conn) waitWatching(done <-chan struct{}) bool {
	c.flush()
	if c.gone {
		return false
	}
	c.rest()
	there := c.watchWhile(done)
	c.wake()
	c.gone = c.gone || !there && c.side.err != nil
	return there
}

func (c *Conn) watchWhile(done <-chan struct{}) bool {
	if c.side == nil {
		c.side = &background{result: make(chan sideResult, 1), count: &c.bytesIn}
	}
	for c.side.err == nil {
		c.side.watch(c.conn)
		select {
		case <-done:
			return true
		case <-c.cut:
			return false
		case r := <-c.side.result:
			c.side.collect(r)
		}
	}
	return false
}
