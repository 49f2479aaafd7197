package wire

import "testing"

func TestParseKeepsRawBytesAndShape(t *testing.T) {
	for _, tc := range []struct{ raw, shape string }{
		{"+OK\r\n", "+"},
		{"-ERR no\r\n", "-"},
		{":42\r\n", ":"},
		{"$-1\r\n", "$"},
		{"*-1\r\n", "*"},
		{"_\r\n", "_"},
		{"$4\r\na\r\nb\r\n", "$"},
		{"%1\r\n+k\r\n*2\r\n:1\r\n$0\r\n\r\n", "%(+ *(: $))"},
		{"=7\r\ntxt:abc\r\n", "="},
		{"*0\r\n", "*"},
	} {
		r, err := Parse(tc.raw)
		if err != nil || r.Raw != tc.raw || r.Shape() != tc.shape {
			t.Errorf("Parse(%q) = raw %q shape %q err %v, want shape %q", tc.raw, r.Raw, r.Shape(), err, tc.shape)
		}
	}
}

func TestParseRefusesWhatIsNoReply(t *testing.T) {
	for _, raw := range []string{
		"", "+OK", "+OK\n", "?\r\n", "$3\r\nabcd\r\n", "$x\r\n", "*2\r\n:1\r\n", "+OK\r\n+OK\r\n", "$-2\r\n",
	} {
		if r, err := Parse(raw); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", raw, r)
		}
	}
}

func TestEncode(t *testing.T) {
	if got, want := Encode("SET", "", "\r\n"), "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$2\r\n\r\n\r\n"; got != want {
		t.Errorf("Encode = %q, want %q", got, want)
	}
}
