package commands

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"**", "abc", true},
		{"a*c", "abc", true}, {"a*c", "ab", false}, {"a*b*c", "aXbYbZc", true}, {"?", "", false}, {"?", "a", true},
		{"h[ae]llo", "hello", true}, {"h[ae]llo", "hillo", false}, {"h[^e]llo", "hallo", true},
		{"h[^e]llo", "hello", false}, {"h[a-c]llo", "hbllo", true}, {"h[c-a]llo", "hbllo", true},
		{"h[!e]llo", "h!llo", true}, {`h\*llo`, "h*llo", true}, {`h\*llo`, "hxllo", false},
		{`a\`, `a\`, true}, {"[ab", "a", true}, {"[ab", "c", false}, {"[", "a", false}, {"[^", "a", true},
		{"[]", "a", false}, {`[\]]`, "]", true}, {"[a-]", "-", false}, {"[a-]", "]", true},
		{"a", "A", false}, {"*\x00*", "a\x00b", true},
	} {
		if got := matchGlob(c.pattern, c.text); got != c.want {
			t.Errorf("matchGlob(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}

// naiveGlob is the same language by plain recursion, exponential in the number of stars.
func naiveGlob(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	if pattern[0] == '*' {
		for i := 0; i <= len(text); i++ {
			if naiveGlob(pattern[1:], text[i:]) {
				return true
			}
		}
		return false
	}
	if text == "" {
		return false
	}
	ok, rest := naiveOne(pattern, text[0])
	return ok && naiveGlob(rest, text[1:])
}

// naiveOne spells the set of bytes out that the first element of the pattern matches.
func naiveOne(pattern string, b byte) (ok bool, rest string) {
	switch {
	case pattern[0] == '?':
		return true, pattern[1:]
	case pattern[0] == '\\' && len(pattern) > 1:
		return pattern[1] == b, pattern[2:]
	case pattern[0] != '[':
		return pattern[0] == b, pattern[1:]
	}
	rest, not := strings.CutPrefix(pattern[1:], "^")
	var members [256]bool
	for rest != "" && rest[0] != ']' {
		switch {
		case rest[0] == '\\' && len(rest) > 1:
			members[rest[1]], rest = true, rest[2:]
		case len(rest) > 2 && rest[1] == '-':
			for m := range members {
				from, to := int(min(rest[0], rest[2])), int(max(rest[0], rest[2]))
				members[m] = members[m] || from <= m && m <= to
			}
			rest = rest[3:]
		default:
			members[rest[0]], rest = true, rest[1:]
		}
	}
	return members[b] != not, strings.TrimPrefix(rest, "]")
}

// redisGlob is naiveGlob, but for the empty text: Redis then looks at no element of the pattern, and takes
// "*" for no pattern.
func redisGlob(pattern, text string) bool {
	if text == "" {
		return pattern == "" || pattern == "*"
	}
	return naiveGlob(pattern, text)
}

func TestGlobMatchesNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.RuneFrom([]rune(`ab*?[]^-\c`)), 0, 12, -1).Draw(t, "pattern")
		text := rapid.StringOfN(rapid.RuneFrom([]rune(`abc-]^\`)), 0, 12, -1).Draw(t, "text")
		if got, want := matchGlob(pattern, text), redisGlob(pattern, text); got != want {
			t.Fatalf("matchGlob(%q, %q) = %v, naive %v", pattern, text, got, want)
		}
		prefix, exact := globPrefix(pattern)
		if naiveGlob(pattern, text) && !strings.HasPrefix(text, prefix) {
			t.Fatalf("globPrefix(%q) = %q, but %q matches", pattern, prefix, text)
		}
		if exact && naiveGlob(pattern, text) != (text == prefix) {
			t.Fatalf("globPrefix(%q) says exactly %q; %q", pattern, prefix, text)
		}
	})
}

// A pattern of many stars against a text that just fails is where backtracking explodes.
func TestGlobDoesNotExplode(t *testing.T) {
	pattern, text := strings.Repeat("a*", 100)+"b", strings.Repeat("a", 10_000)
	began := time.Now()
	if matchGlob(pattern, text) {
		t.Error("matched")
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("h[^a-c]*?", "hello")
	f.Add(`\*[`, "*")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 20 || len(text) > 20 {
			return // the naive twin is exponential
		}
		if got, want := matchGlob(pattern, text), redisGlob(pattern, text); got != want {
			t.Errorf("matchGlob(%q, %q) = %v, naive %v", pattern, text, got, want)
		}
	})
}
