package resp

import (
	"net"
	"sync/atomic"
	"testing"
)

// One address takes so many connections and no more, and has room again when one ends.
func TestClientsPerAddress(t *testing.T) {
	s, addr := start(t, Config{Handler: newScript(), MaxClientsPerAddr: 2})
	first, second := dial(t, addr), dial(t, addr)
	first.send("PING\r\n")
	second.send("PING\r\n")
	first.expect("+PONG\r\n")
	second.expect("+PONG\r\n")
	dial(t, addr).expectEnd("-" + tooManyFromOne + "\r\n")
	_ = first.Close()
	eventually(t, "a place is free", func() bool { return s.Stats().Current == 1 })
	third := dial(t, addr)
	third.send("PING\r\n")
	third.expect("+PONG\r\n")
}

// Whoever is not admitted is told why, before a byte is read.
func TestAdmit(t *testing.T) {
	_, addr := start(t, Config{Handler: newScript(), Admit: func(net.Addr, bool) string { return "DENIED no" }})
	dial(t, addr).expectEnd("-DENIED no\r\n")
}

// Whether a connection is held to the limits before authentication is asked when it comes.
func TestAuthRequiredIsAskedAtAccept(t *testing.T) {
	var required atomic.Bool
	_, addr := start(t, Config{Handler: newScript(), AuthRequired: required.Load})
	long := "*1\r\n$16385\r\n"
	free := dial(t, addr)
	free.send("PING\r\n")
	free.expect("+PONG\r\n")
	required.Store(true)
	held := dial(t, addr)
	held.send(long)
	held.expectEnd("-ERR Protocol error: unauthenticated bulk length\r\n")
}
