package script

import (
	lua "github.com/yuin/gopher-lua"
)

// Patterns of Lua 5.1, by backtracking, as its manual (section 5.4.1) describes them. gopher-lua has them,
// too, but a pattern that backtracks for ever would hold a core for ever: here each step is counted against
// the run's time.

const (
	maxCaptures     = 32
	maxPatternDepth = 4000
	captureOpen     = -1 // length of a capture that has not ended
	captureAt       = -2 // ... of one that is a position
)

type capture struct{ from, length int }

type matcher struct {
	r        *run
	L        *lua.LState
	src, pat string
	captures []capture
	depth    int
}

func (m *matcher) fail(text string) { m.r.fail(m.L, text) }

// match tries the pattern from p on at s; it returns the end of the match.
func (m *matcher) match(s, p int) (end int, ok bool) {
	if m.depth++; m.depth > maxPatternDepth {
		m.fail("pattern too complex")
	}
	defer func() { m.depth-- }()
	for p < len(m.pat) {
		m.r.work(m.L, 1)
		switch c := m.pat[p]; {
		case c == '(' && p+1 < len(m.pat) && m.pat[p+1] == ')':
			return m.open(s, p+2, captureAt)
		case c == '(':
			return m.open(s, p+1, captureOpen)
		case c == ')':
			return m.close(s, p+1)
		case c == '$' && p+1 == len(m.pat):
			return s, s == len(m.src)
		case c == '%' && p+1 < len(m.pat) && m.pat[p+1] == 'b':
			if s, ok = m.balance(s, p+2); !ok {
				return 0, false
			}
			p += 4
		case c == '%' && p+1 < len(m.pat) && m.pat[p+1] == 'f':
			if p, ok = m.frontier(s, p+2); !ok {
				return 0, false
			}
		case c == '%' && p+1 < len(m.pat) && isDigit(m.pat[p+1]):
			if s, ok = m.backReference(s, m.pat[p+1]); !ok {
				return 0, false
			}
			p += 2
		default:
			next := m.classEnd(p)
			if next < len(m.pat) && isRepetition(m.pat[next]) {
				return m.repeat(s, p, next)
			}
			if !m.single(s, p, next) {
				return 0, false
			}
			s, p = s+1, next
		}
	}
	return s, true
}

func isRepetition(c byte) bool { return c == '?' || c == '*' || c == '+' || c == '-' }

// repeat matches the class at p, whose repetition stands at next.
func (m *matcher) repeat(s, p, next int) (end int, ok bool) {
	switch m.pat[next] {
	case '?':
		if m.single(s, p, next) {
			if end, ok = m.match(s+1, next+1); ok {
				return end, true
			}
		}
		return m.match(s, next+1)
	case '-':
		for {
			if end, ok = m.match(s, next+1); ok {
				return end, true
			}
			if !m.single(s, p, next) {
				return 0, false
			}
			s++
		}
	}
	n, least := 0, 0
	if m.pat[next] == '+' {
		least = 1
	}
	for m.single(s+n, p, next) {
		m.r.work(m.L, 1)
		n++
	}
	for ; n >= least; n-- {
		if end, ok = m.match(s+n, next+1); ok {
			return end, true
		}
	}
	return 0, false
}

func (m *matcher) open(s, p, length int) (end int, ok bool) {
	if len(m.captures) >= maxCaptures {
		m.fail("too many captures")
	}
	m.captures = append(m.captures, capture{s, length})
	level := len(m.captures)
	if end, ok = m.match(s, p); !ok {
		m.captures = m.captures[:level-1]
	}
	return end, ok
}

func (m *matcher) close(s, p int) (end int, ok bool) {
	at := len(m.captures) - 1
	for at >= 0 && m.captures[at].length != captureOpen {
		at--
	}
	if at < 0 {
		m.fail("invalid pattern capture")
	}
	m.captures[at].length = s - m.captures[at].from
	if end, ok = m.match(s, p); !ok {
		m.captures[at].length = captureOpen
	}
	return end, ok
}

func (m *matcher) balance(s, p int) (end int, ok bool) {
	if p+1 >= len(m.pat) {
		m.fail("unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return 0, false
	}
	open, shut, nested := m.pat[p], m.pat[p+1], 1
	for s++; s < len(m.src); s++ {
		m.r.work(m.L, 1)
		switch m.src[s] {
		case shut:
			if nested--; nested == 0 {
				return s + 1, true
			}
		case open:
			nested++
		}
	}
	return 0, false
}

// frontier returns where the pattern goes on.
func (m *matcher) frontier(s, p int) (next int, ok bool) {
	if p >= len(m.pat) || m.pat[p] != '[' {
		m.fail("missing '[' after '%f' in pattern")
	}
	next = m.classEnd(p)
	before, after := byte(0), byte(0)
	if s > 0 {
		before = m.src[s-1]
	}
	if s < len(m.src) {
		after = m.src[s]
	}
	return next, !m.inSet(before, p, next-1) && m.inSet(after, p, next-1)
}

func (m *matcher) backReference(s int, digit byte) (end int, ok bool) {
	at := int(digit - '1')
	if at < 0 || at >= len(m.captures) || m.captures[at].length < 0 {
		m.fail("invalid capture index")
	}
	c := m.captures[at]
	text := m.src[c.from : c.from+c.length]
	m.r.work(m.L, len(text))
	if len(m.src)-s < len(text) || m.src[s:s+len(text)] != text {
		return 0, false
	}
	return s + len(text), true
}

// classEnd returns what follows the single-character class at p.
func (m *matcher) classEnd(p int) int {
	c := m.pat[p]
	p++
	if c == '%' {
		if p >= len(m.pat) {
			m.fail("malformed pattern (ends with '%')")
		}
		return p + 1
	}
	if c != '[' {
		return p
	}
	if p < len(m.pat) && m.pat[p] == '^' {
		p++
	}
	for first := true; first || m.pat[p] != ']'; first = false {
		if p >= len(m.pat) {
			m.fail("malformed pattern (missing ']')")
		}
		if m.pat[p] == '%' {
			p++
		}
		if p++; p >= len(m.pat) {
			m.fail("malformed pattern (missing ']')")
		}
	}
	return p + 1
}

func (m *matcher) single(s, p, next int) bool {
	if s >= len(m.src) {
		return false
	}
	switch c := m.src[s]; m.pat[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pat[p+1])
	case '[':
		return m.inSet(c, p, next-1)
	default:
		return m.pat[p] == c
	}
}

// inSet reports whether c is in the set from the '[' at p to the ']' at end.
func (m *matcher) inSet(c byte, p, end int) bool {
	m.r.work(m.L, 1+(end-p)/16)
	wanted := true
	if m.pat[p+1] == '^' {
		wanted = false
		p++
	}
	for p++; p < end; p++ {
		switch {
		case m.pat[p] == '%' && p+1 < end:
			p++
			if inClass(c, m.pat[p]) {
				return wanted
			}
		case p+2 < end && m.pat[p+1] == '-':
			if m.pat[p] <= c && c <= m.pat[p+2] {
				return wanted
			}
			p += 2
		case m.pat[p] == c:
			return wanted
		}
	}
	return !wanted
}

// inClass is %a, %d and so on; an upper-case letter is the complement.
func inClass(c, class byte) bool {
	lower := class | 0x20
	in := false
	switch lower {
	case 'a':
		in = isLetter(c)
	case 'c':
		in = c < 0x20 || c == 0x7f
	case 'd':
		in = isDigit(c)
	case 'l':
		in = 'a' <= c && c <= 'z'
	case 'p':
		in = isPunct(c)
	case 's':
		in = c == ' ' || '\t' <= c && c <= '\r'
	case 'u':
		in = 'A' <= c && c <= 'Z'
	case 'w':
		in = isLetter(c) || isDigit(c)
	case 'x':
		in = isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f'
	case 'z':
		in = c == 0
	default:
		return c == class
	}
	if !isLetter(class) {
		return c == class
	}
	return in == (class == lower)
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isPunct(c byte) bool  { return 0x20 < c && c < 0x7f && !isLetter(c) && !isDigit(c) }

// value is capture i, or the whole match where the pattern has none.
func (m *matcher) value(i, from, to int) lua.LValue {
	if i >= len(m.captures) {
		if i > 0 {
			m.fail("invalid capture index")
		}
		return lua.LString(m.src[from:to])
	}
	switch c := m.captures[i]; c.length {
	case captureAt:
		return lua.LNumber(c.from + 1)
	case captureOpen:
		m.fail("unfinished capture")
		return lua.LNil
	default:
		return lua.LString(m.src[c.from : c.from+c.length])
	}
}

// values are all captures, or the whole match.
func (m *matcher) values(from, to int) (out []lua.LValue) {
	for i := range max(len(m.captures), 1) {
		out = append(out, m.value(i, from, to))
	}
	return out
}
