package script

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// cjson, as far as scripts use it: encode, decode and null, with the limits that Redis's has by default.

const (
	jsonDepth  = 1000
	jsonSafe   = 10 // an array up to this long may have any gaps
	jsonSparse = 2  // a longer one at most so many places for each value
	jsonDigits = 14
)

var jsonFunctions = library{
	"encode": (*run).jsonEncode, "decode": (*run).jsonDecode,
	"encode_keep_buffer": func(r *run, L *lua.LState) int { return r.push(L, lua.LTrue) },
}

// jsonNothing is cjson.null. It is one value for all runs: nothing can be stored in it.
var jsonNothing = &lua.LUserData{Value: "cjson.null", Metatable: lua.LNil}

var jsonValues = map[string]lua.LValue{
	"null": jsonNothing, "_NAME": lua.LString("cjson"), "_VERSION": lua.LString("2.1.0"),
}

func (r *run) jsonEncode(L *lua.LState) int {
	if L.GetTop() != 1 {
		r.fail(L, "bad argument #1 to 'encode' (expected 1 argument)")
	}
	e := &jsonEncoder{r: r, L: L}
	e.value(L.Get(1), 0)
	return r.push(L, lua.LString(e.out.String()))
}

func (r *run) jsonDecode(L *lua.LState) int {
	if L.GetTop() != 1 {
		r.fail(L, "bad argument #1 to 'decode' (expected 1 argument)")
	}
	d := &jsonDecoder{r: r, L: L, src: r.str(L, 1)}
	v := d.value(d.next(), 0)
	if t := d.next(); t.kind != jsonEnd {
		d.expected("the end", t)
	}
	return r.push(L, v)
}

type jsonEncoder struct {
	r   *run
	L   *lua.LState
	out strings.Builder
}

func (e *jsonEncoder) write(s string) {
	e.r.take(e.L, len(s))
	e.out.WriteString(s)
}

func (e *jsonEncoder) value(v lua.LValue, depth int) {
	switch v := v.(type) {
	case lua.LString:
		e.text(string(v))
	case lua.LNumber:
		e.number(float64(v))
	case lua.LBool:
		e.write(v.String())
	case *lua.LTable:
		e.table(v, depth+1)
	case *lua.LUserData:
		e.write("null")
	default:
		if v != lua.LNil {
			e.r.fail(e.L, "Cannot serialise "+v.Type().String()+": type not supported")
		}
		e.write("null")
	}
}

func (e *jsonEncoder) number(f float64) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		e.r.fail(e.L, "Cannot serialise number: must not be NaN or Inf")
	}
	e.write(formatNumber(f))
}

func (e *jsonEncoder) text(s string) {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '/':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= 0x20 && c != 0x7f:
			b.WriteByte(c)
		case c >= '\b' && c <= '\r' && c != '\v':
			b.WriteByte('\\')
			b.WriteByte("btn.fr"[c-'\b'])
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	b.WriteByte('"')
	e.write(b.String())
}

func (e *jsonEncoder) table(t *lua.LTable, depth int) {
	if depth > jsonDepth {
		e.r.fail(e.L, "Cannot serialise, excessive depth ("+strconv.Itoa(depth)+")")
	}
	if n := e.arrayLength(t); n > 0 {
		e.write("[")
		for i := 1; i <= n; i++ {
			if i > 1 {
				e.write(",")
			}
			e.value(t.RawGet(lua.LNumber(i)), depth)
		}
		e.write("]")
		return
	}
	e.write("{")
	first := true
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		if !first {
			e.write(",")
		}
		first = false
		e.key(k)
		e.value(v, depth)
	}
	e.write("}")
}

func (e *jsonEncoder) key(k lua.LValue) {
	switch k := k.(type) {
	case lua.LString:
		e.text(string(k))
		e.write(":")
	case lua.LNumber:
		e.write(`"` + formatNumber(float64(k)) + `":`)
	default:
		e.r.fail(e.L, "Cannot serialise "+k.Type().String()+": table key must be a number or string")
	}
}

// arrayLength is the largest index if all keys are such; 0 for a table that is an object.
func (e *jsonEncoder) arrayLength(t *lua.LTable) int {
	most, n := 0, 0
	for k, _ := t.Next(lua.LNil); k != lua.LNil; k, _ = t.Next(k) {
		f, ok := k.(lua.LNumber)
		if !ok || f < 1 || f != lua.LNumber(int(f)) {
			return 0
		}
		most, n = max(most, int(f)), n+1
	}
	if most > jsonSafe && most > n*jsonSparse {
		e.r.fail(e.L, "Cannot serialise table: excessively sparse array")
	}
	return most
}

type jsonKind string

const (
	jsonObject   jsonKind = "T_OBJ_BEGIN"
	jsonObjEnd   jsonKind = "T_OBJ_END"
	jsonArray    jsonKind = "T_ARR_BEGIN"
	jsonArrEnd   jsonKind = "T_ARR_END"
	jsonString   jsonKind = "T_STRING"
	jsonNumber   jsonKind = "T_NUMBER"
	jsonBoolean  jsonKind = "T_BOOLEAN"
	jsonNull     jsonKind = "T_NULL"
	jsonColon    jsonKind = "T_COLON"
	jsonComma    jsonKind = "T_COMMA"
	jsonEnd      jsonKind = "T_END"
	jsonBad      jsonKind = "invalid token"
	jsonBadText  jsonKind = "unexpected end of string"
	jsonBadNum   jsonKind = "invalid number"
	jsonBadEsc   jsonKind = "invalid escape code"
	jsonBadUnico jsonKind = "invalid unicode escape code"
)

type jsonToken struct {
	kind  jsonKind
	at    int
	text  string
	value lua.LValue
}

type jsonDecoder struct {
	r   *run
	L   *lua.LState
	src string
	at  int
}

func (d *jsonDecoder) expected(what string, t jsonToken) {
	d.r.fail(d.L, fmt.Sprintf("Expected %s but found %s at character %d", what, t.kind, t.at+1))
}

var jsonMarks = map[byte]jsonKind{'{': jsonObject, '}': jsonObjEnd, '[': jsonArray, ']': jsonArrEnd,
	':': jsonColon, ',': jsonComma}

func (d *jsonDecoder) next() jsonToken {
	for d.at < len(d.src) && strings.IndexByte(" \t\n\r", d.src[d.at]) >= 0 {
		d.at++
	}
	t := jsonToken{at: d.at, kind: jsonEnd}
	if d.at == len(d.src) {
		return t
	}
	d.r.work(d.L, 1)
	c := d.src[d.at]
	if kind, ok := jsonMarks[c]; ok {
		d.at++
		t.kind = kind
		return t
	}
	switch {
	case c == '"':
		return d.stringToken(t)
	case c == '-' || isDigit(c):
		return d.numberToken(t)
	}
	for word, v := range map[string]lua.LValue{"true": lua.LTrue, "false": lua.LFalse, "null": jsonNothing} {
		if strings.HasPrefix(d.src[d.at:], word) {
			d.at += len(word)
			t.kind, t.value = jsonBoolean, v
			if word == "null" {
				t.kind = jsonNull
			}
			return t
		}
	}
	t.kind = jsonBad
	return t
}

func (d *jsonDecoder) numberToken(t jsonToken) jsonToken {
	end := d.at
	for end < len(d.src) && (isDigit(d.src[end]) || strings.IndexByte("+-.eE", d.src[end]) >= 0) {
		end++
	}
	f, ok := parseNumber(d.src[d.at:end])
	if !ok {
		t.kind = jsonBadNum
		return t
	}
	d.at = end
	t.kind, t.value = jsonNumber, lua.LNumber(f)
	return t
}

func (d *jsonDecoder) stringToken(t jsonToken) jsonToken {
	var b strings.Builder
	d.at++
	for {
		n := strings.IndexAny(d.src[d.at:], `"\`)
		if n < 0 {
			return jsonToken{kind: jsonBadText, at: len(d.src)}
		}
		d.r.take(d.L, n+1)
		b.WriteString(d.src[d.at : d.at+n])
		d.at += n + 1
		if d.src[d.at-1] == '"' {
			t.kind, t.text = jsonString, b.String()
			t.value = lua.LString(t.text)
			return t
		}
		if bad := d.escape(&b); bad != "" {
			return jsonToken{kind: bad, at: d.at - 1}
		}
	}
}

var jsonEscapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 't': '\t', 'n': '\n', 'f': '\f',
	'r': '\r'}

// escape reads what stands behind a backslash.
func (d *jsonDecoder) escape(b *strings.Builder) (bad jsonKind) {
	if d.at == len(d.src) {
		return jsonBadEsc
	}
	c := d.src[d.at]
	if plain, ok := jsonEscapes[c]; ok {
		d.at++
		b.WriteByte(plain)
		return ""
	}
	if c != 'u' {
		return jsonBadEsc
	}
	high, ok := d.hex(d.at + 1)
	if !ok {
		return jsonBadUnico
	}
	d.at += 5
	if high&0xfc00 != 0xd800 {
		b.WriteString(encodeRune(high))
		return ""
	}
	low, ok := d.hex(d.at + 2)
	if !ok || d.src[d.at:d.at+2] != `\u` || low&0xfc00 != 0xdc00 {
		d.at -= 5
		return jsonBadUnico
	}
	d.at += 6
	b.WriteRune(rune(0x10000 + (high-0xd800)<<10 + (low - 0xdc00)))
	return ""
}

func (d *jsonDecoder) hex(at int) (u uint64, ok bool) {
	if at+4 > len(d.src) {
		return 0, false
	}
	u, err := strconv.ParseUint(d.src[at:at+4], 16, 16)
	return u, err == nil
}

// encodeRune is UTF-8 of any 16-bit number, lone low surrogates included.
func encodeRune(u uint64) string {
	if u&0xf800 == 0xd800 {
		return string([]byte{0xe0 | byte(u>>12), 0x80 | byte(u>>6&0x3f), 0x80 | byte(u&0x3f)})
	}
	return string(rune(u))
}

func (d *jsonDecoder) value(t jsonToken, depth int) lua.LValue {
	switch t.kind {
	case jsonString, jsonNumber, jsonBoolean, jsonNull:
		return t.value
	case jsonObject, jsonArray:
		if depth++; depth > jsonDepth {
			d.r.fail(d.L, fmt.Sprintf("Found too many nested data structures (%d)", depth))
		}
		d.r.take(d.L, tableBytes)
		if t.kind == jsonObject {
			return d.object(depth)
		}
		return d.array(depth)
	}
	d.expected("value", t)
	return lua.LNil
}

func (d *jsonDecoder) object(depth int) lua.LValue {
	out := d.L.NewTable()
	t := d.next()
	if t.kind == jsonObjEnd {
		return out
	}
	for {
		if t.kind != jsonString {
			d.expected("object key string", t)
		}
		if colon := d.next(); colon.kind != jsonColon {
			d.expected("colon", colon)
		}
		v := d.value(d.next(), depth)
		d.r.take(d.L, entryBytes)
		out.RawSetString(t.text, v)
		switch end := d.next(); end.kind {
		case jsonObjEnd:
			return out
		case jsonComma:
		default:
			d.expected("comma or object end", end)
		}
		t = d.next()
	}
}

func (d *jsonDecoder) array(depth int) lua.LValue {
	out := d.L.NewTable()
	t := d.next()
	if t.kind == jsonArrEnd {
		return out
	}
	for i := 1; ; i++ {
		d.r.take(d.L, fieldBytes)
		out.RawSetInt(i, d.value(t, depth))
		switch end := d.next(); end.kind {
		case jsonArrEnd:
			return out
		case jsonComma:
		default:
			d.expected("comma or array end", end)
		}
		t = d.next()
	}
}
