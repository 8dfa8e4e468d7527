package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Row says what one package may import besides the standard library.
type Row struct {
	Package string   // its folder
	Inside  []string // folders of this module
	Outside []string // import paths of other modules, each with what is below it
	Clock   bool     // it may ask for the time itself
	Jitter  bool     // it may use math/rand, to spread its requests over time
}

// Table has a row for every package.
type Table struct {
	Rows []Row

	// Public are the packages that others compile into their programs. They import
	// one another, Beneath, and of other modules only what their own row says.
	Public  []string
	Beneath []string

	// Endpoints never import one another, and Store is imported only by Composers.
	Endpoints []string
	Store     string
	Composers []string
}

func (t Table) row(folder string) *Row {
	i := slices.IndexFunc(t.Rows, func(r Row) bool { return r.Package == folder })
	if i < 0 {
		return nil
	}
	return &t.Rows[i]
}

func (t Table) mayReadClock(folder string) bool {
	r := t.row(folder)
	return r != nil && r.Clock
}

func (t Table) mayJitter(folder string) bool {
	r := t.row(folder)
	return r != nil && r.Jitter
}

// forTests tells packages that exist for tests (clientauth/authtest): they need
// no row, and nothing but tests may import them.
func forTests(folder string) bool { return strings.HasSuffix(folder, "test") }

// checkImports compares the imports of a file with its package's row.
func (t *tree) checkImports(f *file) {
	if forTests(f.folder) {
		return
	}
	row := t.table.row(f.folder)
	if row == nil {
		t.add(f, f.syntax.Package, "package %s has no row in the import table (internal/check/table.go)", f.folder)
		return
	}
	for _, spec := range f.syntax.Imports {
		p := strings.Trim(spec.Path.Value, "`\"")
		inside, isInside := strings.CutPrefix(p, t.module+"/")
		switch {
		case isInside && !slices.Contains(row.Inside, inside):
			t.add(f, spec.Pos(), "%s may not import %s (internal/check/table.go)", f.folder, inside)
		case !isInside && !standard(p) && !slices.ContainsFunc(row.Outside, func(o string) bool { return p == o || strings.HasPrefix(p, o+"/") }):
			t.add(f, spec.Pos(), "%s may not import %s (internal/check/table.go)", f.folder, p)
		}
	}
}

// standard tells the standard library's paths by their first element, which has no dot.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// checkTable holds the table itself to the shape of the tree, so that a rule
// cannot be lost by adding a row.
func (t *tree) checkTable() {
	fault := func(format string, args ...any) {
		t.findings = append(t.findings, Finding{"go.mod", 1, "import table: " + fmt.Sprintf(format, args...)})
	}
	for _, r := range t.table.Rows {
		if !slices.ContainsFunc(t.files, func(f *file) bool { return f.folder == r.Package && f.module == "" }) {
			fault("%s does not exist", r.Package)
		}
		for _, in := range r.Inside {
			switch {
			case forTests(in):
				fault("%s may import %s, which is for tests", r.Package, in)
			case t.table.row(in) == nil:
				fault("%s may import %s, which has no row", r.Package, in)
			case slices.Contains(t.table.Endpoints, r.Package) && slices.Contains(t.table.Endpoints, in):
				fault("endpoints %s and %s may not know each other", r.Package, in)
			case in == t.table.Store && !slices.Contains(t.table.Composers, r.Package):
				fault("%s may not import %s, which only %s may", r.Package, in, strings.Join(t.table.Composers, ", "))
			}
		}
	}
	for _, p := range t.table.Public {
		for _, dependency := range slices.Sorted(maps.Keys(t.table.below(p))) {
			if !slices.Contains(slices.Concat(t.table.Public, t.table.Beneath), dependency) {
				fault("%s, which is public, comes with %s", p, dependency)
			}
			for _, o := range t.table.row(dependency).Outside {
				if !slices.Contains(t.table.row(p).Outside, o) {
					fault("%s, which is public, comes with %s through %s", p, o, dependency)
				}
			}
		}
	}
}

// below returns everything inside the module that a package may come to import.
func (t Table) below(folder string) map[string]bool {
	all := make(map[string]bool)
	var visit func(string)
	visit = func(p string) {
		row := t.row(p)
		if row == nil || all[p] {
			return
		}
		all[p] = true
		for _, in := range row.Inside {
			visit(in)
		}
	}
	visit(folder)
	return all
}
