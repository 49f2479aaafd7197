package node

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestKillEndsOnlyItsOwn(t *testing.T) {
	a := Launch(t, "a", []string{"sleep", "600"}, nil)
	b := Launch(t, "b", []string{"sleep", "600"}, nil)
	a.Kill()
	if a.Running() || !b.Running() {
		t.Fatalf("after a.Kill: a runs %v, b runs %v", a.Running(), b.Running())
	}
	if code, err := a.WaitExit(time.Second); code != -1 || err != nil {
		t.Fatalf("WaitExit of a killed process = %d, %v", code, err)
	}
}

func TestPausedProcessCanBeKilled(t *testing.T) {
	p := Launch(t, "p", []string{"sleep", "600"}, nil)
	p.Signal(syscall.SIGSTOP)
	p.Kill()
	if p.Running() {
		t.Fatal("still runs")
	}
}

func TestOutputAndExitCode(t *testing.T) {
	p := Launch(t, "sh", []string{"sh", "-c", "echo one; echo two >&2; exit 3"}, nil)
	if code, err := p.WaitExit(10 * time.Second); code != 3 || err != nil {
		t.Fatalf("WaitExit = %d, %v", code, err)
	}
	if out := p.Output(); !strings.Contains(out, "one\n") || !strings.Contains(out, "two\n") {
		t.Fatalf("output %q", out)
	}
	if p.Tail(1) != "two" && p.Tail(1) != "one" {
		t.Fatalf("tail %q", p.Tail(1))
	}
}

func TestEnvironmentOfTheDeveloperDoesNotConfigureNodes(t *testing.T) {
	t.Setenv("REDKEEP_NAME", "stray")
	p := Launch(t, "env", []string{"env"}, []string{"EXTRA=1"})
	if _, err := p.WaitExit(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if out := p.Output(); strings.Contains(out, "stray") || !strings.Contains(out, "EXTRA=1") {
		t.Fatalf("environment:\n%s", out)
	}
}

// A child must not outlive a test process that is killed without warning.
func TestChildrenDieWithTheTestProcess(t *testing.T) {
	if os.Getenv("RKTEST_PARENT") != "" {
		p := Launch(t, "orphan", []string{"sleep", "600"}, nil)
		os.WriteFile(os.Getenv("RKTEST_PARENT"), []byte(strconv.Itoa(p.Pid())), 0o600)
		<-p.Ended()
		return
	}
	file := t.TempDir() + "/pid"
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildrenDieWithTheTestProcess$")
	cmd.Env = append(os.Environ(), "RKTEST_PARENT="+file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid string
	Eventually(t, 20*time.Second, "the child's pid", func() error {
		b, err := os.ReadFile(file)
		pid = string(b)
		if err == nil && pid == "" {
			err = errors.New("empty")
		}
		return err
	})
	cmd.Process.Kill()
	cmd.Wait()
	Eventually(t, 10*time.Second, "the orphan ends", func() error {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return nil
		}
		return errors.New("pid " + pid + " still runs")
	})
}

func TestAddressesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		a := FreeAddr(t)
		if seen[a] {
			t.Fatalf("%s handed out twice", a)
		}
		seen[a] = true
	}
}

func TestRedisAnswers(t *testing.T) {
	addr, _ := Redis(t)
	if r, err := wire.Once(addr, time.Second, "ECHO", "x"); err != nil || r.Raw != "$1\r\nx\r\n" {
		t.Fatalf("ECHO = %v, %v", r, err)
	}
}

func TestTmpfsIsSmall(t *testing.T) {
	dir := Tmpfs(t, 1<<20)
	if err := os.WriteFile(dir+"/big", make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("2 MiB into 1 MiB: %v", err)
	}
}
