package cluster

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// ApplyFuture is an entry on its way.
type ApplyFuture struct {
	done  chan struct{}
	err   error
	index Index
}

// Done is closed when the outcome is known. Without a quorum that can take for ever: wait with a time
// limit.
func (f *ApplyFuture) Done() <-chan struct{} { return f.done }

// Err returns nil iff the entry was committed and applied here. See DefinitelyNotLogged. Valid once Done is
// closed.
func (f *ApplyFuture) Err() error { return f.err }

// Index returns the index of the entry. Valid once Done is closed and Err is nil.
func (f *ApplyFuture) Index() Index { return f.index }

func (f *ApplyFuture) finish(index Index, err error) {
	f.index, f.err = index, err
	close(f.done)
}

// proposals hands entries to raft and waits for them. raft's futures have no channel and, in some corners,
// never complete: an entry left in raft's queue at shutdown (hashicorp/raft issue 498). So each is waited
// for by a goroutine of ours, and drain empties the queue before raft is shut down.
type proposals struct {
	raft    *raft.Raft
	fatal   *fatalSwitch
	enqueue time.Duration // how long an entry may wait for a place in raft's queue
	stuck   time.Duration // see watchTransfer
	waiting sync.WaitGroup

	mu struct {
		sync.Mutex
		closed   bool
		transfer refusals
	}
}

// refusals are those because of a leadership transfer, without another outcome in between.
type refusals struct{ first, last int64 } // monotonic; 0: none

func newProposals(r *raft.Raft, fatal *fatalSwitch, cfg Config) *proposals {
	return &proposals{raft: r, fatal: fatal, enqueue: cfg.HeartbeatTimeout, stuck: stuckTransfer(cfg)}
}

func (p *proposals) begin() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return fmt.Errorf("%w: %w", errRefused, ErrShutdown)
	}
	if p.fatal.tripped() {
		return fmt.Errorf("%w: %w", errRefused, ErrStoreFailed)
	}
	p.waiting.Add(1)
	return nil
}

// propose keeps the order of its calls when they come from one goroutine.
func (p *proposals) propose(data []byte, done func(Index, error)) {
	if err := p.begin(); err != nil {
		done(0, err)
		return
	}
	rf := p.raft.ApplyLog(raft.Log{Data: data}, p.enqueue)
	go func() {
		defer p.waiting.Done()
		err := rf.Error()
		p.watchTransfer(err)
		if err != nil {
			done(0, err)
			return
		}
		done(Index(rf.Index()), nil)
	}()
}

// watch waits for another of raft's futures, with the same care for its end.
func (p *proposals) watch(f raft.Future, done func(error)) {
	if err := p.begin(); err != nil {
		done(err)
		return
	}
	go func() {
		defer p.waiting.Done()
		err := f.Error()
		p.watchTransfer(err)
		done(err)
	}()
}

// stuckTransfer is longer than raft lets a transfer last that comes back: it waits for the target's answer,
// which may hang as long as a request may, and then for an election.
func stuckTransfer(cfg Config) time.Duration { return rpcTimeout + 3*cfg.ElectionTimeout }

// watchTransfer ends the process when raft never comes back from a leadership transfer (hashicorp/raft
// issue 696: a leader that steps down at the wrong moment of a transfer, and is elected again, refuses all
// entries for ever).
func (p *proposals) watchTransfer(err error) {
	refused := errors.Is(err, raft.ErrLeadershipTransferInProgress)
	p.mu.Lock()
	lasts := p.mu.transfer.note(refused, monotonic(), p.stuck)
	p.mu.Unlock()
	if lasts > p.stuck {
		_ = p.fatal.trip(fmt.Errorf("raft is stuck in a leadership transfer: %w", err))
	}
}

// note takes one more outcome and returns for how long transfers have refused everything. After a pause as
// long as a transfer may last another one begins.
func (r *refusals) note(refused bool, now int64, stuck time.Duration) (lasts time.Duration) {
	switch {
	case !refused:
		*r = refusals{}
	case r.first == 0 || time.Duration(now-r.last) > stuck:
		r.first, r.last = now, now
	default:
		r.last = now
	}
	return time.Duration(r.last - r.first)
}

// drain refuses new entries and waits until raft has answered the others, or stop is closed.
func (p *proposals) drain(stop <-chan struct{}) {
	p.mu.Lock()
	p.mu.closed = true
	p.mu.Unlock()
	if !waitFor(&p.waiting, stop) {
		return
	}
}

// waitFor returns false when stop is closed first; its goroutine then ends with the group.
func waitFor(g *sync.WaitGroup, stop <-chan struct{}) bool {
	done := make(chan struct{})
	go func() {
		g.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-stop:
		return false
	}
}
