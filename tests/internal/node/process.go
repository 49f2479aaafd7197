package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// maxOutput bounds what is kept of a child's output; the oldest half goes first.
const maxOutput = 8 << 20

// Process is a child process with its output captured. Its methods are safe for concurrent use.
type Process struct {
	Name string
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has ended and err is set
	err  error         // how it ended; valid once done is closed

	mu struct {
		sync.Mutex
		out bytes.Buffer
	}
}

// starter runs functions on one thread that lives as long as this process. A child is bound to the thread
// that started it (Pdeathsig), and other threads of a Go program may end earlier.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for fn := range work {
			fn()
		}
	}()
	return work
})

// Launch starts argv with extra environment variables. The process is killed when the test ends, if still
// there.
func Launch(t testing.TB, name string, argv, env []string) *Process {
	t.Helper()
	return launchOn(t, onStarter, name, argv, env)
}

// onStarter runs fn on the thread that children start from.
func onStarter(fn func()) {
	done := make(chan struct{})
	starter() <- func() { defer close(done); fn() }
	<-done
}

// launchOn is Launch from a thread of the caller's choice, which decides the namespaces that the child
// lives in.
func launchOn(t testing.TB, on func(func()), name string, argv, env []string) *Process {
	t.Helper()
	p := &Process{Name: name, done: make(chan struct{})}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Env = append(cleanEnv(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.WaitDelay = 5 * time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	on(func() { err = p.cmd.Start() })
	if err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	forget := onExit(func() { p.cmd.Process.Kill() })
	go func() {
		p.err = p.cmd.Wait()
		forget()
		close(p.done)
	}()
	t.Cleanup(p.Kill)
	return p
}

// cleanEnv is this process's environment without what would configure the product by accident.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "REDKEEP_") {
			env = append(env, kv)
		}
	}
	return env
}

// Write takes the child's output; it is the io.Writer given to os/exec.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.out.Write(b)
	if p.mu.out.Len() > maxOutput {
		p.mu.out.Next(maxOutput / 2)
	}
	return len(b), nil
}

// Output returns what the process has written so far, standard output and standard error together.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.out.String()
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ended is closed once the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.done }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal; a process that has ended is left alone.
func (p *Process) Signal(sig syscall.Signal) {
	if p.Running() {
		p.cmd.Process.Signal(sig)
	}
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// WaitExit waits for the end of the process and returns its exit code; -1 means ended by a signal.
func (p *Process) WaitExit(d time.Duration) (code int, err error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		return 0, fmt.Errorf("%s still runs after %v; its output:\n%s", p.Name, d, p.Tail(60))
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		return 0, p.err
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

// Tail returns the last n lines of the output.
func (p *Process) Tail(n int) string {
	lines := strings.Split(strings.TrimRight(p.Output(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// ResidentBytes returns the resident memory of the process, as the kernel counts it.
func (p *Process) ResidentBytes() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS line")
}
