package acl

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Secrets seals and checks passwords.
type Secrets interface {
	// Seal returns what is kept of a password: no space, no parenthesis, and it does not begin with '('.
	Seal(password string) string
	// Opens reports whether password is the one that was sealed.
	Opens(sealed, password string) bool
	// Sealed reports whether text is something that Seal may have returned, or Redis's own form.
	Sealed(text string) bool
}

// User is one user. A user that others can see is never changed.
type User struct {
	Name      string
	On        bool
	NoPass    bool     // any password opens
	Passwords []string // sealed

	sanitize  string // the word that was given, if any; it has no meaning here
	selectors []*selector
}

// NewUser returns a user who may do nothing.
func NewUser(c *Catalog, name string) *User {
	return &User{Name: name, selectors: []*selector{newSelector(c)}}
}

// Clone returns a copy that may be changed.
func (u *User) Clone() *User {
	v := *u
	v.Passwords, v.selectors = slices.Clone(u.Passwords), make([]*selector, len(u.selectors))
	for i, s := range u.selectors {
		v.selectors[i] = s.clone()
	}
	return &v
}

// RuleError is a rule that cannot be applied.
type RuleError struct {
	Op  string
	Err error
}

func (e *RuleError) Error() string { return e.Op + ": " + e.Err.Error() }
func (e *RuleError) Unwrap() error { return e.Err }

// OpenSelectorError is a selector whose parenthesis is never closed.
type OpenSelectorError struct{ Op string }

func (e *OpenSelectorError) Error() string {
	return "Unmatched parenthesis in acl selector starting at '" + e.Op + "'."
}

// Apply changes the user by rules, in order. On an error the user is half changed: use a Clone.
func (u *User) Apply(c *Catalog, secrets Secrets, rules []string) error {
	ops, err := joinSelectors(rules)
	if err != nil {
		return err
	}
	for _, op := range ops {
		if err := u.apply(c, secrets, op); err != nil {
			return &RuleError{Op: op, Err: err}
		}
	}
	return nil
}

// joinSelectors makes one rule of the words of a selector.
func joinSelectors(words []string) (ops []string, err error) {
	for i := 0; i < len(words); i++ {
		op := words[i]
		if !strings.HasPrefix(op, "(") || strings.HasSuffix(op, ")") {
			ops = append(ops, op)
			continue
		}
		end := slices.IndexFunc(words[i:], func(w string) bool { return strings.HasSuffix(w, ")") })
		if end < 0 {
			return nil, &OpenSelectorError{Op: op}
		}
		ops = append(ops, strings.Join(words[i:i+end+1], " "))
		i += end
	}
	return ops, nil
}

func (u *User) apply(c *Catalog, secrets Secrets, op string) error {
	switch word := strings.ToLower(op); word {
	case "":
		return nil
	case "on", "off":
		u.On = word == "on"
		return nil
	case "nopass":
		u.NoPass, u.Passwords = true, nil
		return nil
	case "resetpass":
		u.NoPass, u.Passwords = false, nil
		return nil
	case "sanitize-payload", "skip-sanitize-payload":
		u.sanitize = word
		return nil
	case "clearselectors":
		u.selectors = u.selectors[:1]
		return nil
	case "reset":
		*u = *NewUser(c, u.Name)
		u.sanitize = "sanitize-payload"
		return nil
	}
	switch {
	case strings.ContainsRune(">#<!", rune(op[0])):
		return u.password(secrets, op[0], op[1:])
	case op[0] == '(' && strings.HasSuffix(op, ")"):
		return u.addSelector(c, op[1:len(op)-1])
	default:
		return u.selectors[0].apply(c, op)
	}
}

// password adds (> #) or removes (< !) one, given as it is (> <) or sealed (# !).
func (u *User) password(secrets Secrets, sign byte, text string) error {
	sealed := sign == '#' || sign == '!'
	if sealed && !secrets.Sealed(text) {
		return ErrBadHash
	}
	at := slices.IndexFunc(u.Passwords, func(p string) bool {
		return sealed && p == text || !sealed && secrets.Opens(p, text)
	})
	if sign == '<' || sign == '!' {
		if at < 0 {
			return ErrNoSecret
		}
		u.Passwords = slices.Delete(u.Passwords, at, at+1)
		return nil
	}
	u.NoPass = false
	switch {
	case at >= 0:
	case sealed:
		u.Passwords = append(u.Passwords, text)
	default:
		u.Passwords = append(u.Passwords, secrets.Seal(text))
	}
	return nil
}

func (u *User) addSelector(c *Catalog, inner string) error {
	s := newSelector(c)
	for _, op := range fields(inner) {
		if strings.HasSuffix(op, ")") {
			return ErrSyntax // it could not be read back
		}
		if err := s.apply(c, op); err != nil {
			return err
		}
	}
	u.selectors = append(u.selectors, s)
	return nil
}

// Permissions are what one selector shows.
type Permissions struct{ Commands, Keys, Channels string }

// Flags are the words that ACL GETUSER shows.
func (u *User) Flags() []string {
	flags := []string{"off"}
	if u.On {
		flags[0] = "on"
	}
	if u.NoPass {
		flags = append(flags, "nopass")
	}
	if u.sanitize != "" {
		flags = append(flags, u.sanitize)
	}
	return flags
}

// Selectors returns what each selector allows, the user's own first.
func (u *User) Selectors() []Permissions {
	out := make([]Permissions, len(u.selectors))
	for i, s := range u.selectors {
		out[i] = s.describe()
	}
	return out
}

func (s *selector) describe() (p Permissions) {
	p.Commands = "-@all"
	if s.base {
		p.Commands = "+@all"
	}
	p.Commands = strings.Join(append([]string{p.Commands}, s.rules...), " ")
	var words []string
	if s.allKeys {
		words = append(words, "~*")
	}
	for _, k := range s.keys {
		words = append(words, map[Access]string{Read: "%R~", Write: "%W~", Read | Write: "~"}[k.access]+k.text)
	}
	p.Keys = strings.Join(words, " ")
	words = nil
	if s.allChannels {
		words = append(words, "&*")
	}
	for _, channel := range s.channels {
		words = append(words, "&"+channel)
	}
	p.Channels = strings.Join(words, " ")
	return p
}

// line is the permissions as rules.
func (p Permissions) line() string {
	var words []string
	if p.Keys != "" {
		words = append(words, p.Keys)
	}
	channels := p.Channels
	if channels != "&*" {
		channels = strings.TrimSuffix("resetchannels "+channels, " ")
	}
	return strings.Join(append(words, channels, p.Commands), " ")
}

// Rules is the user as one line of rules, which Restore and Apply read.
func (u *User) Rules() string {
	words := u.Flags()
	for _, p := range u.Passwords {
		words = append(words, "#"+p)
	}
	all := u.Selectors()
	words = append(words, all[0].line())
	for _, p := range all[1:] {
		words = append(words, "("+p.line()+")")
	}
	return strings.Join(words, " ")
}

// Restore makes a user of what Rules returned, on this member or on one of another version: a command or a
// category that is not known here is passed over. What is not known cannot be run here, either.
func Restore(c *Catalog, secrets Secrets, name, rules string) (*User, error) {
	u := NewUser(c, name)
	ops, err := joinSelectors(fields(rules))
	if err != nil {
		return nil, err
	}
	for _, op := range ops {
		if err := u.apply(c, secrets, known(c, op)); err != nil {
			return nil, &RuleError{Op: op, Err: err}
		}
	}
	return u, nil
}

// known is op without the commands and categories that the catalog does not have.
func known(c *Catalog, op string) string {
	if inner, ok := strings.CutPrefix(op, "("); ok {
		words := fields(strings.TrimSuffix(inner, ")"))
		for i, w := range words {
			words[i] = known(c, w)
		}
		return "(" + strings.Join(words, " ") + ")"
	}
	if op == "" || op[0] != '+' && op[0] != '-' {
		return op
	}
	if newSelector(c).apply(c, op) != nil {
		return ""
	}
	return op
}

// fields splits at what hasSpace finds. strings.Fields would also split inside keys that look like UTF-8.
func fields(line string) []string {
	return strings.FieldsFunc(line, func(r rune) bool { return r < utf8.RuneSelf && hasSpace(string(r)) })
}

// ValidName reports whether a user may be called so.
func ValidName(name string) bool { return !hasSpace(name) }

// MayRun reports whether some selector has the command, whatever its keys.
func (u *User) MayRun(id CommandID) bool {
	return slices.ContainsFunc(u.selectors, func(s *selector) bool { return s.commands.has(id) })
}
