package node

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// ReadyLine is what a node prints on standard output once it listens and knows a leader.
const ReadyLine = "Ready to accept connections"

// ReadyTimeout bounds the wait for the ready line; generous, since a machine may be busy with other tests.
const ReadyTimeout = 60 * time.Second

// Node is one member: its addresses, its flags, its data directory, and the process of the moment. The fields
// may be changed between a Kill9 or Stop and the next Start. A Node belongs to one goroutine at a time.
type Node struct {
	Name       string
	Dir        string
	ClientAddr string
	PeerAddr   string
	HTTPAddr   string
	Flags      []string // after the flags that the harness sets, so that these win
	Env        []string
	Prefix     []string        // put before the command line, such as ip netns exec …
	Proc       *Process        // nil before the first start
	On         func(fn func()) // runs fn on the thread that the process is started from; may be nil

	t       testing.TB
	initial string // --initial-cluster
	binary  string
	faults  string // socket that takes faults; "" without
	starts  int
	expect  bool // true while the process is meant to run
}

func newNode(t testing.TB, name, binary string) *Node {
	return &Node{
		Name: name, Dir: filepath.Join(t.TempDir(), name), ClientAddr: FreeAddr(t), PeerAddr: FreeAddr(t),
		HTTPAddr: FreeAddr(t), t: t, binary: binary,
	}
}

func (n *Node) argv() []string {
	argv := append(append([]string{}, n.Prefix...), n.binary, "server", "--name", n.Name, "--data-dir", n.Dir,
		"--client-addr", n.ClientAddr, "--peer-addr", n.PeerAddr, "--http-addr", n.HTTPAddr,
		"--protected-mode", "no") // clients of a test may sit in other network namespaces
	if n.initial != "" {
		argv = append(argv, "--initial-cluster", n.initial)
	}
	return append(argv, n.Flags...)
}

// Launch starts the process and does not wait for anything.
func (n *Node) Launch() {
	n.t.Helper()
	if n.Proc != nil && n.Proc.Running() {
		n.t.Fatalf("%s already runs", n.Name)
	}
	n.starts++
	n.expect = true
	on := n.On
	if on == nil {
		on = onStarter
	}
	p := launchOn(n.t, on, fmt.Sprintf("%s#%d", n.Name, n.starts), n.argv(), n.Env)
	n.Proc = p
	dumpOnFailure(n.t, p)
	n.t.Cleanup(func() { n.checkAlive(p) })
}

// Start starts the process and waits for its ready line.
func (n *Node) Start() {
	n.t.Helper()
	n.Launch()
	n.WaitReady()
}

// WaitReady waits for the ready line, and fails at once if the process ends instead.
func (n *Node) WaitReady() {
	n.t.Helper()
	Eventually(n.t, ReadyTimeout, n.Name+" prints its ready line", func() error {
		if strings.Contains(n.Proc.Output(), ReadyLine) {
			return nil
		}
		if !n.Proc.Running() {
			n.t.Fatalf("%s ended at start:\n%s", n.Name, n.Proc.Tail(60))
		}
		return errors.New("not ready")
	})
}

// Kill9 ends the process with SIGKILL and waits until it is gone.
func (n *Node) Kill9() {
	n.expect = false
	n.Proc.Kill()
}

// Stop asks the process to end (SIGTERM) and waits until it has; its exit code must be 0.
func (n *Node) Stop() {
	n.t.Helper()
	n.expect = false
	n.Proc.Signal(syscall.SIGTERM)
	code, err := n.Proc.WaitExit(30 * time.Second)
	if err != nil || code != 0 {
		n.t.Fatalf("%s after SIGTERM: exit code %d, %v\n%s", n.Name, code, err, n.Proc.Tail(60))
	}
}

// ExpectExit tells the harness that the running process will end by itself.
func (n *Node) ExpectExit() { n.expect = false }

// Pause stops the process in its tracks; its sockets stay open.
func (n *Node) Pause() { n.Proc.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (n *Node) Resume() { n.Proc.Signal(syscall.SIGCONT) }

// Restart is Kill9 and Start.
func (n *Node) Restart() {
	n.t.Helper()
	n.Kill9()
	n.Start()
}

// Do runs one command on a connection of its own and fails the test on a broken connection.
func (n *Node) Do(args ...string) wire.Reply {
	n.t.Helper()
	r, err := wire.Once(n.ClientAddr, wire.DefaultTimeout, args...)
	if err != nil {
		n.t.Fatalf("%s: %v", n.Name, err)
	}
	return r
}

// Status returns CLUSTER.STATUS as a map; short-lived failures are errors, not failures of the test.
func (n *Node) Status() (map[string]string, error) {
	r, err := wire.Once(n.ClientAddr, 2*time.Second, "CLUSTER.STATUS")
	if err != nil {
		return nil, err
	}
	if r.IsErr() || len(r.Elems)%2 != 0 {
		return nil, fmt.Errorf("CLUSTER.STATUS of %s: %s", n.Name, r)
	}
	out := make(map[string]string, len(r.Elems)/2)
	for i := 0; i < len(r.Elems); i += 2 {
		out[r.Elems[i].Text] = r.Elems[i+1].Text
	}
	return out, nil
}

// badWords in a node's output mean a defect whatever the test was looking at.
var badWords = []string{"panic", "fatal error: ", "DATA RACE"}

func dumpOnFailure(t testing.TB, p *Process) {
	t.Cleanup(func() {
		for _, w := range badWords {
			if strings.Contains(p.Output(), w) {
				t.Errorf("%s wrote %q", p.Name, w)
			}
		}
		if t.Failed() {
			t.Logf("---- output of %s ----\n%s", p.Name, p.Tail(120))
		}
	})
}

// checkAlive fails the test if the node's present process is p and has ended though nobody asked it to.
func (n *Node) checkAlive(p *Process) {
	if n.expect && n.Proc == p && !p.Running() {
		n.t.Errorf("%s ended by itself", n.Name)
	}
}
