package commands

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/redkeep/redkeep/resp"
)

// What one connection may do to the flow of commands: CLIENT PAUSE holds up all connections of this node,
// CLIENT REPLY silences its own, CLIENT UNBLOCK wakes one that waits.

// muting says which replies a connection still gets.
type muting uint8

const (
	replyAll muting = iota
	replyNone
	replyNotNext // the reply of the next command is dropped
)

// send gives a reply to the connection unless it asked for silence.
func (s *session) send(conn *resp.Conn, v resp.Value) {
	if v.Kind() != resp.KindNone && s.muted != replyAll {
		if s.muted == replyNotNext {
			s.muted = replyAll
		}
		return
	}
	conn.Reply(v)
}

func clientReply(c *call, s *session) (resp.Value, error) {
	switch word := c.args[2]; {
	case is(word, "ON"):
		s.muted = replyAll
		return resp.OK(), nil
	case is(word, "OFF"):
		s.muted = replyNone
	case is(word, "SKIP"):
		if s.muted == replyAll {
			s.muted = replyNotNext
		}
	default:
		return resp.Value{}, errSyntax
	}
	return resp.None(), nil
}

// pausing is CLIENT PAUSE's state. Commands about the node itself go on, so that a pause can be ended.
type pausing struct {
	on atomic.Bool

	mu struct {
		sync.Mutex
		writesOnly bool
		until      time.Time
		timer      *time.Timer
		over       chan struct{} // closed when the pause ends
	}
}

// begin starts a pause, or changes the one there is: as in Redis it never becomes shorter or weaker.
func (p *pausing) begin(d time.Duration, writesOnly bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	until := time.Now().Add(d)
	if p.mu.over != nil {
		p.mu.timer.Stop()
		writesOnly = writesOnly && p.mu.writesOnly
		if p.mu.until.After(until) {
			until = p.mu.until
		}
	} else {
		p.mu.over = make(chan struct{})
	}
	p.mu.writesOnly, p.mu.until = writesOnly, until
	p.mu.timer = time.AfterFunc(time.Until(until), p.endIfOver)
	p.on.Store(true)
}

func (p *pausing) endIfOver() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.over != nil && !time.Now().Before(p.mu.until) {
		p.endLocked()
	}
}

func (p *pausing) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.over != nil {
		p.endLocked()
	}
}

func (p *pausing) endLocked() {
	p.mu.timer.Stop()
	close(p.mu.over)
	p.mu.over, p.mu.timer = nil, nil
	p.on.Store(false)
}

// holds returns what a command of the row waits for; nil for nothing.
func (p *pausing) holds(row *Command) <-chan struct{} {
	if !p.on.Load() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.over == nil || row.Kind == KindAdmin || p.mu.writesOnly && !row.mayWrite() {
		return nil
	}
	return p.mu.over
}

// mayWrite reports whether a command of the row can change the state; of a script nobody knows beforehand.
func (row *Command) mayWrite() bool {
	return row.Kind == KindWrite || row.Kind == KindScript && row.Flags&FlagReadonly == 0
}

func clientPause(c *call, _ *session) (resp.Value, error) {
	writesOnly := false
	switch {
	case len(c.args) == 3, len(c.args) == 4 && is(c.args[3], "ALL"):
	case len(c.args) == 4 && is(c.args[3], "WRITE"):
		writesOnly = true
	case len(c.args) == 4:
		return resp.Value{}, errPauseMode
	default:
		return resp.Value{}, errSyntax
	}
	timeout, err := timeoutOf(c.args[2])
	if err != nil {
		return resp.Value{}, err
	}
	c.d.pause.begin(timeout, writesOnly)
	return resp.OK(), nil
}

func clientUnpause(c *call, _ *session) (resp.Value, error) {
	c.d.pause.end()
	return resp.OK(), nil
}

func clientUnblock(c *call, _ *session) (resp.Value, error) {
	reason := int32(wokenInTime)
	switch {
	case len(c.args) == 3, len(c.args) == 4 && is(c.args[3], "TIMEOUT"):
	case len(c.args) == 4 && is(c.args[3], "ERROR"):
		reason = wokenToRefuse
	case len(c.args) == 4:
		return resp.Value{}, errUnblockWhy
	default:
		return resp.Value{}, errSyntax
	}
	id, err := integer(c.args[2])
	if err != nil {
		return resp.Value{}, err
	}
	for _, s := range c.d.sessions() {
		if int64(s.id) != id {
			continue
		}
		if w := s.waiter.Load(); w != nil {
			return yes(w.wake(reason)), nil
		}
	}
	return resp.Int(0), nil
}
