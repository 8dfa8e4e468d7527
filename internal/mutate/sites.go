package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// site is one check that can be switched off.
type site struct {
	Number   int
	Package  string // folder of the package
	File     string // relative to the module, with slashes
	Line     int
	Function string // the declaration it is in, with its receiver: "Verifier.Verify"
	Source   string // the check's text on one line

	start, end    int    // what is wrapped, as offsets in the file
	before, after string // with what; %d in before is the number
}

// The three ways to lose a check.
const (
	never  = "(hfCheck(%d) && ("  // a condition that refuses is never true
	always = "(!hfCheck(%d) || (" // a condition that accepts is always true
	closed = "))"

	bodyOpen  = " if hfCheck(%d) {" // a clause that refuses is empty
	bodyClose = "}"
)

// finder walks one file.
type finder struct {
	set    *token.FileSet
	source []byte
	base   site                  // package and file
	origin map[ast.Stmt]ast.Stmt // what was assigned right before an if or a switch, or in it
	sites  []site
}

// findSites returns the checks of one source file in the order of its text.
func findSites(root, folder, name string) ([]site, error) {
	relative := filepath.ToSlash(filepath.Join(folder, name))
	source, err := os.ReadFile(filepath.Join(root, relative))
	if err != nil {
		return nil, err
	}
	f := &finder{
		set: token.NewFileSet(), source: source,
		base: site{Package: folder, File: relative}, origin: make(map[ast.Stmt]ast.Stmt),
	}
	syntax, err := parser.ParseFile(f.set, relative, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(syntax) {
		return nil, nil
	}
	for _, decl := range syntax.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
			f.base.Function = declared(fn)
			f.function(fn.Type, fn.Body)
		}
	}
	slices.SortStableFunc(f.sites, func(a, b site) int { return a.start - b.start })
	return f.sites, nil
}

func declared(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	receiver := fn.Recv.List[0].Type
	for {
		switch t := receiver.(type) {
		case *ast.StarExpr:
			receiver = t.X
		case *ast.IndexExpr:
			receiver = t.X
		case *ast.IndexListExpr:
			receiver = t.X
		case *ast.Ident:
			return t.Name + "." + fn.Name.Name
		default:
			return fn.Name.Name
		}
	}
}

// function looks at one body; literals in it are functions of their own.
func (f *finder) function(typ *ast.FuncType, body *ast.BlockStmt) {
	r := refusalsOf(typ, body)
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			f.function(n.Type, n.Body)
			return false
		case *ast.IfStmt:
			if r.refuses(n.Body.List) {
				f.condition(n, n.Cond)
			}
		case *ast.BlockStmt:
			f.block(r, n.List)
		case *ast.CaseClause:
			f.block(r, n.Body)
		case *ast.ReturnStmt:
			if r.kind == kindBool && len(n.Results) == 1 {
				f.predicate(n.Results[0])
			}
		}
		return true
	})
}

// block finds switches, whose clauses may be checks, and conditions that accept
// right before a refusal.
func (f *finder) block(r refusals, list []ast.Stmt) {
	for i, statement := range list {
		last := i == len(list)-1
		if i > 0 {
			f.origin[statement] = list[i-1]
		}
		switch s := statement.(type) {
		case *ast.SwitchStmt:
			if s.Init != nil {
				f.origin[s] = s.Init
			}
			for _, clause := range s.Body.List {
				f.clause(r, s, clause.(*ast.CaseClause), last)
			}
		case *ast.IfStmt:
			if s.Init != nil {
				f.origin[s] = s.Init
			}
			if !last && s.Else == nil && r.accepts(s.Body.List) && r.refuses(list[i+1:i+2]) {
				for _, operand := range operands(s.Cond, token.LAND) {
					f.wrap(s, operand, always)
				}
			}
		}
	}
}

// clause takes a clause that refuses: by its conditions, or else by its body
// where the compiler does not need that body to end the function.
func (f *finder) clause(r refusals, in *ast.SwitchStmt, c *ast.CaseClause, last bool) {
	switch {
	case !r.refuses(c.Body):
	case in.Tag == nil && len(c.List) > 0:
		for _, condition := range c.List {
			f.condition(in, condition)
		}
	case !last:
		s := f.site(in, c.Pos(), c.Colon)
		s.start, s.end = f.offset(c.Colon)+1, f.offset(c.Body[len(c.Body)-1].End())
		s.before, s.after = bodyOpen, bodyClose
		f.sites = append(f.sites, s)
	}
}

// condition takes each operand of the || of a condition that refuses. Where an
// operand's loss is noticed, so is the loss of the whole.
func (f *finder) condition(in ast.Stmt, cond ast.Expr) {
	for _, operand := range operands(cond, token.LOR) {
		f.wrap(in, operand, never)
	}
}

// predicate takes the operands of what a bool function returns.
func (f *finder) predicate(result ast.Expr) {
	if list := operands(result, token.LAND); len(list) > 1 {
		for _, operand := range list {
			f.wrap(nil, operand, always)
		}
	} else if list := operands(result, token.LOR); len(list) > 1 {
		for _, operand := range list {
			f.wrap(nil, operand, never)
		}
	}
}

// operands splits an expression at one operator, through its parentheses.
func operands(e ast.Expr, op token.Token) []ast.Expr {
	inner := e
	for {
		paren, ok := inner.(*ast.ParenExpr)
		if !ok {
			break
		}
		inner = paren.X
	}
	if b, ok := inner.(*ast.BinaryExpr); ok && b.Op == op {
		return append(operands(b.X, op), operands(b.Y, op)...)
	}
	return []ast.Expr{e}
}

func (f *finder) wrap(in ast.Stmt, e ast.Expr, before string) {
	s := f.site(in, e.Pos(), e.End())
	s.before, s.after = before, closed
	f.sites = append(f.sites, s)
}

// site describes a check; in is the statement whose condition it is, or nil.
func (f *finder) site(in ast.Stmt, start, end token.Pos) site {
	s := f.base
	s.Line = f.set.Position(start).Line
	s.start, s.end = f.offset(start), f.offset(end)
	s.Source = f.text(start, end)
	// A bare "err != nil" or "!ok" means nothing without the call that it judges.
	const bare = 14
	if assigned, ok := f.origin[in].(*ast.AssignStmt); ok && len(s.Source) <= bare && slices.ContainsFunc(assigned.Lhs, func(e ast.Expr) bool {
		ident, ok := e.(*ast.Ident)
		return ok && slices.Contains(word.FindAllString(s.Source, -1), ident.Name)
	}) {
		s.Source = short(f.text(assigned.Pos(), assigned.End())) + "; " + s.Source
	}
	return s
}

// short cuts a statement that holds a whole function.
func short(text string) string {
	const most = 90
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}

var word = regexp.MustCompile(`\w+`)

// text returns what stands between two places, on one line.
func (f *finder) text(start, end token.Pos) string {
	return strings.Join(strings.Fields(string(f.source[f.offset(start):f.offset(end)])), " ")
}

func (f *finder) offset(p token.Pos) int { return f.set.Position(p).Offset }

// refusals knows how one function says no.
type refusals struct {
	kind    int
	results int
}

const (
	kindNone   = iota
	kindError  // the last result is an error, or what stands for one
	kindBool   // the last result is a bool
	kindAnswer // no result, but a http.ResponseWriter to answer with
)

// errorTypes are last results that mean a refusal when they are not their zero value.
var errorTypes = []string{"error", "*Error", "*oauth.Error", "*verify.Error", "Reason"}

// refusers are functions whose many results are a refusal, so that one call returns them all.
var refusers = regexp.MustCompile(`^(refuse|deny|reject|fail|fault|bad|malformed|invalid|err)`)

func refusalsOf(typ *ast.FuncType, body *ast.BlockStmt) refusals {
	var r refusals
	last := ""
	if typ.Results != nil {
		for _, field := range typ.Results.List {
			r.results += max(1, len(field.Names))
			last = typeName(field.Type)
		}
	}
	switch {
	case slices.Contains(errorTypes, last):
		r.kind = kindError
	case last == "bool":
		r.kind = kindBool
	case last == "string" && endsEmpty(body):
		r.kind = kindError // the reason, or none
	case r.results == 0:
		for _, field := range typ.Params.List {
			if typeName(field.Type) == "http.ResponseWriter" {
				r.kind = kindAnswer
			}
		}
	}
	return r
}

// endsEmpty reports whether a body ends by returning "", as functions do that
// return the reason of a refusal.
func endsEmpty(body *ast.BlockStmt) bool {
	if len(body.List) == 0 {
		return false
	}
	last, ok := body.List[len(body.List)-1].(*ast.ReturnStmt)
	return ok && len(last.Results) > 0 && isZero(last.Results[len(last.Results)-1])
}

func typeName(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.StarExpr:
		return "*" + typeName(t.X)
	case *ast.SelectorExpr:
		return typeName(t.X) + "." + t.Sel.Name
	}
	return ""
}

// refuses reports whether statements end by saying no.
func (r refusals) refuses(list []ast.Stmt) bool {
	last, result := r.end(list)
	if last == nil {
		return false
	}
	switch r.kind {
	case kindAnswer:
		if len(list) < 2 {
			return false
		}
		_, called := list[len(list)-2].(*ast.ExprStmt)
		return called
	case kindBool:
		return isIdent(result, "false")
	case kindError:
		if len(last.Results) == r.results {
			return !isZero(result)
		}
		call, ok := result.(*ast.CallExpr)
		return ok && refusers.MatchString(strings.ToLower(calledName(call)))
	}
	return false
}

// accepts reports whether statements are nothing but a yes.
func (r refusals) accepts(list []ast.Stmt) bool {
	last, result := r.end(list)
	if last == nil || len(list) != 1 || len(last.Results) != r.results {
		return false
	}
	return r.kind == kindError && isZero(result) || r.kind == kindBool && isIdent(result, "true")
}

// end returns the return statement that ends a list, with its last result.
func (r refusals) end(list []ast.Stmt) (*ast.ReturnStmt, ast.Expr) {
	if len(list) == 0 {
		return nil, nil
	}
	last, ok := list[len(list)-1].(*ast.ReturnStmt)
	if !ok || r.kind == kindNone || len(last.Results) == 0 && r.kind != kindAnswer {
		return nil, nil
	}
	if len(last.Results) == 0 {
		return last, nil
	}
	return last, last.Results[len(last.Results)-1]
}

func isIdent(e ast.Expr, name string) bool {
	ident, ok := e.(*ast.Ident)
	return ok && ident.Name == name
}

func isZero(e ast.Expr) bool {
	literal, ok := e.(*ast.BasicLit)
	return isIdent(e, "nil") || ok && (literal.Value == `""` || literal.Value == "0")
}

func calledName(call *ast.CallExpr) string {
	switch fn := call.Fun.(type) {
	case *ast.Ident:
		return fn.Name
	case *ast.SelectorExpr:
		return fn.Sel.Name
	}
	return ""
}
