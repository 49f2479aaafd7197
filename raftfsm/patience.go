package raftfsm

import "time"

// Patience. A patient submission (Submission.Patient) waits, for limits.patience at most, for a round that
// something else begins, and keeps its place in the queue meanwhile. Who has let go of a lock and asks for it
// again is back before the next holder can be: if his place in line began a round, the release that all wait
// for would come a round later. Drawback: whoever enters a queue that moves slowly is in it 3 ms later.

// beginPatience stamps a submission that is about to be queued.
func (p *proposer) beginPatience(s *Submission, now time.Time) {
	s.hurry = time.Time{}
	if s.Patient {
		s.hurry = now.Add(p.limits.patience)
	}
}

// remind wakes the proposer for a patient submission that still waits.
func (p *proposer) remind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wakeLocked()
}

// patientLocked reports whether nothing waits, or only what does not hurry.
func (p *proposer) patientLocked() bool {
	for _, s := range p.mu.queue {
		if s.hurry.IsZero() || !time.Now().Before(s.hurry) {
			return false
		}
	}
	return len(p.mu.rounds.waiting) == 0
}
