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
}

// NewWaiters returns a registry where nobody waits.
func NewWaiters() *Waiters {
	w := &Waiters{}
	w.mu.byKey = map[string][]*Waiter{}
	return w
}

// Join registers for the place with a key; the waiter must Leave.
func (w *Waiters) Join(key string) *Waiter {
	one := &Waiter{Wake: make(chan struct{}, 1), key: key}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.byKey[key] = append(w.mu.byKey[key], one)
	return one
}

// Leave ends the registration.
func (w *Waiters) Leave(one *Waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
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
