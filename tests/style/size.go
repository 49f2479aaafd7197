package style

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// The limits of size, for code that is not a test. Files of tests have a cap of their own and no cap on
// functions.
const (
	maxFunctionLines = 70
	maxMedianLines   = 10
	maxP90Lines      = 35
	maxNesting       = 3
	maxFileLines     = 500
	maxTestFileLines = 800
	maxColumns       = 110
)

// function is the measure of one declared function; the lines of function literals inside count with it.
type function struct {
	name    string
	lines   int // between the braces, plus one for the head
	nesting int
}

// functions measures every declared function that has a body.
func functions(f *sourceFile) []function {
	var out []function
	for _, d := range f.tree.Decls {
		fd, ok := d.(*ast.FuncDecl)
		if !ok || fd.Body == nil {
			continue
		}
		lines := f.line(fd.Body.Rbrace) - f.line(fd.Body.Lbrace)
		out = append(out, function{funcName(fd), max(lines, 1), nestingOf(fd.Body)})
	}
	return out
}

// funcName renders Func, T.Method, with no star: one name per function of a package.
func funcName(fd *ast.FuncDecl) string {
	if fd.Recv == nil || len(fd.Recv.List) == 0 {
		return fd.Name.Name
	}
	t := fd.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "." + fd.Name.Name
		default:
			return fd.Name.Name
		}
	}
}

// nestingOf returns how deep control statements stand inside each other. An else-if chain is one level, a
// case clause adds none, and a function literal starts anew: it is read as a function of its own.
func nestingOf(n ast.Node) int {
	deepest := 0
	ast.Inspect(n, func(x ast.Node) bool {
		if x == nil || x == n {
			return true
		}
		if body := controlled(x); body != nil {
			deepest = max(deepest, nestingOfControl(x, body))
			return false
		}
		return true
	})
	return deepest
}

func nestingOfControl(x ast.Node, body []ast.Node) int {
	own := 1
	if _, isLit := x.(*ast.FuncLit); isLit {
		own = 0
	}
	deepest := own
	for _, b := range body {
		if chained, ok := b.(*ast.IfStmt); ok {
			deepest = max(deepest, nestingOfControl(chained, controlled(chained)))
			continue
		}
		deepest = max(deepest, own+nestingOf(b))
	}
	return deepest
}

// controlled returns the parts that x puts one level deeper, or nil if x opens no level.
func controlled(x ast.Node) []ast.Node {
	switch s := x.(type) {
	case *ast.IfStmt:
		if s.Else != nil {
			return []ast.Node{s.Body, s.Else}
		}
		return []ast.Node{s.Body}
	case *ast.ForStmt:
		return []ast.Node{s.Body}
	case *ast.RangeStmt:
		return []ast.Node{s.Body}
	case *ast.SwitchStmt:
		return []ast.Node{s.Body}
	case *ast.TypeSwitchStmt:
		return []ast.Node{s.Body}
	case *ast.SelectStmt:
		return []ast.Node{s.Body}
	case *ast.FuncLit:
		return []ast.Node{s.Body}
	}
	return nil
}

// checkFunctions finds functions that are too long or nested too deep.
func checkFunctions(f *sourceFile) []finding {
	if f.isTest() {
		return nil
	}
	var out []finding
	for _, fn := range functions(f) {
		where := f.path + ":" + fn.name
		if fn.lines > maxFunctionLines {
			out = append(out, finding{"function-length", where, fmt.Sprintf("%d lines", fn.lines)})
		}
		if fn.nesting > maxNesting {
			out = append(out, finding{"nesting", where, fmt.Sprintf("%d levels", fn.nesting)})
		}
	}
	return out
}

// checkDistribution finds a tree whose functions have grown as a whole.
func checkDistribution(lines []int) []finding {
	if len(lines) == 0 {
		return nil
	}
	slices.Sort(lines)
	var out []finding
	median, p90 := lines[len(lines)/2], lines[len(lines)*9/10]
	if median > maxMedianLines {
		out = append(out, finding{"function-median", ".", fmt.Sprintf("median function has %d lines", median)})
	}
	if p90 > maxP90Lines {
		out = append(out, finding{"function-p90", ".", fmt.Sprintf("p90 function has %d lines", p90)})
	}
	return out
}

// checkFileSize finds files that are too long and lines that are too wide; a tab counts as one column.
func checkFileSize(f *sourceFile) []finding {
	limit := maxFileLines
	if f.isTest() {
		limit = maxTestFileLines
	}
	lines := strings.Split(strings.TrimSuffix(f.text, "\n"), "\n")
	var out []finding
	if len(lines) > limit {
		out = append(out, finding{"file-length", f.path, fmt.Sprintf("%d lines, at most %d", len(lines), limit)})
	}
	for i, l := range lines {
		if n := len([]rune(l)); n > maxColumns {
			out = append(out, finding{"line-width", f.path, fmt.Sprintf("line %d has %d columns", i+1, n)})
		}
	}
	return out
}
