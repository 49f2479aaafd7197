package style

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
)

// entry is one stop of the README's guide through the source.
type entry struct{ file, function string }

var quoted = regexp.MustCompile("`([^`]+)`")

// readingGuide returns the stops of the section "Reading the source". A stop is a numbered line; its first
// quoted word that ends in .go is the file, its first other quoted word the function: Func, Type.Method or
// (*Type).Method.
func readingGuide(readme string) []entry {
	_, section, ok := strings.Cut(readme, "## Reading the source")
	if !ok {
		return nil
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var out []entry
	for line := range strings.Lines(section) {
		if line[0] < '1' || line[0] > '9' {
			continue
		}
		var e entry
		for _, m := range quoted.FindAllStringSubmatch(line, -1) {
			if strings.HasSuffix(m[1], ".go") && e.file == "" {
				e.file = m[1]
			} else if e.function == "" {
				e.function = strings.NewReplacer("(*", "", ")", "", "(", "").Replace(m[1])
			}
		}
		out = append(out, e)
	}
	return out
}

// checkReadingGuide finds stops that lead nowhere.
func checkReadingGuide(readme string, files []*sourceFile) []finding {
	guide := readingGuide(readme)
	var out []finding
	if len(guide) < 7 || len(guide) > 9 {
		text := fmt.Sprintf("the guide has %d stops, want 7 to 9", len(guide))
		out = append(out, finding{"guide", "README.md", text})
	}
	for _, e := range guide {
		if !declares(files, e) {
			text := fmt.Sprintf("no function %s in %s", e.function, e.file)
			out = append(out, finding{"guide", "README.md", text})
		}
	}
	return out
}

func declares(files []*sourceFile, e entry) bool {
	for _, f := range files {
		if f.path != e.file {
			continue
		}
		for _, d := range f.tree.Decls {
			if fd, ok := d.(*ast.FuncDecl); ok && funcName(fd) == e.function {
				return true
			}
		}
	}
	return false
}

var makeTarget = regexp.MustCompile(`(?m)^([a-zA-Z][\w-]*):[^=\n]*$`)

const maxMakeTargets = 10

// checkMakefile finds too many targets, and targets without a help line ("name: … ## text").
func checkMakefile(makefile string) []finding {
	targets := makeTarget.FindAllStringSubmatch(makefile, -1)
	var out []finding
	if len(targets) == 0 || len(targets) > maxMakeTargets {
		text := fmt.Sprintf("%d targets, want 1 to %d", len(targets), maxMakeTargets)
		out = append(out, finding{"make", "Makefile", text})
	}
	for _, m := range targets {
		if !strings.Contains(m[0], "## ") {
			out = append(out, finding{"make", "Makefile:" + m[1], "has no help line"})
		}
	}
	return out
}

// pins are the versions that the design fixes, because others do not build together or do not behave.
var pins = map[string]string{
	"github.com/tidwall/redcon":           "v1.6.2",
	"github.com/hashicorp/raft":           "v1.7.3",
	"github.com/hashicorp/raft-wal":       "v0.4.2",
	"github.com/hashicorp/raft-boltdb/v2": "v2.3.1",
	"github.com/hashicorp/go-metrics":     "v0.5.4",
}

var requirement = regexp.MustCompile(`(?m)^\s*(?:require\s+)?(\S+/\S+)\s+(v\S+)`)

// checkPins finds pinned modules at another version.
func checkPins(gomod string) []finding {
	have := map[string]string{}
	for _, m := range requirement.FindAllStringSubmatch(gomod, -1) {
		have[m[1]] = m[2]
	}
	var out []finding
	for name, want := range pins {
		if have[name] != want {
			out = append(out, finding{"pins", "go.mod", fmt.Sprintf("%s is %q, want %s", name, have[name], want)})
		}
	}
	return out
}
