package style

import "testing"

func TestGuaranteesNameTheirTests(t *testing.T) {
	report(t, checkPromises("docs/GUARANTEES.md", read(t, "docs/GUARANTEES.md"), tree(t)))
}

func TestRulePromises(t *testing.T) {
	f, err := parseSource("p/a_test.go", "package p\nfunc TestA() {}\n")
	if err != nil {
		t.Fatal(err)
	}
	head := "| promise | checked by |\n|---|---|\n"
	for _, tc := range []struct {
		name, page string
		want       int
	}{
		{"named", head + "| it works | `p/TestA` |\n", 0},
		{"a subtest", head + "| it works | `p/TestA/crash` |\n", 0},
		{"no test", head + "| it works | |\n", 1},
		{"another folder", head + "| it works | `q/TestA` |\n", 1},
		{"a test that is gone", head + "| it works | `p/TestA` `p/TestB` |\n", 1},
		{"gone, outside a table", head + "| it works | `p/TestA` |\n\nSee `p/TestB`.\n", 1},
		{"no promise", head, 1},
	} {
		if got := checkPromises("page", tc.page, []*sourceFile{f}); len(got) != tc.want {
			t.Errorf("%s: %v, want %d findings", tc.name, got, tc.want)
		}
	}
}
