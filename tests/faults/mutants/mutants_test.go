package mutants

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

var (
	only  = flag.String("only", "*", "names of the mutants to take, as a glob")
	limit = flag.Duration("limit", 4*time.Minute, "begin no further mutant after this; 0 for no limit")
	first = flag.Int("first", -1, "number of the mutant to begin with; -1 takes another one each day")
)

// dailyStep is how far the beginning moves from one day to the next, at least: about as many as are tried
// within the limit.
const dailyStep = 11

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

// firstOn is the number of the mutant, of so many, that a pass of this day begins with. The step has no
// divisor in common with their number, so each has its turn.
func firstOn(day, count int) int {
	step := dailyStep
	for divisor(step, count) != 1 {
		step++
	}
	return day * step % count
}

func divisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Within as many days as there are mutants each is the first once, which is always tried.
func TestEveryMutantHasItsTurn(t *testing.T) {
	for count := 1; count < 100; count++ {
		seen := map[int]bool{}
		for day := range count {
			seen[firstOn(20000+day, count)] = true
		}
		if len(seen) != count {
			t.Errorf("of %d mutants only %d are ever the first", count, len(seen))
		}
	}
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
	list := mutants(t)
	from := *first % len(list)
	if *first < 0 {
		from = firstOn(int(start.Unix()/(24*60*60)), len(list))
	}
	var leftOut []string
	for i, m := range slices.Concat(list[from:], list[:from]) {
		t.Run(m.name, func(t *testing.T) {
			if *limit > 0 && i >= leastCaught && time.Since(start) > *limit {
				leftOut = append(leftOut, m.name)
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
	fmt.Printf("mutants: %d of %d tried, from number %d on; again with -first %d; left out: %s\n",
		len(list)-len(leftOut), len(list), from, from, strings.Join(leftOut, ", "))
}
