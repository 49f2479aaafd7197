package script

import (
	"context"
	"sync"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// A budget is what a run may still use. gopher-lua asks the state's context before each instruction whether
// it is done; the budget is that context, so it needs no goroutine and no timer: it counts instructions,
// looks at the clock once in a while, and says that it is done. A script cannot catch that: each further
// instruction fails again, until nothing is left to run.
//
// Memory is counted as it is allocated and never given back, because what a script has let go of cannot be
// known. So the limit is on all that a run ever allocates, which bounds what it can hold. A script is short;
// one that allocates hundreds of megabytes does not belong into a store like this.

// clockSteps is how many instructions pass between two looks at the clock: some 20 microseconds.
const clockSteps = 1024

type budget struct {
	steps    int
	bytes    int64 // left
	deadline time.Time
	killer   *Killer
	over     error // why the run has ended; it stays
}

// Killer ends a run from outside. It is safe for concurrent use.
type Killer struct {
	done chan struct{}
	once sync.Once
}

// NewKiller returns a killer for one run.
func NewKiller() *Killer { return &Killer{done: make(chan struct{})} }

// Kill makes the run end with ErrKilled.
func (k *Killer) Kill() { k.once.Do(func() { close(k.done) }) }

// Done is closed once Kill was called.
func (k *Killer) Done() <-chan struct{} { return k.done }

func (k *Killer) killed() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Done implements context.Context.
func (b *budget) Done() <-chan struct{} {
	if b.steps++; b.steps%clockSteps == 0 {
		b.look()
	}
	if b.over != nil {
		return closed
	}
	return nil
}

func (b *budget) look() {
	switch {
	case b.over != nil:
	case b.killer.killed():
		b.over = ErrKilled
	case time.Now().After(b.deadline):
		b.over = ErrTimeout
	}
}

// Err implements context.Context.
func (b *budget) Err() error { return b.over }

// Deadline implements context.Context.
func (b *budget) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (b *budget) Value(any) any { return nil }

var _ context.Context = (*budget)(nil)

// take counts n bytes about to be allocated and ends the run if they are too many.
func (b *budget) take(L *lua.LState, n int) {
	if n < 0 || b.over == nil && int64(n) > b.bytes {
		b.over = ErrMemory
	}
	b.bytes -= int64(n)
	b.alive(L)
}

// work counts steps of a library function that can take long.
func (b *budget) work(L *lua.LState, n int) {
	if b.steps += n; n >= clockSteps || b.steps%clockSteps < n {
		b.look()
	}
	b.alive(L)
}

func (b *budget) alive(L *lua.LState) {
	if b.over != nil {
		L.RaiseError("%s", b.over.Error())
	}
}
