package integration

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// refused starts a node that must end by itself with exit code 1 and one clear line that contains all of
// want.
func refused(t *testing.T, n *node.Node, want ...string) {
	t.Helper()
	n.Launch()
	n.ExpectExit()
	code, err := n.Proc.WaitExit(20 * time.Second)
	must(t, err)
	out := n.Proc.Output()
	if code != 1 {
		t.Errorf("exit code %d, want 1:\n%s", code, out)
	}
	for _, w := range want {
		if !strings.Contains(lastErrorLine(out), w) {
			t.Errorf("the error does not say %q:\n%s", w, out)
		}
	}
	if strings.Contains(out, node.ReadyLine) || strings.Contains(out, "goroutine ") {
		t.Errorf("output:\n%s", out)
	}
}

// lastErrorLine is the line that tells the operator why the node did not start.
func lastErrorLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

// single prepares a node that is not started.
func single(t *testing.T, flags ...string) *node.Node {
	return node.New(t, node.Options{Flags: flags}).Nodes[0]
}

func TestPortInUse(t *testing.T) {
	first := node.Start(t, node.Options{}).Nodes[0]
	must(t, client(t, first).Set(bg, "k", "v", 0).Err())
	for _, tc := range []struct {
		name   string
		change func(n *node.Node) string
	}{
		{"client", func(n *node.Node) string { n.ClientAddr = first.ClientAddr; return n.ClientAddr }},
		{"peer", func(n *node.Node) string { n.PeerAddr = first.PeerAddr; return n.PeerAddr }},
		{"http", func(n *node.Node) string { n.HTTPAddr = first.HTTPAddr; return n.HTTPAddr }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := single(t)
			refused(t, n, tc.change(n), "in use")
		})
	}
	if v, err := client(t, first).Get(bg, "k").Result(); v != "v" || err != nil {
		t.Errorf("the first node afterwards: %q, %v", v, err)
	}
}

func TestDataDirectoryInUse(t *testing.T) {
	first := node.Start(t, node.Options{}).Nodes[0]
	n := single(t)
	n.Dir = first.Dir
	refused(t, n, first.Dir, "in use")
	must(t, client(t, first).Set(bg, "k", "v", 0).Err())
	first.Restart()
	if v, err := client(t, first).Get(bg, "k").Result(); v != "v" || err != nil {
		t.Errorf("GET after restart: %q, %v", v, err)
	}
}

// A directory of another cluster must not join this one, and must not be changed.
func TestDataDirectoryOfAnotherCluster(t *testing.T) {
	ours := node.Start(t, node.Options{Nodes: 3})
	other := node.Start(t, node.Options{}).Nodes[0]
	must(t, client(t, other).Set(bg, "other", "1", 0).Err())
	must(t, client(t, ours.Nodes[0]).Set(bg, "ours", "1", 0).Err())
	other.Kill9()
	victim := ours.Nodes[2]
	victim.Kill9()
	dir := victim.Dir
	victim.Dir = other.Dir
	refused(t, victim, other.Dir, "another cluster")
	victim.Dir = dir
	victim.Start()
	sameState(t, ours)
	other.Start()
	if v, err := client(t, other).Get(bg, "other").Result(); v != "1" || err != nil {
		t.Errorf("the other cluster afterwards: %q, %v", v, err)
	}
}

func TestOtherLogStore(t *testing.T) {
	n := node.Start(t, node.Options{Flags: []string{"--log-store", "wal"}}).Nodes[0]
	must(t, client(t, n).Set(bg, "k", "v", 0).Err())
	n.Kill9()
	n.Flags = []string{"--log-store", "boltdb"}
	refused(t, n, n.Dir, "log store")
	n.Flags = nil
	n.Start()
	if v, err := client(t, n).Get(bg, "k").Result(); v != "v" || err != nil {
		t.Errorf("GET afterwards: %q, %v", v, err)
	}
}

func TestDirectoryThatCannotBeWritten(t *testing.T) {
	t.Run("a file in the way", func(t *testing.T) {
		n := single(t)
		must(t, os.WriteFile(n.Dir, []byte("precious"), 0o600))
		refused(t, n, n.Dir)
		if b, err := os.ReadFile(n.Dir); string(b) != "precious" || err != nil {
			t.Errorf("the file afterwards: %q, %v", b, err)
		}
	})
	t.Run("a file in the way of the parent", func(t *testing.T) {
		n := single(t)
		must(t, os.WriteFile(n.Dir, nil, 0o600))
		n.Dir = filepath.Join(n.Dir, "data")
		refused(t, n, n.Dir)
	})
	t.Run("a read-only file system", func(t *testing.T) {
		n := single(t)
		fs := node.Tmpfs(t, 1<<20)
		must(t, syscall.Mount("", fs, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		n.Dir = filepath.Join(fs, "data")
		refused(t, n, n.Dir)
	})
}

// A mistyped setting is an error that names the nearest right one, wherever it was set.
func TestUnknownSettings(t *testing.T) {
	t.Run("flag", func(t *testing.T) {
		refused(t, single(t, "--clinet-addr", "x"), "clinet-addr",
			"--client-addr")
	})
	t.Run("environment", func(t *testing.T) {
		n := single(t)
		n.Env = []string{"REDKEEP_QUOTA_BITES=1GiB"}
		refused(t, n, "REDKEEP_QUOTA_BITES", "REDKEEP_QUOTA_BYTES")
	})
	t.Run("file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "config.yaml")
		must(t, os.WriteFile(file, []byte("snapshot-byte: 1MiB\n"), 0o600))
		refused(t, single(t, "--config", file), "snapshot-byte", "snapshot-bytes", file)
	})
	t.Run("value", func(t *testing.T) { refused(t, single(t, "--quota-bytes", "lots"), "quota-bytes", "lots") })
	t.Run("file that is not there", func(t *testing.T) {
		refused(t, single(t, "--config", "/none.yaml"),
			"/none.yaml")
	})
}

// The disk guard: below the reserve writes are refused before the disk is full, reads go on, and it clears by
// itself.
func TestDiskBelowTheReserve(t *testing.T) {
	fs := node.Tmpfs(t, 320<<20)
	n := single(t, "--disk-reserve-bytes", "64MiB")
	n.Dir = filepath.Join(fs, "data")
	n.Start()
	c := raw(t, n)
	expect(t, c, "+OK\r\n", "SET", "k", "v")
	ballast := filepath.Join(fs, "ballast")
	fill(t, fs, ballast, 32<<20)
	node.Eventually(t, 20*time.Second, "writes are refused", func() error {
		return wantPrefix(c, "-OOM ", "SET", "probe", "w")
	})
	expect(t, c, "$1\r\nv\r\n", "GET", "k")
	must(t, os.Remove(ballast))
	node.Eventually(t, 20*time.Second, "writes are taken again", func() error {
		return wantPrefix(c, "+OK", "SET", "k", "x")
	})
	n.Restart()
	expect(t, raw(t, n), "$1\r\nx\r\n", "GET", "k")
}

// With the guard off and the disk full for real, the node may refuse or stop, but what it has acknowledged
// stays.
func TestDiskFull(t *testing.T) {
	eachStore(t, func(t *testing.T, flags []string) {
		fs := node.Tmpfs(t, 256<<20)
		n := single(t, append(flags, "--disk-reserve-bytes", "0", "--snapshot-bytes", "8MiB")...)
		n.Dir = filepath.Join(fs, "data")
		n.Start()
		ballast := filepath.Join(fs, "ballast")
		acked := writeUntilFull(t, n, fs, ballast)
		n.ExpectExit()
		n.Kill9()
		must(t, os.Remove(ballast))
		n.Start()
		c := raw(t, n)
		for i := range acked {
			if r, err := c.Do("STRLEN", key(i)); r.Int() != 100_000 || err != nil {
				t.Fatalf("acknowledged write %d of %d is %s, %v", i, acked, r, err)
			}
		}
		expect(t, c, "+OK\r\n", "SET", "after", "v")
	})
}

// writeUntilFull writes until a write fails, filling the rest of the disk on the way; it returns how many
// were acknowledged.
func writeUntilFull(t *testing.T, n *node.Node, fs, ballast string) int {
	t.Helper()
	c := raw(t, n)
	value := strings.Repeat("v", 100_000)
	for i := range 5000 {
		if i == 20 {
			fill(t, fs, ballast, 0)
		}
		r, err := c.Do("SET", key(i), value)
		if err != nil || r.IsErr() {
			t.Logf("write %d on the full disk: %s, %v", i, r, err)
			return i
		}
	}
	t.Fatal("the disk never became full")
	return 0
}

// fill writes a file until only free bytes are left on the file system.
func fill(t *testing.T, fs, file string, free int64) {
	t.Helper()
	f, err := os.Create(file)
	must(t, err)
	defer f.Close()
	var st syscall.Statfs_t
	must(t, syscall.Statfs(fs, &st))
	left := int64(st.Bavail)*st.Bsize - free
	chunk := make([]byte, 1<<20)
	for left > 0 {
		n, err := f.Write(chunk[:min(left, int64(len(chunk)))])
		left -= int64(n)
		if err != nil {
			return // full
		}
	}
}
