package resp

import (
	"math"
	"strings"
	"testing"
)

func TestEveryKindInBothProtocols(t *testing.T) {
	cases := []struct {
		name         string
		value        Value
		resp2, resp3 string
	}{
		{"none", None(), "", ""},
		{"ok", OK(), "+OK\r\n", "+OK\r\n"},
		{"simple", Simple("PONG"), "+PONG\r\n", "+PONG\r\n"},
		{"simple with line break", Simple("a\r\nb"), "+a  b\r\n", "+a  b\r\n"},
		{"error", Err("ERR no"), "-ERR no\r\n", "-ERR no\r\n"},
		{"error cannot forge a reply", Err("ERR 'x\r\n+OK'"), "-ERR 'x  +OK'\r\n", "-ERR 'x  +OK'\r\n"},
		{"int", Int(-42), ":-42\r\n", ":-42\r\n"},
		{"smallest int", Int(math.MinInt64), ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
		{"bulk", Bulk("a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"},
		{"empty bulk", Bulk(""), "$0\r\n\r\n", "$0\r\n\r\n"},
		{"bulk bytes", BulkBytes([]byte{0, 255}), "$2\r\n\x00\xff\r\n", "$2\r\n\x00\xff\r\n"},
		{"null", Null(), "$-1\r\n", "_\r\n"},
		{"null array", NullArray(), "*-1\r\n", "_\r\n"},
		{"array", Array(Int(1), Null()), "*2\r\n:1\r\n$-1\r\n", "*2\r\n:1\r\n_\r\n"},
		{"empty array", Array(), "*0\r\n", "*0\r\n"},
		{"array of", ArrayOf([]Value{OK()}), "*1\r\n+OK\r\n", "*1\r\n+OK\r\n"},
		{"map", Map(Bulk("a"), Int(1)), "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"},
		{"set", Set(Int(1), Int(2)), "*2\r\n:1\r\n:2\r\n", "~2\r\n:1\r\n:2\r\n"},
		{"push", Push(Bulk("m")), "*1\r\n$1\r\nm\r\n", ">1\r\n$1\r\nm\r\n"},
		{"true", Bool(true), ":1\r\n", "#t\r\n"},
		{"false", Bool(false), ":0\r\n", "#f\r\n"},
		{"verbatim", Verbatim("hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
		{"big number", BigNumber("123456789012345678901"),
			"$21\r\n123456789012345678901\r\n", "(123456789012345678901\r\n"},
		{"double", Double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"},
		{"nested", Map(Bulk("k"), Array(Map(Bool(true), Set()))),
			"*2\r\n$1\r\nk\r\n*1\r\n*2\r\n:1\r\n*0\r\n", "%1\r\n$1\r\nk\r\n*1\r\n%1\r\n#t\r\n~0\r\n"},
	}
	for _, c := range cases {
		if got := string(c.value.Append([]byte("x"), 2)); got != "x"+c.resp2 {
			t.Errorf("%s in RESP2: %q, want %q", c.name, got[1:], c.resp2)
		}
		if got := string(c.value.Append(nil, 3)); got != c.resp3 {
			t.Errorf("%s in RESP3: %q, want %q", c.name, got, c.resp3)
		}
	}
}

// The right column is what printf("%.17g") of the C library gives, which is what Redis sends.
func TestDoublesAsRedisPrintsThem(t *testing.T) {
	cases := []struct {
		f    float64
		want string
	}{
		{0, "0"}, {math.Copysign(0, -1), "-0"}, {1, "1"}, {-3, "-3"}, {0.1, "0.10000000000000001"},
		{3.14, "3.1400000000000001"}, {1e16, "10000000000000000"}, {1e17, "1e+17"}, {123456789, "123456789"},
		{1e-4, "0.0001"}, {1e-5, "1.0000000000000001e-05"}, {5e-324, "4.9406564584124654e-324"},
		{math.MaxFloat64, "1.7976931348623157e+308"}, {1e21, "1e+21"}, {0.5, "0.5"},
		{math.Inf(1), "inf"}, {math.Inf(-1), "-inf"}, {math.NaN(), "nan"},
	}
	for _, c := range cases {
		if got := string(Double(c.f).Append(nil, 3)); got != ","+c.want+"\r\n" {
			t.Errorf("%v: %q, want %q", c.f, got, c.want)
		}
	}
}

func TestAccessors(t *testing.T) {
	if v := Err("ERR x"); !v.IsErr() || v.Text() != "ERR x" || v.Kind() != KindError {
		t.Errorf("error value says %v %q", v.Kind(), v.Text())
	}
	if v := Double(2.5); v.Float() != 2.5 || v.Num() != 0 || v.IsErr() {
		t.Errorf("double says %v %v", v.Float(), v.Num())
	}
	if v := Map(Bulk("a"), Int(7)); len(v.Elems()) != 2 || v.Elems()[1].Num() != 7 || v.Elems()[1].Float() != 0 {
		t.Errorf("map says %v", v.Elems())
	}
	if v := (Value{}); v.Kind() != KindNone {
		t.Errorf("the zero value is %v", v.Kind())
	}
}

func TestBulkBytesCopies(t *testing.T) {
	b := []byte("before")
	v := BulkBytes(b)
	copy(b, "after!")
	if v.Text() != "before" {
		t.Errorf("the value changed with the buffer: %q", v.Text())
	}
}

func TestOddMapIsAProgrammingMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Map(Int(1))
}

func TestHotKindsDoNotAllocate(t *testing.T) {
	out := make([]byte, 0, 1024)
	long := strings.Repeat("v", 128)
	allocs := testing.AllocsPerRun(100, func() {
		out = OK().Append(out[:0], 2)
		out = Int(1<<60).Append(out, 2)
		out = Bulk(long).Append(out, 3)
		out = Null().Append(out, 3)
		out = Double(0.1).Append(out, 2)
		out = Bool(true).Append(out, 3)
		out = Verbatim(long).Append(out, 3)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
