package acl

import (
	"slices"
	"strings"

	"github.com/redkeep/redkeep/glob"
)

// selector is one set of permissions: a command is allowed iff one selector allows it with all its keys and
// channels.
//
// Invariants: I1 commands is what base and rules say, applied in order. I2 allKeys means no pattern is kept,
// allChannels the same. I3 covered follows from keys, heard from channels.
type selector struct {
	base      bool // begins with +@all, so commands of later versions are in it
	rules     []string
	commands  set
	firstArgs map[CommandID][]string // lower case; commands allowed with these first arguments alone

	allKeys     bool
	keys        []pattern
	allChannels bool
	channels    []string

	covered []interval
	heard   []interval
}

// pattern is a key pattern with the rights it gives.
type pattern struct {
	text   string
	access Access
}

func newSelector(c *Catalog) *selector { return &selector{commands: c.newSet(false)} }

func (s *selector) clone() *selector {
	t := *s
	t.rules, t.commands = slices.Clone(s.rules), slices.Clone(s.commands)
	t.keys, t.channels = slices.Clone(s.keys), slices.Clone(s.channels)
	t.firstArgs = nil
	for id, words := range s.firstArgs {
		for _, w := range words {
			t.allowFirst(id, w)
		}
	}
	t.covered, t.heard = slices.Clone(s.covered), slices.Clone(s.heard)
	return &t
}

// apply changes the selector by one rule.
func (s *selector) apply(c *Catalog, op string) error {
	switch strings.ToLower(op) {
	case "":
		return nil
	case "allkeys", "~*":
		s.allKeys, s.keys, s.covered = true, nil, nil
		return nil
	case "resetkeys":
		s.allKeys, s.keys, s.covered = false, nil, nil
		return nil
	case "allchannels", "&*":
		s.allChannels, s.channels, s.heard = true, nil, nil
		return nil
	case "resetchannels":
		s.allChannels, s.channels, s.heard = false, nil, nil
		return nil
	case "allcommands", "+@all":
		s.resetCommands(c, true)
		return nil
	case "nocommands", "-@all":
		s.resetCommands(c, false)
		return nil
	}
	switch op[0] {
	case '~', '%':
		return s.addKeys(op)
	case '&':
		return s.addChannel(op[1:])
	case '+', '-':
		return s.applyCommand(c, op[1:], op[0] == '+')
	default:
		return ErrSyntax
	}
}

func (s *selector) resetCommands(c *Catalog, all bool) {
	s.base, s.rules, s.firstArgs = all, nil, nil
	s.commands = c.newSet(all)
}

// addKeys takes ~pattern, %R~pattern, %W~pattern or %RW~pattern.
func (s *selector) addKeys(op string) error {
	if s.allKeys {
		return ErrAfterAllKeys
	}
	letters, text, ok := strings.Cut(op, "~")
	access := Read | Write
	if ok && letters != "" {
		access, ok = accessOf(letters[1:])
	}
	if !ok || hasSpace(text) {
		return ErrSyntax
	}
	at := slices.IndexFunc(s.keys, func(p pattern) bool { return p.text == text })
	if at < 0 {
		at = len(s.keys)
		s.keys = append(s.keys, pattern{text: text})
	}
	s.keys[at].access |= access
	s.covered = nil
	for _, p := range s.keys {
		s.covered = appendInterval(s.covered, p)
	}
	return nil
}

func appendInterval(list []interval, p pattern) []interval {
	prefix, exact := glob.Prefix(p.text)
	starred := !exact && literalBefore(p.text) == len(p.text)-1 && strings.HasSuffix(p.text, "*")
	if in, ok := intervalOf(prefix, exact, starred); ok {
		in.access = p.access
		list = append(list, in)
	}
	return list
}

// literalBefore is the place of the first byte of a pattern that does not stand for itself.
func literalBefore(text string) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '*', '?', '[':
			return i
		case '\\':
			i++
		}
	}
	return len(text)
}

func accessOf(letters string) (a Access, ok bool) {
	for _, letter := range []byte(letters) {
		right := Read
		switch letter {
		case 'r', 'R':
		case 'w', 'W':
			right = Write
		default:
			return 0, false
		}
		if a&right != 0 {
			return 0, false
		}
		a |= right
	}
	return a, a != 0
}

// hasSpace reports whether a pattern or name has what would end it in a line of rules.
func hasSpace(text string) bool { return strings.ContainsAny(text, " \t\n\v\f\r\x00") }

func (s *selector) addChannel(text string) error {
	switch {
	case s.allChannels:
		return ErrAfterAllChannels
	case hasSpace(text):
		return ErrSyntax
	case !slices.Contains(s.channels, text):
		s.channels = append(s.channels, text)
		s.heard = appendInterval(s.heard, pattern{text: text})
	}
	return nil
}

// applyCommand takes what stands behind + or -.
func (s *selector) applyCommand(c *Catalog, name string, allow bool) error {
	if category, ok := strings.CutPrefix(name, "@"); ok {
		ids, known := c.members[strings.ToLower(category)]
		if !known {
			return ErrUnknown
		}
		for _, id := range ids {
			s.change(id, allow)
		}
		s.note(name, allow)
		return nil
	}
	container, word, nested := strings.Cut(name, "|")
	id, known := c.Lookup(name)
	switch {
	case known:
		s.change(id, allow)
		for _, sub := range c.subs[id] {
			s.change(sub, allow)
		}
	case !nested || !allow:
		return ErrUnknown
	default:
		if err := s.firstArg(c, container, word); err != nil {
			return err
		}
	}
	s.note(name, allow)
	return nil
}

func (s *selector) change(id CommandID, allow bool) {
	s.commands.put(id, allow)
	delete(s.firstArgs, id)
}

// firstArg allows a command that has no sub-commands with one first argument.
func (s *selector) firstArg(c *Catalog, container, word string) error {
	id, known := c.Lookup(container)
	sub, deeper, nested := strings.Cut(word, "|")
	_, isSub := c.Lookup(container + "|" + sub)
	switch {
	case !known:
		return ErrUnknown
	case nested && isSub && deeper != "":
		return ErrSubOfSub
	case word == "", hasSpace(word):
		return ErrSyntax
	case len(c.subs[id]) > 0:
		return ErrUnknown
	}
	s.allowFirst(id, strings.ToLower(word))
	return nil
}

func (s *selector) allowFirst(id CommandID, word string) {
	if s.firstArgs == nil {
		s.firstArgs = map[CommandID][]string{}
	}
	if !slices.Contains(s.firstArgs[id], word) {
		s.firstArgs[id] = append(s.firstArgs[id], word)
	}
}

// note keeps the rule's text behind the others. One that it makes void is forgotten: the same command or
// category, and, of a container, its sub-commands.
func (s *selector) note(name string, allow bool) {
	name = strings.ToLower(name)
	s.rules = slices.DeleteFunc(s.rules, func(rule string) bool {
		return rule[1:] == name || strings.HasPrefix(rule[1:], name+"|")
	})
	sign := "-"
	if allow {
		sign = "+"
	}
	s.rules = append(s.rules, sign+name)
}
