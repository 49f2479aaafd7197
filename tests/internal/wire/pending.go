package wire

import (
	"errors"
	"testing"
	"time"
)

// Pending is a command that was sent and whose reply has not been looked at.
type Pending struct {
	t      testing.TB
	what   []string
	answer chan result
	got    *result
}

type result struct {
	reply Reply
	err   error
}

// Begin sends one command on a connection of its own and does not wait. The connection ends with the test.
func Begin(t testing.TB, addr string, args ...string) *Pending {
	t.Helper()
	c, err := Dial(addr)
	if err == nil {
		err = c.Send(Encode(args...))
	}
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	p := &Pending{t: t, what: args, answer: make(chan result, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r, err := c.Read()
		p.answer <- result{r, err}
	}()
	t.Cleanup(func() {
		c.Close()
		<-ended
	})
	return p
}

// ErrSilent says that nothing was answered in time.
var ErrSilent = errors.New("no answer")

// Within returns the reply, or ErrSilent if there is none after d.
func (p *Pending) Within(d time.Duration) (Reply, error) {
	if p.got != nil {
		return p.got.reply, p.got.err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case r := <-p.answer:
		p.got = &r
		return r.reply, r.err
	case <-timer.C:
		return Reply{}, ErrSilent
	}
}

// Wait returns the reply, and fails the test if there is none.
func (p *Pending) Wait() Reply {
	p.t.Helper()
	r, err := p.Within(DefaultTimeout)
	if err != nil {
		p.t.Fatalf("%v: %v", p.what, err)
	}
	return r
}

// Silent fails the test if anything is answered within d.
func (p *Pending) Silent(d time.Duration) {
	p.t.Helper()
	if r, err := p.Within(d); err != ErrSilent {
		p.t.Fatalf("%v was answered %v, %v; it must not be yet", p.what, r, err)
	}
}
