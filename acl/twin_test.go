package acl

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/redkeep/redkeep/glob"
)

// The dumb twin of covers: of a small alphabet all keys up to some length are tried, one by one. Keys of one
// letter more than a pattern has are enough to tell a prefix from a key, and the last letter of the alphabet
// stands for "behind everything".

const letters = "ab\xff"

func allKeysUpTo(length int) (keys []string) {
	keys = []string{""}
	for from := 0; length > 0; length-- {
		end := len(keys)
		for _, k := range keys[from:end] {
			for i := range len(letters) {
				keys = append(keys, k+letters[i:i+1])
			}
		}
		from = end
	}
	return keys
}

var smallWorld = allKeysUpTo(5)

func inReach(r Reach, k string) bool {
	switch r.Kind {
	case One:
		return k == r.From
	case Bounded:
		return r.From <= k && k < r.End
	default:
		return r.From <= k
	}
}

// naive says whether each key of the small world that is in the reach is matched by a pattern with all
// rights.
func naive(patterns []pattern, r Reach) bool {
	for _, k := range smallWorld {
		if !inReach(r, k) {
			continue
		}
		found := false
		for _, p := range patterns {
			found = found || p.access&r.Access == r.Access && glob.Match(p.text, k)
		}
		if !found {
			return false
		}
	}
	return true
}

// What is allowed is allowed by the twin. For one key both agree. For ranges the twin also accepts what only
// several patterns of other forms cover together, which the rules deny; but patterns of plain bytes, and
// those
// with one star at the end, decide as the twin does, up to what stands between two keys of the small world.
func TestCoverMatchesTwin(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 2, -1)
	rapid.Check(t, func(rt *rapid.T) {
		u := NewUser(catalog(), "u")
		var words []string
		for range rapid.IntRange(0, 4).Draw(rt, "patterns") {
			sign := rapid.SampledFrom([]string{"~", "%R~", "%W~"}).Draw(rt, "rights")
			tail := rapid.SampledFrom([]string{"", "*", "*", "?", "[a]"}).Draw(rt, "tail")
			words = append(words, sign+text.Draw(rt, "pattern")+tail+rapid.SampledFrom([]string{"", "", "\xff*"}).
				Draw(rt, "end"))
		}
		for _, w := range words {
			if w != "~*" {
				_ = u.Apply(catalog(), plainSecrets{}, []string{w})
			}
		}
		r := Reach{From: text.Draw(rt, "from"), End: text.Draw(rt, "end"),
			Kind:   Kind(rapid.IntRange(0, 2).Draw(rt, "kind")),
			Access: Access(rapid.IntRange(0, 3).Draw(rt, "access"))}
		got, want := u.MayReach(&r), naive(u.selectors[0].keys, r)
		if got && !want {
			rt.Fatalf("%q reaches %+q", words, r)
		}
		if r.Kind == One && got != want {
			rt.Fatalf("%q and %+q: %v, the twin says %v", words, r, got, want)
		}
	})
}

// FuzzRules reads any words as rules. Whatever is accepted can be written down and read back to the same, and
// nobody gets a right by an error.
func FuzzRules(f *testing.F) {
	for _, seed := range []string{"on nopass ~* &* +@all", "+client|id -@all (~x %R~y +get) >p", "(+get ~x",
		"~a* ~b", "%RW~\\", "+select|0 -select", "reset", "#plain$x !plain$x", "( )", "(", ")", "+|", "-|x",
		"&(", "+@"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		u := NewUser(catalog(), "u")
		if u.Apply(catalog(), plainSecrets{}, strings.Split(line, " ")) != nil {
			return
		}
		again, err := Restore(catalog(), plainSecrets{}, "u", u.Rules())
		if err != nil || again.Rules() != u.Rules() {
			t.Fatalf("%q is %q, read back %v: %q", line, u.Rules(), err, again.Rules())
		}
		for id := range CommandID(7) {
			for _, r := range []Reach{key("a", Read), key("x", Write), open("", Read), span("a", "b", Write)} {
				q := Query{Command: id, Keys: []Reach{r}, FirstArg: []byte("0")}
				a, _ := u.Check(&q)
				b, _ := again.Check(&q)
				if a != b {
					t.Fatalf("%q: %v, read back %v", line, a, b)
				}
			}
		}
	})
}
