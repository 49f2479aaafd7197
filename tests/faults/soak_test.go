package faults

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/tests/internal/node"
)

var (
	soakFlag   = flag.Duration("soak", 0, "how long TestSoak lasts")
	outFlag    = flag.String("out", "soak.out", "folder for plot, data and report, below the top of the tree")
	recordFlag = flag.Bool("record", false, "put report and plot into docs/RELIABILITY.md, too")
)

func TestSoak(t *testing.T) {
	if *soakFlag == 0 {
		t.Skip("runs by hand: make soak")
	}
	seed := theSeed()
	fmt.Printf("soak for %v with seed %d\n", *soakFlag, seed)
	s := lasting(t, seed, *soakFlag)
	verdict := "no violation"
	if t.Failed() {
		verdict = "FAILED"
	}
	text := s.report(verdict)
	fmt.Print("\n", text)
	picture := plot(fmt.Sprintf("soak of %v, seed %d: %s", *soakFlag, seed, verdict), s.run.meter.all(),
		s.run.meter.spans)
	root, err := node.Root()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(root, *outFlag)
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(out, "soak.csv"), s.table())
	write(t, filepath.Join(out, "soak.svg"), picture)
	write(t, filepath.Join(out, "soak.md"), text)
	fmt.Println("plot, data and report are in", out)
	if *recordFlag {
		write(t, filepath.Join(root, "docs", "soak.svg"), picture)
		record(t, filepath.Join(root, "docs", "RELIABILITY.md"), text)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The report stands between these lines of the page.
const (
	reportBegins = "<!-- written by make soak ARGS=-record -->\n"
	reportEnds   = "<!-- end of what make soak writes -->\n"
)

// record puts the report into the page, in place of the one before it.
func record(t *testing.T, page, text string) {
	t.Helper()
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(old), reportBegins)
	_, after, ok2 := strings.Cut(rest, reportEnds)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the report", page)
	}
	write(t, page, before+reportBegins+"\n"+text+"\n![throughput and latency](soak.svg)\n\n"+reportEnds+after)
}
