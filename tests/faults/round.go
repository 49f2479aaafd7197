package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A round is a fault, at times a second one on top of it, and the mending of both. Everything about it is
// drawn from the seed before it begins, so a seed replays the same faults, with the same choices inside
// each, in the same order, though not to the microsecond.
type round struct {
	strikes []strike
}

// strike is one fault of a round.
type strike struct {
	fault *Fault
	lasts time.Duration
	seed  uint64 // of the choices that the fault makes
}

// planner draws rounds: each fault strikes once before any strikes again.
type planner struct {
	rng    *rand.Rand
	all    []*Fault
	queue  []*Fault
	second int
}

func newPlanner(seed uint64, p *Profile) (*planner, error) {
	all, err := faultsNamed(p.Faults)
	if err != nil {
		return nil, err
	}
	return &planner{rng: rand.New(rand.NewPCG(seed, 1)), all: all, second: p.Second}, nil
}

// rounds draws the next n rounds.
func (p *planner) rounds(n int) []round {
	out := make([]round, n)
	for i := range out {
		out[i].strikes = append(out[i].strikes, p.strike(p.next()))
		if p.rng.IntN(100) < p.second {
			out[i].strikes = append(out[i].strikes, p.strike(p.all[p.rng.IntN(len(p.all))]))
		}
	}
	return out
}

func (p *planner) next() *Fault {
	if len(p.queue) == 0 {
		p.queue = append(p.queue, p.all...)
		p.rng.Shuffle(len(p.queue), func(i, j int) { p.queue[i], p.queue[j] = p.queue[j], p.queue[i] })
	}
	f := p.queue[0]
	p.queue = p.queue[1:]
	return f
}

func (p *planner) strike(f *Fault) strike {
	s := strike{fault: f, lasts: f.Least, seed: p.rng.Uint64()}
	if f.Spread > 0 {
		s.lasts += time.Duration(p.rng.Int64N(int64(f.Spread)))
	}
	return s
}

func (r *round) String() string {
	var parts []string
	for _, s := range r.strikes {
		parts = append(parts, s.fault.Name)
	}
	return strings.Join(parts, " + ")
}

// play injects the faults of a round, lets each last, ends them in reverse order and waits until all is
// well.
func (w *world) play(number int, r *round, res *result) {
	w.t.Helper()
	from, touched := time.Now(), w.net.Touched()
	w.notes, w.achieved = nil, nil
	clear(w.held)
	w.run.meter.begin(r.String())
	heals := w.strikeAll(r, res)
	for i := len(heals) - 1; i >= 0; i-- {
		heals[i]()
	}
	for _, name := range w.achieved {
		res.injected[name]++
	}
	w.bury()
	mended := time.Since(from)
	gap := w.awaitAll()
	w.run.meter.end()
	hold(w.run.profile.Calm)
	res.worstGap = max(res.worstGap, gap)
	res.touched += w.net.Touched() - touched
	w.countInstalls()
	w.say("round %2d: %s: %s; ended after %v, writes again %v later", number+1, r, strings.Join(w.notes, ", "),
		mended.Round(time.Millisecond), gap.Round(time.Millisecond))
}

// strikeAll begins the faults one after the other; each lasts its time before the next begins. Where the
// first has stopped the nodes, the second may find no packet to touch.
func (w *world) strikeAll(r *round, res *result) (heals []func()) {
	for i, s := range r.strikes {
		w.rng = rand.New(rand.NewPCG(s.seed, 0))
		touched := w.net.Touched()
		heal := s.fault.Strike(w)
		if heal == nil {
			w.note("%s found no victim", s.fault.Name)
			continue
		}
		hold(s.lasts)
		if i == 0 && s.fault.Touches && w.net.Touched() == touched {
			w.t.Errorf("%s touched no packet", s.fault.Name)
		}
		if !s.fault.MayFail {
			res.injected[s.fault.Name]++
		}
		res.struck++
		heals = append(heals, heal)
	}
	return heals
}

// insist plays the faults of a plan again, alone, that may fail and did each time.
func (w *world) insist(plan []round, res *result) {
	w.t.Helper()
	var strikes []strike
	for range 2 {
		for _, r := range plan {
			strikes = append(strikes, r.strikes...)
		}
	}
	for _, s := range strikes {
		if s.fault.MayFail && res.injected[s.fault.Name] == 0 {
			w.play(len(plan), &round{strikes: []strike{s}}, res)
		}
	}
}

// hold lets a fault last.
func hold(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// countInstalls notes how many snapshots each process has taken from a leader by now, and how often its
// watchers were too slow.
func (w *world) countInstalls() {
	for _, n := range w.cluster.Nodes {
		w.installs[n.Proc] = max(w.installs[n.Proc], installed(n))
		w.fell[n.Proc] = max(w.fell[n.Proc], gauge(n, "redkeep_watch_fell_behind_total"))
	}
}

// replay is the command that makes the same run again.
func replay(t interface{ Name() string }, seed uint64) string {
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	return fmt.Sprintf("go test ./tests/faults -run '%s' -seed %d", pattern, seed)
}
