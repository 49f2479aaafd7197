package commands

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What is worth a second look: the slow log and the latency monitor, both of this node and in memory only.
//
// A command's time is what its client waited for inside this node: planning, the log, the barrier, the reply.
// The commands of one run in a pipeline wait together and have the time of their run.

const (
	slowLogThreshold = 10000 // microseconds
	latencySamples   = 160
)

// Notice sets from when on a command is in the slow log (microseconds; negative: never) and how many entries
// that keeps, and from when on an event is noted for LATENCY (milliseconds; 0: never).
func (d *Dispatcher) Notice(slowerThan, slowest, late int64) {
	d.slow.threshold.Store(slowerThan)
	d.slow.resize(slowest)
	d.latency.threshold.Store(late)
}

// noticeable reports whether either threshold is reached.
func (d *Dispatcher) noticeable(took time.Duration) bool {
	slow, late := d.slow.threshold.Load(), d.latency.threshold.Load()
	return slow >= 0 && took.Microseconds() >= slow || late > 0 && took.Milliseconds() >= late
}

// notice looks at a command that took some time.
func (d *Dispatcher) notice(s *session, row *Command, args [][]byte, took time.Duration) {
	if limit := d.slow.threshold.Load(); limit >= 0 && took.Microseconds() >= limit && !row.hidden {
		d.slow.add(slowEntry{at: d.cfg.Clock(), took: took, addr: s.conn.RemoteAddr(), name: s.labels().name}, args)
	}
	if limit := d.latency.threshold.Load(); limit > 0 && took.Milliseconds() >= limit && row.Kind != KindAdmin {
		event := "command"
		if row.Flags&FlagFast != 0 {
			event = "fast-command"
		}
		d.latency.add(event, d.cfg.Clock().Unix(), took.Milliseconds())
	}
}

// latencySample is the slowest command of one second.
type latencySample struct{ second, ms int64 }

// latencyEvent is the history of one kind of event.
type latencyEvent struct {
	samples []latencySample // oldest first
	most    int64
}

// latencyMonitor keeps the slow moments of each kind of event. threshold is in milliseconds, 0 is off.
type latencyMonitor struct {
	threshold atomic.Int64

	mu struct {
		sync.Mutex
		events map[string]*latencyEvent
	}
}

func (m *latencyMonitor) add(event string, second, ms int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.events == nil {
		m.mu.events = map[string]*latencyEvent{}
	}
	e := m.mu.events[event]
	if e == nil {
		e = &latencyEvent{}
		m.mu.events[event] = e
	}
	e.most = max(e.most, ms)
	if last := len(e.samples) - 1; last >= 0 && e.samples[last].second == second {
		e.samples[last].ms = max(e.samples[last].ms, ms)
		return
	}
	if len(e.samples) == latencySamples {
		e.samples = slices.Delete(e.samples, 0, 1)
	}
	e.samples = append(e.samples, latencySample{second, ms})
}

// names returns the events that happened, sorted.
func (m *latencyMonitor) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]string, 0, len(m.mu.events))
	for name := range m.mu.events {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// event returns a copy of an event's history; without samples if there is none.
func (m *latencyMonitor) event(name string) latencyEvent {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.mu.events[name]
	if e == nil {
		return latencyEvent{}
	}
	return latencyEvent{samples: slices.Clone(e.samples), most: e.most}
}

// forget drops an event and returns whether there was one.
func (m *latencyMonitor) forget(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.mu.events[name]
	delete(m.mu.events, name)
	return ok
}
