package style

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the top of the tree; a test runs in the folder of its package.
const root = "../.."

// maxExceptions is lowered whenever an exception goes, and never raised.
const maxExceptions = 0

func tree(t *testing.T) []*sourceFile {
	t.Helper()
	files, err := loadTree(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found only %d Go files: the walk is wrong", len(files))
	}
	return files
}

// report fails the test with each finding that no exception excuses.
func report(t *testing.T, all []finding) {
	t.Helper()
	left, _ := excused(all, exceptions)
	for _, f := range left {
		t.Error(f)
	}
}

// perFile are the rules that look at one file at a time.
var perFile = map[string]func(*sourceFile) []finding{
	"functions": checkFunctions, "file size": checkFileSize, "todo": checkTodo, "error texts": checkErrorTexts,
	"mutexes": checkMutexes, "sleep": checkSleep, "pure": checkPure,
}

func TestFiles(t *testing.T) {
	files := tree(t)
	for name, rule := range perFile {
		t.Run(name, func(t *testing.T) {
			for _, f := range files {
				report(t, rule(f))
			}
		})
	}
}

func distribution(files []*sourceFile) []int {
	var lines []int
	for _, f := range files {
		if f.isTest() {
			continue
		}
		for _, fn := range functions(f) {
			lines = append(lines, fn.lines)
		}
	}
	return lines
}

func TestFunctionsStaySmallAsAWhole(t *testing.T) {
	lines := distribution(tree(t))
	report(t, checkDistribution(lines))
	t.Logf("%d functions, median %d lines, p90 %d, longest %d",
		len(lines), lines[len(lines)/2], lines[len(lines)*9/10], lines[len(lines)-1])
}

func TestFoldersAreDocumented(t *testing.T) { report(t, checkDocs(tree(t))) }

func TestNames(t *testing.T) {
	found, err := checkNames(root)
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

func TestImportsPointOneWay(t *testing.T) {
	pkgs, err := listPackages(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 6 {
		t.Fatalf("go list names only %d packages", len(pkgs))
	}
	for _, p := range pkgs {
		report(t, checkLayers(p))
	}
}

func TestPureFilesExist(t *testing.T) {
	for dir, names := range pureFiles {
		for _, n := range names {
			if _, err := os.Stat(filepath.Join(root, dir, n)); err != nil {
				t.Errorf("pureFiles is out of date: %v", err)
			}
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestReadingGuide(t *testing.T) { report(t, checkReadingGuide(read(t, "README.md"), tree(t))) }

func TestMakefile(t *testing.T) { report(t, checkMakefile(read(t, "Makefile"))) }

func TestPins(t *testing.T) { report(t, checkPins(read(t, "go.mod"))) }

func TestExceptionsOnlyShrink(t *testing.T) {
	if len(exceptions) > maxExceptions {
		t.Errorf("%d exceptions, at most %d", len(exceptions), maxExceptions)
	}
	if len(exceptions) < maxExceptions {
		t.Errorf("only %d exceptions are left: lower maxExceptions to that", len(exceptions))
	}
	var all []finding
	for _, f := range tree(t) {
		for _, rule := range perFile {
			all = append(all, rule(f)...)
		}
	}
	_, used := excused(all, exceptions)
	for i, e := range exceptions {
		if e.why == "" || !used[i] {
			t.Errorf("exception %v has no reason or excuses nothing", e)
		}
	}
}

// The page of commands is generated from the command table; a change of the one without the other is a lie.
func TestCommandPageIsCurrent(t *testing.T) {
	cmd := exec.Command("go", "run", "./cmd/redkeep", "docs")
	cmd.Dir = root
	var problem strings.Builder
	cmd.Stderr = &problem
	want, err := cmd.Output()
	if err != nil {
		t.Fatalf("redkeep docs: %v\n%s", err, &problem)
	}
	if read(t, "docs/COMMANDS.md") != string(want) {
		t.Error("docs/COMMANDS.md is not what `redkeep docs` writes: run `make docs`")
	}
}
