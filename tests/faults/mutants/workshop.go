package mutants

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// mutant is one parsed patch.
type mutant struct {
	name, path      string
	promise, defect string
	pkg             string   // of the test that catches it
	args            []string // of its test binary, -test.run first
	files           []string // that it changes
}

var (
	errHead    = errors.New("the head needs Promise:, Defect: and Caught: go test ./package -run ^Test$ …")
	errNoCatch = errors.New("not caught")
)

func load(path string) (m mutant, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return m, err
	}
	m.path, m.name = path, strings.TrimSuffix(filepath.Base(path), ".patch")
	head, _, _ := strings.Cut(string(text), "\n--- ")
	fields := map[string]string{}
	last := ""
	for line := range strings.Lines(head) {
		if key, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, " ") {
			last, line = key, value
		}
		fields[last] = strings.TrimSpace(fields[last] + " " + strings.TrimSpace(line))
	}
	m.promise, m.defect = fields["Promise"], fields["Defect"]
	command := strings.Fields(fields["Caught"])
	if m.promise == "" || m.defect == "" || len(command) < 5 || strings.Join(command[:2], " ") != "go test" ||
		command[3] != "-run" || !strings.HasPrefix(command[4], "^Test") || !strings.HasSuffix(command[4], "$") {
		return m, fmt.Errorf("%s: %w", path, errHead)
	}
	m.pkg, m.args = command[2], append([]string{"-test.run", command[4]}, command[5:]...)
	for line := range strings.Lines(string(text)) {
		if file, ok := strings.CutPrefix(line, "+++ b/"); ok {
			m.files = append(m.files, strings.TrimSpace(file))
		}
	}
	if len(m.files) == 0 {
		return m, fmt.Errorf("%s changes nothing", path)
	}
	return m, nil
}

// inside reports whether a test of a package of the house catches m, which needs no binary.
func (m mutant) inside() bool { return !strings.HasPrefix(m.pkg, "./tests/") }

// workshop holds patched copies of files, laid over the tree when it is compiled.
type workshop struct {
	root, dir string
	tests     map[string]string // package → its compiled tests
}

func newWorkshop(dir string) (*workshop, error) {
	root, err := node.Root()
	return &workshop{root: root, dir: dir, tests: map[string]string{}}, err
}

func (w *workshop) run(dir string, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	// git apply works in any folder, unless it finds a repository further up.
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+w.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}

// overlay applies a patch to copies of the files it changes, and returns the file that lays them over the
// tree: go build -overlay.
func (w *workshop) overlay(m mutant) (path string, err error) {
	dir := filepath.Join(w.dir, m.name)
	replace := map[string]string{}
	for _, f := range m.files {
		from, to := filepath.Join(w.root, f), filepath.Join(dir, f)
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, b, 0o644)
		}
		if err != nil {
			return "", err
		}
		replace[from] = to
	}
	patch, err := filepath.Abs(m.path)
	if err == nil {
		err = w.run(dir, "git", "apply", patch)
	}
	if err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	path = filepath.Join(dir, "overlay.json")
	return path, errors.Join(err, os.WriteFile(path, list, 0o644))
}

// compile compiles the packages that a patch changes. Those that stand on them would take most of the time,
// and a defect changes what a function does, not what it is called.
func (w *workshop) compile(m mutant) error {
	overlay, err := w.overlay(m)
	if err != nil {
		return err
	}
	args := []string{"go", "build", "-pgo=off", "-overlay", overlay, "-tags", node.FaultTag}
	for _, file := range m.files {
		if folder := "./" + filepath.Dir(file); !slices.Contains(args, folder) {
			args = append(args, folder)
		}
	}
	return w.run(w.root, args...)
}

// build makes a binary with the defect, which obeys fault commands.
func (w *workshop) build(m mutant, out string) error {
	overlay, err := w.overlay(m)
	if err != nil {
		return err
	}
	return w.run(w.root, "go", "build", "-pgo=off", "-overlay", overlay, "-tags", node.FaultTag, "-o", out,
		"./cmd/redkeep")
}

// testOf compiles the tests that catch m. Those under tests look at a binary from outside and are compiled
// once; those of a package of the house are compiled with the defect in them.
func (w *workshop) testOf(m mutant) (path string, err error) {
	pkg := m.pkg
	if m.inside() {
		overlay, err := w.overlay(m)
		if err != nil {
			return "", err
		}
		path = filepath.Join(w.dir, m.name+".test")
		return path, w.run(w.root, "go", "test", "-c", "-overlay", overlay, "-o", path, pkg)
	}
	if path = w.tests[pkg]; path != "" {
		return path, nil
	}
	path = filepath.Join(w.dir, strings.ReplaceAll(pkg, "/", "_")+".test")
	if err = w.run(w.root, "go", "test", "-c", "-o", path, pkg); err == nil {
		w.tests[pkg] = path
	}
	return path, err
}

// hunt runs the command that catches m against a binary. It returns no error iff the named test ran and
// failed, and then what it said.
func (w *workshop) hunt(m mutant, binary string) (said string, err error) {
	tests, err := w.testOf(m)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(tests, append([]string{"-test.v", "-test.timeout", "3m"}, m.args...)...)
	cmd.Dir = filepath.Join(w.root, m.pkg)
	cmd.Env = append(os.Environ(), node.BinaryEnv+"="+binary)
	out, err := cmd.CombinedOutput()
	name := strings.NewReplacer("^", "", "$", "").Replace(m.args[1]) // of a subtest, too: ^TestX$/^part$
	switch {
	case err == nil:
		return "", fmt.Errorf("%w: %s passes with the defect", errNoCatch, name)
	case !strings.Contains(string(out), "--- FAIL: "+name+" "):
		return "", fmt.Errorf("%w: %s did not end as a failure\n%s", errNoCatch, name, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, ".go:") {
			return strings.TrimSpace(line), nil
		}
	}
	return "", fmt.Errorf("%w: %s does not say why it failed\n%s", errNoCatch, name, out)
}
