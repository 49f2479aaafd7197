package mvcc

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := fields{
			mod: Revision(rapid.Int64Min(2).Draw(t, "mod")), sub: rapid.Uint32().Draw(t, "sub"),
			kind: KindPut, create: 1, version: rapid.Int64Range(1, 1<<62).Draw(t, "version"),
			lease:    LeaseID(rapid.Int64().Draw(t, "lease")),
			deadline: UnixMilli(rapid.Int64().Draw(t, "deadline")),
			key:      rapid.String().Draw(t, "key"), value: rapid.String().Draw(t, "value"), tail: "!",
		}
		r := f.encodeAlone()
		got := fields{r.ModRevision(), r.Sub(), r.Kind(), r.CreateRevision(), r.Version(), r.Lease(),
			r.Deadline(), r.Key(), strings.TrimSuffix(r.Value(), "!"), "!", r.Mark()}
		if got != f {
			t.Fatalf("got %+v, want %+v", got, f)
		}
		back, err := DecodeRecord(r.ModRevision(), r.Sub(), r.Encoded())
		if err != nil || back != r {
			t.Fatalf("decoded %v, %v", back, err)
		}
		for n := range len(r.Encoded()) - len(r.Value()) {
			if _, err := DecodeRecord(f.mod, f.sub, r.Encoded()[:n]); !errors.Is(err, ErrBadRecord) {
				t.Fatalf("cut at %d: %v", n, err)
			}
		}
	})
}

func TestDecodeRecordRefuses(t *testing.T) {
	put := "\x01" + "\x00\x00\x00\x00\x00\x00\x00\x02" + "\x01" + "\x01k" + "v"
	if _, err := DecodeRecord(2, 0, put); err != nil {
		t.Fatal(err)
	}
	for name, enc := range map[string]string{
		"kind 0":              "\x00" + put[1:],
		"unknown flag":        "\x11" + put[1:],
		"created later":       "\x01\x00\x00\x00\x00\x00\x00\x00\x03" + put[9:],
		"created never":       "\x01\x00\x00\x00\x00\x00\x00\x00\x00" + put[9:],
		"version 0":           put[:9] + "\x00" + put[10:],
		"long version":        put[:9] + "\x81\x00" + put[10:],
		"key beyond the end":  put[:10] + "\x03kv",
		"lease 0":             "\x05" + put[1:10] + strings.Repeat("\x00", 8) + put[10:],
		"deadline 0":          "\x09" + put[1:10] + strings.Repeat("\x00", 8) + put[10:],
		"delete with version": "\x02" + put[1:],
		"delete with value":   "\x02" + strings.Repeat("\x00", 9) + "\x01kv",
		"expiry with lease":   "\x07" + strings.Repeat("\x00", 9) + strings.Repeat("\x01", 8) + "\x01k",
	} {
		if r, err := DecodeRecord(2, 0, enc); !errors.Is(err, ErrBadRecord) {
			t.Errorf("%s: got %v, %v", name, r, err)
		}
	}
}

// FuzzDecodeRecord: what decodes is canonical, and no field of it can be out of bounds.
func FuzzDecodeRecord(f *testing.F) {
	f.Add("\x01\x00\x00\x00\x00\x00\x00\x00\x02\x01\x01kv")
	f.Add("\x0f\x00\x00\x00\x00\x00\x00\x00\x02\x01")
	f.Fuzz(func(t *testing.T, enc string) {
		r, err := DecodeRecord(5, 1, enc)
		if err != nil {
			return
		}
		again := fields{5, 1, r.Kind(), r.CreateRevision(), r.Version(), r.Lease(), r.Deadline(), r.Key(),
			r.Value(), "", r.Mark()}
		if again.encodeAlone() != r {
			t.Fatalf("%q is not canonical", enc)
		}
	})
}

func TestParseInteger(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "7": 7, "-3": -3, "10": 10, "9223372036854775807": math.MaxInt64,
		"-9223372036854775808": math.MinInt64,
	} {
		if got, ok := parseInteger(s); !ok || got != want {
			t.Errorf("%q: got %d, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "0x1", "1_0", "a",
		"9223372036854775808", "-9223372036854775809", "123456789012345678901", "00"} {
		if got, ok := parseInteger(s); ok {
			t.Errorf("%q: got %d, want none", s, got)
		}
	}
}

func TestPrefixSpan(t *testing.T) {
	for prefix, want := range map[string]Span{
		"":         {Kind: SpanFrom},
		"a":        {"a", "b", SpanRange},
		"a\xff":    {"a\xff", "b", SpanRange},
		"\xff\xff": {From: "\xff\xff", Kind: SpanFrom},
	} {
		if got := PrefixSpan(prefix); got != want {
			t.Errorf("%q: got %+v", prefix, got)
		}
	}
}

func TestExpiryDeadline(t *testing.T) {
	for _, c := range []struct {
		e    Expiry
		want UnixMilli
	}{
		{Expiry{}, 0},
		{Expiry{ExpiryKeep, 5}, 77},
		{Expiry{ExpiryIn, 5}, 1005},
		{Expiry{ExpiryIn, -5000}, 1},
		{Expiry{ExpiryIn, math.MaxInt64}, math.MaxInt64},
		{Expiry{ExpiryIn, math.MinInt64}, 1},
		{Expiry{ExpiryAt, 5}, 5},
		{Expiry{ExpiryAt, 0}, 1},
		{Expiry{ExpiryAt, -9}, 1},
	} {
		if got := c.e.deadline(1000, 77); got != c.want {
			t.Errorf("%+v: got %d, want %d", c.e, got, c.want)
		}
	}
}

func TestIncrOverflow(t *testing.T) {
	for _, c := range []struct {
		value string
		delta int64
		err   error
	}{
		{"9223372036854775807", 1, ErrOverflow},
		{"-9223372036854775808", -1, ErrOverflow},
		{"-9223372036854775808", math.MaxInt64, nil},
		{"0", math.MinInt64, nil},
		{"-1", math.MinInt64, ErrOverflow},
		{"1", math.MinInt64, nil},
		{"", 1, ErrNotInteger},
	} {
		s := New()
		var res Result
		s.Update(1, func(b *Batch) {
			b.Txn(&Txn{Then: []Op{
				{Kind: OpPut, Value: c.value},
				{Kind: OpModify, Modify: ModifyIncrBy, Delta: c.delta},
			}}, &res)
		})
		if err := res.Ops[1].Err; err != c.err {
			t.Errorf("%q by %d: %v", c.value, c.delta, err)
		}
		if want := int64(2); c.err != nil && s.Get("").Version() == want {
			t.Errorf("%q by %d wrote", c.value, c.delta)
		}
		s.Close()
	}
}

func TestScanCursor(t *testing.T) {
	for _, p := range []position{{2, 0}, {2, 1}, {9, scanExact - 1}, {9, scanExact},
		{9, scanExact + scanGranule}, {1<<40 - 1, scanExact + 1023*scanGranule}} {
		c, ok := p.cursor()
		if !ok || c == 0 || c >= 1<<53 || fromCursor(c) != p {
			t.Errorf("%+v: cursor %d, %v, back %+v", p, c, ok, fromCursor(c))
		}
	}
	for _, p := range []position{{9, scanExact + 1}, {9, scanExact + 1024*scanGranule}, {1 << 40, 0}} {
		if c, ok := p.cursor(); ok {
			t.Errorf("%+v has cursor %d", p, c)
		}
	}
}

// encodeAlone makes a record outside any page.
func (f *fields) encodeAlone() Record { return f.encode(make([]byte, 0, f.size())) }
