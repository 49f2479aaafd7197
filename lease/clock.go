package lease

import (
	"container/heap"
	"slices"
	"sync"
	"time"

	"github.com/redkeep/redkeep/mvcc"
)

// Clock counts the leases down at the leader; table.go has the design. Elsewhere it is stopped and knows
// nothing. It is told the time: now is a monotonic clock, of which only differences mean anything.
//
// The heap may name a lease at an earlier time than its deadline, never at a later one: so a renewal, of
// which there are very many, only writes a number, and whoever finds a lease at the head too early puts it
// back.
//
// All methods are safe for concurrent use.
type Clock struct {
	now func() time.Duration

	mu struct {
		sync.Mutex
		running bool
		term    uint64        // of the leader who counts
		began   time.Duration // when the term started
		base    Millis        // the lease time then
		leases  map[mvcc.LeaseID]*counted
		heap    dueHeap
		fresh   []*counted // full and not in a checkpoint yet
	}
}

// counted is a lease that runs.
type counted struct {
	Ref
	ttl    time.Duration
	due    time.Duration // its deadline
	listed time.Duration // where the heap has it: not after due
	full   bool          // as the log has it once all is applied that was proposed
	fresh  bool          // in Clock.mu.fresh
	ending bool          // its end has been proposed
	gone   bool          // it has ended
}

// NewClock returns a stopped clock.
func NewClock(now func() time.Duration) *Clock { return &Clock{now: now} }

func (m Millis) duration() time.Duration {
	const most = Millis(1<<63-1) / Millis(time.Millisecond) / 2
	return time.Duration(min(m, most)) * time.Millisecond
}

// Start begins to count for the leader of a term, whose start has just been applied: each lease has the time
// that the table says is left.
func (c *Clock) Start(term uint64, s State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLocked()
	c.mu.running, c.mu.term, c.mu.began, c.mu.base = true, term, c.now(), s.Time
	c.mu.leases = make(map[mvcc.LeaseID]*counted, s.Len())
	s.Each(func(l Lease) {
		it := &counted{Ref: l.Ref, ttl: l.TTL.duration(), full: l.Full}
		it.due = c.mu.began + s.Remaining(l).duration()
		c.addLocked(it)
	})
}

// Stop ends the counting: somebody else leads.
func (c *Clock) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLocked()
}

func (c *Clock) stopLocked() {
	c.mu.running, c.mu.leases, c.mu.heap, c.mu.fresh = false, nil, nil, nil
}

func (c *Clock) addLocked(it *counted) {
	it.listed = it.due
	c.mu.leases[it.ID] = it
	heap.Push(&c.mu.heap, it)
	if it.full {
		c.freshLocked(it)
	}
}

func (c *Clock) freshLocked(it *counted) {
	if !it.fresh {
		it.fresh = true
		c.mu.fresh = append(c.mu.fresh, it)
	}
}

// Term returns the term in which the clock runs.
func (c *Clock) Term() (term uint64, running bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.term, c.mu.running
}

func (c *Clock) granted(l Lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.running {
		ttl := l.TTL.duration()
		c.addLocked(&counted{Ref: l.Ref, ttl: ttl, due: c.now() + ttl, full: true})
	}
}

func (c *Clock) renewed(l Lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it := c.mu.leases[l.ID]
	if it == nil {
		return
	}
	it.Ref, it.due, it.full = l.Ref, c.now()+it.ttl, true
	c.freshLocked(it)
	if it.ending {
		it.ending = false
		heap.Push(&c.mu.heap, it)
	}
}

func (c *Clock) ended(id mvcc.LeaseID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if it := c.mu.leases[id]; it != nil {
		it.gone = true // the heap forgets it when it comes to it
		delete(c.mu.leases, id)
	}
}

// Verdict is what becomes of a renewal.
type Verdict uint8

const (
	Unknown Verdict = iota // there is no such lease
	Renewed                // done
	Pending                // it must be replicated first
	NotHere                // the clock does not count in that term
	Ending                 // its end has been proposed; soon it is Unknown, or may be renewed again
)

// Renew renews a lease, in the term in which a barrier round was confirmed.
func (c *Clock) Renew(term uint64, id mvcc.LeaseID) (ttl Millis, ref Ref, v Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mu.running || c.mu.term != term {
		return 0, ref, NotHere
	}
	it := c.mu.leases[id]
	switch {
	case it == nil:
		return 0, ref, Unknown
	case it.ending:
		return 0, ref, Ending
	}
	ttl = Millis(it.ttl / time.Millisecond)
	if !it.full {
		return ttl, it.Ref, Pending
	}
	it.due = c.now() + it.ttl
	return ttl, it.Ref, Renewed
}

// Left returns what is left of a lease.
func (c *Clock) Left(term uint64, id mvcc.LeaseID) (granted, left Millis, v Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mu.running || c.mu.term != term {
		return 0, 0, NotHere
	}
	it := c.mu.leases[id]
	if it == nil {
		return 0, 0, Unknown
	}
	rest := max(it.due-c.now(), 0) + time.Millisecond - 1 // rounded up: it has not ended yet
	return Millis(it.ttl / time.Millisecond), Millis(rest / time.Millisecond), Renewed
}

// Due returns at most so many leases whose time is over and begins to end them: they are renewed no more.
// Whoever fails to end them says Unend.
func (c *Clock) Due(most int) (due []Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for len(due) < most {
		it := c.firstLocked()
		if it == nil || it.due > now {
			break
		}
		heap.Pop(&c.mu.heap)
		it.ending = true
		due = append(due, it.Ref)
	}
	return due
}

// firstLocked returns the lease that is due first; nil if there is none.
func (c *Clock) firstLocked() *counted {
	for len(c.mu.heap) > 0 {
		it := c.mu.heap[0]
		switch {
		case it.gone:
			heap.Pop(&c.mu.heap)
		case it.listed < it.due:
			it.listed = it.due
			heap.Fix(&c.mu.heap, 0)
		default:
			return it
		}
	}
	return nil
}

// Unend takes back that leases were ending, to try again. The attempt may still be on its way, so what the
// log has of them counts as not full: a renewal goes through the log, where it comes before that attempt and
// makes it void, or after it and is refused.
func (c *Clock) Unend(refs []Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ref := range refs {
		if it := c.mu.leases[ref.ID]; it != nil && it.Ref == ref && it.ending {
			it.ending, it.full = false, false
			heap.Push(&c.mu.heap, it)
		}
	}
}

// Next returns how long it is until the next lease is due; ok is false if there is none.
func (c *Clock) Next() (wait time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it := c.firstLocked()
	if it == nil {
		return 0, false
	}
	return max(it.due-c.now(), 0), true
}

// Checkpoint returns the lease time, and what is left of at most so many leases that are full: they count as
// full no more, so the checkpoint must go into the log before anything that is proposed later. ok is false
// if there are no leases. Whoever fails to replicate it says Repeat.
func (c *Clock) Checkpoint(most int) (at Millis, marks []Mark, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mu.running || len(c.mu.leases) == 0 {
		return 0, nil, false
	}
	now := c.now()
	n := min(most, len(c.mu.fresh))
	for _, it := range c.mu.fresh[:n] {
		it.fresh = false
		if it.gone {
			continue
		}
		it.full = false
		left := (max(it.due-now, 0) + time.Millisecond - 1) / time.Millisecond
		marks = append(marks, Mark{Ref: it.Ref, Left: Millis(left)})
	}
	c.mu.fresh = slices.Delete(c.mu.fresh, 0, n)
	return c.mu.base + Millis((now-c.mu.began)/time.Millisecond), marks, true
}

// Repeat takes the leases of a lost checkpoint into the next one.
func (c *Clock) Repeat(marks []Mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range marks {
		if it := c.mu.leases[m.ID]; it != nil && it.Ref == m.Ref {
			c.freshLocked(it)
		}
	}
}

// dueHeap orders leases by when they are listed.
type dueHeap []*counted

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].listed < h[j].listed }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(*counted)) }

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return it
}
