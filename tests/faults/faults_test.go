package faults

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/redkeep/redkeep/tests/internal/node"
)

// defaultSeed is that of a normal pass, in CI too: what fails there fails for everybody.
const defaultSeed = 20250601

var (
	seedFlag   = flag.Uint64("seed", defaultSeed, "seed of operations and faults; 0 takes one from the clock")
	roundsFlag = flag.Int("rounds", 0, "rounds of faults, instead of the profile's own number")
)

func TestMain(m *testing.M) {
	code := node.MainIsolated(m)
	for _, line := range reports.lines {
		fmt.Println(line)
	}
	os.Exit(code)
}

func theSeed() uint64 {
	if *seedFlag != 0 {
		return *seedFlag
	}
	return uint64(time.Now().UnixNano())
}

// minRounds is the least of a normal pass as a whole.
const minRounds = 30

func TestProfiles(t *testing.T) {
	total := 0
	for _, p := range profiles {
		total += p.Rounds
		t.Run(p.Name, func(t *testing.T) { runProfile(t, p) })
	}
	if total < minRounds {
		t.Errorf("only %d rounds in all profiles, want %d", total, minRounds)
	}
}

func runProfile(plain *testing.T, p *Profile) {
	t := complaining{plain, p.Name}
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // runs last
	seed := theSeed()
	t.Logf("again: %s", replay(t, seed))
	plan, err := newPlanner(seed, p)
	if err != nil {
		t.Fatal(err)
	}
	rounds := p.Rounds
	if *roundsFlag != 0 {
		rounds = *roundsFlag
	}
	w, r, played := newWorld(t, p), newRun(seed, p), plan.rounds(rounds)
	if p.Comeback {
		res := segment(t, w, r, played[:rounds/2])
		t.Log(res.summary())
		if played = played[rounds/2:]; !w.comeBack() && rounds >= p.Rounds {
			t.Fatal("there is no backup to come back from")
		}
	}
	res := segment(t, w, r, played)
	t.Log(res.summary())
	report("faults, profile %s, seed %d: %s", p.Name, seed, res.brief())
	if left := missing(p, res.injected); len(left) > 0 && rounds >= p.Rounds {
		t.Errorf("too little work: these faults never struck: %q", left)
	}
}
