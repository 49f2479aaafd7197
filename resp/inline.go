package resp

// splitInline cuts one inline line (without its newline) into words by the rules of Redis's sdssplitargs and
// appends them to words; ok is false iff the quotes are unbalanced.
//
//   - words are separated by space, TAB, CR or LF; VT and FF are skipped before a word and are part of one
//   - a NUL byte ends the line, as it ends the C string in Redis
//   - "..." knows \xHH, \n \r \t \b \a and takes any other escaped byte as it is; '...' knows only \'
//   - quotes may open inside a word, but a closing quote must be followed by white space or the end
//
// Words are unescaped in place (they only get shorter), so they alias line, which is overwritten.
func splitInline(words [][]byte, line []byte) (result [][]byte, ok bool) {
	at := 0
	for {
		for at < len(line) && isSpace(line[at]) {
			at++
		}
		if at == len(line) || line[at] == 0 {
			return words, true
		}
		word, next, ok := inlineWord(line, at)
		if !ok {
			return words, false
		}
		words = append(words, word)
		at = next
	}
}

// inlineWord reads the word that starts at line[at] and returns the position behind it.
func inlineWord(line []byte, at int) (word []byte, next int, ok bool) {
	out := at
	start := at
	for at < len(line) && !endsWord(line[at]) {
		var n int
		switch line[at] {
		case '"', '\'':
			n, at, ok = inlineQuoted(line, out, at+1, line[at])
			if !ok {
				return nil, 0, false
			}
			return line[start:n:n], at, true
		default:
			line[out] = line[at]
			out++
			at++
		}
	}
	return line[start:out:out], at, true
}

// inlineQuoted unescapes what follows an opening quote at line[at:] to line[out:]. It returns the ends of
// both.
func inlineQuoted(line []byte, out, at int, quote byte) (outEnd, next int, ok bool) {
	for at < len(line) && line[at] != 0 {
		c := line[at]
		if c == quote {
			at++
			closed := at == len(line) || line[at] == 0 || isSpace(line[at])
			return out, at, closed
		}
		width := 1
		if c == '\\' {
			c, width = unescape(line[at:], quote)
		}
		line[out] = c
		out++
		at += width
	}
	return 0, 0, false
}

// unescape reads one byte written as an escape at the start of s, and how long it was written.
func unescape(s []byte, quote byte) (c byte, width int) {
	switch {
	case quote == '\'':
		if len(s) > 1 && s[1] == '\'' {
			return '\'', 2
		}
		return '\\', 1
	case len(s) > 3 && s[1] == 'x' && hexDigit(s[2]) >= 0 && hexDigit(s[3]) >= 0:
		return byte(hexDigit(s[2])<<4 | hexDigit(s[3])), 4
	case len(s) > 1 && s[1] != 0:
		return escaped(s[1]), 2
	default:
		return '\\', 1
	}
}

func escaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	default:
		return c
	}
}

func endsWord(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0 }

func isSpace(c byte) bool { return c == ' ' || (c >= '\t' && c <= '\r') }

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}
