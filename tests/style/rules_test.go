package style

import (
	"fmt"
	"strings"
	"testing"
)

// snippet is a small source text and the number of findings that a rule must have in it.
type snippet struct {
	name, path, text string
	want             int
}

func tryRule(t *testing.T, rule func(*sourceFile) []finding, cases []snippet) {
	t.Helper()
	for _, c := range cases {
		f, err := parseSource(c.path, c.text)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := rule(f); len(got) != c.want {
			t.Errorf("%s: %d findings %v, want %d", c.name, len(got), got, c.want)
		}
	}
}

func TestRuleFunctions(t *testing.T) {
	long := "package p\nfunc f() {\n" + strings.Repeat("_ = 1\n", 70) + "}\n"
	three := "package p\nfunc f() {\nfor {\nif true {\nswitch {\ncase true:\n_ = 1\n}\n}\n}\n}\n"
	four := "package p\nfunc f() {\nfor {\nif true {\nswitch {\ncase true:\nif true {\n}\n}\n}\n}\n}\n"
	chain := "package p\nfunc f() {\nif true {\n" + strings.Repeat("} else if true {\n", 3) + "} else {\n}\n}\n"
	deepElse := "package p\nfunc f() {\nif true {\n} else {\nfor {\nfor {\nfor {\n}\n}\n}\n}\n}\n"
	literal := "package p\nfunc f() {\nfor {\nfor {\nfor {\ngo func() {\nfor {\n}\n}()\n}\n}\n}\n}\n"
	tryRule(t, checkFunctions, []snippet{
		{"70 lines", "p/a.go", strings.Replace(long, "_ = 1\n", "", 1), 0},
		{"71 lines", "p/a.go", long, 1},
		{"71 lines of test", "p/a_test.go", long, 0},
		{"three levels", "p/a.go", three, 0},
		{"four levels", "p/a.go", four, 1},
		{"else-if chain is one level", "p/a.go", chain, 0},
		{"levels inside else", "p/a.go", deepElse, 1},
		{"literals count lines but start nesting anew", "p/a.go", literal, 1},
	})
}

func TestRuleDistribution(t *testing.T) {
	for _, tc := range []struct {
		lines []int
		want  int
	}{
		{nil, 0},
		{[]int{10, 10, 10}, 0},
		{[]int{5, 11, 12}, 1},
		{[]int{1, 1, 1, 1, 1, 1, 1, 1, 1, 36}, 1},
		{[]int{40, 40, 40}, 2},
	} {
		if got := checkDistribution(tc.lines); len(got) != tc.want {
			t.Errorf("checkDistribution(%v) = %v, want %d findings", tc.lines, got, tc.want)
		}
	}
}

func TestRuleFileSize(t *testing.T) {
	lines := func(n int) string { return "package p\n" + strings.Repeat("//\n", n-1) }
	tryRule(t, checkFileSize, []snippet{
		{"500 lines", "p/a.go", lines(500), 0},
		{"501 lines", "p/a.go", lines(501), 1},
		{"501 lines of test", "p/a_test.go", lines(501), 0},
		{"801 lines of test", "p/a_test.go", lines(801), 1},
		{"110 columns", "p/a.go", "package p\n//" + strings.Repeat("é", 108) + "\n", 0},
		{"111 columns", "p/a.go", "package p\n//" + strings.Repeat("x", 109) + "\n", 1},
	})
}

func TestRuleNames(t *testing.T) {
	for p, want := range map[string]int{
		"mvcc/store.go": 0, "mvcc/util.go": 1, "common": 1, "a/string_helpers.go": 1, "a/commonality.go": 0,
		"a/helper_test.go": 1, "cluster/manager.go": 1,
	} {
		if got := checkName(p); len(got) != want {
			t.Errorf("checkName(%s) = %v, want %d findings", p, got, want)
		}
	}
}

func TestRuleDocs(t *testing.T) {
	doc := "// Package p " + strings.Repeat("does a thing and ", 5) + "more.\npackage p\n"
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  int
	}{
		{"good", map[string]string{"p/doc.go": doc, "p/a.go": "package p\n"}, 0},
		{"none", map[string]string{"p/a.go": "package p\n"}, 1},
		{"comment elsewhere", map[string]string{"p/a.go": doc}, 1},
		{"empty doc", map[string]string{"p/doc.go": "package p\n"}, 1},
	} {
		var files []*sourceFile
		for p, text := range tc.files {
			f, err := parseSource(p, text)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		if got := checkDocs(files); len(got) != tc.want {
			t.Errorf("%s: %v, want %d findings", tc.name, got, tc.want)
		}
	}
}

func TestRuleTodo(t *testing.T) {
	word := "TO" + "DO"
	tryRule(t, checkTodo, []snippet{
		{"bare", "p/a.go", "package p\n// " + word + " later\n", 1},
		{"with a number", "p/a.go", "package p\n// " + word + " #12 later\n", 0},
		{"inside a word", "p/a.go", "package p\n// MAS" + word + "N\n", 0},
	})
}

func TestRuleErrorTexts(t *testing.T) {
	tryRule(t, checkErrorTexts, []snippet{
		{"in errors.go", "commands/errors.go", "package p\nconst e = \"ERR syntax error\"\n", 0},
		{"elsewhere", "commands/strings.go", "package p\nconst e = \"ERR syntax error\"\n", 1},
		{"raw literal", "commands/strings.go", "package p\nconst e = `-WRONGTYPE x`\n", 1},
		{"not a text", "commands/info.go", "package p\nconst e = \"ERR\"\nconst f = \"ERRORS are\"\n", 0},
		{"a test", "commands/a_test.go", "package p\nconst e = \"ERR syntax error\"\n", 0},
		{"another package", "mvcc/a.go", "package p\nconst e = \"ERR syntax error\"\n", 0},
	})
}

func TestRuleMutexes(t *testing.T) {
	wrap := func(s string) string { return "package p\nimport \"sync\"\n" + s + "\n" }
	tryRule(t, checkMutexes, []snippet{
		{"mu struct", "p/a.go", wrap("type t struct { a int; mu struct { sync.RWMutex; b int } }"), 0},
		{"bare field", "p/a.go", wrap("type t struct { mu sync.Mutex; b int }"), 1},
		{"embedded in a named type", "p/a.go", wrap("type t struct { sync.Mutex; b int }"), 1},
		{"named inside mu", "p/a.go", wrap("type t struct { mu struct { m sync.Mutex; b int } }"), 1},
		{"other name", "p/a.go", wrap("type t struct { lock struct { sync.Mutex } }"), 1},
		{"variable", "p/a.go", wrap("var m sync.Mutex"), 1},
		{"variable mu struct", "p/a.go", wrap("var mu struct { sync.Mutex; n int }"), 0},
		{"test file", "p/a_test.go", wrap("var m sync.Mutex"), 0},
	})
}

func TestRuleSleep(t *testing.T) {
	text := "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }\n"
	other := "package p\nimport tm \"time\"\nfunc f() { tm.Sleep(1) }\n"
	tryRule(t, checkSleep, []snippet{
		{"in a test", "p/a_test.go", text, 1},
		{"under another name", "p/a_test.go", other, 1},
		{"not a test", "p/a.go", text, 0},
	})
}

func TestRulePure(t *testing.T) {
	clock := "package p\nimport \"time\"\nvar f = time.Now\n"
	tryRule(t, checkPure, []snippet{
		{"clock", "mvcc/a.go", clock, 1},
		{"clock in a test", "mvcc/a_test.go", clock, 0},
		{"clock outside", "resp/a.go", clock, 0},
		{"durations are no clock", "mvcc/a.go", "package p\nimport \"time\"\nvar d = time.Second\n", 0},
		{"imports", "mvcc/a.go", "package p\nimport (\n\"net/http\"\n\"os\"\n\"math/rand/v2\"\n\"math\"\n)\n", 3},
		{"goroutine", "mvcc/a.go", "package p\nfunc f() { go f() }\n", 1},
		{"listed file", "raftfsm/codec.go", clock, 1},
		{"unlisted file", "raftfsm/proposer.go", clock, 0},
	})
}

func TestRuleLayers(t *testing.T) {
	for _, tc := range []struct {
		from string
		to   []string
		want int
	}{
		{"resp", []string{"fmt", modulePath + "x/resp"}, 0},
		{"mvcc", []string{modulePath + "/resp"}, 1},
		{"lease", []string{modulePath + "/mvcc"}, 0},
		{"raftfsm", []string{modulePath + "/commands", modulePath + "/cluster"}, 1},
		{"commands", []string{modulePath + "/raftfsm", modulePath + "/cmd/redkeep"}, 1},
		{"client", []string{modulePath + "/mvcc"}, 1},
		{"cmd/redkeep", []string{modulePath + "/mvcc", modulePath + "/commands"}, 0},
		{"cmd/redkeep", []string{modulePath + "/tests/internal/node"}, 1},
		{"tests/faults", []string{modulePath + "/tests/internal/node"}, 0},
		{"tests/faults", []string{modulePath + "/mvcc"}, 1},
		{"novelty", nil, 1},
	} {
		if got := checkLayers(goPackage{modulePath + "/" + tc.from, tc.to}); len(got) != tc.want {
			t.Errorf("%s -> %v: %v, want %d findings", tc.from, tc.to, got, tc.want)
		}
	}
}

func TestRuleReadingGuide(t *testing.T) {
	f, err := parseSource("p/a.go", "package p\ntype T struct{}\nfunc (t *T) M() {}\nfunc F() {}\n")
	if err != nil {
		t.Fatal(err)
	}
	guide := func(lines ...string) string {
		return "# x\n## Reading the source\n\n" + strings.Join(lines, "\n") + "\n## More\n9. `x`\n"
	}
	good := strings.Split(strings.Repeat("1. `p/a.go`, `(*T).M`: takes.\n", 6)+"7. `p/a.go` `F` gives.", "\n")
	for _, tc := range []struct {
		name, readme string
		want         int
	}{
		{"good", guide(good...), 0},
		{"six", guide(good[1:]...), 1},
		{"no section", "# x\n", 1},
		{"function gone", guide(append(good, "8. `p/a.go` `G` is gone.")...), 1},
		{"file gone", guide(append(good, "8. `p/b.go` `F` is gone.")...), 1},
	} {
		if got := checkReadingGuide(tc.readme, []*sourceFile{f}); len(got) != tc.want {
			t.Errorf("%s: %v, want %d findings", tc.name, got, tc.want)
		}
	}
}

func TestRuleMakefile(t *testing.T) {
	many := ""
	for i := range 11 {
		many += fmt.Sprintf("t%d: ## does\n\ttrue\n", i)
	}
	for _, tc := range []struct {
		name, text string
		want       int
	}{
		{"good", "X := 1\nY = 2\nhelp: ## lists\n\t@true\nrun: build ## runs\n.PHONY: help run\n", 0},
		{"no help line", "run:\n\ttrue\n", 1},
		{"eleven", many, 1},
		{"none", "X := 1\n", 1},
	} {
		if got := checkMakefile(tc.text); len(got) != tc.want {
			t.Errorf("%s: %v, want %d findings", tc.name, got, tc.want)
		}
	}
}

func TestRulePins(t *testing.T) {
	good := "module x\nrequire (\n"
	for name, v := range pins {
		good += "\t" + name + " " + v + " // indirect\n"
	}
	good += ")\n"
	if got := checkPins(good); len(got) != 0 {
		t.Errorf("good: %v", got)
	}
	if got := checkPins(strings.Replace(good, "redcon v1.6.2", "redcon v1.6.3", 1)); len(got) != 1 {
		t.Errorf("other version: %v, want 1 finding", got)
	}
}

func TestExcused(t *testing.T) {
	all := []finding{{"r", "a", ""}, {"r", "b", ""}}
	left, used := excused(all, []exception{{"r", "a", "why"}, {"r", "c", "why"}})
	if len(left) != 1 || left[0].where != "b" || !used[0] || used[1] {
		t.Errorf("left %v, used %v", left, used)
	}
}
