package glob

// Glob patterns as Redis defines them: * any run, ? any byte, [abc] [a-z] [^a] classes, \x the byte x.
//
// Two stars in a pattern make a backtracking matcher exponential. This one remembers only the last star: when
// a later part of the pattern fails, an earlier star cannot help, because the last one may already take any
// run of bytes. So a match takes at most len(pattern) * len(text) steps and no memory.
//
// Corner cases kept from Redis: the empty text matches "*", but not "**"; an unclosed class ends with the
// pattern and still has its members; a backslash at the very end stands for itself; in [z-a] the ends are
// swapped; "[^" negates, "[!" does not.

// Match reports whether all of text matches pattern.
func Match(pattern, text string) bool {
	if text == "" {
		return pattern == "" || pattern == "*"
	}
	p, t := 0, 0
	star, resume := -1, 0 // the last star, and where its run would next end
	for t < len(text) {
		if p < len(pattern) && pattern[p] == '*' {
			star, resume = p, t
			p++
			continue
		}
		if width, ok := matchOne(pattern[p:], text[t]); ok {
			p += width
			t++
			continue
		}
		if star < 0 {
			return false
		}
		resume++
		p, t = star+1, resume
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one byte against the first element of pattern, which is not a star, and returns the length
// of that element.
func matchOne(pattern string, b byte) (width int, ok bool) {
	if pattern == "" {
		return 0, false
	}
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		return matchClass(pattern, b)
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == b
		}
	}
	return 1, pattern[0] == b
}

// matchClass matches b against a class; pattern begins with '['.
func matchClass(pattern string, b byte) (width int, ok bool) {
	at := 1
	negated := at < len(pattern) && pattern[at] == '^'
	if negated {
		at++
	}
	found := false
	for at < len(pattern) && pattern[at] != ']' {
		low, high, n := classMember(pattern[at:])
		found = found || low <= b && b <= high
		at += n
	}
	if at < len(pattern) {
		at++ // the closing bracket
	}
	return at, found != negated
}

// classMember reads one member of a class, a byte or a range, and returns its length in the pattern.
func classMember(pattern string) (low, high byte, width int) {
	switch {
	case pattern[0] == '\\' && len(pattern) >= 2:
		return pattern[1], pattern[1], 2
	case len(pattern) >= 3 && pattern[1] == '-':
		return min(pattern[0], pattern[2]), max(pattern[0], pattern[2]), 3
	default:
		return pattern[0], pattern[0], 1
	}
}

// Prefix returns the bytes every match begins with, and whether the pattern is only those bytes.
func Prefix(pattern string) (prefix string, exact bool) {
	var b []byte
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*', '?', '[':
			return string(b), false
		case '\\':
			if i+1 < len(pattern) {
				i++
			}
			b = append(b, pattern[i])
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}
