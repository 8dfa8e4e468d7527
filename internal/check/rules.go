package check

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// saysNothing are names under which anything could stand.
var saysNothing = []string{"util", "utils", "common", "helper", "helpers", "types", "models", "misc"}

func (t *tree) checkNames(f *file) {
	base := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.name), ".go"), "_test")
	if slices.Contains(saysNothing, base) {
		t.add(f, f.syntax.Package, "a file named %s says nothing about what is in it", path.Base(f.name))
	}
	if name := strings.TrimSuffix(f.syntax.Name.Name, "_test"); slices.Contains(saysNothing, name) {
		t.add(f, f.syntax.Name.Pos(), "a package named %s says nothing about what is in it", name)
	}
}

func (t *tree) checkSize(f *file) {
	if f.lines > MaxFile {
		t.add(f, f.syntax.Package, "the file has %d lines, more than %d", f.lines, MaxFile)
	}
	if f.test {
		return
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		name := ""
		switch n := n.(type) {
		case *ast.FuncDecl:
			name = "function " + n.Name.Name
		case *ast.FuncLit:
			name = "function literal"
		default:
			return true
		}
		lines := f.set.Position(n.End()).Line - f.set.Position(n.Pos()).Line + 1
		if lines > MaxFunction {
			t.add(f, n.Pos(), "%s has %d lines, more than %d", name, lines, MaxFunction)
			return false
		}
		return true
	})
}

// checkDocs wants one doc comment, at least, for each package that is not only tests.
func (t *tree) checkDocs() {
	first := make(map[string]*file) // by folder
	documented := make(map[string]bool)
	for _, f := range t.files {
		if f.test {
			continue
		}
		if first[f.folder] == nil {
			first[f.folder] = f
		}
		if f.syntax.Doc.Text() != "" {
			documented[f.folder] = true
		}
	}
	for folder, f := range first {
		if !documented[folder] {
			t.add(f, f.syntax.Package, "package %s has no doc comment", f.syntax.Name.Name)
		}
	}
}

// checkCalls looks for what hides the clock, the randomness or a failure.
func (t *tree) checkCalls(f *file) {
	imported := importNames(f.syntax)
	c := calls{tree: t, file: f, imported: imported}
	for _, decl := range f.syntax.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			t.add(f, fn.Pos(), "func init: what must run is called by name")
		}
	}
	for _, spec := range imported {
		if strings.HasPrefix(spec.path, "math/rand") && !f.test && !t.table.mayJitter(f.folder) {
			t.add(f, spec.pos, "%s: randomness comes from crypto/rand", spec.path)
		}
	}
	ast.Inspect(f.syntax, c.visit)
}

// calls visits the expressions of one file.
type calls struct {
	*tree
	*file
	imported map[string]importSpec
	defaults map[*ast.SelectorExpr]bool // time.Now as the default of a field Now
}

func (c *calls) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		c.allowDefault(n.Key, n.Value)
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "InsecureSkipVerify" {
			c.insecure(n.Pos(), n.Value)
		}
	case *ast.AssignStmt:
		if len(n.Lhs) != len(n.Rhs) {
			return true
		}
		for i := range n.Lhs {
			c.allowDefault(n.Lhs[i], n.Rhs[i])
			if target, ok := n.Lhs[i].(*ast.SelectorExpr); ok && target.Sel.Name == "InsecureSkipVerify" {
				c.insecure(n.Pos(), n.Rhs[i])
			}
		}
	case *ast.SelectorExpr:
		c.selector(n)
	}
	return true
}

// allowDefault notes `Now: time.Now` and `x.Now = time.Now`: the clock is then
// a field that a test can set.
func (c *calls) allowDefault(target, value ast.Expr) {
	name := ""
	switch target := target.(type) {
	case *ast.Ident:
		name = target.Name
	case *ast.SelectorExpr:
		name = target.Sel.Name
	}
	if clock, ok := value.(*ast.SelectorExpr); ok && strings.EqualFold(name, "now") {
		if c.defaults == nil {
			c.defaults = make(map[*ast.SelectorExpr]bool)
		}
		c.defaults[clock] = true
	}
}

func (c *calls) selector(n *ast.SelectorExpr) {
	x, ok := n.X.(*ast.Ident)
	if !ok {
		return
	}
	switch name := n.Sel.Name; {
	case c.imported[x.Name].path == "time" && (name == "Now" || name == "Since" || name == "Until"):
		if !c.test && !forTests(c.folder) && !c.table.mayReadClock(c.folder) && !c.defaults[n] {
			c.add(c.file, n.Pos(), "time.%s: the clock is a parameter here (now time.Time, or a field Now)", name)
		}
	case (c.test || forTests(c.folder)) && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, name):
		c.add(c.file, n.Pos(), "%s.%s: a test that is skipped proves nothing", x.Name, name)
	}
}

func (c *calls) insecure(pos token.Pos, value ast.Expr) {
	if ident, ok := value.(*ast.Ident); !c.test && !forTests(c.folder) && (!ok || ident.Name != "false") {
		c.add(c.file, pos, "InsecureSkipVerify outside a test")
	}
}

// importSpec is one import of a file.
type importSpec struct {
	path string
	pos  token.Pos
}

// importNames returns the imports of a file by the name they have in it.
func importNames(f *ast.File) map[string]importSpec {
	names := make(map[string]importSpec, len(f.Imports))
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser would have refused it
		}
		name := path.Base(p)
		if strings.HasPrefix(name, "v") && strings.Trim(name[1:], "0123456789") == "" {
			name = path.Base(path.Dir(p)) // math/rand/v2 is rand
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = importSpec{p, spec.Pos()}
	}
	return names
}
