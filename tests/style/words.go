package style

import (
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "manager"}

// checkName finds files and folders named after nothing in particular.
func checkName(p string) []finding {
	base, _, _ := strings.Cut(path.Base(p), ".")
	for _, word := range strings.FieldsFunc(base, func(r rune) bool { return r == '_' || r == '-' }) {
		if slices.Contains(vagueNames, word) {
			return []finding{{"name", p, fmt.Sprintf("%q says nothing about what is inside", word)}}
		}
	}
	return nil
}

// checkDocs finds folders with Go files but without a doc.go that holds the package comment.
func checkDocs(files []*sourceFile) []finding {
	documented := map[string]bool{}
	for _, f := range files {
		ok := path.Base(f.path) == "doc.go" && f.tree.Doc != nil && len(f.tree.Doc.Text()) > 60
		documented[f.dir()] = documented[f.dir()] || ok
	}
	var out []finding
	for dir, ok := range documented {
		if !ok {
			out = append(out, finding{"doc", dir, "has no doc.go with a package comment"})
		}
	}
	return out
}

var todoWord = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)
var issueNumber = regexp.MustCompile(`#\d+`)

// checkTodo finds comments that put work off without naming an issue.
func checkTodo(f *sourceFile) []finding {
	var out []finding
	for _, g := range f.tree.Comments {
		for _, c := range g.List {
			if todoWord.MatchString(c.Text) && !issueNumber.MatchString(c.Text) {
				out = append(out, f.at("todo", c.Pos(), "work put off without an issue number"))
			}
		}
	}
	return out
}

// errorPrefix matches the start of a text that a client would see as an error.
var errorPrefix = regexp.MustCompile(`^-?(ERR|NOAUTH|WRONGPASS|NOPERM|OOM|BUSY|CLUSTERDOWN|TRYAGAIN|MOVED|` +
	`EXECABORT|NOSCRIPT|NOLEASE|COMPACTED|FUTUREREV|LOCKLOST|NOTLEADER|CORRUPT|UNCERTAIN|WRONGTYPE|NOPROTO|` +
	`READONLY|LOADING) `)

// checkErrorTexts finds user-visible error texts of package commands outside its errors.go and errors_*.go.
func checkErrorTexts(f *sourceFile) []finding {
	if f.dir() != "commands" || f.isTest() || strings.HasPrefix(path.Base(f.path), "errors") {
		return nil
	}
	var out []finding
	ast.Inspect(f.tree, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok {
			return true
		}
		if s, err := strconv.Unquote(lit.Value); err == nil && errorPrefix.MatchString(s) {
			out = append(out, f.at("error-text", lit.Pos(), "%s belongs in commands/errors.go", lit.Value))
		}
		return true
	})
	return out
}

// checkNames applies checkName to every file and folder below root.
func checkNames(root string) ([]finding, error) {
	var out []finding
	err := walk(root, func(p string, _ fs.DirEntry) error {
		out = append(out, checkName(p)...)
		return nil
	})
	return out, err
}
