package lease

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/mvcc"
)

// world is a cluster seen from its leases: one log, applied at once or later, and a leader whose clock
// counts. Beside it stands the plainest account of what clients were promised.
type world struct {
	t     *rapid.T
	now   time.Duration
	table *Table
	clock *Clock
	term  uint64
	log   []func() // proposed in this term and not applied yet

	promised map[mvcc.LeaseID]time.Duration // until when the lease may not end
	granted  map[mvcc.LeaseID]Millis
	ended    map[mvcc.LeaseID]time.Duration
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, promised: map[mvcc.LeaseID]time.Duration{}, granted: map[mvcc.LeaseID]Millis{},
		ended: map[mvcc.LeaseID]time.Duration{}}
	w.clock = NewClock(func() time.Duration { return w.now })
	w.table = NewTable()
	w.table.Observe(w.clock)
	w.elect()
	return w
}

// elect starts a new term: what was proposed before and not applied is void.
func (w *world) elect() {
	w.term++
	w.log = nil
	w.clock.Start(w.term, w.table.Capture())
}

// commit applies the first n proposals.
func (w *world) commit(n int) {
	for ; n > 0 && len(w.log) > 0; n-- {
		apply := w.log[0]
		w.log = w.log[1:]
		apply()
	}
}

func (w *world) propose(apply func()) { w.log = append(w.log, apply) }

// promise notes that a client was told that the lease has its whole TTL from when it asked.
func (w *world) promise(id mvcc.LeaseID, asked time.Duration) {
	w.promised[id] = max(w.promised[id], asked+w.granted[id].duration())
}

func (w *world) grant(id mvcc.LeaseID, ttl Millis) {
	asked := w.now
	w.propose(func() {
		if w.table.Granted(id) {
			return
		}
		w.table.Grant(id, int64(ttl))
		delete(w.ended, id)
		w.granted[id], w.promised[id] = ttl, 0
		w.promise(id, asked)
	})
}

func (w *world) renew(id mvcc.LeaseID) {
	asked := w.now
	switch _, ref, v := w.clock.Renew(w.term, id); v {
	case Renewed:
		w.promise(id, asked)
	case Pending:
		w.propose(func() {
			if w.table.RenewGrant(ref) {
				w.promise(id, asked)
			}
		})
	}
}

// fate is what becomes of a proposal: it is applied some time, it is lost, or its proposer gives it up and
// it is applied some time all the same.
type fate int

const (
	goesOn fate = iota
	lost
	uncertain
)

func fateOf(n int) fate { return max(goesOn, uncertain-fate(n)) }

// expire proposes the end of what is due.
func (w *world) expire(f fate) {
	due := w.clock.Due(2)
	if f != goesOn {
		w.clock.Unend(due)
	}
	if f == lost {
		return
	}
	w.propose(func() {
		for _, ref := range due {
			if w.table.Is(ref) {
				w.end(ref.ID)
			}
		}
	})
}

func (w *world) end(id mvcc.LeaseID) {
	if w.now < w.promised[id] {
		w.t.Fatalf("lease %d ended at %v, promised until %v", id, w.now, w.promised[id])
	}
	w.table.End(id)
	w.ended[id] = w.now
}

func (w *world) checkpoint(f fate) {
	at, marks, ok := w.clock.Checkpoint(2)
	if f != goesOn {
		w.clock.Repeat(marks)
	}
	if ok && f != lost {
		w.propose(func() { w.table.Checkpoint(at, marks) })
	}
}

// steps are what may happen, the likelier the more often it stands there.
var steps = []func(w *world, id mvcc.LeaseID, n int){
	func(w *world, id mvcc.LeaseID, n int) { w.grant(id, Millis(300+10*n)) },
	func(w *world, id mvcc.LeaseID, _ int) { w.renew(id) },
	func(w *world, id mvcc.LeaseID, _ int) { w.renew(id) },
	func(w *world, _ mvcc.LeaseID, n int) { w.expire(fateOf(n)) },
	func(w *world, _ mvcc.LeaseID, n int) { w.checkpoint(fateOf(n)) },
	func(w *world, _ mvcc.LeaseID, n int) { w.checkpoint(fateOf(n)) },
	func(w *world, _ mvcc.LeaseID, _ int) { w.elect() },
	func(w *world, id mvcc.LeaseID, _ int) {
		w.propose(func() { w.table.Renew(id); w.renewedByLog(id) })
	},
	func(w *world, _ mvcc.LeaseID, n int) { w.now += time.Duration(10*n) * time.Millisecond },
	func(w *world, _ mvcc.LeaseID, n int) { w.now += time.Duration(10*n) * time.Millisecond },
	func(w *world, _ mvcc.LeaseID, _ int) { w.commit(1) },
	func(w *world, _ mvcc.LeaseID, _ int) { w.commit(100) },
	func(w *world, _ mvcc.LeaseID, _ int) { w.commit(100) },
}

// play runs steps that one 64-bit seed chooses, so that all of them are equally likely.
func (w *world) play(seed uint64, n int) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range n {
		steps[r.IntN(len(steps))](w, mvcc.LeaseID(r.IntN(2)+1), r.IntN(30))
	}
	w.elect() // and whatever is left runs out under a new leader
	for range 40 {
		w.now += 20 * time.Millisecond
		w.expire(goesOn)
		w.commit(100)
	}
}

func (w *world) renewedByLog(id mvcc.LeaseID) {
	if w.table.Granted(id) {
		w.promise(id, w.now)
	}
}

// Whatever happens in whatever order, leader changes included, no lease ends before what its client was
// promised last.
func TestNoLeaseEndsEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		for i := range uint64(50) {
			newWorld(t).play(seed+i<<32, 60)
		}
	})
}

// With a steady leader, each lease ends as soon as its time is over; left says when that is.
func TestLeasesEndInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for id := range mvcc.LeaseID(8) {
			w.grant(id+1, Millis(rapid.IntRange(100, 3000).Draw(t, "ttl")))
		}
		w.commit(8)
		for range 60 {
			w.now += 100 * time.Millisecond
			if rapid.IntRange(0, 3).Draw(t, "renew") == 0 {
				w.renew(mvcc.LeaseID(rapid.IntRange(1, 8).Draw(t, "id")))
				w.commit(1)
			}
			w.checkpoint(goesOn)
			w.commit(1)
			for range 8 {
				w.expire(goesOn)
				w.commit(1)
			}
			for id, until := range w.promised {
				_, left, v := w.clock.Left(w.term, id)
				if alive := v != Unknown; alive != (w.now < until) {
					t.Fatalf("at %v lease %d is there: %v, promised until %v", w.now, id, alive, until)
				}
				if v != Unknown && left.duration() != until-w.now {
					t.Fatalf("lease %d has %d ms left, want %v", id, left, until-w.now)
				}
			}
		}
	})
}

// A lease that nobody renews does not get its TTL again from each leader: only the time since the last
// checkpoint is repeated.
func TestLeaderChangesDoNotRestart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.grant(1, 60_000)
		w.commit(1)
		for range 20 {
			for range rapid.IntRange(1, 4).Draw(t, "seconds") {
				w.now += time.Second
				w.checkpoint(goesOn)
				w.commit(1)
			}
			lost := time.Duration(rapid.IntRange(0, 999).Draw(t, "ms")) * time.Millisecond
			_, before, _ := w.clock.Left(w.term, 1)
			w.now += lost // no checkpoint since
			w.elect()
			if _, after, _ := w.clock.Left(w.term, 1); after > before {
				t.Fatalf("%d ms left before the change, %d after", before, after)
			}
		}
	})
}

// The heap finds a lease whose deadline moved; Next tells when to look.
func TestNextFollowsRenewals(t *testing.T) {
	now := time.Duration(0)
	c := NewClock(func() time.Duration { return now })
	table := NewTable()
	table.Observe(c)
	c.Start(1, table.Capture())
	if _, ok := c.Next(); ok {
		t.Error("something is due without leases")
	}
	table.Grant(1, 1000)
	table.Grant(2, 2000)
	now = 900 * time.Millisecond
	if _, _, v := c.Renew(1, 1); v != Renewed {
		t.Fatalf("verdict %d", v)
	}
	if wait, _ := c.Next(); wait != time.Second {
		t.Errorf("next in %v", wait)
	}
	if _, _, v := c.Renew(2, 1); v != NotHere {
		t.Errorf("renewed in another term: %d", v)
	}
	now = 2 * time.Second
	if due := c.Due(10); len(due) != 2 {
		t.Errorf("due %v", due)
	}
	if _, _, v := c.Renew(1, 1); v != Ending {
		t.Errorf("renewed while it ends: %d", v)
	}
}

// What a snapshot carries is all there is.
func TestCaptureAndReplace(t *testing.T) {
	a, b := NewTable(), NewTable()
	a.Grant(3, 1000)
	a.Grant(4, 5000)
	a.Checkpoint(70, []Mark{{Ref: Ref{ID: 4, Seq: 2}, Left: 4000}})
	s := a.Capture()
	a.End(3)
	b.Replace(s)
	if _, left, ok := b.Left(4); !ok || left != 4000 {
		t.Errorf("left %d, %v", left, ok)
	}
	if !b.Granted(3) || a.Granted(3) || b.Len() != 2 {
		t.Error("a capture changes with its table")
	}
}
