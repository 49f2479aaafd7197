package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// BinaryEnv names a ready-made redkeep binary to test instead of building one from this tree: the way to run
// the suite against an old version or a build with a planted defect.
const BinaryEnv = "RKTEST_BINARY"

// RaceEnv, when not empty, builds the binary under test with the race detector.
const RaceEnv = "RKTEST_RACE"

var registry struct {
	mu struct {
		sync.Mutex
		undo map[int]func()
		next int
	}
}

var runDir string

// Main runs the tests of a package inside one temporary folder, which is gone afterwards, on Ctrl-C too.
func Main(m *testing.M) int {
	if err := makeRunDir(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return runAll(m)
}

func makeRunDir() error {
	dir, err := os.MkdirTemp("", "redkeep-tests-")
	if err != nil {
		return err
	}
	runDir = dir
	return os.Setenv("TMPDIR", dir)
}

// runAll runs the tests and undoes what they have left, on a signal too.
func runAll(m *testing.M) int {
	starter() // it outlives every test: who looks for leaks finds it there before
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-stop
		cleanUp()
		os.Exit(130)
	}()
	code := m.Run()
	cleanUp()
	return code
}

// onExit registers fn to run when the test process is told to end early; the returned function takes it back.
func onExit(fn func()) (forget func()) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if registry.mu.undo == nil {
		registry.mu.undo = make(map[int]func())
	}
	registry.mu.next++
	id := registry.mu.next
	registry.mu.undo[id] = fn
	return func() {
		registry.mu.Lock()
		defer registry.mu.Unlock()
		delete(registry.mu.undo, id)
	}
}

func cleanUp() {
	registry.mu.Lock()
	left := registry.mu.undo
	registry.mu.undo = nil
	registry.mu.Unlock()
	for _, fn := range left {
		fn()
	}
	if runDir != "" {
		os.RemoveAll(runDir)
	}
}

var built = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(BinaryEnv); path != "" {
		return path, nil
	}
	if runDir == "" {
		return "", errors.New("node.Main was not called from TestMain")
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	return build(root, filepath.Join(runDir, "redkeep"))
})

func build(root, out string, flags ...string) (string, error) {
	args := append([]string{"build", "-pgo=off", "-o", out}, flags...)
	if os.Getenv(RaceEnv) != "" {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/redkeep")...)
	cmd.Dir = root
	if msg, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %v ./cmd/redkeep: %w\n%s", flags, err, msg)
	}
	return out, nil
}

// Binary returns the path of the redkeep binary under test, building it at the first call of this run.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Root returns the top folder of the source tree.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the working folder")
		}
		dir = up
	}
}
