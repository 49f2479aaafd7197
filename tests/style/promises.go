package style

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"strings"
)

// A page of promises names, in each row of its tables, the tests that would fail if the promise were
// broken: `folder/TestName`, with a subtest after it if that is the one.
var namedTest = regexp.MustCompile("`([\\w/]+)/((?:Test|Fuzz)\\w+)(?:/[\\w-]+)?`")

// checkPromises finds rows without a test, and tests that do not exist.
func checkPromises(name, page string, files []*sourceFile) []finding {
	known := testFunctions(files)
	var out []finding
	rows := 0
	for _, line := range strings.Split(page, "\n") {
		named := namedTest.FindAllStringSubmatch(line, -1)
		if isPromise(line) {
			rows++
			if len(named) == 0 {
				out = append(out, finding{"promises", name, "no test is named for: " + line})
			}
		}
		for _, m := range named {
			if !known[m[1]+"/"+m[2]] {
				out = append(out, finding{"promises", name, fmt.Sprintf("there is no test %s in %s", m[2], m[1])})
			}
		}
	}
	if rows == 0 {
		out = append(out, finding{"promises", name, "makes no promise"})
	}
	return out
}

// isPromise reports whether a line is a row of a table, its head aside.
func isPromise(line string) bool {
	return strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| promise")
}

// testFunctions is the set of "folder/TestName" of the tree.
func testFunctions(files []*sourceFile) map[string]bool {
	out := map[string]bool{}
	for _, f := range files {
		if !f.isTest() {
			continue
		}
		for _, d := range f.tree.Decls {
			if fd, ok := d.(*ast.FuncDecl); ok && fd.Recv == nil {
				out[path.Dir(f.path)+"/"+fd.Name.Name] = true
			}
		}
	}
	return out
}
