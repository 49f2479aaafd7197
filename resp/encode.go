package resp

import (
	"math"
	"strconv"
	"strings"

	"github.com/tidwall/redcon"
)

// Append adds the wire form of v for protocol 2 or 3 to b.
func (v Value) Append(b []byte, proto int) []byte {
	switch v.kind {
	case KindNone:
		return b
	case KindSimple:
		return redcon.AppendString(b, v.text)
	case KindError:
		return redcon.AppendError(b, v.text)
	case KindInt:
		return redcon.AppendInt(b, v.num)
	case KindBulk:
		return redcon.AppendBulkString(b, v.text)
	case KindArray, KindMap, KindSet, KindPush:
		return v.appendAggregate(b, proto)
	case KindReplies:
		for i := range v.elems {
			b = v.elems[i].Append(b, proto)
		}
		return b
	case KindNull:
		return appendNull(b, proto, "$-1\r\n")
	case KindNullArray:
		return appendNull(b, proto, "*-1\r\n")
	default:
		return v.appendTyped(b, proto)
	}
}

func appendNull(b []byte, proto int, resp2 string) []byte {
	if proto >= 3 {
		return append(b, "_\r\n"...)
	}
	return append(b, resp2...)
}

func (v Value) appendAggregate(b []byte, proto int) []byte {
	b = appendHeader(b, v.aggregateMark(proto), v.aggregateLen(proto))
	for i := range v.count() {
		b = v.member(i).Append(b, proto)
	}
	return b
}

func (v Value) aggregateMark(proto int) byte {
	if proto < 3 {
		return '*'
	}
	switch v.kind {
	case KindMap:
		return '%'
	case KindSet:
		return '~'
	case KindPush:
		return '>'
	default:
		return '*'
	}
}

func (v Value) aggregateLen(proto int) int {
	if v.kind == KindMap && proto >= 3 {
		return v.count() / 2
	}
	return v.count()
}

// appendTyped writes the leaves that only RESP3 has a type for; RESP2 gets the nearest older one.
func (v Value) appendTyped(b []byte, proto int) []byte {
	switch v.kind {
	case KindDouble:
		return appendDouble(b, v.Float(), proto)
	case KindBool:
		return appendBool(b, v.num != 0, proto)
	case KindVerbatim:
		return appendVerbatim(b, v.text, proto)
	case KindBigNumber:
		return appendBigNumber(b, v.text, proto)
	default:
		panic("resp: value of unknown kind " + strconv.Itoa(int(v.kind)))
	}
}

func appendDouble(b []byte, f float64, proto int) []byte {
	var room [32]byte
	text := formatDouble(room[:0], f)
	if proto < 3 {
		return redcon.AppendBulk(b, text)
	}
	b = append(b, ',')
	b = append(b, text...)
	return append(b, '\r', '\n')
}

func appendBool(b []byte, yes bool, proto int) []byte {
	switch {
	case proto < 3 && yes:
		return append(b, ":1\r\n"...)
	case proto < 3:
		return append(b, ":0\r\n"...)
	case yes:
		return append(b, "#t\r\n"...)
	default:
		return append(b, "#f\r\n"...)
	}
}

func appendVerbatim(b []byte, text string, proto int) []byte {
	if proto < 3 {
		return redcon.AppendBulkString(b, text)
	}
	b = appendHeader(b, '=', len(text)+len("txt:"))
	b = append(b, "txt:"...)
	b = append(b, text...)
	return append(b, '\r', '\n')
}

func appendBigNumber(b []byte, digits string, proto int) []byte {
	if proto < 3 {
		return redcon.AppendBulkString(b, digits)
	}
	b = append(b, '(')
	b = append(b, digits...)
	return append(b, '\r', '\n')
}

func appendHeader(b []byte, mark byte, n int) []byte {
	b = append(b, mark)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, '\r', '\n')
}

// formatDouble prints f as C's "%.17g" does, which is what Redis sends: shortest is not the rule there,
// seventeen significant digits are, with trailing zeros dropped and an exponent unless 1e-4 <= |f| < 1e17.
func formatDouble(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "nan"...)
	case math.IsInf(f, 1):
		return append(b, "inf"...)
	case math.IsInf(f, -1):
		return append(b, "-inf"...)
	default:
		return strconv.AppendFloat(b, f, 'g', 17, 64)
	}
}

// AppendPush begins a push of n elements, for those who encode a message once for many connections.
func AppendPush(b []byte, proto, n int) []byte {
	if proto >= 3 {
		return appendHeader(b, '>', n)
	}
	return appendHeader(b, '*', n)
}

// AppendArray begins an array of n elements.
func AppendArray(b []byte, n int) []byte { return appendHeader(b, '*', n) }

// AppendMap begins a map of n pairs.
func AppendMap(b []byte, proto, n int) []byte {
	if proto >= 3 {
		return appendHeader(b, '%', n)
	}
	return appendHeader(b, '*', 2*n)
}

// AppendBulk adds a bulk string.
func AppendBulk[T string | []byte](b []byte, s T) []byte {
	b = appendHeader(b, '$', len(s))
	b = append(b, s...)
	return append(b, '\r', '\n')
}

// AppendInt adds an integer.
func AppendInt(b []byte, n int64) []byte {
	b = strconv.AppendInt(append(b, ':'), n, 10)
	return append(b, '\r', '\n')
}

// AppendNull adds the missing value.
func AppendNull(b []byte, proto int) []byte { return appendNull(b, proto, "$-1\r\n") }

func oneLine(s string) string {
	if strings.IndexByte(s, '\r') < 0 && strings.IndexByte(s, '\n') < 0 {
		return s
	}
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
}
