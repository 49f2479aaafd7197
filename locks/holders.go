package locks

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/redkeep/redkeep/mvcc"
)

// Holders are the connections of this node that hold something and are to be told when they hold it no more.
// A hold is told of once, and is then forgotten; one that its own connection has given back is not told.
//
// Whoever registers a hold looks into the Book afterwards: the place may have gone between the entry that
// gave it and the registration. (Settle)
//
// All methods are safe for concurrent use.
type Holders struct {
	mu struct {
		sync.Mutex
		byToken map[mvcc.Revision][]*Hold
	}
}

// Hold is one place that a connection holds. Its fields are fixed.
type Hold struct {
	Queue mvcc.Queue
	Token mvcc.Revision
	Key   string
	Gone  func(*Hold) // called once at most, without a lock; it must not block

	giving atomic.Bool
	ended  atomic.Bool // it was removed
}

// Ended reports whether the hold is forgotten.
func (h *Hold) Ended() bool { return h.ended.Load() }

// Giving notes that the connection is about to give the place back itself. Should that fail and somebody else
// give the place back later, that is not told either.
func (h *Hold) Giving() { h.giving.Store(true) }

// NewHolders returns a registry where nobody holds anything.
func NewHolders() *Holders {
	h := &Holders{}
	h.mu.byToken = map[mvcc.Revision][]*Hold{}
	return h
}

// Add registers a hold; it must be followed by Settle.
func (h *Holders) Add(one *Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.byToken[one.Token] = append(h.mu.byToken[one.Token], one)
}

// Remove forgets a hold and reports whether it was registered: if so, Gone has not been called and will not
// be.
func (h *Holders) Remove(one *Hold) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.mu.byToken[one.Token]
	i := slices.Index(all, one)
	if i < 0 {
		return false
	}
	one.ended.Store(true)
	if all = slices.Delete(all, i, i+1); len(all) == 0 {
		delete(h.mu.byToken, one.Token)
	} else {
		h.mu.byToken[one.Token] = all
	}
	return true
}

// Settle tells a hold whose place is not in the book any more.
func (h *Holders) Settle(one *Hold, b *Book) {
	if _, holds, _ := b.Find(one.Queue, one.Token); !holds && h.Remove(one) {
		one.Gone(one)
	}
}

// Notify tells the holds whose places went, in order.
func (h *Holders) Notify(changes []Change) {
	for i := range changes {
		if c := &changes[i]; c.Type == Released || c.Type == Lost {
			h.went(c)
		}
	}
}

func (h *Holders) went(c *Change) {
	for _, one := range h.holdsOf(c.Place.CreateRevision()) {
		if one.Key != c.Place.Key() || !h.Remove(one) {
			continue
		}
		if c.Type == Lost || !one.giving.Load() {
			one.Gone(one)
		}
	}
}

func (h *Holders) holdsOf(token mvcc.Revision) []*Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.mu.byToken[token])
}

// Recheck settles all: the whole state was replaced.
func (h *Holders) Recheck(b *Book) {
	h.mu.Lock()
	var all []*Hold
	for _, some := range h.mu.byToken {
		all = append(all, some...)
	}
	h.mu.Unlock()
	for _, one := range all {
		h.Settle(one, b)
	}
}

// Len returns how many holds are registered.
func (h *Holders) Len() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, some := range h.mu.byToken {
		n += len(some)
	}
	return n
}
