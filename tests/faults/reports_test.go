package faults

import (
	"fmt"
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
	reports.lines = append(reports.lines, line[:min(most, len(line))])
}

// complaining is a test whose complaints are reported, too.
type complaining struct {
	testing.TB
	profile string
}

func (t complaining) file(complaint string) {
	report("faults, profile %s FAILS: %s", t.profile, complaint)
}

func (t complaining) Error(args ...any) {
	t.Helper()
	t.file(fmt.Sprint(args...))
	t.TB.Error(args...)
}

func (t complaining) Errorf(format string, args ...any) {
	t.Helper()
	t.file(fmt.Sprintf(format, args...))
	t.TB.Errorf(format, args...)
}

func (t complaining) Fatal(args ...any) {
	t.Helper()
	t.file(fmt.Sprint(args...))
	t.TB.Fatal(args...)
}

func (t complaining) Fatalf(format string, args ...any) {
	t.Helper()
	t.file(fmt.Sprintf(format, args...))
	t.TB.Fatalf(format, args...)
}
