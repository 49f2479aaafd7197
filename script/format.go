package script

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// stringFormat is string.format. Width and precision have at most two digits, as in Lua 5.1.
func (r *run) stringFormat(L *lua.LState) int {
	format, arg := r.str(L, 1), 1
	var out strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			out.WriteByte(format[i])
			continue
		}
		if i+1 < len(format) && format[i+1] == '%' {
			out.WriteByte('%')
			i++
			continue
		}
		spec := r.formatSpec(L, format[i+1:])
		i += len(spec)
		arg++
		piece := r.formatOne(L, spec, arg)
		r.take(L, len(piece))
		out.WriteString(piece)
	}
	return r.pushString(L, out.String())
}

// formatSpec is what stands behind a '%': flags, width, precision and the letter.
func (r *run) formatSpec(L *lua.LState, rest string) string {
	n := len(rest) - len(strings.TrimLeft(rest, "-+ #0"))
	if n > 5 {
		r.fail(L, "invalid format (repeated flags)")
	}
	digits := func() {
		for k := 0; k < 2 && n < len(rest) && isDigit(rest[n]); k++ {
			n++
		}
	}
	digits()
	if n < len(rest) && rest[n] == '.' {
		n++
		digits()
	}
	if n < len(rest) && isDigit(rest[n]) {
		r.fail(L, "invalid format (width or precision too long)")
	}
	if n >= len(rest) {
		r.fail(L, "invalid option '%' to 'format'")
	}
	return rest[:n+1]
}

func (r *run) formatOne(L *lua.LState, spec string, arg int) string {
	letter, flags := spec[len(spec)-1], "%"+spec[:len(spec)-1]
	switch letter {
	case 'c':
		return string([]byte{byte(r.int(L, arg))})
	case 'd', 'i':
		return fmt.Sprintf(flags+"d", wholeOf(r.number(L, arg)))
	case 'u':
		return fmt.Sprintf(flags+"d", uint64(wholeOf(r.number(L, arg))))
	case 'o', 'x', 'X':
		return fmt.Sprintf(flags+string(letter), uint64(wholeOf(r.number(L, arg))))
	case 'e', 'E', 'f', 'g', 'G':
		return formatFloat(flags, letter, r.number(L, arg))
	case 'q':
		return quoted(r.str(L, arg))
	case 's':
		s := r.str(L, arg)
		if !strings.Contains(flags, ".") && len(s) >= 100 {
			return s
		}
		return formatText(flags, s)
	}
	r.fail(L, "invalid option '%"+string(letter)+"' to 'format'")
	return ""
}

func (r *run) number(L *lua.LState, arg int) float64 {
	f, ok := toNumber(L.Get(arg))
	if !ok {
		return float64(L.CheckNumber(arg))
	}
	return f
}

// wholeOf cuts a number to an integer as the hardware that Redis runs on does.
func wholeOf(f float64) int64 {
	if f >= -(1<<63) && f < 1<<63 {
		return int64(f)
	}
	return math.MinInt64
}

func formatFloat(flags string, letter byte, f float64) string {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return formatText(strings.ReplaceAll(flags, "0", ""), formatNumber(f))
	}
	if letter != 'g' && letter != 'G' || strings.Contains(flags, "#") {
		return fmt.Sprintf(flags+string(letter), f)
	}
	width, precision, found := strings.Cut(flags, ".")
	digits := 6
	if found {
		digits, _ = strconv.Atoi(precision)
		digits = max(digits, 1)
	}
	s := formatG(f, digits)
	if letter == 'G' {
		s = strings.ToUpper(s)
	}
	if strings.Contains(width, "+") && f >= 0 {
		s = "+" + s
	}
	return pad(width, s)
}

// pad applies the width and the flags '-' and '0'.
func pad(flags, s string) string {
	left, zero := strings.Contains(flags, "-"), strings.HasPrefix(strings.TrimLeft(flags, "%+ #"), "0")
	width, _ := strconv.Atoi(strings.TrimLeft(flags, "%-+ #0"))
	switch n := width - len(s); {
	case n <= 0:
		return s
	case left:
		return s + strings.Repeat(" ", n)
	case zero:
		sign := ""
		if s != "" && (s[0] == '-' || s[0] == '+') {
			sign, s = s[:1], s[1:]
		}
		return sign + strings.Repeat("0", n) + s
	default:
		return strings.Repeat(" ", n) + s
	}
}

// formatText pads bytes, where Go would count characters.
func formatText(flags, s string) string {
	width, precision, found := strings.Cut(flags, ".")
	if found {
		n, _ := strconv.Atoi(precision)
		s = s[:min(n, len(s))]
	}
	flag := strings.TrimLeft(width, "%+ #0")
	if strings.Contains(width, "-") {
		flag = "-" + strings.TrimLeft(flag, "-0")
	}
	return pad(flag, s)
}

func quoted(s string) string {
	var out strings.Builder
	out.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			out.WriteByte('\\')
			out.WriteByte(c)
		case '\r':
			out.WriteString(`\r`)
		case 0:
			out.WriteString(`\000`)
		default:
			out.WriteByte(c)
		}
	}
	out.WriteByte('"')
	return out.String()
}
