package acl

import (
	"strings"

	"github.com/redkeep/redkeep/glob"
)

// Denial is what a user lacks. A larger one is nearer to being allowed: it is the one to tell when several
// selectors each lack something else.
type Denial uint8

const (
	Allowed Denial = iota
	NoCommand
	NoKey
	NoChannel
)

// Query is one command as the rules see it. It is only read.
type Query struct {
	Command  CommandID
	Free     bool   // allowed to everybody; its keys and channels still count
	FirstArg []byte // the word behind the name, if any
	Keys     []Reach
	Channels []Channel
}

// Channel is a channel that is used, or a pattern of channels. A literal pattern must stand among the rules
// as it is, as in Redis; a reach must be covered.
type Channel struct {
	Reach
	Pattern bool // From is a pattern to be compared, not matched
}

// Check says whether one of the user's selectors allows all of q, and if not, what lacks and in which place
// of q.Keys or q.Channels. It allocates nothing.
func (u *User) Check(q *Query) (d Denial, at int) {
	d = NoCommand
	for _, s := range u.selectors {
		lacks, i := s.check(q)
		if lacks == Allowed {
			return Allowed, 0
		}
		if lacks > d || lacks == d && i > at {
			d, at = lacks, i
		}
	}
	return d, at
}

func (s *selector) check(q *Query) (Denial, int) {
	if !q.Free && !s.commands.has(q.Command) && !s.allowsFirst(q) {
		return NoCommand, 0
	}
	if !s.allChannels {
		for i := range q.Channels {
			if !s.hears(&q.Channels[i]) {
				return NoChannel, i
			}
		}
	}
	if !s.allKeys {
		for i := range q.Keys {
			if !s.reaches(&q.Keys[i]) {
				return NoKey, i
			}
		}
	}
	return Allowed, 0
}

func (s *selector) allowsFirst(q *Query) bool {
	for _, word := range s.firstArgs[q.Command] {
		if strings.EqualFold(word, string(q.FirstArg)) {
			return true
		}
	}
	return false
}

func (s *selector) reaches(r *Reach) bool {
	if r.Kind != One {
		return covers(s.covered, *r)
	}
	for i := range s.keys {
		if p := &s.keys[i]; p.access&r.Access == r.Access && glob.Match(p.text, r.From) {
			return true
		}
	}
	return false
}

func (s *selector) hears(c *Channel) bool {
	if !c.Pattern && c.Kind != One {
		r := c.Reach
		r.Access = 0
		return covers(s.heard, r)
	}
	for _, text := range s.channels {
		if text == c.From || !c.Pattern && glob.Match(text, c.From) {
			return true
		}
	}
	return false
}

// MayReach reports whether some selector, whatever commands it allows, reaches the keys.
func (u *User) MayReach(r *Reach) bool {
	for _, s := range u.selectors {
		if s.allKeys || s.reaches(r) {
			return true
		}
	}
	return false
}

// Unbounded reports whether the user may do everything: nothing needs to be asked then.
func (u *User) Unbounded() bool {
	s := u.selectors[0]
	return s.base && len(s.rules) == 0 && s.allKeys && s.allChannels
}

// AllKeys reports whether one selector has all keys with all commands that the user may run: the user's
// requests need not be looked into for keys.
func (u *User) AllKeys() bool {
	for _, s := range u.selectors {
		if !s.allKeys {
			return false
		}
	}
	return true
}
