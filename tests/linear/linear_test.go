package linear

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redkeep/redkeep/tests/internal/node"
)

var (
	seedFlag     = flag.Uint64("seed", 0, "seed of operations and faults; 0 takes one from the clock")
	durationFlag = flag.Duration("duration", 60*time.Second, "how long faults are injected")
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

// The least a run must consist of; below it the test says nothing and fails.
const (
	minPerKind     = 200
	minFaults      = 8
	maxUnavailable = 15 * time.Second
)

func TestLinearizableUnderFaults(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("replay with: go test ./tests/linear -run %s -seed %d -duration %v", t.Name(), seed, *durationFlag)
	cluster := node.Start(t, node.Options{Nodes: 3, Flags: shortTimes})
	res := Run(t, cluster, Options{
		Seed: seed, Duration: *durationFlag, ClientsPerNode: 4, Pace: 4 * time.Millisecond,
		Epoch:      1500 * time.Millisecond,
		Partitions: 3,
	})
	t.Logf("%s; faults %v; worst wait for a write after a fault %v", &res.Counts, res.Injected, res.WorstGap)
	for _, p := range append(res.Problems, lackOfWork(res)...) {
		t.Error(p)
	}
	began := time.Now()
	if err := CheckHistory(res.History, 2*time.Minute); err != nil {
		t.Error(err)
	}
	if err := CheckRevisions(res.History); err != nil {
		t.Error(err)
	}
	t.Logf("checked %d operations in %v", len(res.History), time.Since(began))
}

// shortTimes makes more rounds fit into the time, and lets requests run into their timeout; the protocol is
// the same.
var shortTimes = []string{"--heartbeat-interval", "30ms", "--election-timeout", "300ms",
	"--request-timeout", "700ms"}

// lackOfWork says why a run did too little to mean anything.
func lackOfWork(res *Result) (out []error) {
	say := func(format string, args ...any) { out = append(out, fmt.Errorf(format, args...)) }
	for k, n := range res.Counts.Done {
		if n < minPerKind {
			say("only %d operations of kind %v were answered, want %d", n, Kind(k), minPerKind)
		}
	}
	if res.Counts.Held < minPerKind/4 || res.Counts.Held > res.Counts.Done[Cas]*9/10 {
		say("of %d compare-and-sets %d wrote: both outcomes must happen", res.Counts.Done[Cas], res.Counts.Held)
	}
	total := 0
	for _, n := range res.Injected {
		total += n
	}
	if total < minFaults || len(res.Injected) < len(faults) {
		say("only %d faults of %d kinds, want %d of %d", total, len(res.Injected), minFaults, len(faults))
	}
	if res.Counts.Maybe == 0 || res.Counts.Refused == 0 {
		say("no operation had an unknown outcome, or none was refused: the faults did not hit")
	}
	if res.WorstGap > maxUnavailable {
		say("no write was acknowledged for %v after a fault was mended", res.WorstGap)
	}
	return out
}

func TestARunWithoutWorkIsNoPass(t *testing.T) {
	if got := lackOfWork(&Result{}); len(got) != int(KindCount)+3 {
		t.Errorf("an empty run: %v", got)
	}
	full := &Result{Counts: Counts{Held: minPerKind / 2, Maybe: 1, Refused: 1}, Injected: map[string]int{}}
	for k := range full.Counts.Done {
		full.Counts.Done[k] = minPerKind
	}
	for _, f := range faults {
		full.Injected[f.name] = 2
	}
	if got := lackOfWork(full); len(got) != 0 {
		t.Errorf("a full run: %v", got)
	}
	full.WorstGap = time.Minute
	if got := lackOfWork(full); len(got) != 1 {
		t.Errorf("a run with a minute of silence: %v", got)
	}
}
