package resp

import "math"

// Kind names what a Value is. The zero Kind is KindNone: no reply at all.
type Kind uint8

// The kinds of a reply. They are private to this process, never written anywhere.
const (
	KindNone Kind = iota
	KindSimple
	KindError
	KindInt
	KindBulk
	KindNull
	KindNullArray
	KindArray
	KindMap
	KindSet
	KindDouble
	KindBool
	KindVerbatim
	KindBigNumber
	KindPush
	KindReplies
)

// Value is one reply: a leaf or a tree. It is passed by value, is immutable once built, and says nothing
// about the protocol it will be sent in: Append decides that, so a command builds the same Value for RESP2
// and RESP3.
type Value struct {
	text  string
	elems []Value
	made  func(i int) Value // KindArray: makes the members, num of them, in place of elems
	num   int64             // KindInt: the number; KindBool: 0 or 1; KindDouble: its bits
	kind  Kind
}

// None is the absence of a reply: Append adds nothing.
func None() Value { return Value{} }

// OK is the simple string "OK".
func OK() Value { return Value{kind: KindSimple, text: "OK"} }

// Simple is a simple string. CR and LF would break the framing and become spaces.
func Simple(s string) Value { return Value{kind: KindSimple, text: oneLine(s)} }

// Err is an error reply; the text carries its code first ("ERR ...", "WRONGTYPE ...") and no leading '-'.
// CR and LF become spaces: error texts quote client bytes, which must not be able to forge a second reply.
func Err(s string) Value { return Value{kind: KindError, text: oneLine(s)} }

// Int is an integer reply.
func Int(i int64) Value { return Value{kind: KindInt, num: i} }

// Bulk is a bulk string that aliases s.
func Bulk(s string) Value { return Value{kind: KindBulk, text: s} }

// BulkBytes is a bulk string holding a copy of b, so a command may hand in bytes of the read buffer.
func BulkBytes(b []byte) Value { return Value{kind: KindBulk, text: string(b)} }

// Null is the missing value: a null bulk string in RESP2, the null of RESP3.
func Null() Value { return Value{kind: KindNull} }

// NullArray is the missing list: a null array in RESP2, the null of RESP3.
func NullArray() Value { return Value{kind: KindNullArray} }

// Array is a list of the given values.
func Array(vs ...Value) Value { return Value{kind: KindArray, elems: vs} }

// ArrayOf is a list that keeps vs itself, which the caller must not change afterwards.
func ArrayOf(vs []Value) Value { return Value{kind: KindArray, elems: vs} }

// ArrayBy is a list of n values that are made one at a time while the list is written, for lists whose tree
// would be large. made is called on the connection's goroutine, once for each i, in order, and may not block;
// what it refers to must stay as it is until the reply is written.
func ArrayBy(n int, made func(i int) Value) Value {
	return Value{kind: KindArray, num: int64(n), made: made}
}

// Map is key, value, key, value...; RESP2 sees the flat list. An odd count is a programming mistake.
func Map(kv ...Value) Value {
	if len(kv)%2 != 0 {
		panic("resp: Map needs an even number of values")
	}
	return Value{kind: KindMap, elems: kv}
}

// Set is an unordered collection; RESP2 sees a list.
func Set(vs ...Value) Value { return Value{kind: KindSet, elems: vs} }

// Double is a floating point number; RESP2 sees its text.
func Double(f float64) Value { return Value{kind: KindDouble, num: int64(math.Float64bits(f))} }

// Bool is a truth value; RESP2 sees 1 or 0.
func Bool(b bool) Value {
	if b {
		return Value{kind: KindBool, num: 1}
	}
	return Value{kind: KindBool}
}

// Verbatim is text meant for a human, of type "txt"; RESP2 sees a bulk string.
func Verbatim(text string) Value { return Value{kind: KindVerbatim, text: text} }

// BigNumber is an integer of any size in decimal digits; RESP2 sees a bulk string.
func BigNumber(s string) Value { return Value{kind: KindBigNumber, text: oneLine(s)} }

// Push is an out-of-band message; RESP2 sees a list.
func Push(vs ...Value) Value { return Value{kind: KindPush, elems: vs} }

// Replies is several replies to one command, one behind the other, as SUBSCRIBE gives.
func Replies(vs ...Value) Value { return Value{kind: KindReplies, elems: vs} }

// Kind says what the value is.
func (v Value) Kind() Kind { return v.kind }

// IsErr reports whether the value is an error reply.
func (v Value) IsErr() bool { return v.kind == KindError }

// Text is the string of a string-like value, and the message of an error without '-'; "" for the others.
func (v Value) Text() string { return v.text }

// Num is the number of an Int, and 1 or 0 for a Bool; 0 for the others.
func (v Value) Num() int64 {
	if v.kind == KindDouble || v.made != nil {
		return 0
	}
	return v.num
}

// Float is the number of a Double; 0 for the others.
func (v Value) Float() float64 {
	if v.kind != KindDouble {
		return 0
	}
	return math.Float64frombits(uint64(v.num))
}

// Elems are the members of a list, map, set or push; the caller must not change them.
func (v Value) Elems() []Value {
	if v.made == nil {
		return v.elems
	}
	elems := make([]Value, v.num)
	for i := range elems {
		elems[i] = v.made(i)
	}
	return elems
}

// Weight is about how many bytes of memory the value keeps from being used otherwise, text that it aliases
// included. Of members that are made while they are written it counts what they are made of.
func (v Value) Weight() int {
	const value, handle = 64, 16
	weight := value + len(v.text)
	if v.made != nil {
		return weight + int(v.num)*handle
	}
	for i := range v.elems {
		weight += v.elems[i].Weight()
	}
	return weight
}

// count is the number of members.
func (v Value) count() int {
	if v.made != nil {
		return int(v.num)
	}
	return len(v.elems)
}

// member is one of them.
func (v Value) member(i int) Value {
	if v.made != nil {
		return v.made(i)
	}
	return v.elems[i]
}

func (v Value) isAggregate() bool {
	return v.kind == KindArray || v.kind == KindMap || v.kind == KindSet || v.kind == KindPush
}
