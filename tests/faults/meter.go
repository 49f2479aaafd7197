package faults

import (
	"math/bits"
	"sync"
	"time"
)

// meter counts operations and their latencies by the second, for the report and the plot. Safe for
// concurrent use.
type meter struct {
	spans []span // rounds; they belong to the goroutine that injects
	start time.Time
	mu    struct {
		sync.Mutex
		seconds []second
	}
}

// second is one second of a run.
type second struct {
	answered, other int
	worst           time.Duration
	buckets         [64]int // by the power of two of the latency in microseconds, with two steps each
}

// note files one operation under the second in which it ended.
func (m *meter) note(took time.Duration, answered bool) {
	i := int(time.Since(m.start) / time.Second)
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.mu.seconds) <= i {
		m.mu.seconds = append(m.mu.seconds, second{})
	}
	s := &m.mu.seconds[i]
	if !answered {
		s.other++
		return
	}
	s.answered++
	s.worst = max(s.worst, took)
	s.buckets[bucketOf(took)]++
}

// bucketOf and its inverse keep latencies to within half of a power of two.
func bucketOf(took time.Duration) int {
	us := uint64(max(took.Microseconds(), 1))
	top := bits.Len64(us) - 1
	half := 0
	if top > 0 {
		half = int(us >> (top - 1) & 1)
	}
	return min(2*top+half, 63)
}

func bucketEnd(b int) time.Duration {
	low := time.Duration(1) << (b / 2)
	if b%2 == 0 {
		return (low + low/2) * time.Microsecond
	}
	return 2 * low * time.Microsecond
}

// quantile returns a latency that this share of the answered operations did not exceed.
func (s *second) quantile(share float64) time.Duration {
	want, sum := int(share*float64(s.answered)), 0
	for b, n := range s.buckets {
		if sum += n; n > 0 && sum >= want {
			return min(bucketEnd(b), s.worst)
		}
	}
	return 0
}

// add merges another second into this one.
func (s *second) add(o *second) {
	s.answered += o.answered
	s.other += o.other
	s.worst = max(s.worst, o.worst)
	for b, n := range o.buckets {
		s.buckets[b] += n
	}
}

// all returns a copy of what was counted.
func (m *meter) all() []second {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]second(nil), m.mu.seconds...)
}

// total sums up all seconds.
func (m *meter) total() (sum second) {
	for _, s := range m.all() {
		sum.add(&s)
	}
	return sum
}

// span is the time of one round on the clock of the meter.
type span struct {
	name       string
	from, till time.Duration
}

// begin and end mark a round, for the plot. They belong to the goroutine that injects.
func (m *meter) begin(name string) {
	m.spans = append(m.spans, span{name: name, from: time.Since(m.start)})
}

func (m *meter) end() { m.spans[len(m.spans)-1].till = time.Since(m.start) }
