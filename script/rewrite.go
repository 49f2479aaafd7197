package script

import (
	"fmt"
	"strconv"

	"github.com/yuin/gopher-lua/ast"
)

// What allocates in a script has to be counted, and gopher-lua has no hook for it. So the syntax tree is
// changed before it is compiled:
//
//	a .. b .. c        becomes  (concat)(a, b, c)       which also prints numbers as Lua 5.1 does
//	t[k] = v           becomes  (store)(t, k, v)        which counts new keys and gaps of an array
//	{ ... }            becomes  (made)({ ... }, size)
//	function ... end   becomes  (made)(function ... end, size), or a statement (made)(nil, size) before it
//
// The names in brackets cannot be written by a script. They are locals of a function around it:
//
//	local (concat), (store), (made) = ...
//	return function(...) <the script> end
//
// Together with the strings that library functions make this is everything that can be kept: a register
// holds nothing that was not made by one of these. The rest is garbage of bounded size at each step.
//
// Rejected: sampling the process's allocation, which blames one script for another's; walking what a
// script can reach, because gopher-lua drops no key that was removed from a table, and hides that.
// Drawback: a store into a table costs a call, some 150 ns.

const (
	nameConcat = "(concat)"
	nameStore  = "(store)"
	nameMade   = "(made)"
)

// maxDepth bounds nesting: the compiler recurses, and a stack that overflows ends the process.
const maxDepth = 1000

// concatArgs is how many operands one call takes; a longer chain nests.
const concatArgs = 50

// Bytes counted for what a constructor makes, generously.
const (
	tableBytes    = 128
	fieldBytes    = 64
	functionBytes = 256
)

type rewriter struct {
	name  string
	depth int
}

type tooDeep struct{ line int }

func rewrite(chunk []ast.Stmt, name string) (out []ast.Stmt, err error) {
	r := &rewriter{name: name}
	defer func() {
		if e, ok := recover().(tooDeep); ok {
			err = fmt.Errorf("%s:%d: chunk has too many syntax levels", name, e.line)
		}
	}()
	body := &ast.FunctionExpr{ParList: &ast.ParList{HasVargs: true}, Stmts: r.block(chunk)}
	body.SetLastLine(lastLine(chunk))
	return []ast.Stmt{
		&ast.LocalAssignStmt{Names: []string{nameConcat, nameStore, nameMade},
			Exprs: []ast.Expr{&ast.Comma3Expr{}}},
		&ast.ReturnStmt{Exprs: []ast.Expr{body}},
	}, nil
}

func lastLine(chunk []ast.Stmt) int {
	if len(chunk) == 0 {
		return 1
	}
	return max(chunk[len(chunk)-1].Line(), chunk[len(chunk)-1].LastLine())
}

func (r *rewriter) enter(p ast.PositionHolder) {
	if r.depth++; r.depth > maxDepth {
		panic(tooDeep{p.Line()})
	}
}

func (r *rewriter) block(stmts []ast.Stmt) []ast.Stmt {
	out := make([]ast.Stmt, 0, len(stmts))
	for _, s := range stmts {
		r.enter(s)
		out = append(out, r.stmt(s)...)
		r.depth--
	}
	return out
}

// stmt returns what stands in the place of one statement.
func (r *rewriter) stmt(s ast.Stmt) []ast.Stmt {
	switch s := s.(type) {
	case *ast.AssignStmt:
		return r.assign(s)
	case *ast.LocalAssignStmt:
		return r.local(s)
	case *ast.FuncCallStmt:
		s.Expr = r.call(s.Expr.(*ast.FuncCallExpr))
	case *ast.DoBlockStmt:
		s.Stmts = r.block(s.Stmts)
	case *ast.WhileStmt:
		s.Condition, s.Stmts = r.expr(s.Condition), r.block(s.Stmts)
	case *ast.RepeatStmt:
		s.Condition, s.Stmts = r.expr(s.Condition), r.block(s.Stmts)
	case *ast.IfStmt:
		s.Condition, s.Then, s.Else = r.expr(s.Condition), r.block(s.Then), r.block(s.Else)
	case *ast.NumberForStmt:
		s.Init, s.Limit, s.Step = r.expr(s.Init), r.expr(s.Limit), r.expr(s.Step)
		s.Stmts = r.block(s.Stmts)
	case *ast.GenericForStmt:
		s.Exprs, s.Stmts = r.exprs(s.Exprs), r.block(s.Stmts)
	case *ast.FuncDefStmt:
		return r.define(s)
	case *ast.ReturnStmt:
		s.Exprs = r.exprs(s.Exprs)
	}
	return []ast.Stmt{s}
}

// assign turns each assignment to a field into a store. As in Lua all operands are evaluated before the
// first value is stored; gopher-lua's own `a, b = b, a` gives both the same value.
func (r *rewriter) assign(s *ast.AssignStmt) []ast.Stmt {
	s.Rhs = r.exprs(s.Rhs)
	if len(s.Lhs) > 1 || len(s.Rhs) > 1 {
		return []ast.Stmt{r.assignMany(s)}
	}
	if field, ok := s.Lhs[0].(*ast.AttrGetExpr); ok {
		return []ast.Stmt{r.store(s, field, single(s.Rhs[0]))}
	}
	return []ast.Stmt{s}
}

// assignMany evaluates everything into locals of a block first.
func (r *rewriter) assignMany(s *ast.AssignStmt) ast.Stmt {
	operands := &ast.LocalAssignStmt{}
	values := &ast.LocalAssignStmt{Exprs: s.Rhs}
	at(s, operands, values)
	var stores []ast.Stmt
	for i, l := range s.Lhs {
		value := "(v" + strconv.Itoa(i) + ")"
		values.Names = append(values.Names, value)
		field, ok := l.(*ast.AttrGetExpr)
		if !ok {
			plain := &ast.AssignStmt{Lhs: []ast.Expr{l}, Rhs: []ast.Expr{r.ident(s, value)}}
			at(s, plain)
			stores = append(stores, plain)
			continue
		}
		object, key := "(o"+strconv.Itoa(i)+")", "(k"+strconv.Itoa(i)+")"
		operands.Names = append(operands.Names, object, key)
		operands.Exprs = append(operands.Exprs, single(r.expr(field.Object)), single(r.expr(field.Key)))
		call := r.hidden(s, nameStore, r.ident(s, object), r.ident(s, key), r.ident(s, value))
		stores = append(stores, r.statement(s, call))
	}
	stmts := []ast.Stmt{values}
	if len(operands.Names) > 0 {
		stmts = []ast.Stmt{operands, values}
	}
	block := &ast.DoBlockStmt{Stmts: append(stmts, stores...)}
	at(s, block)
	return block
}

func (r *rewriter) store(s ast.Stmt, field *ast.AttrGetExpr, value ast.Expr) ast.Stmt {
	object, key := single(r.expr(field.Object)), single(r.expr(field.Key))
	return r.statement(s, r.hidden(s, nameStore, object, key, value))
}

// local leaves the definition of a local function as it is, which may call itself.
func (r *rewriter) local(s *ast.LocalAssignStmt) []ast.Stmt {
	if fn, ok := soleFunction(s); ok {
		r.function(fn)
		return []ast.Stmt{r.count(s), s}
	}
	s.Exprs = r.exprs(s.Exprs)
	return []ast.Stmt{s}
}

func soleFunction(s *ast.LocalAssignStmt) (*ast.FunctionExpr, bool) {
	if len(s.Names) != 1 || len(s.Exprs) != 1 {
		return nil, false
	}
	fn, ok := s.Exprs[0].(*ast.FunctionExpr)
	return fn, ok
}

func (r *rewriter) define(s *ast.FuncDefStmt) []ast.Stmt {
	if s.Name.Func != nil {
		s.Name.Func = r.expr(s.Name.Func)
	}
	if s.Name.Receiver != nil {
		s.Name.Receiver = r.expr(s.Name.Receiver)
	}
	r.function(s.Func)
	return []ast.Stmt{r.count(s), s}
}

func (r *rewriter) function(fn *ast.FunctionExpr) { fn.Stmts = r.block(fn.Stmts) }

// count is a statement that counts a function about to be made.
func (r *rewriter) count(s ast.Stmt) ast.Stmt {
	return r.statement(s, r.hidden(s, nameMade, &ast.NilExpr{}, number(functionBytes)))
}

func (r *rewriter) exprs(list []ast.Expr) []ast.Expr {
	for i := range list {
		list[i] = r.expr(list[i])
	}
	return list
}

func (r *rewriter) expr(e ast.Expr) ast.Expr {
	if e == nil {
		return nil
	}
	r.enter(e)
	defer func() { r.depth-- }()
	switch e := e.(type) {
	case *ast.AttrGetExpr:
		e.Object, e.Key = r.expr(e.Object), r.expr(e.Key)
	case *ast.TableExpr:
		for _, f := range e.Fields {
			f.Key, f.Value = r.expr(f.Key), r.expr(f.Value)
		}
		return r.hidden(e, nameMade, e, number(tableBytes+fieldBytes*len(e.Fields)))
	case *ast.FuncCallExpr:
		return r.call(e)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs), r.expr(e.Rhs)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs), r.expr(e.Rhs)
	case *ast.ArithmeticOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs), r.expr(e.Rhs)
	case *ast.StringConcatOpExpr:
		return r.concat(e)
	case *ast.UnaryMinusOpExpr:
		e.Expr = r.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		e.Expr = r.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		e.Expr = r.expr(e.Expr)
	case *ast.FunctionExpr:
		r.function(e)
		return r.hidden(e, nameMade, e, number(functionBytes))
	}
	return e
}

func (r *rewriter) call(e *ast.FuncCallExpr) *ast.FuncCallExpr {
	e.Func, e.Receiver = r.expr(e.Func), r.expr(e.Receiver)
	e.Args = r.exprs(e.Args)
	return e
}

// concat gathers a chain, which is right associative.
func (r *rewriter) concat(e *ast.StringConcatOpExpr) ast.Expr {
	var operands []ast.Expr
	var last ast.Expr = e
	for {
		c, ok := last.(*ast.StringConcatOpExpr)
		if !ok {
			break
		}
		operands = append(operands, single(r.expr(c.Lhs)))
		last = c.Rhs
	}
	operands = append(operands, single(r.expr(last)))
	for len(operands) > concatArgs {
		from := len(operands) - concatArgs
		operands = append(operands[:from:from], r.hidden(e, nameConcat, operands[from:]...))
	}
	return r.hidden(e, nameConcat, operands...)
}

// hidden is a call of one of our own functions, for one value.
func (r *rewriter) hidden(p ast.PositionHolder, name string, args ...ast.Expr) *ast.FuncCallExpr {
	call := &ast.FuncCallExpr{Func: r.ident(p, name), Args: args, AdjustRet: true}
	at(p, call)
	for _, a := range args {
		if a.Line() == 0 {
			at(p, a)
		}
	}
	return call
}

func (r *rewriter) ident(p ast.PositionHolder, name string) ast.Expr {
	id := &ast.IdentExpr{Value: name}
	at(p, id)
	return id
}

func (r *rewriter) statement(p ast.PositionHolder, call ast.Expr) ast.Stmt {
	s := &ast.FuncCallStmt{Expr: call}
	at(p, s)
	return s
}

func number(n int) ast.Expr { return &ast.NumberExpr{Value: strconv.Itoa(n)} }

// single cuts what may be several values to one.
func single(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
	return e
}

// at gives new nodes the place of an old one.
func at(p ast.PositionHolder, nodes ...ast.PositionHolder) {
	for _, n := range nodes {
		n.SetLine(p.Line())
		n.SetLastLine(p.LastLine())
	}
}
