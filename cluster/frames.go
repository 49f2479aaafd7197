package cluster

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// A frame of the peer protocol. All integers are big-endian.
//
//	0   length   4   of what follows
//	4   type     1   request, reply or error
//	5   kind     1   what is asked; a reply repeats it
//	6   seq      8   chosen by the asker; a reply repeats it
//	14  payload
const (
	frameRequest = 1
	frameReply   = 2
	frameError   = 3 // there is no handler for the kind

	peerFrameHeader = 14
	// MaxFrame is the largest payload of a peer message.
	MaxFrame = 64 << 20
	// maxPending is how many bytes may wait for one connection before Send answers ErrPeerBusy.
	maxPending   = 128 << 20
	writeTimeout = 10 * time.Second
	// directWrite is the largest batch that the sender itself tries to write.
	directWrite = 64 << 10
	// keepBuffer is the largest buffer kept for the next batch.
	keepBuffer = 1 << 20
)

type frame struct {
	typ, kind byte
	seq       uint64
	payload   []byte
}

func appendFrame(b []byte, f frame) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(peerFrameHeader-4+len(f.payload)))
	b = append(b, f.typ, f.kind)
	b = binary.BigEndian.AppendUint64(b, f.seq)
	return append(b, f.payload...)
}

// readFrame allocates the payload, which belongs to the caller.
func readFrame(r *bufio.Reader) (f frame, err error) {
	var h [peerFrameHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return f, err
	}
	size := int64(binary.BigEndian.Uint32(h[:])) - (peerFrameHeader - 4)
	f = frame{typ: h[4], kind: h[5], seq: binary.BigEndian.Uint64(h[6:])}
	if size < 0 || size > MaxFrame || f.typ < frameRequest || f.typ > frameError {
		return f, fmt.Errorf("%w: type %d, %d bytes", errBadFrame, f.typ, size)
	}
	if size > 0 {
		f.payload = make([]byte, size)
		_, err = io.ReadFull(r, f.payload)
	}
	return f, err
}

// frameWriter is the one way out of a connection. Frames that arrive while a write is under way leave
// together with the next one. The sender that finds the connection idle tries to write by itself, without
// waiting: that saves a goroutine switch on the read barrier's round trip. What the kernel does not take at
// once is left to run.
type frameWriter struct {
	conn   net.Conn
	raw    syscall.RawConn // nil when the connection cannot be tried without waiting
	wake   chan struct{}   // one slot: busy has been handed to run
	closed chan struct{}

	mu struct {
		sync.Mutex
		pending []byte
		spare   []byte
		busy    bool // somebody is writing, or run is about to
		down    bool
	}
}

func newFrameWriter(c net.Conn) *frameWriter {
	w := &frameWriter{conn: c, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			w.raw = raw
		}
	}
	return w
}

// send copies the frame and never waits.
func (w *frameWriter) send(f frame) error {
	w.mu.Lock()
	switch {
	case w.mu.down:
		w.mu.Unlock()
		return errNoSuchConn
	case len(w.mu.pending)+len(f.payload) > maxPending:
		w.mu.Unlock()
		return ErrPeerBusy
	}
	w.mu.pending = appendFrame(w.mu.pending, f)
	if w.mu.busy {
		w.mu.Unlock()
		return nil
	}
	w.mu.busy = true
	if w.raw == nil || len(w.mu.pending) > directWrite {
		w.mu.Unlock()
		w.wake <- struct{}{}
		return nil
	}
	batch := w.takeLocked()
	w.mu.Unlock()
	w.finish(batch, w.try(batch))
	return nil
}

func (w *frameWriter) takeLocked() []byte {
	batch := w.mu.pending
	w.mu.pending, w.mu.spare = w.mu.spare[:0], nil
	return batch
}

// try writes what the kernel takes at once.
func (w *frameWriter) try(b []byte) (n int) {
	_ = w.raw.Write(func(fd uintptr) bool {
		n, _ = syscall.Write(int(fd), b)
		return true
	})
	return max(n, 0)
}

// finish puts back what try left, and hands over to run when there is more to do.
func (w *frameWriter) finish(batch []byte, n int) {
	w.mu.Lock()
	rest := batch[n:]
	if len(rest) > 0 {
		w.mu.pending = append(rest, w.mu.pending...)
	} else if cap(batch) <= keepBuffer {
		w.mu.spare = batch[:0]
	}
	more := len(w.mu.pending) > 0
	w.mu.busy = more
	w.mu.Unlock()
	if more {
		w.wake <- struct{}{}
	}
}

// run writes until the connection fails or is shut.
func (w *frameWriter) run() {
	for {
		select {
		case <-w.wake:
		case <-w.closed:
			return
		}
		if !w.drain() {
			w.shut()
			return
		}
	}
}

func (w *frameWriter) drain() bool {
	for {
		w.mu.Lock()
		batch := w.takeLocked()
		w.mu.busy = len(batch) > 0
		w.mu.Unlock()
		if len(batch) == 0 {
			return true
		}
		_ = w.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := w.conn.Write(batch); err != nil {
			return false
		}
		w.mu.Lock()
		if cap(batch) <= keepBuffer {
			w.mu.spare = batch[:0]
		}
		w.mu.Unlock()
	}
}

// shut makes later sends fail and breaks the connection. It may be called more than once.
func (w *frameWriter) shut() {
	w.mu.Lock()
	again := w.mu.down
	w.mu.down = true
	w.mu.pending, w.mu.spare = nil, nil
	w.mu.Unlock()
	if !again {
		close(w.closed)
		w.conn.Close()
	}
}
