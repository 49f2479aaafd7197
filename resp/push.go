package resp

import (
	"sync"
	"time"
)

// Pushes: messages from other goroutines to a client, between its replies.
//
// Idea. A connection with subscriptions has an outbox: a queue of finished frames with a bound. Whoever
// publishes appends to it and goes on; it never writes. Two may write: the connection's own goroutine,
// which puts the queue among its replies, and, while that goroutine rests (blocked in fill, or waiting
// long for a command), a writer that the first push starts and that ends when the queue is empty. So an
// idle subscriber costs the outbox and no goroutine.
//
// Invariants.
//  1. The writer runs only while the outbox is open, which it is exactly while the connection's goroutine
//     rests. Before that goroutine serves, it closes the outbox and waits until the writer has ended. So
//     the two never write at once, and a push never stands inside a reply.
//  2. What was queued before a command began stands before its reply, what is queued while it runs stands
//     behind it: Deliver draws the line. So a confirmation precedes the messages it announces, and the
//     value that a command has read precedes the news that it has changed.
//  3. Pushes are written in the order in which they were queued.
//  4. Offer takes a frame whole or not at all, and takes one whenever less than its limit is queued; so
//     what is queued exceeds the limit by one frame at most. After a refusal room is called once.
//
// A writer sets no write deadline: a subscriber may stop reading for as long as it likes and costs its
// bounded queue. Post, for messages that are not kept elsewhere, has Redis's rule instead: a client with
// more than a hard limit queued, or more than a soft one for some time, is cut.
//
// Rejected: a writer goroutine per subscriber (a stack each, for nothing while nothing happens); a mutex
// around write (held over I/O). Drawback: a client that sends a command while its socket is full of pushes
// is served only when they are written.
type outbox struct {
	conn *Conn
	room func() // called without a lock, by whoever made room after a refusal

	mu struct {
		sync.Mutex
		queue   []frame
		bytes   int
		open    bool
		writing chan struct{} // not nil: a writer runs; closed when it has ended
		refused int           // not 0: room is owed, and the limit that was met
		above   time.Time     // since when more than the soft limit is queued
	}
}

// frame is one push: the two parts are written one behind the other and are never changed.
type frame struct{ head, body []byte }

func (f frame) size() int { return len(f.head) + len(f.body) + frameOverhead }

const (
	frameOverhead = 48       // of the queue, per frame
	pushChunk     = 64 << 10 // written at once
)

// OutputLimits are Redis's client-output-buffer-limit for pubsub clients.
type OutputLimits struct {
	Hard, Soft int
	For        time.Duration // how long more than Soft may be queued
}

// PubSubLimits are Redis's defaults.
var PubSubLimits = OutputLimits{Hard: 32 << 20, Soft: 8 << 20, For: time.Minute}

// EnablePushes gives the connection an outbox. room is called, on any goroutine and without a lock held,
// when a queue that refused an Offer is at most half full. A second call does nothing. Safe for concurrent
// use.
func (c *Conn) EnablePushes(room func()) {
	o := &outbox{conn: c, room: room}
	if !c.pushes.CompareAndSwap(nil, o) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.open = c.resting.Load()
}

// Offer queues a push unless limit bytes are queued already. The parts must not be changed afterwards.
// REQUIRES: EnablePushes. Safe for concurrent use; never blocks.
func (c *Conn) Offer(head, body []byte, limit int) bool {
	o := c.pushes.Load()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.bytes >= limit {
		o.mu.refused = limit
		return false
	}
	o.addLocked(frame{head, body})
	return true
}

// Post queues a push whatever is queued already, and cuts the client if that is more than limits allow.
// REQUIRES: EnablePushes. Safe for concurrent use; never blocks.
func (c *Conn) Post(body []byte, limits OutputLimits) {
	if c.pushes.Load().post(frame{body: body}, limits) {
		c.Kill()
	}
}

func (o *outbox) post(f frame, limits OutputLimits) (tooMuch bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.addLocked(f)
	switch {
	case o.mu.bytes <= limits.Soft:
		o.mu.above = time.Time{}
		return false
	case o.mu.bytes > limits.Hard:
		return true
	case o.mu.above.IsZero():
		o.mu.above = time.Now()
	}
	return time.Since(o.mu.above) > limits.For
}

// addLocked queues f and sees to it that somebody writes it.
func (o *outbox) addLocked(f frame) {
	o.mu.queue = append(o.mu.queue, f)
	o.mu.bytes += f.size()
	if o.mu.open && o.mu.writing == nil {
		o.mu.writing = make(chan struct{})
		go o.write(o.mu.writing)
	}
}

// write is the writer: it writes until the queue is empty or the outbox is closed.
func (o *outbox) write(ended chan struct{}) {
	buf := pushPool.Get().(*[]byte)
	for {
		*buf = (*buf)[:0]
		if !o.take(buf, true) {
			break
		}
		if !o.conn.writePushes(*buf) {
			break
		}
	}
	if cap(*buf) <= 2*pushChunk {
		pushPool.Put(buf)
	}
	close(ended)
}

var pushPool = sync.Pool{New: func() any { b := make([]byte, 0, pushChunk); return &b }}

// take moves frames into buf, at least one and until it holds pushChunk bytes. For the writer it returns
// false when it is to end, and then it has ended for the outbox.
func (o *outbox) take(buf *[]byte, writer bool) (some bool) {
	o.mu.Lock()
	room := false
	n := 0
	if !writer || o.mu.open {
		for n < len(o.mu.queue) && len(*buf) < pushChunk {
			f := o.mu.queue[n]
			*buf = append(append(*buf, f.head...), f.body...)
			o.mu.bytes -= f.size()
			n++
		}
	}
	clear(o.mu.queue[:n])
	o.mu.queue = o.mu.queue[n:]
	if len(o.mu.queue) == 0 {
		o.mu.queue = nil
	}
	if writer && n == 0 {
		o.mu.writing = nil
	}
	if o.mu.refused > 0 && o.mu.bytes <= o.mu.refused/2 {
		o.mu.refused, room = 0, true
	}
	o.mu.Unlock()
	if room {
		o.room()
	}
	return n > 0
}

// writePushes writes b without a deadline; false ends the connection. REQUIRES: the outbox is open.
func (c *Conn) writePushes(b []byte) bool {
	if !c.writeBy.IsZero() {
		c.writeBy = time.Time{}
		_ = c.conn.SetWriteDeadline(c.writeBy)
	}
	n, err := c.conn.Write(b)
	c.bytesOut.Add(int64(n))
	if err != nil {
		c.Kill() // the connection's goroutine finds out at its read
		return false
	}
	return true
}

// rest opens the outbox: pushes are written as they come. wake closes it again and waits for the writer.
//
// resting is stored before pushes is read, and EnablePushes does it the other way round: so whoever comes
// second sees the other, and an outbox that is made while the connection rests is open until it wakes.
func (c *Conn) rest() {
	c.resting.Store(true)
	o := c.pushes.Load()
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.open = true
	if len(o.mu.queue) > 0 && o.mu.writing == nil {
		o.mu.writing = make(chan struct{})
		go o.write(o.mu.writing)
	}
}

func (c *Conn) wake() {
	c.resting.Store(false)
	o := c.pushes.Load()
	if o == nil {
		return
	}
	o.mu.Lock()
	o.mu.open = false
	writing := o.mu.writing
	o.mu.Unlock()
	if writing != nil {
		<-writing
	}
}

// Deliver puts what is queued behind the replies so far: it will stand before the next reply. Handler only.
func (c *Conn) Deliver() {
	o := c.pushes.Load()
	if o == nil || c.gone {
		return
	}
	w := c.parser.work
	for before, _ := c.queued(); before > 0 && w != nil && !c.gone; { // not what comes while this writes
		chunk := w.out[len(w.out):]
		if !o.take(&chunk, false) {
			return
		}
		w.out = append(w.out, chunk...)
		before -= len(chunk)
		if len(w.out) > flushAbove {
			c.writeOut()
		}
	}
}

// queued returns the bytes and the number of pushes that wait. Safe for concurrent use.
func (c *Conn) queued() (bytes, frames int) {
	o := c.pushes.Load()
	if o == nil {
		return 0, 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.bytes, len(o.mu.queue)
}
