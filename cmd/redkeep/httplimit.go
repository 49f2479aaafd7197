package main

import (
	"net"
	"sync"
	"sync/atomic"
)

// maxHTTPConns bounds the connections of the HTTP port, which anybody may open who reaches it: file
// descriptors that they use up would be missing for clients, members and the log. The server's own time
// limits end idle and half-made ones.
const maxHTTPConns = 256

// limitedListener closes what comes above its limit.
type limitedListener struct {
	net.Listener
	most int64
	open atomic.Int64
}

// Accept returns the next connection within the limit.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.most {
			return &limitedConn{Conn: c, listener: l}, nil
		}
		l.open.Add(-1)
		_ = c.Close()
	}
}

type limitedConn struct {
	net.Conn
	listener *limitedListener
	closing  sync.Once
}

// Close gives the place back.
func (c *limitedConn) Close() error {
	c.closing.Do(func() { c.listener.open.Add(-1) })
	return c.Conn.Close()
}
