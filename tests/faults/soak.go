package faults

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// roundsPerSegment is how many rounds of faults come between two complete checks of a soak. What a
// segment has recorded is checked and forgotten, so that memory stays bounded however long the soak is.
const roundsPerSegment = 20

// soak is a long run and what it has come to so far.
type soak struct {
	seed     uint64
	asked    time.Duration
	run      *run
	sum      result
	segments int
	lives    int // of the cluster: one, and one more each time it was lost and came back
	injected map[string]int
	took     time.Duration
	screen   *screen
}

// lasting runs segment after segment on one cluster until the time is over or a check has failed.
func lasting(t testing.TB, seed uint64, asked time.Duration) *soak {
	plan, err := newPlanner(seed, soakProfile)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, soakProfile)
	s := &soak{seed: seed, asked: asked, run: newRun(seed, soakProfile), injected: map[string]int{}, lives: 1}
	s.screen = showProgress(s)
	w.say = s.screen.say
	defer s.screen.close()
	for time.Since(s.run.start) < asked && !t.Failed() {
		s.add(segment(t, w, s.run, plan.rounds(roundsPerSegment)))
		if !t.Failed() && w.comeBack() {
			s.lives++
		}
	}
	if s.sum.injected = s.injected; s.sum.lacksSnapshots() {
		t.Error("too little work: no snapshot was installed")
	}
	s.took = time.Since(s.run.start)
	return s
}

// add sums up a segment.
func (s *soak) add(r *result) {
	s.segments++
	for name, n := range r.injected {
		s.injected[name] += n
	}
	sum := &s.sum
	sum.struck += r.struck
	sum.touched += r.touched
	sum.snapshots += r.snapshots
	sum.answered += r.answered
	sum.maybes += r.maybes
	sum.decided += r.decided
	sum.refused += r.refused
	sum.lost += r.lost
	sum.local += r.local
	sum.marks += r.marks
	sum.revisions += r.revisions
	sum.versions += r.versions
	sum.hashed += r.hashed
	sum.saved += r.saved
	sum.restored += r.restored
	sum.compared += r.compared
	sum.took += r.took
	sum.checking += r.checking
	sum.worstGap = max(sum.worstGap, r.worstGap)
	s.screen.count(sum.struck, s.segments)
}

// report is the soak in Markdown, for docs/RELIABILITY.md.
func (s *soak) report(verdict string) string {
	var b strings.Builder
	total := s.run.meter.total()
	fmt.Fprintf(&b, "`make soak ARGS=\"-soak %v -seed %d\"`: %s.\n\n", s.asked, s.seed, verdict)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, fmt.Sprintf(format, args...))
	}
	b.WriteString("| | |\n|---|---|\n")
	row("time", "%v, %v of it under load", s.took.Round(time.Second), s.sum.took.Round(time.Second))
	row("faults", "%d of %d kinds, in rounds of one or two", s.sum.struck, len(s.injected))
	row("packets dropped or held back", "%d", s.sum.touched)
	row("snapshots installed", "%d", s.sum.snapshots)
	row("operations answered", "%d, %.0f a second", s.sum.answered, float64(s.sum.answered)/s.sum.took.Seconds())
	row("of unknown outcome", "%d, of which %d were found never done", s.sum.maybes, s.sum.decided)
	row("refused as not done", "%d", s.sum.refused)
	row("local reads", "%d", s.sum.local)
	row("writes looked up in the history", "%d of %d versions", s.sum.marks, s.sum.versions)
	row("backups", "%d, of which %d were restored and compared, and %d came back as the cluster", s.sum.saved,
		s.sum.restored, s.lives-1)
	row("complete checks", "%d, which took %v", s.segments, s.sum.checking.Round(time.Millisecond))
	row("latency p50, p99, p99.9, worst", "%v, %v, %v, %v", total.quantile(0.5), total.quantile(0.99),
		total.quantile(0.999), total.worst.Round(time.Millisecond))
	row("longest wait for writes after a fault", "%v", s.sum.worstGap.Round(time.Millisecond))
	fmt.Fprintf(&b, "\nThe worst seconds: %s.\n\nFaults: %s.\n", s.worstSeconds(5), s.faultList())
	return b.String()
}

// worstSeconds names the rounds in which operations took longest.
func (s *soak) worstSeconds(n int) string {
	seconds := s.run.meter.all()
	order := make([]int, len(seconds))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return compare(int64(seconds[b].worst), int64(seconds[a].worst))
	})
	var parts []string
	for _, i := range order[:min(n, len(order))] {
		at := time.Duration(i+1) * time.Second
		parts = append(parts, fmt.Sprintf("%v in “%s”", seconds[i].worst.Round(time.Millisecond), s.roundAt(at)))
	}
	return strings.Join(parts, ", ")
}

func (s *soak) roundAt(at time.Duration) string {
	name := "no fault"
	for _, sp := range s.run.meter.spans {
		if sp.from < at {
			name = sp.name
		}
	}
	return name
}

func (s *soak) faultList() string {
	var parts []string
	for name, n := range s.injected {
		parts = append(parts, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// table is the data of the plot, one line per second.
func (s *soak) table() string {
	var b strings.Builder
	b.WriteString("second,answered,other,p50_us,p99_us,worst_us,round\n")
	for i, sec := range s.run.meter.all() {
		fmt.Fprintf(&b, "%d,%d,%d,%d,%d,%d,%q\n", i, sec.answered, sec.other, sec.quantile(0.5).Microseconds(),
			sec.quantile(0.99).Microseconds(), sec.worst.Microseconds(), s.roundAt(time.Duration(i+1)*time.Second))
	}
	return b.String()
}

// screen shows a line that is rewritten each second on a terminal, and now and then where there is none.
type screen struct {
	soak  *soak
	live  bool
	every time.Duration
	stop  chan struct{}
	done  sync.WaitGroup

	mu struct {
		sync.Mutex
		faults, segments int
	}
}

func showProgress(s *soak) *screen {
	c := &screen{soak: s, every: 30 * time.Second, stop: make(chan struct{})}
	if st, err := os.Stdout.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		c.live, c.every = true, time.Second
	}
	c.done.Go(c.refresh)
	return c
}

func (c *screen) refresh() {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
			c.draw()
		}
	}
}

// draw writes the progress line.
func (c *screen) draw() {
	total := c.soak.run.meter.total()
	took := time.Since(c.soak.run.start)
	c.mu.Lock()
	defer c.mu.Unlock()
	line := fmt.Sprintf("%v of %v: %d operations (%.0f/s), %d faults checked in %d checks, p99 %v, worst %v",
		took.Round(time.Second), c.soak.asked, total.answered, float64(total.answered)/took.Seconds(), c.mu.faults,
		c.mu.segments, total.quantile(0.99), total.worst.Round(time.Millisecond))
	if c.live {
		fmt.Printf("\r\033[K%s", line)
	} else {
		fmt.Println(line)
	}
}

// say prints a line above the progress.
func (c *screen) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live {
		fmt.Print("\r\033[K")
	}
	fmt.Printf(format+"\n", args...)
}

func (c *screen) count(faults, segments int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.faults, c.mu.segments = faults, segments
}

func (c *screen) close() {
	close(c.stop)
	c.done.Wait()
	if c.live {
		fmt.Println()
	}
}
