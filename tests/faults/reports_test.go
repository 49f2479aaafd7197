package faults

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// reports are shown after the tests, also where the log of a test that passes is not, and where that of one
// that fails ends with the output of all its processes, far below the reason.
var reports struct {
	mu    sync.Mutex
	lines []string
}

func report(format string, args ...any) {
	const most = 2000
	line := fmt.Sprintf(format, args...)
	reports.mu.Lock()
	defer reports.mu.Unlock()
	reports.lines = append(reports.lines, strings.TrimSpace(line[:min(most, len(line))]))
}

// complaining is a test whose complaints are reported, too.
type complaining struct {
	testing.TB
	profile string
}

func (t complaining) file(complaint string) {
	report("faults, profile %s FAILS: %s", t.profile, complaint)
}

func (t complaining) Errorf(format string, args ...any) {
	t.Helper()
	t.file(fmt.Sprintf(format, args...))
	t.TB.Errorf(format, args...)
}

func (t complaining) Fatalf(format string, args ...any) {
	t.Helper()
	t.file(fmt.Sprintf(format, args...))
	t.TB.Fatalf(format, args...)
}

func (t complaining) Error(args ...any) {
	t.Helper()
	t.Errorf("%s", fmt.Sprintln(args...))
}

func (t complaining) Fatal(args ...any) {
	t.Helper()
	t.Fatalf("%s", fmt.Sprintln(args...))
}

// deaf is a test that no complaint makes fail.
type deaf struct{ testing.TB }

func (deaf) Helper()               {}
func (deaf) Errorf(string, ...any) {}
func (deaf) Fatalf(string, ...any) {}

func TestComplaintsAreReported(t *testing.T) {
	reports.mu.Lock()
	before := reports.lines
	reports.mu.Unlock()
	c := complaining{deaf{t}, "p"}
	c.Error("one", 1)
	c.Errorf("two %d", 2)
	c.Fatal("three")
	c.Fatalf("four %d", 4)
	reports.mu.Lock()
	defer reports.mu.Unlock()
	told := strings.Join(reports.lines[len(before):], "; ")
	reports.lines = before
	for _, want := range []string{"one 1", "two 2", "three", "four 4"} {
		if !strings.Contains(told, "profile p FAILS: "+want) {
			t.Errorf("%q is not among %q", want, told)
		}
	}
}
