package style

import (
	"go/ast"
	"path"
	"slices"
	"strings"
)

// checkMutexes finds locks whose reach is not visible as syntax: a mutex stands embedded at the top of an
// anonymous struct named mu, together with the fields it guards, and nowhere else.
func checkMutexes(f *sourceFile) []finding {
	if f.isTest() {
		return nil
	}
	allowed := map[*ast.StructType]bool{}
	var out []finding
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.Field:
			markMu(allowed, x.Names, x.Type)
		case *ast.ValueSpec:
			markMu(allowed, x.Names, x.Type)
			if isMutex(x.Type) {
				out = append(out, f.at("mutex", x.Pos(), "a bare mutex: put it into a struct named mu"))
			}
		case *ast.StructType:
			out = append(out, checkMutexFields(f, x, allowed[x])...)
		}
		return true
	})
	return out
}

func markMu(allowed map[*ast.StructType]bool, names []*ast.Ident, typ ast.Expr) {
	if st, ok := typ.(*ast.StructType); ok && len(names) == 1 && names[0].Name == "mu" {
		allowed[st] = true
	}
}

func checkMutexFields(f *sourceFile, st *ast.StructType, allowed bool) []finding {
	var out []finding
	for _, field := range st.Fields.List {
		if isMutex(field.Type) && (!allowed || len(field.Names) > 0) {
			out = append(out, f.at("mutex", field.Pos(), "guarded fields belong into an anonymous mu struct"))
		}
	}
	return out
}

func isMutex(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == "sync" && (sel.Sel.Name == "Mutex" || sel.Sel.Name == "RWMutex")
}

// checkSleep finds tests that wait by guessing a time.
func checkSleep(f *sourceFile) []finding {
	if !f.isTest() {
		return nil
	}
	return findCalls(f, "sleep", "time", []string{"Sleep"}, "wait for a condition with a deadline")
}

// pureFiles names the files that must be deterministic: replayed on another machine, at another time, they
// must do the same. A folder mapped to nil is pure as a whole.
var pureFiles = map[string][]string{
	"mvcc":    nil,
	"lease":   nil,
	"locks":   nil,
	"raftfsm": {"codec.go", "decode.go", "machine.go"},
}

var impureImports = []string{"net", "os", "math/rand", "crypto/rand", "syscall"}

var clockCalls = []string{
	"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep",
}

func isPure(p string) bool {
	names, ok := pureFiles[path.Dir(p)]
	return ok && !strings.HasSuffix(p, "_test.go") && (names == nil || slices.Contains(names, path.Base(p)))
}

// checkPure finds clocks, chance, input and output, and goroutines in files that are reached from apply.
func checkPure(f *sourceFile) []finding {
	if !isPure(f.path) {
		return nil
	}
	var out []finding
	for _, imp := range f.tree.Imports {
		name := strings.Trim(imp.Path.Value, `"`)
		for _, bad := range impureImports {
			if name == bad || strings.HasPrefix(name, bad+"/") {
				out = append(out, f.at("pure", imp.Pos(), "imports %s", name))
			}
		}
	}
	out = append(out, findCalls(f, "pure", "time", clockCalls, "reads or waits for a clock")...)
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			out = append(out, f.at("pure", g.Pos(), "starts a goroutine"))
		}
		return true
	})
	return out
}

// findCalls finds uses of pkg.name for a package imported by its own name or another.
func findCalls(f *sourceFile, rule, pkg string, names []string, text string) []finding {
	local := importName(f, pkg)
	var out []finding
	ast.Inspect(f.tree, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || !slices.Contains(names, sel.Sel.Name) {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
			out = append(out, f.at(rule, sel.Pos(), "%s.%s: %s", pkg, sel.Sel.Name, text))
		}
		return true
	})
	return out
}

func importName(f *sourceFile, pkg string) string {
	for _, imp := range f.tree.Imports {
		if strings.Trim(imp.Path.Value, `"`) == pkg && imp.Name != nil {
			return imp.Name.Name
		}
	}
	return path.Base(pkg)
}
