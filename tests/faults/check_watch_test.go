package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unique"

	"github.com/redkeep/redkeep/tests/internal/wire"
)

// watched is a history for the watch checker: key 0 is written at revisions 2, 5 and 8 and deleted at 7;
// keys 1 and 2 are written together with it at 5. Compacted at 4, complete through 8.
func watched() *facts {
	a := &archive{}
	add := func(key int, kind string, rev, create, n int64) {
		c := change{Type: kind, Key: keyName(0, key), Value: fmt.Sprint("v", rev), Create: create, Mod: rev,
			Version: n}
		v := version{revision: rev, exists: kind == "put", value: c.Value, text: c.text()}
		a.versions[c.Key] = append(a.versions[c.Key], v)
	}
	a.versions = map[string][]version{}
	add(0, "put", 2, 2, 1)
	add(0, "put", 5, 2, 2)
	add(0, "delete", 7, 0, 0)
	add(0, "put", 8, 8, 1)
	add(1, "put", 5, 5, 1)
	add(2, "put", 5, 5, 1)
	return a.facts(0, 1, 8, 4)
}

// tell is an event as a watcher would record it; "*" behind the keys of a revision marks its end.
func tell(f *facts, rev int64, keys string, prev bool) (out []told) {
	for i, key := range strings.Fields(strings.TrimSuffix(keys, "*")) {
		t := told{kind: event, revision: rev, text: unique.Make("unknown"), prev: unique.Make("")}
		for _, x := range f.at[rev] {
			if x.key == "p0:"+key {
				t.text = unique.Make(x.text)
				if prev {
					t.prev = unique.Make(x.prev)
				}
			}
		}
		t.end = strings.HasSuffix(keys, "*") && i == len(strings.Fields(strings.TrimSuffix(keys, "*")))-1
		out = append(out, t)
	}
	return out
}

// watchCase is a history and the verdict that it must get.
type watchCase struct {
	name string
	form *watchForm
	log  [][]told
}

func do(kind toldKind, rev int64) []told { return []told{{kind: kind, revision: rev}} }

func TestWatchCheckerAcceptsGoodHistories(t *testing.T) {
	whole, plain, third := watchForms[0], watchForms[3], watchForms[2]
	f := watched()
	from1, r2, r5 := do(asked, 1), tell(f, 2, "0*", true), tell(f, 5, "0 1 2*", true)
	r7, r8 := tell(f, 7, "0*", true), tell(f, 8, "0*", true)
	bare := func(rev int64, keys string) []told { return tell(f, rev, keys, false) }
	foreign := []told{{kind: event, revision: 3, partition: -1, text: unique.Make("put filler:1"),
		prev: unique.Make(""), end: true}}
	later := []told{{kind: event, revision: 9, text: unique.Make("expire"), prev: unique.Make(""), end: true}}
	for _, tc := range []watchCase{
		{"everything", whole, [][]told{from1, r2, r5, r7, r8}},
		{"everything, without previous records", plain,
			[][]told{from1, bare(2, "0*"), bare(5, "0 1 2*"), bare(7, "0*"), bare(8, "0*")}},
		{"other keys between", whole, [][]told{from1, r2, foreign, r5, r7, r8}},
		{"progress after its events", whole,
			[][]told{from1, r2, do(progress, 4), r5, r7, r8, do(progress, 9)}},
		{"a filter", third, [][]told{from1, bare(5, "2*"), do(progress, 8)}},
		{"resumed", whole, [][]told{from1, r2, r5, do(broke, 0), do(asked, 6), r7, r8}},
		{"resumed in the middle of a revision", whole,
			[][]told{from1, r2, r5[:2:2], do(broke, 0), do(asked, 3), r5, r7, r8}},
		{"resumed after progress", whole,
			[][]told{from1, r2, do(progress, 4), do(broke, 0), do(asked, 5), r5, r7, r8}},
		{"gone back and told again", whole,
			[][]told{from1, r2, r5, r7, do(broke, 0), do(asked, 5), r5, r7, r8}},
		{"overtaken by compaction", whole,
			[][]told{from1, do(canceled, 4), do(broke, 0), do(asked, 4), r5, r7, r8}},
		{"news behind the archive", whole,
			[][]told{from1, r2, r5, r7, r8, later, do(broke, 0), do(asked, 10), do(progress, 11)}},
		{"another order than the archive's", whole,
			[][]told{from1, r2, tell(f, 5, "2 0 1*", true), r7, r8}},
	} {
		if _, err := checkWatch(tc.form, slices.Concat(tc.log...), watched()); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	f = watched()
	f.compacted = 5
	if _, err := checkWatch(whole, slices.Concat(from1, r2, bare(5, "0 1 2*"), r7, r8), f); err != nil {
		t.Errorf("a previous record that is compacted: %v", err)
	}
}

func TestWatchCheckerRefusesBadHistories(t *testing.T) {
	whole, plain, third := watchForms[0], watchForms[3], watchForms[2]
	f := watched()
	ev := func(rev int64, keys string) []told { return tell(f, rev, keys, true) }
	bare := func(rev int64, keys string) []told { return tell(f, rev, keys, false) }
	from1, r2, r5, r7, r8 := do(asked, 1), ev(2, "0*"), ev(5, "0 1 2*"), ev(7, "0*"), ev(8, "0*")
	wrongPrev := ev(5, "0 1 2*")
	wrongPrev[0].prev = unique.Make("something else")
	later := []told{{kind: event, revision: 9, text: unique.Make("expire"), prev: unique.Make(""), end: true}}
	for _, tc := range []watchCase{
		{"an event out of order", whole, [][]told{from1, r5, r2, r7, r8}},
		{"an event behind a later one", whole, [][]told{from1, r2, r5, r8, r7}},
		{"an event twice", whole, [][]told{from1, r2, r2, r5, r7, r8}},
		{"an event twice in its revision", whole, [][]told{from1, r2, ev(5, "0 0 1 2*"), r7, r8}},
		{"an event told again after resuming behind it", whole,
			[][]told{from1, r2, r5, do(broke, 0), do(asked, 6), r5, r7, r8}},
		{"a gap", whole, [][]told{from1, r2, r7, r8}},
		{"a gap after resuming", whole, [][]told{from1, r2, do(broke, 0), do(asked, 3), r7, r8}},
		{"a gap that progress hides", whole, [][]told{from1, r2, do(progress, 5), r7, r8}},
		{"a gap at the end", whole, [][]told{from1, r2, r5, r7}},
		{"a gap behind a filter", third, [][]told{from1, do(progress, 8)}},
		{"a revision without one of its keys", whole, [][]told{from1, r2, ev(5, "0 2*"), r7, r8}},
		{"a revision in two parts", whole, [][]told{from1, r2, ev(5, "0 1*"), ev(5, "2*"), r7, r8}},
		{"a revision without its end", whole, [][]told{from1, r2, ev(5, "0 1 2"), r7, r8}},
		{"progress inside a revision", whole,
			[][]told{from1, r2, r5[:2:2], do(progress, 5), r5[2:], r7, r8}},
		{"progress before its events", whole, [][]told{from1, do(progress, 2), r2, r5, r7, r8}},
		{"progress that goes back", whole, [][]told{from1, r2, r5, do(progress, 3), r7, r8}},
		{"what nobody wrote", whole, [][]told{from1, r2, ev(3, "0*"), r5, r7, r8}},
		{"what the filter leaves out", third, [][]told{from1, bare(5, "1 2*"), do(progress, 8)}},
		{"another value", whole, [][]told{from1, ev(2, "9*"), r5, r7, r8}},
		{"another previous record", whole, [][]told{from1, r2, wrongPrev, r7, r8}},
		{"a previous record left out", whole, [][]told{from1, r2, bare(5, "0 1 2*"), r7, r8}},
		{"a previous record unasked for", plain,
			[][]told{from1, bare(2, "0*"), r5, bare(7, "0*"), bare(8, "0*")}},
		{"two orders in a revision", whole,
			[][]told{from1, r2, r5, do(broke, 0), do(asked, 5), ev(5, "1 0 2*"), r7, r8}},
		{"a gap before news behind the archive", whole, [][]told{from1, r2, r5, r7, later}},
		{"canceled although nothing is missing", whole, [][]told{from1, r2, r5, r7, r8, do(canceled, 4)}},
		{"canceled above the compacted revision", whole,
			[][]told{from1, do(canceled, 6), do(asked, 6), r7, r8}},
		{"a test that resumes too late", whole, [][]told{from1, r2, do(broke, 0), do(asked, 6), r7, r8}},
	} {
		if _, err := checkWatch(tc.form, slices.Concat(tc.log...), watched()); err == nil {
			t.Errorf("accepted: %s", tc.name)
		}
	}
}

// The order inside a revision is the same for all watchers, also those that are told a part of it.
func TestWatchersAgreeOnTheOrderInsideARevision(t *testing.T) {
	f := watched()
	one, other := &watcher{addrs: []string{"a"}, form: watchForms[3]}, &watcher{addrs: []string{"b"}}
	other.form = one.form
	rest := append(tell(f, 7, "0*", false), tell(f, 8, "0*", false)...)
	start := append([]told{{kind: asked, revision: 1}}, tell(f, 2, "0*", false)...)
	one.log = append(append(append(one.log, start...), tell(f, 5, "2 0 1*", false)...), rest...)
	other.log = append(append(append(other.log, start...), tell(f, 5, "0 1 2*", false)...), rest...)
	if _, err := checkWatches([]*watcher{one, one}, watched()); err != nil {
		t.Error(err)
	}
	if _, err := checkWatches([]*watcher{one, other}, watched()); err == nil {
		t.Error("two orders were accepted")
	}
}

// The forms of a watch read to the same text, which is that of the history.
func TestFormsOfAWatchReadAlike(t *testing.T) {
	const json = `{"type":"put","key":"p1:0","value":"b","create_revision":2,"mod_revision":3,"version":2,` +
		`"prev":{"key":"p1:0","value":"a","create_revision":2,"mod_revision":2,"version":1},"end":true}`
	rec := func(value string, mod, version int) string {
		return fmt.Sprintf("*14\r\n+key\r\n+p1:0\r\n+value\r\n+%s\r\n+create_revision\r\n:2\r\n"+
			"+mod_revision\r\n:%d\r\n+version\r\n:%d\r\n+lease\r\n$0\r\n\r\n+expires\r\n:0\r\n", value, mod, version)
	}
	message, err := wire.Parse(fmt.Sprintf("*3\r\n+message\r\n+c\r\n$%d\r\n%s\r\n", len(json), json))
	if err != nil {
		t.Fatal(err)
	}
	frame, err := wire.Parse("*4\r\n+watch\r\n:1\r\n:3\r\n*1\r\n*3\r\n+put\r\n" +
		rec("b", 3, 2) + rec("a", 2, 1))
	if err != nil {
		t.Fatal(err)
	}
	one, err1 := readMessage(message)
	two, err2 := readFrame(frame)
	if err1 != nil || err2 != nil || len(one) != 1 || len(two) != 1 || one[0] != two[0] {
		t.Errorf("%v %v, %v %v", one, err1, two, err2)
	}
	if want := changeOf("put", frame.Elems[3].Elems[0].Elems[1]).text(); one[0].text.Value() != want {
		t.Errorf("%q, want %q", one[0].text.Value(), want)
	}
}
