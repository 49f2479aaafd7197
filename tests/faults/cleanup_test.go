package faults

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// A run that is interrupted in the middle of a fault leaves no process, no namespace (they end with the
// last process in them), no mount and no folder; after kill -9 a folder may stay, and nothing in it.
func TestNothingIsLeftBehind(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) { interrupt(t, sig) })
	}
}

func interrupt(t *testing.T, sig syscall.Signal) {
	dir, err := os.MkdirTemp("", "i") // short: sockets are made far below it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	mark := fmt.Sprintf("RKTEST_MARK=%d.%d", os.Getpid(), sig)
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestSoak$", "-soak", "10m")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "RKTEST_ISOLATED=") && !strings.HasPrefix(v, "TMPDIR=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, mark, "TMPDIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "round ") {
		t.Log(lines.Text())
	}
	// A fault may have some of them.
	node.Eventually(t, 20*time.Second, "the processes of the run", func() error {
		if got := running(t, mark); got < 5 { // the two of the test and three nodes
			return fmt.Errorf("only %d are there", got)
		}
		return nil
	})
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // until every holder of the pipe is gone
	}
	if err := cmd.Wait(); err == nil {
		t.Error("an interrupted run ended as if all were well")
	}
	node.Eventually(t, 10*time.Second, "the processes of the run end", func() error {
		if left := running(t, mark); left > 0 {
			return fmt.Errorf("%d are left", left)
		}
		return nil
	})
	checkFolder(t, dir, sig != syscall.SIGKILL)
}

// running counts the processes that have a variable in their environment.
func running(t *testing.T, variable string) (count int) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		if env, err := os.ReadFile(p); err == nil && bytes.Contains(env, []byte(variable+"\x00")) {
			count++
		}
	}
	return count
}

// checkFolder looks for mounts, files and folders below dir.
func checkFolder(t *testing.T, dir string, empty bool) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir) {
		t.Errorf("a mount is left:\n%s", mounts)
	}
	var left []string
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if path != dir && (empty || !d.IsDir()) && !strings.HasSuffix(path, "redkeep-faults") {
			left = append(left, path)
		}
		return nil
	})
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
