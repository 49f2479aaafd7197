//go:build unix

package resp

import (
	"io"
	"net"
	"syscall"
)

// rawReader waits for bytes without owning a buffer: a plain Read needs one for as long as it blocks, and
// for ten thousand idle clients these buffers are most of the memory. The poller calls attempt when the
// socket may have bytes; only then a workspace is borrowed.
type rawReader struct {
	conn  syscall.RawConn
	try   func(fd uintptr) bool // attempt, bound once
	large bool                  // the client filled a whole small buffer last time
	work  *workspace
	n     int
	err   error
}

// newRawReader returns nil for connections that are no plain socket (TLS, in-memory pipes).
func newRawReader(conn net.Conn) *rawReader {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	r := &rawReader{conn: raw}
	r.try = r.attempt
	return r
}

// read blocks until bytes arrive and returns them in a fresh workspace, or io.EOF, or the socket's error.
func (r *rawReader) read() (*workspace, int, error) {
	err := r.conn.Read(r.try)
	w, n := r.work, r.n
	if err == nil {
		err = r.err
	}
	r.work, r.n, r.err = nil, 0, nil
	return w, n, err
}

func (r *rawReader) attempt(fd uintptr) bool {
	w := borrow(r.large)
	n, err := syscall.Read(int(fd), w.buf)
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), w.buf)
	}
	switch {
	case n > 0:
		r.work, r.n = w, n
		r.large = n == len(w.buf) || (r.large && n > smallBuffer)
		return true
	case err == syscall.EAGAIN:
		giveBack(w)
		return false
	case err == nil:
		err = io.EOF
	}
	giveBack(w)
	r.err = err
	return true
}
