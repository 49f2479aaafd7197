package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a child; it is killed with this program, however that ends.
type process struct {
	name string
	argv []string
	log  string // file that takes its output
	cmd  *exec.Cmd
	done chan struct{}
}

// processes are all children ever started.
type processes struct {
	mu struct {
		sync.Mutex
		all []*process
	}
}

// start runs argv with its output in a file of dir.
func (ps *processes) start(dir, name string, argv ...string) (*process, error) {
	p := &process{name: name, argv: argv, log: filepath.Join(dir, name+".log")}
	if err := p.launch(); err != nil {
		return nil, err
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.mu.all = append(ps.mu.all, p)
	return p, nil
}

func (p *process) launch() error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	p.cmd = exec.Command(p.argv[0], p.argv[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.done = make(chan struct{})
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	return nil
}

// kill ends the process with SIGKILL and waits for it.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		p.cmd.Process.Kill()
		<-p.done
	}
}

func (ps *processes) killAll() {
	ps.mu.Lock()
	all := ps.mu.all
	ps.mu.Unlock()
	for _, p := range all {
		p.kill()
	}
}

// resident is the memory of a process, in bytes: all that is resident, and of that what belongs to no file. A
// page of a mapped file, such as etcd's database, can be taken away when memory is short.
type resident struct{ all, anonymous int64 }

func (r resident) String() string {
	return fmt.Sprintf("%d MiB, %d MiB of it anonymous", r.all>>20, r.anonymous>>20)
}

func (p *process) resident() (r resident, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return r, err
	}
	for name, into := range map[string]*int64{"VmRSS:": &r.all, "RssAnon:": &r.anonymous} {
		_, rest, ok := bytes.Cut(b, []byte(name))
		if !ok {
			return r, fmt.Errorf("/proc/…/status has no line %s", name)
		}
		kb, err := strconv.ParseInt(strings.Fields(string(rest))[0], 10, 64)
		if err != nil {
			return r, err
		}
		*into = kb << 10
	}
	return r, nil
}

// cpuTime returns the processor time that the process has used, to 10 ms.
func (p *process) cpuTime() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(b, []byte(") ")) // fields from the third on
	f, sum := strings.Fields(string(rest)), time.Duration(0)
	if len(f) < 13 {
		return 0, errors.New("no times in stat")
	}
	for _, ticks := range f[11:13] { // user and system, in hundredths of a second
		n, err := strconv.ParseInt(ticks, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum, nil
}

// freeAddr returns a loopback address on which nobody listens.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

func freeAddrs(n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that no port is given twice
		out[i] = l.Addr().String()
	}
	return out, nil
}

// poll calls cond until it returns nil, for at most d.
func poll(d, every time.Duration, cond func() error) error {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return nil
		}
		select {
		case <-deadline.C:
			return fmt.Errorf("after %v: %w", d, err)
		case <-tick.C:
		}
	}
}
