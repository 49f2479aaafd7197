package node

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

// Each test process has a loopback address of its own (Linux routes all of 127/8 to the loopback interface),
// so that packages tested at the same time cannot take each other's ports between the choice and the use of
// one.

var nextPort atomic.Int32

// Host returns the loopback address of this test process.
func Host() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 64+(pid>>16)&63, (pid>>8)&255, pid&255)
}

// FreeAddr returns an address of this test process on which nobody listens. It is never handed out twice.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := 20000 + int(nextPort.Add(1))%20000
		addr := fmt.Sprintf("%s:%d", Host(), port)
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		ln.Close()
		return addr
	}
	t.Fatal("no free port on " + Host())
	return ""
}
