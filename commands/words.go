package commands

import (
	"math"
	"strconv"
	"strings"
	"unsafe"
)

// alias returns b as a string without a copy. It is valid until the pipeline that brought b has been served;
// requests are encoded, and replies rendered, before that. What must live longer is copied with string(b).
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// is reports whether b is the given upper-case word, in any case.
func is(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

func lower(s string) string { return strings.ToLower(s) }

// parseInt reads a canonical decimal int64 as Redis does: no sign but '-', no space, no leading zero.
func parseInt(b []byte) (n int64, ok bool) {
	const longest = len("-9223372036854775808")
	if len(b) == 0 || len(b) > longest {
		return 0, false
	}
	digits := b
	negative := b[0] == '-'
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 || digits[0] == '0' && (len(digits) > 1 || negative) {
		return 0, false
	}
	u, ok := parseDigits(digits)
	switch {
	case !ok:
		return 0, false
	case negative:
		return -int64(u), u <= -math.MinInt64
	default:
		return int64(u), u <= math.MaxInt64
	}
}

// parseDigits reads at most 19 decimal digits, which cannot overflow a uint64.
func parseDigits(b []byte) (u uint64, ok bool) {
	if len(b) > 19 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		u = u*10 + uint64(c-'0')
	}
	return u, len(b) > 0
}

// parseCursor reads a SCAN cursor as C's strtoul does, which clients rely on: a '-' wraps around.
func parseCursor(b []byte) (cursor uint64, ok bool) {
	digits, negative := strings.CutPrefix(alias(b), "-")
	u, err := strconv.ParseUint(digits, 10, 64)
	if negative {
		u = -u
	}
	return u, err == nil
}

// integer is parseInt with Redis's error.
func integer(b []byte) (int64, error) {
	n, ok := parseInt(b)
	if !ok {
		return 0, errNotInteger
	}
	return n, nil
}

// words walks the arguments after the positional ones, one option at a time.
type words struct {
	args [][]byte
	at   int
}

func (w *words) more() bool { return w.at < len(w.args) }

// next returns the next word. REQUIRES: more.
func (w *words) next() []byte {
	w.at++
	return w.args[w.at-1]
}

// operand returns the word that an option needs behind it.
func (w *words) operand() ([]byte, error) {
	if !w.more() {
		return nil, errSyntax
	}
	return w.next(), nil
}

// count returns the non-negative number that an option needs behind it.
func (w *words) count() (int64, error) {
	b, err := w.operand()
	if err != nil {
		return 0, err
	}
	n, err := integer(b)
	if err == nil && n < 0 {
		err = errNotInteger
	}
	return n, err
}
