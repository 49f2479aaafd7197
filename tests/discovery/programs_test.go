package discovery

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// program is a client library in another language. Its program is told where the nodes are, and what it does
// and is answered it writes to its output, line by line.
type program struct {
	name  string
	mode  string // cluster or sentinel
	words []string
}

// python is Debian's, for which python3-redis is packaged.
const python = "/usr/bin/python3"

var programs = []program{
	{"redis-py-cluster", "cluster", []string{python, "testdata/follow.py"}},
	{"redis-py-sentinel", "sentinel", []string{python, "testdata/follow.py"}},
	{"ioredis-cluster", "cluster", []string{"node", "testdata/ioredis/follow.js"}},
	{"ioredis-sentinel", "sentinel", []string{"node", "testdata/ioredis/follow.js"}},
}

// needModules fails the test if `make test` has not installed what package-lock.json names.
func needModules(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("testdata/ioredis/node_modules/ioredis/package.json"); err != nil {
		t.Fatalf("ioredis is not installed, make test does that: %v", err)
	}
}

// start runs the program until the test ends.
func (p *program) start(t *testing.T, w *world) *running {
	t.Helper()
	needModules(t)
	argv := append(append([]string{}, p.words...), p.mode, p.name)
	if p.mode == "cluster" {
		argv = append(argv, w.Addrs()...)
	} else {
		argv = append(argv, w.sentinels()...)
	}
	r := &running{tally: &tally{name: p.name}}
	r.process = node.Launch(t, p.name, argv, []string{"PYTHONDONTWRITEBYTECODE=1"})
	return r
}

// running is a program and what has been read of its output.
type running struct {
	*tally
	process *node.Process
	taken   int // bytes of the output
}

// take reads what the program has written since. The harness keeps several megabytes of output, which is more
// than a run writes.
func (r *running) take(t testing.TB) {
	t.Helper()
	out := r.process.Output()
	end := strings.LastIndexByte(out, '\n') + 1
	for line := range strings.Lines(out[r.taken:max(end, r.taken)]) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "ack":
			i, err := strconv.Atoi(rest)
			if err != nil {
				t.Fatalf("%s wrote %q", r.name, line)
			}
			r.ack(i)
		case "read":
			r.read()
		case "behind":
			r.lagged()
		case "wrong":
			r.wrong("%s", rest)
		default:
			r.failed(strings.TrimSpace(line))
		}
	}
	r.taken = max(end, r.taken)
}
