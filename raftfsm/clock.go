package raftfsm

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/mvcc"
)

// clock is this member's time: what a leader stamps entries with, and what reads without a barrier hide
// expired keys by.
//
// Idea. It is the wall clock, as users of EXPIREAT expect, but never behind the last stamp applied, for
// stamped time must not go back. A wall clock that is behind the stamps (it was set back, or an earlier
// leader's was ahead) is not waited for: if it were, no key would expire until it has caught up, be that an
// hour. Instead time goes on from the last stamp by the monotonic clock, a tenth slower than it, so that
// the wall clock catches up in the end. A key whose time is given in seconds lives for as long, or up to a
// ninth longer; it is cut short only by a wall clock that jumps forward, which cannot be told from one that
// was wrong before.
//
// Invariants.
//  1. now never goes back on one member, and is never behind the last stamp applied there.
//  2. now is never ahead of every wall clock that the members have shown, by more than the wall clock's rate.
//
// Rejected: the monotonic clock alone, which knows no date. Drawback: while time is ahead of the wall clock,
// keys with an absolute deadline end early by that much.
type clock struct {
	wall    func() time.Time
	mono    func() time.Duration
	stamped *atomic.Int64 // the largest stamp applied, in Unix ms
	floor   atomic.Int64  // the largest time told, in Unix ms
	jumps   atomic.Uint64
	log     *slog.Logger

	// Of the guard's goroutine: the last look at both clocks, and the last jump.
	lastWall, lastMono time.Duration
	jump               time.Duration
	jumped             time.Time

	mu struct {
		sync.Mutex
		told time.Duration // since the epoch
		at   time.Duration // by the monotonic clock
	}
}

const (
	// jumpLeast is how far the wall clock may part from the monotonic one between two looks.
	jumpLeast = 500 * time.Millisecond
	// behindLeast is how far the wall clock may be behind the stamps before it is an alarm: members' clocks
	// differ a little.
	behindLeast = time.Second
	// jumpShown is how long a jump is shown after it.
	jumpShown = 10 * time.Minute
)

func newClock(cfg Config, stamped *atomic.Int64) *clock {
	c := &clock{wall: cfg.Clock, mono: cfg.Monotonic, stamped: stamped, log: cfg.Logger}
	c.lastWall, c.lastMono = sinceEpoch(c.wall()), c.mono()
	return c
}

func sinceEpoch(t time.Time) time.Duration { return time.Duration(t.UnixNano()) }

// now is safe for concurrent use.
func (c *clock) now() mvcc.UnixMilli {
	wall := c.wall()
	if ms := wall.UnixMilli(); ms >= c.stamped.Load() && c.raise(ms) {
		return mvcc.UnixMilli(ms)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.mono()
	passed := max(at-c.mu.at, 0)
	least := time.Duration(max(c.stamped.Load(), c.floor.Load())) * time.Millisecond
	c.mu.told = max(c.mu.told+passed-passed/10, least, sinceEpoch(wall))
	c.mu.at = at
	c.raise(c.mu.told.Milliseconds())
	return mvcc.UnixMilli(c.mu.told.Milliseconds())
}

// raise notes that a time was told; false iff a later one has been already.
func (c *clock) raise(ms int64) bool {
	for {
		told := c.floor.Load()
		if told >= ms || c.floor.CompareAndSwap(told, ms) {
			return told <= ms
		}
	}
}

// trouble looks at both clocks and says what is wrong with the wall clock; "" if nothing is. Only the guard's
// goroutine calls it.
func (c *clock) trouble(now time.Time) string {
	mono := c.mono()
	wall := sinceEpoch(c.wall())
	if c.mono()-mono > jumpLeast/4 {
		wall = c.lastWall + mono - c.lastMono // this goroutine was held up between the two
	}
	apart := (wall - c.lastWall) - (mono - c.lastMono)
	c.lastWall, c.lastMono = wall, mono
	if apart.Abs() > jumpLeast {
		c.jumps.Add(1)
		c.jump, c.jumped = apart, now
		c.log.Warn("the wall clock jumped", "by", apart.Round(time.Millisecond))
	}
	behind := time.Duration(c.stamped.Load())*time.Millisecond - wall
	switch {
	case behind > behindLeast:
		return fmt.Sprintf("the wall clock is %v behind the time in the log", behind.Round(100*time.Millisecond))
	case !c.jumped.IsZero() && now.Sub(c.jumped) < jumpShown:
		return fmt.Sprintf("the wall clock jumped by %v", c.jump.Round(100*time.Millisecond))
	}
	return ""
}
