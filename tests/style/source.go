package style

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// finding is one violation of one rule.
type finding struct {
	rule  string
	where string // path, or path and name: what an exception names
	text  string
}

func (f finding) String() string { return f.rule + ": " + f.where + ": " + f.text }

// sourceFile is one parsed Go file; path is relative to the top of the tree, with slashes.
type sourceFile struct {
	path string
	text string
	fset *token.FileSet
	tree *ast.File
}

func (f *sourceFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

func (f *sourceFile) dir() string { return filepath.ToSlash(filepath.Dir(f.path)) }

func (f *sourceFile) line(p token.Pos) int { return f.fset.Position(p).Line }

// at makes a finding at a position of the file.
func (f *sourceFile) at(rule string, p token.Pos, format string, args ...any) finding {
	return finding{rule, f.path, fmt.Sprintf("line %d: ", f.line(p)) + fmt.Sprintf(format, args...)}
}

func parseSource(path, text string) (*sourceFile, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &sourceFile{path: path, text: text, fset: fset, tree: tree}, nil
}

// skipDir reports whether a folder holds no source of ours.
func skipDir(name string) bool {
	return name == "testdata" || name == "redkeep.data" || strings.HasPrefix(name, ".") && name != "."
}

// loadTree parses every Go file below root.
func loadTree(root string) ([]*sourceFile, error) {
	var out []*sourceFile
	err := walk(root, func(path string, d fs.DirEntry) error {
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		f, err := parseSource(path, string(text))
		if err != nil {
			return err
		}
		out = append(out, f)
		return nil
	})
	return out, err
}

// walk calls fn with the slash path, relative to root, of each file and folder that is ours.
func walk(root string, fn func(path string, d fs.DirEntry) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() && skipDir(d.Name()) && rel != "." {
			return filepath.SkipDir
		}
		return fn(filepath.ToSlash(rel), d)
	})
}
