package raftfsm

import (
	"sync"
	"time"

	"github.com/redkeep/redkeep/mvcc"
)

// The compactor bounds the history. Two loops.
//
// Deciding, on the leader alone: every second it takes the larger of the revision whose compaction
// brings the history under its size, and the revision that was current one history age ago, and
// proposes it. To say when a revision was current it keeps samples, at most maxSamples of them.
// Sizes are aimed a tenth below the bound, so that compactions are few.
//
// Removing, on every member: the entry moves the compact revision at once; the records below go in
// slices of sliceRecords under the store's lock, with the lock free between them.
//
// Rejected: removing inside apply, which would stall writes for as long as there is garbage.
// Drawback: members hold different amounts of garbage at a moment; nothing a client sees depends on it.
const (
	sliceRecords = 512
	slicePause   = time.Millisecond
	maxSamples   = 360
)

type sample struct {
	at  time.Time
	rev mvcc.Revision
}

type compactor struct {
	engine  *Engine
	kick    chan struct{}
	samples []sample

	mu struct {
		sync.Mutex
		idle chan struct{} // nil when nothing is to be removed, else closed when that is done
	}
}

func newCompactor(e *Engine) *compactor {
	return &compactor{engine: e, kick: make(chan struct{}, 1)}
}

// compacted is called by the state machine when there may be garbage.
func (c *compactor) compacted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.idle == nil {
		c.mu.idle = make(chan struct{})
	}
	wake(c.kick)
}

// done returns a channel that is closed when what is garbage now has been removed; nil if nothing is.
func (c *compactor) done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.idle
}

// rest marks that all garbage is gone, unless more came meanwhile.
func (c *compactor) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kick) == 0 && c.mu.idle != nil {
		close(c.mu.idle)
		c.mu.idle = nil
	}
}

// decide is the leader's loop. Monotonic time is used for the age: a clock set back or forth does not matter.
func (c *compactor) decide() {
	defer c.engine.wg.Done()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	sub := c.engine.NewSubmission()
	for {
		select {
		case now := <-tick.C:
			c.sample(now)
			c.propose(now, sub)
		case <-c.engine.stop:
			return
		}
	}
}

// sample notes the current revision, if the last note is old enough.
func (c *compactor) sample(now time.Time) {
	gap := c.engine.cfg.HistoryAge / maxSamples
	if n := len(c.samples); n > 0 && now.Sub(c.samples[n-1].at) < gap {
		return
	}
	c.samples = append(c.samples, sample{at: now, rev: c.engine.Store().Revision()})
}

// aged returns the newest revision that was current one history age ago, and forgets older notes.
func (c *compactor) aged(now time.Time) (rev mvcc.Revision) {
	n := 0
	for n < len(c.samples) && now.Sub(c.samples[n].at) >= c.engine.cfg.HistoryAge {
		rev = c.samples[n].rev
		n++
	}
	if n > 1 {
		c.samples = append(c.samples[:0], c.samples[n-1:]...)
	}
	return rev
}

func (c *compactor) propose(now time.Time, sub *Submission) {
	store, bound := c.engine.Store(), c.engine.cfg.HistoryBytes
	aged := c.aged(now)
	if !c.engine.leading() {
		return
	}
	target := aged
	if store.HistoryBytes() > bound {
		target = max(target, store.CompactionTarget(bound-bound/10))
	}
	if target <= store.CompactRevision() || target > store.Revision() {
		return
	}
	sub.AddCompact(target)
	c.engine.Submit(sub)
	<-sub.Done()
	sub.Reset()
}

// remove is every member's loop: it frees what compaction made garbage, slice by slice.
func (c *compactor) remove() {
	defer c.engine.wg.Done()
	store := c.engine.Store()
	for {
		select {
		case <-c.kick:
		case <-c.engine.stop:
			return
		}
		for store.CompactSlice(sliceRecords) || store.Garbage() {
			if !c.breathe() {
				return
			}
		}
		c.rest()
	}
}

// breathe lets others at the store between two slices; while a snapshot pins the garbage, too.
func (c *compactor) breathe() bool {
	pause := time.NewTimer(slicePause)
	defer pause.Stop()
	select {
	case <-pause.C:
		return true
	case <-c.engine.stop:
		return false
	}
}
