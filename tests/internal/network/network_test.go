package network

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if Inside() {
		if err := Settle(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if err := Able(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot make namespaces:", err)
		os.Exit(1)
	}
	code, err := Isolate()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// echo listens on a machine and sends every line back.
func echo(t *testing.T, m *Machine) string {
	t.Helper()
	var ln net.Listener
	var err error
	m.On(func() { ln, err = net.Listen("tcp", m.Addr.String()+":7000") })
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.Copy(c, c)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-ended })
	return ln.Addr().String()
}

func open(t *testing.T, machines int) *Network {
	t.Helper()
	before := goleak.IgnoreCurrent()
	n, err := New(machines)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	t.Cleanup(n.Close)
	return n
}

// line sends one line and waits at most d for it to come back.
func line(c net.Conn, r *bufio.Reader, text string, d time.Duration) error {
	c.SetDeadline(time.Now().Add(d))
	if _, err := io.WriteString(c, text+"\n"); err != nil {
		return err
	}
	got, err := r.ReadString('\n')
	if err == nil && got != text+"\n" {
		err = fmt.Errorf("sent %q, got %q", text, got)
	}
	return err
}

func TestCutInOneDirectionAndHeal(t *testing.T) {
	n := open(t, 1)
	c, err := net.DialTimeout("tcp", echo(t, n.Machines[0]), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	if err := line(c, r, "whole", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	n.ToHost(0).Cut(true)
	if err := line(c, r, "cut", 300*time.Millisecond); err == nil {
		t.Fatal("an answer over a link that is cut")
	}
	if n.ToHost(0).Dropped.Load() == 0 || n.FromHost(0).Dropped.Load() != 0 {
		t.Fatalf("dropped %d and %d packets", n.ToHost(0).Dropped.Load(), n.FromHost(0).Dropped.Load())
	}
	n.Heal()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if got, err := r.ReadString('\n'); got != "cut\n" {
		t.Fatalf("after healing: %q, %v", got, err)
	}
}

func TestBrokenConnectionEndsBothSides(t *testing.T) {
	n := open(t, 1)
	addr := echo(t, n.Machines[0])
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	if err := line(c, r, "whole", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	n.ToHost(0).Break(1000)
	if err := line(c, r, "broken", 5*time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("on a connection that is reset: %v", err)
	}
	n.Heal()
	again, err := net.DialTimeout("tcp", addr, 5*time.Second) // the other side has let go of the first, too
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := line(again, bufio.NewReader(again), "again", 5*time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestSlowAndLossyLinksArriveInTheEnd(t *testing.T) {
	n := open(t, 2)
	c, err := net.DialTimeout("tcp", echo(t, n.Machines[1]), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	n.FromHost(1).Slow(80*time.Millisecond, 10*time.Millisecond)
	from := time.Now()
	if err := line(c, r, "slow", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(from); took < 80*time.Millisecond {
		t.Fatalf("a link with 80ms of delay took %v", took)
	}
	n.Heal()
	n.FromHost(1).Lose(30)
	for i := range 20 {
		if err := line(c, r, fmt.Sprint("lossy ", i), 20*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if n.FromHost(1).Dropped.Load() == 0 || n.Touched() == 0 {
		t.Fatal("nothing was lost")
	}
}

func TestChildLivesOnItsMachine(t *testing.T) {
	n := open(t, 2)
	var out []byte
	var err error
	n.Machines[1].On(func() {
		out, err = exec.Command("cat", "/proc/net/fib_trie").Output()
	})
	has := func(addr string) bool { return strings.Contains(string(out), addr+"\n") }
	if err != nil || !has("10.77.0.2") || has("10.77.0.1") {
		t.Fatalf("addresses of machine 1: %v\n%s", err, out)
	}
	if ifs, err := net.Interfaces(); err != nil || len(ifs) > 4 {
		t.Fatalf("the test process sees the interfaces of the machine it runs on: %v, %v", ifs, err)
	}
}

func TestClosingTheNetworkEndsItsProcesses(t *testing.T) {
	n, err := New(1)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	n.Machines[0].On(func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
}
