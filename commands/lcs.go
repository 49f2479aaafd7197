package commands

import (
	"math"

	"github.com/redkeep/redkeep/resp"
)

// lcsOptions is a parsed LCS.
type lcsOptions struct {
	length, index, lengths bool
	least                  int64
}

func parseLCS(c *call) (o lcsOptions, err error) {
	for w := c.options(3); w.more(); {
		option := w.next()
		switch {
		case is(option, "IDX"):
			o.index = true
		case is(option, "LEN"):
			o.length = true
		case is(option, "WITHMATCHLEN"):
			o.lengths = true
		case is(option, "MINMATCHLEN") && w.more():
			if o.least, err = integer(w.next()); err != nil {
				return o, err
			}
			o.least = max(o.least, 0)
		default:
			return o, errSyntax
		}
	}
	if o.index && o.length {
		return o, errLCSBoth
	}
	return o, nil
}

// lcsMaxCells bounds the table of lengths, four bytes each: 256 MiB.
const lcsMaxCells = 64 << 20

func lcs(c *call, found seen) (resp.Value, error) {
	o, err := parseLCS(c)
	if err != nil {
		return resp.Value{}, err
	}
	a, b := found.value(0), found.value(1)
	if int64(len(a)+1) > math.MaxInt64/int64(len(b)+1) || int64(len(a)+1)*int64(len(b)+1) > lcsMaxCells {
		return resp.Value{}, errLCSTooLarge
	}
	t := newLCSTable(a, b)
	switch {
	case o.length:
		return resp.Int(int64(t.at(len(a), len(b)))), nil
	case o.index:
		return t.indexes(&o), nil
	default:
		return resp.Bulk(t.common()), nil
	}
}

// lcsTable holds the length of the longest common subsequence of each pair of prefixes.
type lcsTable struct {
	a, b  string
	cells []uint32
}

func newLCSTable(a, b string) *lcsTable {
	t := &lcsTable{a: a, b: b, cells: make([]uint32, (len(a)+1)*(len(b)+1))}
	width := len(b) + 1
	for i := 1; i <= len(a); i++ {
		above, row := t.cells[(i-1)*width:i*width], t.cells[i*width:(i+1)*width]
		for j := 1; j <= len(b); j++ {
			if a[i-1] == b[j-1] {
				row[j] = above[j-1] + 1
			} else {
				row[j] = max(above[j], row[j-1])
			}
		}
	}
	return t
}

func (t *lcsTable) at(i, j int) uint32 { return t.cells[i*(len(t.b)+1)+j] }

// walk calls fn with the positions of each pair of the subsequence, from its end. Where there is a choice it
// goes back in b, as Redis does.
func (t *lcsTable) walk(fn func(i, j int)) {
	for i, j := len(t.a), len(t.b); i > 0 && j > 0; {
		switch {
		case t.a[i-1] == t.b[j-1]:
			fn(i-1, j-1)
			i, j = i-1, j-1
		case t.at(i-1, j) > t.at(i, j-1):
			i--
		default:
			j--
		}
	}
}

func (t *lcsTable) common() string {
	out := make([]byte, t.at(len(t.a), len(t.b)))
	at := len(out)
	t.walk(func(i, _ int) {
		at--
		out[at] = t.a[i]
	})
	return string(out)
}

// lcsMatch is a stretch that both values share.
type lcsMatch struct{ a, b, size int }

// indexes replies the stretches, the last first.
func (t *lcsTable) indexes(o *lcsOptions) resp.Value {
	matches := []resp.Value{}
	var m lcsMatch
	add := func() {
		if m.size == 0 || int64(m.size) < o.least {
			return
		}
		match := []resp.Value{stretch(m.a, m.size), stretch(m.b, m.size)}
		if o.lengths {
			match = append(match, resp.Int(int64(m.size)))
		}
		matches = append(matches, resp.ArrayOf(match))
	}
	t.walk(func(i, j int) {
		if m.size > 0 && i == m.a-1 && j == m.b-1 {
			m = lcsMatch{i, j, m.size + 1}
			return
		}
		add()
		m = lcsMatch{i, j, 1}
	})
	add()
	return resp.Map(resp.Bulk("matches"), resp.ArrayOf(matches),
		resp.Bulk("len"), resp.Int(int64(t.at(len(t.a), len(t.b)))))
}

func stretch(from, size int) resp.Value {
	return resp.Array(resp.Int(int64(from)), resp.Int(int64(from+size-1)))
}
