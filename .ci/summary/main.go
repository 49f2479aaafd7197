package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// summary counts what it has seen. Output of a test is kept until the test has ended.
type summary struct {
	passed, failed, skipped int
	broken                  int // packages that failed without a failing test: build errors, panics, time-outs
	failedIn                map[string]bool
	output                  map[string][]string
}

func main() {
	s := summary{failedIn: map[string]bool{}, output: map[string][]string{}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text()) // a message of the go command itself
			continue
		}
		s.take(e)
	}
	if err := lines.Err(); err != nil {
		fmt.Println("reading the test events:", err)
		s.broken++
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped", s.passed, s.failed, s.skipped)
	if s.broken > 0 {
		fmt.Printf(", %d package(s) broken", s.broken)
	}
	fmt.Println()
	if s.failed+s.broken > 0 || s.passed == 0 {
		os.Exit(1)
	}
}

func (s *summary) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Print(e.Output)
	case "output":
		s.print(e, key)
	case "pass", "skip", "fail":
		s.end(e, key)
	}
}

// print shows a package's own lines at once. Lines of a test wait: those of a test that passes are dropped.
func (s *summary) print(e event, key string) {
	switch {
	case e.Test != "":
		s.output[key] = append(s.output[key], e.Output)
	case strings.HasPrefix(e.Output, "PASS"), strings.HasPrefix(e.Output, "coverage:"):
	case strings.HasPrefix(e.Output, "?"): // no test files
	default:
		fmt.Print(e.Output)
	}
}

func (s *summary) end(e event, key string) {
	lines := s.output[key]
	delete(s.output, key)
	if e.Test == "" {
		s.endPackage(e)
		return
	}
	switch e.Action {
	case "pass":
		s.passed++
	case "skip":
		s.skipped++
		fmt.Print(strings.Join(lines, ""))
	case "fail":
		s.failed++
		s.failedIn[e.Package] = true
		fmt.Print(strings.Join(lines, ""))
	}
}

// endPackage shows what tests that never ended had printed: a panic or a time-out took them along.
func (s *summary) endPackage(e event) {
	if e.Action != "fail" {
		return
	}
	for key, lines := range s.output {
		if strings.HasPrefix(key, e.Package+" ") {
			fmt.Print(strings.Join(lines, ""))
			delete(s.output, key)
		}
	}
	if !s.failedIn[e.Package] {
		s.broken++
	}
}
