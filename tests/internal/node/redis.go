package node

import (
	"errors"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// Redis starts a real redis-server on a free address and returns that address. A machine without redis-server
// is a failure, not a skip: the comparison is the point of the tests that ask for it.
func Redis(t testing.TB, flags ...string) (string, *Process) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("redis-server is needed (Debian package redis-server): %v", err)
	}
	addr := FreeAddr(t)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	argv := append([]string{path, "--bind", host, "--port", port, "--save", "", "--dir", t.TempDir()}, flags...)
	p := Launch(t, "redis-server", argv, nil)
	Eventually(t, 20*time.Second, "redis-server answers", func() error {
		if r, err := wire.Once(addr, time.Second, "PING"); err != nil || r.Text != "PONG" {
			return errors.Join(err, errors.New("no PONG yet"))
		}
		return nil
	})
	return addr, p
}
