package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is one run of the real program.
type process struct {
	*exec.Cmd
	stdout, stderr lockedBuffer
	exited         chan struct{} // closed when ProcessState is there
}

// lockedBuffer may be read while the process writes.
type lockedBuffer struct {
	mu struct {
		sync.Mutex
		b bytes.Buffer
	}
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.b.String()
}

// startServer runs `redkeep server` on free ports; later args win over those chosen here.
func startServer(t *testing.T, args ...string) *process {
	t.Helper()
	all := append([]string{"server", "--client-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"}, args...)
	p := &process{Cmd: exec.Command(binary, all...), exited: make(chan struct{})}
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	p.Dir = t.TempDir()
	p.Env = []string{"PATH=" + os.Getenv("PATH")}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("stdout: %s\nstderr: %s", p.stdout.String(), p.stderr.String())
		}
	})
	return p
}

// eventually waits until ok returns true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited in vain until " + what)
		}
	}
}

var readyLine = regexp.MustCompile(
	`Ready to accept connections on (\S+) \(peers (\S+), http (\S+)\), data in (\S+)\n`)

// ready waits for the ready line and returns its addresses.
func (p *process) ready(t *testing.T) (client, web string) {
	t.Helper()
	var m []string
	eventually(t, "the node is ready", func() bool {
		select {
		case <-p.exited:
			t.Fatalf("the server ended: %s", p.stderr.String())
		default:
		}
		m = readyLine.FindStringSubmatch(p.stdout.String())
		return m != nil
	})
	return m[1], m[3]
}

// exitCode waits for the end.
func (p *process) exitCode(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		t.Fatal("the server does not end")
		return 0
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestServerServesAndStops(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := startServer(t, "--data-dir", dir)
	client, web := p.ready(t)
	if strings.Count(p.stdout.String(), "Ready to accept connections") != 1 {
		t.Errorf("stdout %q", p.stdout.String())
	}
	if stdout, stderr, code := do(nil, "", "--endpoints", client, "put", "foo", "Hello World!"); code != exitOK {
		t.Fatalf("put: exit %d, %q %q", code, stdout, stderr)
	}
	if code, body := get(t, "http://"+web+"/readyz?verbose"); code != 200 || strings.Count(body, "[+]") != 6 {
		t.Errorf("readyz: %d %q", code, body)
	}
	if code, body := get(t, "http://"+web+"/livez"); code != 200 || body != "ok\n" {
		t.Errorf("livez: %d %q", code, body)
	}
	_, body := get(t, "http://"+web+"/metrics")
	for _, want := range []string{"redkeep_revision 2\n", "redkeep_keys 1\n", "redkeep_raft_is_leader 1\n",
		`redkeep_commands_total{command="kv.put",result="ok"} 1`} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %q", want)
		}
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exitCode(t); code != exitOK || !strings.Contains(p.stderr.String(), "msg=stopped") {
		t.Errorf("exit %d", code)
	}
	if strings.Contains(p.stderr.String()+p.stdout.String(), "Hello World!\n") {
		t.Error("a value is in the output")
	}
	again := startServer(t, "--data-dir", dir)
	client, _ = again.ready(t)
	if stdout, _, _ := do(nil, "", "--endpoints", client, "get", "foo"); stdout != "foo\nHello World!\n" {
		t.Errorf("after the restart: %q", stdout)
	}
	if err := again.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := again.exitCode(t); code != exitOK {
		t.Errorf("exit %d after an interrupt", code)
	}
}

// TestServerDoesNotStart: one line on stderr, exit code 1, nothing on stdout.
func TestServerDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().String()
	running := startServer(t, "--data-dir", filepath.Join(t.TempDir(), "used"))
	running.ready(t)
	used := readyLine.FindStringSubmatch(running.stdout.String())[4]
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--client-addr", port, "--peer-addr", "127.0.0.1:0"},
			"--client-addr " + port + ": address already in use"},
		{[]string{"--http-addr", port}, "--http-addr " + port + ": address already in use"},
		{[]string{"--peer-addr", port}, port + ": bind: address already in use"},
		{[]string{"--data-dir", used}, "in use by another process: " + used},
		{[]string{"--data-dir", filepath.Join(file, "sub")}, "data directory cannot be written"},
		{[]string{"--quota", "1"}, "unknown flag --quota; the nearest is --quota-bytes"},
		{[]string{"--max-clients", "many"}, `--max-clients: "many" must be a number from 1 to 1000000`},
	} {
		p := startServer(t, c.args...)
		code := p.exitCode(t)
		text := p.stderr.String()
		if code != exitFailure || p.stdout.String() != "" || strings.Count(text, "\n") != 1 ||
			!strings.HasPrefix(text, "Error: ") || !strings.Contains(text, c.want) {
			t.Errorf("%v: exit %d, stdout %q, stderr %q; want %q", c.args, code, p.stdout.String(), text, c.want)
		}
	}
}

var listeningLine = regexp.MustCompile(`msg="listening for clients" addr=(\S+)`)

// TestSecondSignalEndsAtOnce holds the graceful stop up with a write that waits for a quorum.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := startServer(t, "--name", "n1", "--peer-addr", "127.0.0.1:0", "--request-timeout", "1m",
		"--initial-cluster", "n1=127.0.0.1:1,n2=127.0.0.1:2")
	var m []string
	eventually(t, "the node listens", func() bool {
		m = listeningLine.FindStringSubmatch(p.stderr.String())
		return m != nil
	})
	c := &client{timeout: 20 * time.Second}
	conn := c.connect(m[1])
	defer conn.Close()
	var writer sync.WaitGroup
	writer.Go(func() { conn.Set(t.Context(), "k", "v", 0) })
	defer writer.Wait()
	other := c.connect(m[1])
	defer other.Close()
	eventually(t, "the write waits", func() bool {
		list, err := other.ClientList(t.Context()).Result()
		return err == nil && strings.Contains(list, "cmd=set")
	})
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first signal has arrived", func() bool {
		return strings.Contains(p.stderr.String(),
			"msg=stopping")
	})
	eventually(t, "another signal has ended it", func() bool {
		_ = p.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.exited:
			return true
		default:
			return false
		}
	})
	if code := p.exitCode(t); code != exitFailure || strings.Contains(p.stderr.String(), "msg=stopped") {
		t.Errorf("exit %d", code)
	}
}
