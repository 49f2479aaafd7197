package commands

import (
	"math/rand"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// naiveLCS is the table as it stands in books, and Redis's way back through it.
func naiveLCS(a, b string) (length int, common string) {
	cells := make([][]int, len(a)+1)
	for i := range cells {
		cells[i] = make([]int, len(b)+1)
	}
	for i := range len(a) {
		for j := range len(b) {
			if cells[i+1][j+1] = max(cells[i][j+1], cells[i+1][j]); a[i] == b[j] {
				cells[i+1][j+1] = cells[i][j] + 1
			}
		}
	}
	out := ""
	for i, j := len(a), len(b); i > 0 && j > 0; {
		switch {
		case a[i-1] == b[j-1]:
			out, i, j = a[i-1:i]+out, i-1, j-1
		case cells[i-1][j] > cells[i][j-1]:
			i--
		default:
			j--
		}
	}
	return cells[len(a)][len(b)], out
}

func randomWord(r *rand.Rand, most int) string {
	b := make([]byte, r.Intn(most+1))
	for i := range b {
		b[i] = "abcd"[r.Intn(4)]
	}
	return string(b)
}

// The answers are those of the plain table, for values of any lengths, the longer one on either side.
func TestLCSIsThatOfThePlainTable(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	seed := rand.Int63()
	r := rand.New(rand.NewSource(seed))
	for range 300 {
		a, b := randomWord(r, 40), randomWord(r, 1+r.Intn(120))
		c.want("OK", "MSET", "a", a, "b", b)
		length, common := naiveLCS(a, b)
		c.text = true
		got, size := c.do("LCS", "a", "b"), c.do("LCS", "a", "b", "LEN")
		whole := c.do("LCS", "a", "b", "IDX")
		c.text = false
		if want := strconv.Itoa(length); got != common || size != want || !strings.HasSuffix(whole, " "+want+"]") {
			t.Fatalf("seed %d: LCS of %q and %q: %q, %s, want %q, %d; %s", seed, a, b, got, size, common,
				length, whole)
		}
	}
}

// The largest table that LCS makes takes a bit per cell, and none for the length alone.
func TestLCSTakesLittleMemory(t *testing.T) {
	n := startNode(t)
	c := n.dial(t)
	long := strings.Repeat("ab", 4095)
	c.want("OK", "MSET", "a", long, "b", long, "one", "a", "wide", strings.Repeat("b", 6<<20))
	for _, tc := range []struct {
		words []string
		most  uint64
	}{
		{[]string{"LCS", "a", "b"}, 24 << 20},
		{[]string{"LCS", "a", "b", "LEN"}, 4 << 20},
		{[]string{"LCS", "one", "wide", "LEN"}, 4 << 20},
		{[]string{"LCS", "wide", "one", "LEN"}, 4 << 20},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if got := c.do(tc.words...); strings.HasPrefix(got, "(") {
			t.Fatal(got)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > tc.most {
			t.Errorf("%q allocated %d MB", tc.words, took>>20)
		}
	}
}
