package mvcc

import (
	"strings"
	"testing"
)

// Every short value overwritten at every place, against bytes put one by one.
func TestOverwrite(t *testing.T) {
	const digits, letters = "0123456789", "abcdefghij"
	for size := range len(digits) + 1 {
		for at := range 14 {
			for n := 1; n <= 6; n++ {
				want := []byte(digits[:size] + strings.Repeat("\x00", max(at+n-size, 0)))
				copy(want[at:], letters[:n])
				if got := overwrite(digits[:size], at, letters[:n]); got != string(want) {
					t.Errorf("%q at %d with %q is %q, want %q", digits[:size], at, letters[:n], got, want)
				}
			}
		}
	}
}

// The limits that the 80-bit format sets, and the last bit that another precision would lose.
func TestAddFloats(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"0.1", "0.2", "0.3"}, {"3.0e3", "0x1p4", "3016"}, {"-0", "0", "0"}, {"1e-18", "0", "0"},
		{"18446744073709551615", "0", "18446744073709551615"}, {"1", "-1.00000000000000000001", "0"},
		{"-1e-4940", "0", "0"}, {"9007199254740993", "0.5", "9007199254740993.5"},
	} {
		if got, err := addFloats(c.a, c.b); got != c.want || err != nil {
			t.Errorf("%s + %s = %s, %v, want %s", c.a, c.b, got, err, c.want)
		}
	}
	for _, s := range []string{"", "nan", "1e5000", "1e-5000", "1_0", "0x", ".", "1e", "+-1", " 1",
		"1e4932000000000",
		strings.Repeat("1", floatMaxText+1)} {
		if ValidFloat(s) {
			t.Errorf("%.40q is taken for a number", s)
		}
	}
	for _, c := range [][2]string{{"inf", "1"}, {"1", "-inf"}, {"inf", "-inf"}, {"1e4932", "1e4932"}} {
		if got, err := addFloats(c[0], c[1]); err != ErrNotFinite {
			t.Errorf("%s + %s = %s, %v", c[0], c[1], got, err)
		}
	}
}
