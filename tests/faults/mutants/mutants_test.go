package mutants

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

var (
	only  = flag.String("only", "*", "names of the mutants to take, as a glob")
	limit = flag.Duration("limit", 4*time.Minute, "begin no further mutant after this; 0 for no limit")
)

// leastCaught is how many must be tried within the limit, or the test says nothing.
const leastCaught = 5

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

func mutants(t *testing.T) (list []mutant) {
	t.Helper()
	paths, err := filepath.Glob(*only + ".patch")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no patch is called %q: %v", *only, err)
	}
	for _, p := range paths {
		m, err := load(p)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}

func workshopFor(t *testing.T) *workshop {
	t.Helper()
	w, err := newWorkshop(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *workshop) mustBuild(t *testing.T, m mutant, binary string) {
	t.Helper()
	if err := w.build(m, binary); err != nil {
		t.Fatal(err)
	}
}

func TestPatchesApplyAndBuild(t *testing.T) {
	w := workshopFor(t)
	for _, m := range mutants(t) {
		t.Run(m.name, func(t *testing.T) {
			if err := w.compile(m); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMutantsAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	w, start := workshopFor(t), time.Now()
	for i, m := range mutants(t) {
		t.Run(m.name, func(t *testing.T) {
			if *limit > 0 && i >= leastCaught && time.Since(start) > *limit {
				t.Skipf("left out after %v; -limit 0 takes all", *limit)
			}
			binary := filepath.Join(t.TempDir(), "redkeep")
			if !m.inside() {
				w.mustBuild(t, m, binary)
			}
			began := time.Now()
			said, err := w.hunt(m, binary)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("caught in %v by %s\n%s", time.Since(began).Round(100*time.Millisecond), m.args[1], said)
		})
	}
}
