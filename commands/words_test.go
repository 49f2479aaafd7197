package commands

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseInt(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "-1": -1, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63,
	} {
		if n, ok := parseInt([]byte(text)); !ok || n != want {
			t.Errorf("parseInt(%q) = %d, %v", text, n, ok)
		}
	}
	for _, text := range []string{"", "-", "+1", " 1", "1 ", "01", "-0", "-01", "0x1", "1.5",
		"9223372036854775808", "-9223372036854775809", "99999999999999999999", "--1"} {
		if n, ok := parseInt([]byte(text)); ok {
			t.Errorf("parseInt(%q) = %d", text, n)
		}
	}
}

// What prints as it was read, and nothing else, is a canonical integer.
func TestParseIntIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("-0123456789")), 0, 22, -1).Draw(t, "text")
		want, err := strconv.ParseInt(text, 10, 64)
		canonical := err == nil && strconv.FormatInt(want, 10) == text
		n, ok := parseInt([]byte(text))
		if ok != canonical || ok && n != want {
			t.Fatalf("parseInt(%q) = %d, %v", text, n, ok)
		}
	})
}

func TestUnknownCommandTextIsBounded(t *testing.T) {
	long := []byte(strings.Repeat("x", 200))
	got := errUnknownCommand([][]byte{long, long, long}).Error()
	want := "ERR unknown command '" + strings.Repeat("x", 128) + "', with args beginning with: '" +
		strings.Repeat("x", 128) + "' "
	if got != want {
		t.Errorf("got %s", got)
	}
	got = errUnknownCommand([][]byte{[]byte("f"), long[:100], long[:100], long}).Error()
	want = "ERR unknown command 'f', with args beginning with: '" + strings.Repeat("x", 100) + "' '" +
		strings.Repeat("x", 25) + "' "
	if got != want {
		t.Errorf("got %s", got)
	}
}

func TestRounding(t *testing.T) {
	for ms, want := range map[int64]int64{0: 0, 499: 0, 500: 1, 1499: 1, 1500: 2, 1<<63 - 1: 9223372036854776} {
		if got := rounded(ms); got != want {
			t.Errorf("rounded(%d) = %d, want %d", ms, got, want)
		}
	}
}
