package locks

import (
	"slices"
	"sync"
)

// Waiters are the connections of this node that wait for a place to hold. Each is woken by what happens to
// its own place, and by nothing else: a release wakes one of ten thousand. A wake-up says no more than "look
// again"; what became of the place, the one who wakes reads in the Book. So none is lost: whoever registers
// first and looks then sees either the change or the wake-up.
//
// Several may wait for one place: a client that gives its lease again, on another connection, gets the place
// that it has. One of them owes it, at first whoever entered it: he has to give it up when he ceases to wait.
// While others wait he gives nothing up, and one of them owes it from then on.
//
// All methods are safe for concurrent use.
type Waiters struct {
	mu struct {
		sync.Mutex
		byKey map[string][]*Waiter
	}
}

// Waiter is one who waits. Wake has one slot: several wake-ups are one.
type Waiter struct {
	Wake chan struct{}
	key  string
	owes bool // under the lock of Waiters
}

// NewWaiters returns a registry where nobody waits.
func NewWaiters() *Waiters {
	w := &Waiters{}
	w.mu.byKey = map[string][]*Waiter{}
	return w
}

// Join registers for the place with a key; the waiter must Leave. owes tells that he entered the place.
func (w *Waiters) Join(key string, owes bool) *Waiter {
	one := &Waiter{Wake: make(chan struct{}, 1), key: key, owes: owes}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.byKey[key] = append(w.mu.byKey[key], one)
	return one
}

// Leave ends the registration.
func (w *Waiters) Leave(one *Waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leaveLocked(one)
}

// Part is Leave for one who ceases to wait. It reports whether he has to give the place up.
func (w *Waiters) Part(one *Waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leaveLocked(one)
	owed := one.owes
	one.owes = false
	return owed && !w.inheritLocked(one.key)
}

// Inherit makes somebody who waits for a place owe it, and reports whether there is anybody.
func (w *Waiters) Inherit(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inheritLocked(key)
}

func (w *Waiters) inheritLocked(key string) bool {
	heirs := w.mu.byKey[key]
	if len(heirs) == 0 {
		return false
	}
	if !slices.ContainsFunc(heirs, func(x *Waiter) bool { return x.owes }) {
		heirs[0].owes = true
	}
	return true
}

func (w *Waiters) leaveLocked(one *Waiter) {
	rest := slices.DeleteFunc(w.mu.byKey[one.key], func(x *Waiter) bool { return x == one })
	if len(rest) == 0 {
		delete(w.mu.byKey, one.key)
		return
	}
	w.mu.byKey[one.key] = rest
}

// Poke wakes the waiter, for whoever has another reason than a change.
func (one *Waiter) Poke() {
	select {
	case one.Wake <- struct{}{}:
	default:
	}
}

// Notify wakes those whose places changed. It never blocks.
func (w *Waiters) Notify(changes []Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range changes {
		for _, one := range w.mu.byKey[changes[i].Place.Key()] {
			one.Poke()
		}
	}
}

// NotifyAll wakes everybody: the whole state was replaced.
func (w *Waiters) NotifyAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, all := range w.mu.byKey {
		for _, one := range all {
			one.Poke()
		}
	}
}

// Len returns how many wait.
func (w *Waiters) Len() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, all := range w.mu.byKey {
		n += len(all)
	}
	return n
}
