package raftfsm

import (
	"time"

	"github.com/redkeep/redkeep/cluster"
)

// The leader's loop over the leases: it proposes the end of those whose time is over, and checkpoints.
//
// A request ends at most leasesAtOnce leases, and the next is proposed when it has been applied. So a hundred
// thousand that end at once go in slices, between which everybody else's writes have their turn. All keys of
// one lease go in one revision, however many: that is what a lease means, and such an entry takes as long as
// it takes.
//
// What the loop proposes follows from the clock of one term, so it is bound to that term: a successor may
// have promised more by then, and renews without the log.
const (
	leaseTick       = 100 * time.Millisecond // no lease is shorter
	leasesAtOnce    = 500
	marksAtOnce     = 4096
	checkpointEvery = 500 * time.Millisecond // a change of leader makes a lease longer by as much
)

func (d *leaseDesk) expire() {
	e := d.engine
	defer e.wg.Done()
	sub := e.NewSubmission()
	timer := time.NewTimer(leaseTick)
	defer timer.Stop()
	marked := e.cfg.Monotonic()
	for {
		select {
		case <-timer.C:
		case <-e.stop:
			return
		}
		for d.counting(sub) && d.endDue(sub) {
		}
		if now := e.cfg.Monotonic(); now-marked >= checkpointEvery {
			marked = now
			for d.counting(sub) && d.checkpoint(sub) {
			}
		}
		timer.Reset(d.untilNext())
	}
}

// counting reports whether this node leads and its clock counts in that term, to which it binds sub. It must
// be asked before the clock is: a later term of the clock makes sub void, an earlier one would not.
func (d *leaseDesk) counting(sub *Submission) bool {
	term, running := d.clock.Term()
	sub.term = cluster.Term(term)
	return running && sub.term == d.engine.node.Term() && d.engine.leading()
}

// endDue ends one batch of leases; more tells that there may be others.
func (d *leaseDesk) endDue(sub *Submission) (more bool) {
	due := d.clock.Due(leasesAtOnce)
	if len(due) == 0 {
		return false
	}
	sub.addLeaseExpire(due)
	if d.submit(sub) != nil {
		d.clock.Unend(due)
		return false
	}
	return len(due) == leasesAtOnce
}

// checkpoint replicates what is left of the leases that became full since the last one.
func (d *leaseDesk) checkpoint(sub *Submission) (more bool) {
	at, marks, ok := d.clock.Checkpoint(marksAtOnce)
	if !ok {
		return false
	}
	sub.addCheckpoint(at, marks)
	if d.submit(sub) != nil {
		d.clock.Repeat(marks)
		return false
	}
	return len(marks) == marksAtOnce
}

func (d *leaseDesk) submit(sub *Submission) error {
	d.engine.Submit(sub)
	<-sub.Done() // comes within the request timeout, and when the engine closes
	err := sub.Err()
	sub.Reset()
	return err
}

func (d *leaseDesk) untilNext() time.Duration {
	wait, ok := d.clock.Next()
	if !ok {
		return leaseTick
	}
	return min(max(wait, time.Millisecond), leaseTick)
}
