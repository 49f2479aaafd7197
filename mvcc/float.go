package mvcc

// Floating point increments as Redis makes them on the machines it is used on.
//
// The idea: a client that adds 0.1 and 0.2 must read 0.3, as it does from Redis, which computes in the 80-bit
// format of the x87: 64 bits of mantissa, and prints 17 digits after the point without trailing zeros. With
// the 53 bits of a float64 the same sum prints as 0.30000000000000004. Here both numbers are read exactly, as
// a fraction, and rounded once to 64 bits; their sum is rounded once more; the result is printed from its
// exact value. Rounding is to nearest, halves to even, as the machine and C's library do it.
//
// Invariants: the result depends on the two texts alone, on every machine; it is a number that this code
// reads back; no input takes more time or memory than its own 5 KB would.
//
// Rejected: big.Float's own parser, which rounds twice and may be off by one in the last bit.
//
// Drawback: a microsecond or two, more than the increment of an integer takes.

import (
	"math/big"
	"strconv"
	"strings"
)

const (
	floatMantissa = 64
	floatMaxExp   = 16384  // below 2^16384
	floatMinExp   = -16446 // half of the smallest number: it and what is smaller rounds to 0
	floatMaxText  = 5*1024 - 1
	floatDigits   = 17
	floatMaxPower = 6000 // decimal exponents beyond are out of range whatever the digits before them
)

// ValidFloat reports whether s is a number that ModifyIncrByFloat takes, infinity included.
func ValidFloat(s string) bool {
	_, ok := parseFloat(s)
	return ok
}

// addFloats returns the text of a+b. The error is ErrNotFloat or ErrNotFinite.
func addFloats(a, b string) (string, error) {
	x, okX := parseFloat(a)
	y, okY := parseFloat(b)
	switch {
	case !okX || !okY:
		return "", ErrNotFloat
	case x.IsInf() || y.IsInf():
		return "", ErrNotFinite
	}
	sum := new(big.Float).SetPrec(floatMantissa).Add(x, y)
	if sum.MantExp(nil) > floatMaxExp {
		return "", ErrNotFinite
	}
	return printFloat(sum), nil
}

func printFloat(x *big.Float) string {
	s := strings.TrimRight(x.Text('f', floatDigits), "0")
	s = strings.TrimSuffix(s, ".")
	if s == "-0" {
		return "0"
	}
	return s
}

// parseFloat reads what C's strtold reads, the whole of it: a sign, decimal or hexadecimal digits with a
// point and an exponent, or infinity in words. Not a number, no digits, too large and too small are refused.
func parseFloat(s string) (*big.Float, bool) {
	if s == "" || len(s) > floatMaxText {
		return nil, false
	}
	rest, negative := s, s[0] == '-'
	if negative || s[0] == '+' {
		rest = s[1:]
	}
	lower := strings.ToLower(rest)
	x := new(big.Float).SetPrec(floatMantissa)
	switch {
	case lower == "inf" || lower == "infinity":
		return x.SetInf(negative), true
	case strings.HasPrefix(lower, "0x"):
		return readFloat(x, lower[2:], negative, 16)
	default:
		return readFloat(x, lower, negative, 10)
	}
}

// readFloat reads digits, a point and an exponent: of ten with 'e', of two with 'p'.
func readFloat(x *big.Float, s string, negative bool, base int) (*big.Float, bool) {
	mark := "e"
	if base == 16 {
		mark = "p"
	}
	digits, power, hasPower := strings.Cut(s, mark)
	whole, fraction, _ := strings.Cut(digits, ".")
	exponent := 0
	if hasPower {
		var ok bool
		if exponent, ok = parsePower(power); !ok {
			return nil, false
		}
	}
	mantissa, ok := parseMantissa(whole+fraction, base)
	if !ok {
		return nil, false
	}
	if mantissa.Sign() != 0 && !scale(x, mantissa, base, len(fraction), exponent) {
		return nil, false
	}
	if negative {
		x.Neg(x)
	}
	return x, true
}

func parseMantissa(digits string, base int) (*big.Int, bool) {
	if digits == "" || strings.ContainsAny(digits, "_+-") {
		return nil, false
	}
	return new(big.Int).SetString(digits, base)
}

// parsePower reads an exponent; one of more digits than an int holds becomes a very large one.
func parsePower(s string) (int, bool) {
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n > 1<<40 {
		n = 1 << 40
	}
	if s[0] == '-' {
		n = -n
	}
	return n, true
}

// scale sets x to mantissa × base^-places × 10^exponent (or 2^exponent), rounded once; false means that the
// number is out of range.
func scale(x *big.Float, mantissa *big.Int, base, places, exponent int) bool {
	size, unit := len(mantissa.Text(base)), 1
	if base == 16 {
		unit = 4
	}
	exponent -= places * unit
	limit := floatMaxPower * unit
	if magnitude := exponent + size*unit; magnitude > limit || magnitude < -limit {
		return false
	}
	if base == 16 {
		x.SetMantExp(x.SetInt(mantissa), exponent)
	} else {
		scaleDecimal(x, mantissa, exponent)
	}
	exp := x.MantExp(nil)
	return exp <= floatMaxExp && exp > floatMinExp
}

// scaleDecimal rounds once: numerator and denominator are exact.
func scaleDecimal(x *big.Float, mantissa *big.Int, exponent int) {
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exponent, -exponent))), nil)
	if exponent >= 0 {
		x.SetInt(ten.Mul(ten, mantissa))
		return
	}
	var a, b big.Float
	x.Quo(a.SetInt(mantissa), b.SetInt(ten))
}
