package node

import (
	"os"
	"strconv"
	"syscall"
	"testing"
)

// Tmpfs mounts a small file system of its own and returns its folder; it is unmounted when the test ends, on
// a signal too. Without the right to mount the test is skipped on a developer's machine and fails in CI.
func Tmpfs(t testing.TB, bytes int64) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+strconv.FormatInt(bytes, 10)); err != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("cannot mount a tmpfs (needs root): %v", err)
		}
		t.Fatalf("cannot mount a tmpfs: %v", err)
	}
	unmount := func() { syscall.Unmount(dir, syscall.MNT_DETACH) }
	forget := onExit(unmount)
	t.Cleanup(func() {
		forget()
		unmount()
	})
	return dir
}
