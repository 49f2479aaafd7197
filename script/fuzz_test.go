package script

import (
	"math"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/redkeep/redkeep/resp"
)

// valueFrom makes a reply of any shape from bytes.
func valueFrom(b *[]byte, depth int) resp.Value {
	next := func() byte {
		if len(*b) == 0 {
			return 0
		}
		c := (*b)[0]
		*b = (*b)[1:]
		return c
	}
	text := func() string {
		n := min(int(next()%8), len(*b))
		s := string((*b)[:n])
		*b = (*b)[n:]
		return s
	}
	several := func(per int) (out []resp.Value) {
		if depth < 5 {
			for range int(next()%4) * per {
				out = append(out, valueFrom(b, depth+1))
			}
		}
		return out
	}
	switch next() % 13 {
	case 0:
		return resp.Int(int64(int8(next())) << (next() % 48))
	case 1:
		return resp.Bulk(text())
	case 2:
		return resp.Simple(text())
	case 3:
		return resp.Err("E" + text())
	case 4:
		return resp.Null()
	case 5:
		return resp.ArrayOf(several(1))
	case 6:
		return resp.Map(several(2)...)
	case 7:
		return resp.Set(several(1)...)
	case 8:
		return resp.Double(float64(int8(next())) / 4)
	case 9:
		return resp.Bool(next()%2 == 1)
	case 10:
		return resp.Verbatim(text())
	case 11:
		return resp.BigNumber(text())
	default:
		return resp.NullArray()
	}
}

// FuzzConversions gives replies of any shape to a script that gives them back, in both protocols, and checks
// what must survive: scalars come back as they went in, and nothing panics.
func FuzzConversions(f *testing.F) {
	f.Add([]byte{5, 3, 0, 7, 1, 3, 'a', 'b', 'c', 4}, true)
	f.Add([]byte{6, 2, 1, 1, 'k', 0, 9, 7, 2, 1, 1, 'x', 8, 5}, false)
	give, err := Compile(`if ARGV[1] == '3' then redis.setresp(3) end return redis.pcall('x')`)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte, three bool) {
		v := valueFrom(&in, 0)
		proto := map[bool]string{false: "2", true: "3"}[three]
		got, failed, err := give.Run(Input{Args: []string{proto}, Caller: &echo{reply: v}, Limits: testLimits})
		if failed || err != nil {
			t.Fatalf("%v: %v, %v", v, failed, err)
		}
		if want, ok := unchanged(v, three); ok && string(got.Append(nil, 3)) != string(want.Append(nil, 3)) {
			t.Fatalf("%q came back as %q", want.Append(nil, 3), got.Append(nil, 3))
		}
	})
}

// unchanged is what a scalar reply is after the way through a script; ok is false for what has other rules.
func unchanged(v resp.Value, three bool) (want resp.Value, ok bool) {
	switch v.Kind() {
	case resp.KindInt:
		return v, v.Num() > -1<<53 && v.Num() < 1<<53
	case resp.KindBulk, resp.KindSimple, resp.KindError:
		return v, true
	case resp.KindNull, resp.KindNullArray:
		return resp.Null(), true
	case resp.KindBool, resp.KindDouble, resp.KindBigNumber, resp.KindVerbatim:
		return v, three
	default:
		return v, false
	}
}

// FuzzScripts runs any text as a script: it ends, in time, with a reply or an error.
func FuzzScripts(f *testing.F) {
	for _, c := range semantics {
		f.Add(c.source)
	}
	f.Add("local t = {} for i = 1, 10 do t[i], t.x = i, {i} end return #t .. tostring(t)")
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Compile(source)
		if err != nil {
			return
		}
		limits := Limits{Time: 100 * time.Millisecond, Bytes: 4 << 20}
		began := time.Now()
		v, _, err := p.Run(Input{Caller: &echo{}, Limits: limits})
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%v", took)
		}
		if err == nil && v.Kind() == resp.KindNone {
			t.Error("no reply")
		}
		if strings.Contains(v.Text(), "internal error") || strings.Contains(v.Text(), "runtime error") {
			t.Errorf("%q", v.Text())
		}
	})
}

// FuzzNumbers checks that printing as Lua does keeps 14 digits, and reading what was printed gives it back.
func FuzzNumbers(f *testing.F) {
	for _, n := range []float64{0, 1, -1, 0.1, 1e14, 1e15, 123456789012345, 1e-5, math.MaxFloat64, 5e-324} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n float64) {
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return
		}
		short, ok := parseNumber(formatNumber(n))
		if !ok || math.Abs(short-n) > math.Abs(n)*1e-13+1e-320 {
			t.Errorf("%v is printed as %s", n, formatNumber(n))
		}
		if long, ok := toNumber(lua.LString(formatG17(n))); !ok || long != n {
			t.Errorf("%v is printed as %s", n, formatG17(n))
		}
	})
}
