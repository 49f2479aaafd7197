package resp

import (
	"errors"
	"runtime/debug"
	"time"
)

// The loop of a connection: read a batch, let the handler serve it, write its replies with one flush,
// again.
//
// It replaces the loop of redcon, which stays the listener and the encoder. Why: redcon cuts a pipeline
// into slices of 4 KiB, so that group commit sees only part of it; its reader can be made to panic, to spin
// and to overflow the stack from outside before authentication; it knows no RESP3; it has no write
// deadline, so a client that does not read holds its goroutine for ever; and while a handler waits nobody
// notices that the client has gone.
//
// Invariants.
//  1. One goroutine per connection reads, serves and writes; pushes alone may be written by another,
//     while it rests (push.go). Nothing is read while replies are unwritten, so a client that does not read
//     stops being read, and is cut after the write timeout.
//  2. Commands before a breach of protocol are served and answered before the breach is.
//  3. Memory of an active connection: one workspace, and of output about flushAbove: a long reply is written
//     while it is made, a long string from where it is (Conn.put). At rest: no buffer on a plain socket, a
//     small one under TLS, which cannot say that bytes are there without reading.
//  4. handler.Closed is called exactly once, after the last ServePipeline has returned.
//
// Rejected. A writer goroutine per connection: two stacks and a hand-over per batch for nothing while
// replies follow requests. Pushes to subscribers have a bounded queue instead (push.go).
//
// Drawback. A command that waits long holds up the commands behind it on its own connection.

const (
	flushAbove   = 256 << 10
	writeChunk   = 256 << 10 // each chunk has its own write deadline, so a slow reader is not a dead one
	waitQuietly  = 20 * time.Millisecond
	lingerFor    = 500 * time.Millisecond
	panicReply   = "ERR internal error"
	deadlineSlop = 4 // a deadline is renewed when a quarter of it has passed: setting one costs a system timer
)

// run is the life of the connection's goroutine.
func (c *Conn) run() {
	defer c.end()
	if !c.secured() {
		return
	}
	for c.step() {
	}
}

// step serves one batch; false ends the connection.
func (c *Conn) step() bool {
	cmds, err := c.next()
	if len(cmds) > 0 && !c.serve(cmds) {
		return false
	}
	if err != nil {
		c.refuse(err)
		return false
	}
	return true
}

// next returns the next batch, reading as often as needed, and puts the connection in stageServing.
func (c *Conn) next() ([]Command, error) {
	for {
		if c.stage.Load() == stageStopping {
			return nil, errStopping
		}
		cmds, err := c.parser.parse(c.batchSize())
		if len(cmds) > 0 || err != nil {
			return cmds, err
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// batchSize is 1 before authentication: whether a command may be large depends on the one before it.
func (c *Conn) batchSize() int {
	if c.parser.limits.BeforeAuth {
		return 1
	}
	return maxBatch
}

// fill blocks until bytes have arrived. While it waits the connection is at rest.
func (c *Conn) fill() error {
	if c.stage.Load() != stageResting && !c.stage.CompareAndSwap(stageServing, stageResting) {
		return errStopping
	}
	c.rest()
	n, err := c.read()
	if err != nil && c.pushes.Load() != nil {
		c.Kill() // the writer may be stuck on a client that does not read
	}
	c.wake()
	if !c.stage.CompareAndSwap(stageResting, stageServing) {
		return errStopping
	}
	if n > 0 {
		return nil // an error that came with bytes comes again
	}
	return err
}

func (c *Conn) read() (int, error) {
	if c.side != nil {
		if n, done, err := c.readSide(); done {
			return n, err
		}
	}
	if c.raw != nil && c.parser.rest() {
		c.noteBuffers()
		w, n, err := c.raw.read()
		if n > 0 {
			c.parser.adopt(w, n)
			c.bytesIn.Add(int64(n))
		}
		return n, err
	}
	tail := c.parser.tail()
	c.noteBuffers()
	n, err := c.conn.Read(tail)
	c.parser.filled(n)
	c.bytesIn.Add(int64(n))
	return n, err
}

func (c *Conn) readSide() (n int, done bool, err error) {
	n, done, err = c.side.take(c.parser.tail())
	c.parser.filled(n)
	if !c.side.pending && len(c.side.kept) == 0 && c.side.err == nil {
		c.side = nil
	}
	return n, done, err
}

// serve hands a batch to the handler and writes its replies; false ends the connection.
func (c *Conn) serve(cmds []Command) bool {
	count := int64(len(cmds))
	c.lastActive.Store(time.Now().UnixMilli())
	c.commands.Add(count)
	c.running.Store(count)
	c.noteBuffers()
	c.Deliver()
	c.callHandler(cmds)
	c.running.Store(0)
	c.flush()
	switch {
	case c.gone || c.killed.Load():
		return false
	case c.leaving:
		c.linger()
		return false
	}
	return true
}

// callHandler keeps a panic inside this connection: the client gets an error for the command that failed
// and is cut off, since what it would get for the rest of its pipeline is unknown.
func (c *Conn) callHandler(cmds []Command) {
	defer func() {
		if cause := recover(); cause != nil {
			c.server.log.Error("panic while serving a command", "client", c.RemoteAddr(),
				"panic", cause, "stack", string(debug.Stack()))
			c.Reply(Err(panicReply))
			c.CloseAfterReply()
		}
	}()
	c.server.cfg.Handler.ServePipeline(c, cmds)
}

// refuse tells the client about a breach of the protocol; other ends of reading have nothing to tell.
func (c *Conn) refuse(err error) {
	if errors.Is(err, errCrossProtocol) {
		c.server.protocolErrors.Add(1)
		c.server.log.Warn("closed a connection that speaks HTTP, possibly an attack through a browser",
			"client", c.RemoteAddr())
		return
	}
	var breach violation
	if !errors.As(err, &breach) {
		return
	}
	c.server.protocolErrors.Add(1)
	c.server.log.Debug("protocol error", "client", c.RemoteAddr(), "err", err)
	c.Reply(Err(breach.Error()))
	c.flush()
	c.linger()
}

// flush writes what has gathered, and behind it the pushes that wait. It is only called between replies.
func (c *Conn) flush() {
	c.Deliver()
	if w := c.parser.work; w != nil && len(w.out) > 0 {
		c.writeOut()
	}
}

// writeOut writes what has gathered, which may end inside a reply. After a failure the connection is gone.
func (c *Conn) writeOut() {
	w := c.parser.work
	c.writeAll(w.out)
	if cap(w.out) > 2*flushAbove {
		w.out = nil
	}
	w.out = w.out[:0]
}

// writeAll writes in chunks, each with a deadline of its own.
func (c *Conn) writeAll(rest []byte) {
	for len(rest) > 0 && !c.gone {
		c.output.Store(int64(len(rest)))
		chunk := rest[:min(len(rest), writeChunk)]
		c.write(chunk)
		rest = rest[len(chunk):]
	}
	c.output.Store(0)
}

func (c *Conn) write(b []byte) {
	limit := c.server.cfg.WriteTimeout
	if now := time.Now(); c.writeBy.Sub(now) < limit-limit/deadlineSlop {
		c.writeBy = now.Add(limit)
		_ = c.conn.SetWriteDeadline(c.writeBy) // fails only on a closed connection, as Write then does
	}
	n, err := c.conn.Write(b)
	c.bytesOut.Add(int64(n))
	if err != nil {
		c.gone = true
	}
}

// linger ends our side and reads on for a moment. Closing a socket with bytes unread resets the connection,
// and a reset can overtake the last reply, which is the one that says what was wrong.
func (c *Conn) linger() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || c.gone || !c.stage.CompareAndSwap(stageServing, stageResting) {
		return
	}
	_ = c.conn.SetDeadline(time.Now().Add(lingerFor))
	if half.CloseWrite() != nil {
		return
	}
	c.side.drain()
	discard := c.parser.work.buf
	for {
		if _, err := c.conn.Read(discard); err != nil {
			return
		}
	}
}

// end closes everything the connection owns and tells the handler.
func (c *Conn) end() {
	if c.gone {
		c.Kill() // TLS's farewell would wait for a client that does not read
	}
	_ = c.conn.Close()
	c.side.drain()
	c.callClosed()
	c.parser.release()
	c.server.forget(c)
}

func (c *Conn) callClosed() {
	defer func() {
		if cause := recover(); cause != nil {
			c.server.log.Error("panic while closing a connection", "panic", cause, "stack", string(debug.Stack()))
		}
	}()
	c.server.cfg.Handler.Closed(c)
}

func (c *Conn) noteBuffers() {
	unread, size := int64(c.parser.unread()), int64(0)
	if w := c.parser.work; w != nil {
		size = int64(len(w.buf))
	}
	c.query.Store(unread)
	c.queryFree.Store(size - unread)
}
