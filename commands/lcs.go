package commands

import (
	"math"
	"runtime"

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

// lcsMaxCells bounds the work of one LCS, and with it its memory: a bit per cell is 8 MiB.
const lcsMaxCells = 64 << 20

// lcsSlots is how many are worked out at a time, each on the goroutine of its connection. More would be no
// sooner done, and hold a table each meanwhile.
var lcsSlots = make(chan struct{}, runtime.GOMAXPROCS(0))

func lcs(c *call, found seen) (resp.Value, error) {
	o, err := parseLCS(c)
	if err != nil {
		return resp.Value{}, err
	}
	a, b := found.value(0), found.value(1)
	if int64(len(a)+1) > math.MaxInt64/int64(len(b)+1) || int64(len(a)+1)*int64(len(b)+1) > lcsMaxCells {
		return resp.Value{}, errLCSTooLarge
	}
	lcsSlots <- struct{}{}
	defer func() { <-lcsSlots }()
	t := newLCSTable(a, b, !o.length)
	switch {
	case o.length:
		return resp.Int(int64(t.length)), nil
	case o.index:
		return t.indexes(&o), nil
	default:
		return resp.Bulk(t.common()), nil
	}
}

// lcsTable is what is kept of the table that holds, for each pair of prefixes a[:i] and b[:j], the length of
// their longest common subsequence: the last of these lengths, and for the way back one bit for each cell,
// which tells whether the length above it, at (i-1, j), is larger than that beside it, at (i, j-1). The
// lengths themselves, four bytes each, are needed for two lines at a time. The lines go along the shorter
// value, so that they are short.
type lcsTable struct {
	a, b   string
	length uint32
	above  []uint64 // bits; nil if only the length is asked for
}

func newLCSTable(a, b string, back bool) *lcsTable {
	t := &lcsTable{a: a, b: b}
	if back {
		t.above = make([]uint64, (len(a)*len(b)+63)/64)
	}
	long, short, turned := a, b, false
	if len(b) > len(a) {
		long, short, turned = b, a, true
	}
	before, line := make([]uint32, len(short)+1), make([]uint32, len(short)+1)
	for i := range len(long) {
		for j := range len(short) {
			up, left := before[j+1], line[j]
			if long[i] == short[j] {
				line[j+1] = before[j] + 1
				continue // the way back goes through the pair
			}
			line[j+1] = max(up, left)
			if back && turned && left > up {
				t.mark(j, i)
			} else if back && !turned && up > left {
				t.mark(i, j)
			}
		}
		before, line = line, before
	}
	t.length = before[len(short)]
	return t
}

// mark notes that the length above the cell of the pair a[i], b[j] is the larger one.
func (t *lcsTable) mark(i, j int) {
	at := i*len(t.b) + j
	t.above[at/64] |= 1 << (at % 64)
}

func (t *lcsTable) larger(i, j int) bool {
	at := i*len(t.b) + j
	return t.above[at/64]>>(at%64)&1 != 0
}

// walk calls fn with the positions of each pair of the subsequence, from its end. Where there is a choice it
// goes back in b, as Redis does.
func (t *lcsTable) walk(fn func(i, j int)) {
	for i, j := len(t.a), len(t.b); i > 0 && j > 0; {
		switch {
		case t.a[i-1] == t.b[j-1]:
			fn(i-1, j-1)
			i, j = i-1, j-1
		case t.larger(i-1, j-1):
			i--
		default:
			j--
		}
	}
}

func (t *lcsTable) common() string {
	out := make([]byte, t.length)
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
		resp.Bulk("len"), resp.Int(int64(t.length)))
}

func stretch(from, size int) resp.Value {
	return resp.Array(resp.Int(int64(from)), resp.Int(int64(from+size-1)))
}
