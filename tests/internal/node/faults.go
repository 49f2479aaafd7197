package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// FaultTag is the build tag of a binary that injects faults into itself on demand.
const FaultTag = "faults"

var builtWithFaults = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(BinaryEnv); path != "" {
		return path, nil
	}
	root, err := Root()
	if err == nil && runDir == "" {
		err = errors.New("node.Main was not called from TestMain")
	}
	if err != nil {
		return "", err
	}
	return build(root, filepath.Join(runDir, "redkeep-faults"), "-tags", FaultTag)
})

// FaultBinary is Binary built with FaultTag. A binary named by BinaryEnv must have been built so.
func FaultBinary(t testing.TB) string {
	t.Helper()
	path, err := builtWithFaults()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var lastSocket atomic.Int64

// openFaults gives the node a socket that takes faults. Paths of sockets are short, those of tests are not.
func (n *Node) openFaults() {
	n.faults = filepath.Join(runDir, "f"+strconv.FormatInt(lastSocket.Add(1), 10)+".sock")
	n.Env = append(n.Env, "REDKEEP_FAULT_SOCKET="+n.faults)
}

// TryFault gives the running process one fault command and returns what it objects to; cmd/redkeep/faults.go
// lists the commands. REQUIRES: Options.Faults.
func (n *Node) TryFault(command string) error {
	conn, err := net.DialTimeout("unix", n.faults, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "ok\n" {
		return fmt.Errorf("fault %q: %s", command, strings.TrimSpace(answer))
	}
	return nil
}

// Fault is TryFault that must succeed.
func (n *Node) Fault(command string) {
	n.t.Helper()
	if err := n.TryFault(command); err != nil {
		n.t.Fatalf("%s: %v", n.Name, err)
	}
}

// LosePower takes everything from the node that it had not synced, and ends its process. With torn, half of
// the last write to each file stays.
func (n *Node) LosePower(torn bool) {
	n.t.Helper()
	n.expect = false
	command := "power-loss"
	if torn {
		command += " torn"
	}
	n.Fault(command)
	if code, err := n.Proc.WaitExit(20 * time.Second); err != nil || code != -1 {
		n.t.Fatalf("%s after a power loss: exit code %d, %v", n.Name, code, err)
	}
}
