package cluster

import (
	"sync"
	"sync/atomic"
	"time"
)

var processStart = time.Now()

// monotonic is the time since the process began, in nanoseconds, which no change of the wall clock moves. It
// is never 0.
func monotonic() int64 { return int64(time.Since(processStart)) + 1 }

// stopwatch tells how long a step that is under way has taken. At most one step is under way at a time.
type stopwatch struct {
	since atomic.Int64 // monotonic; 0 when none is
}

func (w *stopwatch) start() { w.since.Store(monotonic()) }
func (w *stopwatch) stop()  { w.since.Store(0) }

// running returns 0 when no step is under way.
func (w *stopwatch) running() time.Duration {
	since := w.since.Load()
	if since == 0 {
		return 0
	}
	return time.Duration(monotonic() - since)
}

// SlowSync is how long a group of entries may take to be stored before it counts as slow: as long as a
// follower waits for a heartbeat, about.
const SlowSync = 500 * time.Millisecond

// slowWindow is how long a slow sync is remembered, slowCount how many of them make a slow disk.
const (
	slowWindow = time.Minute
	slowCount  = 3
)

// slowSyncs remembers the slow syncs of the last minute. It is safe for concurrent use.
type slowSyncs struct {
	mu struct {
		sync.Mutex
		recent []slowSync
	}
}

type slowSync struct {
	at   int64 // monotonic
	took time.Duration
}

// note is called after every sync.
func (s *slowSyncs) note(took time.Duration) {
	if took < SlowSync {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.recent = append(s.mu.recent, slowSync{monotonic(), took})
	s.mu.recent = s.mu.recent[max(len(s.mu.recent)-64, 0):]
}

// slow returns how many there were lately and the worst of them; 0 if they are too few to speak of.
func (s *slowSyncs) slow() (n int, worst time.Duration) {
	oldest := monotonic() - int64(slowWindow)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.mu.recent {
		if one.at >= oldest {
			n, worst = n+1, max(worst, one.took)
		}
	}
	if n < slowCount {
		return 0, 0
	}
	return n, worst
}

// DiskHealth is how the disk under the log behaves.
type DiskHealth struct {
	Hung  time.Duration // how long a write has not come back; 0 unless that is far too long
	Slow  int           // slow syncs within the last minute; 0 unless they are several
	Worst time.Duration // the slowest of them
}

// Disk returns how the disk behaves. It touches no disk, so it answers while that hangs.
func (n *Node) Disk() DiskHealth {
	var d DiskHealth
	if hung := n.storing(); hung > n.stallLimit() {
		d.Hung = hung
	}
	d.Slow, d.Worst = n.log.slow.slow()
	return d
}

// storing returns how long the write to the log or to the stable store that is under way has taken.
func (n *Node) storing() time.Duration { return max(n.log.runningFor(), n.stable.busy.running()) }
