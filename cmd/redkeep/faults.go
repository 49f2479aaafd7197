//go:build faults

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redkeep/redkeep/cluster"
	"github.com/redkeep/redkeep/raftfsm"
)

// Faults on demand, in binaries built with the tag "faults" alone. A test connects to the unix socket that
// REDKEEP_FAULT_SOCKET names, writes one command a line and reads "ok" or "err …" for each:
//
//	disk hang          every sync waits until disk heal
//	disk fail-sync     every sync fails
//	disk slow 50ms     every sync takes so much longer
//	disk heal          the disk is well again
//	flip key           one bit of a key's value is another in this node's state, behind the log's back
//	clock +5s, -5s, 0  the wall clock is off by so much
//	power-loss [torn]  what was not synced is gone, and the process with it; torn leaves half a write
//
// REDKEEP_FAULTS holds commands, separated by semicolons, that are obeyed before the node starts: a clock
// that is wrong stays wrong across a restart.
const (
	faultSocketEnv = "REDKEEP_FAULT_SOCKET"
	faultsEnv      = "REDKEEP_FAULTS"
)

var clockOffset atomic.Int64 // nanoseconds

// wallClock is what the node takes for the time.
func wallClock() time.Time { return time.Now().Add(time.Duration(clockOffset.Load())) }

// faultPort is the socket and the connections to it, which end waits for.
type faultPort struct {
	listener net.Listener
	log      *slog.Logger
	serving  sync.WaitGroup

	mu struct {
		sync.Mutex
		conns  map[net.Conn]bool
		closed bool
	}
}

func listenForFaults(log *slog.Logger) (end func(), err error) {
	for command := range strings.SplitSeq(os.Getenv(faultsEnv), ";") {
		if command = strings.TrimSpace(command); command == "" {
			continue
		}
		if err := obey(command, io.Discard); err != nil {
			return nil, fmt.Errorf("%s: %w", faultsEnv, err)
		}
	}
	path := os.Getenv(faultSocketEnv)
	if path == "" {
		return func() {}, nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // left over from a process that was killed
	}
	p := &faultPort{log: log}
	p.mu.conns = map[net.Conn]bool{}
	if p.listener, err = net.Listen("unix", path); err != nil {
		return nil, err
	}
	log.Warn("this binary injects faults", "socket", path)
	p.serving.Go(p.accept)
	return p.end, nil
}

func (p *faultPort) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.mu.closed {
			conn.Close()
		} else {
			p.mu.conns[conn] = true
			p.serving.Go(func() { p.serve(conn) })
		}
		p.mu.Unlock()
	}
}

func (p *faultPort) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.mu.conns, conn)
	}()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		p.log.Warn("fault", "command", lines.Text())
		answer := "ok\n"
		if err := obey(lines.Text(), conn); err != nil {
			answer = "err " + err.Error() + "\n"
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

func (p *faultPort) end() {
	p.mu.Lock()
	p.mu.closed = true
	p.listener.Close()
	for conn := range p.mu.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.serving.Wait()
}

// obey does what one line says. A power loss answers by itself: nobody is there afterwards.
func obey(line string, answer io.Writer) error {
	words := strings.Fields(line)
	switch {
	case len(words) >= 2 && words[0] == "disk":
		return obeyDisk(words[1:])
	case len(words) == 2 && words[0] == "clock":
		return obeyClock(words[1])
	case len(words) == 2 && words[0] == "flip":
		return raftfsm.Flip(words[1])
	case line == "power-loss", line == "power-loss torn":
		cluster.Disk.PowerLoss(len(words) == 2)
		io.WriteString(answer, "ok\n")
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return fmt.Errorf("unknown fault %q", line)
}

func obeyDisk(words []string) error {
	switch what := strings.Join(words, " "); {
	case what == "hang":
		cluster.Disk.Hang()
	case what == "heal":
		cluster.Disk.Heal()
	case what == "fail-sync":
		cluster.Disk.FailSync()
	case len(words) == 2 && words[0] == "slow":
		by, err := time.ParseDuration(words[1])
		if err != nil || by < 0 {
			return fmt.Errorf("how slow is %q", words[1])
		}
		cluster.Disk.Slow(by)
	default:
		return fmt.Errorf("unknown fault of a disk %q", what)
	}
	return nil
}

// obeyClock sets the offset; it does not add to an earlier one.
func obeyClock(by string) error {
	offset, err := time.ParseDuration(by)
	if err != nil {
		return fmt.Errorf("how far off is %q", by)
	}
	clockOffset.Store(int64(offset))
	return nil
}

// init: the two variables are no settings.
func init() { clientVariables = append(clientVariables, faultSocketEnv, faultsEnv) }
