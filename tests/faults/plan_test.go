package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSeedReplaysTheSameFaults(t *testing.T) {
	draw := func(seed uint64) string {
		p, err := newPlanner(seed, soakProfile)
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, r := range p.rounds(50) {
			for _, s := range r.strikes {
				text += fmt.Sprintf("%s %v %d\n", s.fault.Name, s.lasts, s.seed)
			}
		}
		return text
	}
	if draw(7) != draw(7) {
		t.Error("the same seed drew other faults")
	}
	if draw(7) == draw(8) {
		t.Error("another seed drew the same faults")
	}
}

func TestEveryFaultStrikesBeforeAnyStrikesTwice(t *testing.T) {
	for _, p := range append(profiles, soakProfile) {
		pl, err := newPlanner(1, p)
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		seen := map[string]bool{}
		for _, r := range pl.rounds(len(pl.all)) {
			seen[r.strikes[0].fault.Name] = true
		}
		if len(seen) != len(pl.all) {
			t.Errorf("%s: %d of %d faults in the first rounds", p.Name, len(seen), len(pl.all))
		}
		if p.Rounds != 0 && p.Rounds < len(pl.all) {
			t.Errorf("%s: %d rounds are too few for %d faults", p.Name, p.Rounds, len(pl.all))
		}
	}
}

func TestEveryFaultIsInAProfile(t *testing.T) {
	all := ""
	for _, p := range profiles {
		all += "," + strings.Join(strings.Fields(p.Faults), " ")
	}
	for _, f := range faults {
		if !strings.Contains(strings.ReplaceAll(all, ", ", ",")+",", ","+f.Name+",") {
			t.Errorf("no profile of a normal pass has the fault %q", f.Name)
		}
	}
}

// docs/RELIABILITY.md says how much a normal pass is.
func TestRoundsAreCountedRight(t *testing.T) {
	text, err := os.ReadFile("../../docs/RELIABILITY.md")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, p := range profiles {
		total += p.Rounds
	}
	if want := fmt.Sprintf(" %d rounds of faults", total); !strings.Contains(string(text), want) {
		t.Errorf("the page does not say%s", want)
	}
}

func TestDrawnOperationsAreUniqueAndMixed(t *testing.T) {
	seen, written := map[string]int{}, map[Mark]bool{}
	for client := range 2 {
		d := &dice{Rand: rand.New(rand.NewPCG(1, uint64(client))), client: client}
		for range 4000 {
			op := d.draw(0)
			seen[op.Kind.Name]++
			if op.Kind.Marks == nil {
				continue
			}
			for _, m := range op.Kind.Marks(op) {
				if written[Mark{0, m.Value}] {
					t.Fatalf("value %s is written twice", m.Value)
				}
				written[Mark{0, m.Value}] = true
			}
		}
	}
	for _, k := range kinds {
		if seen[k.Name] < 100 {
			t.Errorf("%s was drawn only %d times of 8000", k.Name, seen[k.Name])
		}
	}
}

func TestARunWithoutWorkIsNoPass(t *testing.T) {
	empty := &result{injected: map[string]int{}}
	if got := empty.lackOfWork(profiles[0]); len(got) != len(kinds)+5 {
		t.Errorf("an empty run: %v", got)
	}
	full := func() *result {
		r := &result{injected: map[string]int{}, perKind: map[string]int{}, struck: 1, local: minLocal, marks: 1,
			whole: 1, revisions: 1, versions: 1, hashed: 3, fell: 1,
			watch: watchWork{events: minTold, prevs: 1, progress: 1, resumed: 1}}
		for _, k := range kinds {
			r.perKind[k.Name] = minPerKind
		}
		return r
	}
	if got := full().lackOfWork(profiles[0]); len(got) != 0 {
		t.Errorf("enough work: %v", got)
	}
	for name, spoil := range map[string]func(*result){
		"no snapshot":  func(r *result) { r.injected["lag behind a snapshot"] = 1 },
		"a long wait":  func(r *result) { r.worstGap = maxUnavailable + 1 },
		"no fault":     func(r *result) { r.struck = 0 },
		"no hash":      func(r *result) { r.hashed = 2 },
		"one kind":     func(r *result) { r.perKind["INCR"] = 0 },
		"none whole":   func(r *result) { r.whole = 0 },
		"no marks":     func(r *result) { r.marks = 0 },
		"no revisions": func(r *result) { r.revisions = 0 },
		"no resume":    func(r *result) { r.watch.resumed = 0 },
		"no overflow":  func(r *result) { r.fell = 0 },
		"no probe":     func(r *result) { r.injected["pause leader"] = 1 },
		"no backup":    func(r *result) { r.injected["back up"] = 1 },
	} {
		r := full()
		if spoil(r); len(r.lackOfWork(profiles[0])) != 1 {
			t.Errorf("%s: %v", name, r.lackOfWork(profiles[0]))
		}
	}
	if left := missing(profiles[0], map[string]int{"kill leader": 1}); len(left) < 5 {
		t.Errorf("faults that never struck: %v", left)
	}
}

func TestADiskThatCannotBeFilledIsTold(t *testing.T) {
	dir := t.TempDir()
	if err := fill(filepath.Join(dir, "ballast"), 1<<62); err != nil {
		t.Errorf("there is no more than that: %v", err)
	}
	if err := fill(filepath.Join(dir, "missing", "ballast"), 0); err == nil {
		t.Error("nothing was filled, and nobody is told")
	}
}

func TestMeterQuantiles(t *testing.T) {
	m := &meter{start: time.Now()}
	for i := range 1000 {
		m.note(time.Duration(i+1)*time.Millisecond, true)
	}
	m.note(time.Hour, false)
	sum := m.total()
	if sum.answered != 1000 || sum.other != 1 || sum.worst != time.Second {
		t.Errorf("%+v", sum)
	}
	if p50 := sum.quantile(0.5); p50 < 500*time.Millisecond || p50 > 800*time.Millisecond {
		t.Errorf("p50 = %v", p50)
	}
	if p := sum.quantile(1); p != time.Second {
		t.Errorf("p100 = %v", p)
	}
	if text := plot("title", m.all(), []span{{"kill", 0, time.Second}}); !strings.HasSuffix(text, "</svg>\n") {
		t.Error("no plot")
	}
}
