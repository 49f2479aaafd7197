package node

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/redkeep/redkeep/tests/internal/network"
)

// diskBytes bounds what a whole isolated run may store; only what is used takes memory.
const diskBytes = 8 << 30

// WithoutEnv lets a developer go without the tests that need namespaces, knowingly; CI does not heed it.
const WithoutEnv = "RKTEST_NO_NAMESPACES"

// MainIsolated is Main inside namespaces of the run's own, with its temporary folder on a file system that
// exists only there. The binary under test is built with FaultTag, outside, where modules can be had. Where
// namespaces cannot be made the run fails: it must not pass by doing nothing.
func MainIsolated(m *testing.M) int {
	if network.Inside() {
		return insideMain(m)
	}
	if err := network.Able(); err != nil {
		return withoutNamespaces(err)
	}
	if err := makeRunDir(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(runDir)
	path, err := builtWithFaults()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code, err := network.Isolate(BinaryEnv+"="+path, runDirEnv+"="+runDir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// runDirEnv tells the isolated process which folder it may mount its own file system in.
const runDirEnv = "RKTEST_RUN_DIR"

func insideMain(m *testing.M) int {
	dir := filepath.Join(os.Getenv(runDirEnv), "disk")
	err := network.Settle()
	if err == nil {
		err = network.MountTmpfs(dir, diskBytes)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	runDir = dir // the mount point itself belongs to the process outside
	os.Setenv("TMPDIR", dir)
	return runAll(m)
}

func withoutNamespaces(reason error) int {
	if os.Getenv(WithoutEnv) != "" && os.Getenv("CI") == "" {
		fmt.Fprintln(os.Stderr, "SKIPPED, nothing was tested: cannot make", reason)
		return 0
	}
	fmt.Fprintf(os.Stderr, "cannot make %v; to go without these tests set %s=1\n", reason, WithoutEnv)
	return 1
}
