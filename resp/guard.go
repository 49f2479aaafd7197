package resp

import (
	"io"
	"log/slog"
	"net"
	"time"
)

// The guard stands between the network and redcon. redcon runs the accept loop on our listener; each
// connection it gets is a guard, an empty shell. redcon's accept callback takes the socket out of the shell
// and starts our own loop on it, and tells redcon that the connection is not for it. So redcon's parser,
// which can be killed from outside (see loop.go), never sees a byte of a client, and no memory of redcon's
// stays with a connection.
//
// Rejected. Letting redcon read the first command through the guard and detaching there: it would cost a
// second goroutine and 8 KiB for every connection that has not spoken yet, and needs a made-up command to
// wake redcon.

const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
	rejectWithin   = 100 * time.Millisecond
)

// guard is a connection as redcon sees it: at its end, swallowing writes, closed by redcon without effect.
type guard struct {
	net.Conn
}

func (guard) Read([]byte) (int, error)    { return 0, io.EOF }
func (guard) Write(b []byte) (int, error) { return len(b), nil }
func (guard) Close() error                { return nil }

// listener is what redcon accepts from.
type listener struct {
	net.Listener
	server *Server
	secure bool
}

// Accept returns the next connection within the limit of clients. It fails only when the listener is
// closed: with any other error (no file descriptors left, most often) redcon would try again at once and
// burn a core, so Accept itself waits, longer each time.
func (l *listener) Accept() (net.Conn, error) {
	pause := acceptPauseMin
	for {
		conn, err := l.Listener.Accept()
		switch {
		case err == nil && l.secure: // counts after the handshake
			return guard{l.prepare(conn)}, nil
		case err == nil:
			refusal := l.server.admit(conn.RemoteAddr(), false)
			if refusal == "" {
				return guard{l.prepare(conn)}, nil
			}
			l.reject(conn, refusal)
			pause = acceptPauseMin
		case l.server.stopped():
			return nil, net.ErrClosed
		default:
			l.server.log.Warn("accept failed", "err", err, "pause", pause)
			if !l.server.pause(pause) {
				return nil, net.ErrClosed
			}
			pause = min(2*pause, acceptPauseMax)
		}
	}
}

// reject tells the client why, if it can be told without waiting.
func (l *listener) reject(conn net.Conn, refusal string) {
	tellRefusal(conn, refusal)
	_ = conn.Close()
}

func tellRefusal(conn net.Conn, refusal string) {
	_ = conn.SetWriteDeadline(time.Now().Add(rejectWithin))
	_, _ = io.WriteString(conn, "-"+refusal+"\r\n")
}

func (l *listener) prepare(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	if err := tcp.SetKeepAliveConfig(l.server.cfg.KeepAlive); err != nil {
		l.server.log.Debug("keepalive not set", "client", conn.RemoteAddr().String(), "err", err)
	}
	return conn
}

func discardLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }
