// Package check holds the rules of this repository that no other tool knows:
// who may import whom, how large a file or a function may grow, which names say
// nothing, and what hides the clock, the randomness or a failure. Its test
// applies them to the tree; they read sources only and build nothing.
package check

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Limits on length, in lines. Generated files are exempt, and so are the
// functions of tests, which may be tables.
const (
	MaxFile     = 600
	MaxFunction = 100
)

// Finding is one place that breaks one rule.
type Finding struct {
	File string // relative to the tree's root, with slashes
	Line int
	Rule string
}

func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Rule) }

// file is one Go source file.
type file struct {
	name      string // relative to the root, with slashes
	folder    string // of name; "" for the root
	module    string // the folder of its go.mod; "" for the main module
	test      bool
	generated bool
	lines     int
	syntax    *ast.File
	set       *token.FileSet
}

// tree is what the rules look at, and what they found.
type tree struct {
	module   string // path of the main module
	table    Table
	files    []*file
	findings []Finding
}

// Tree applies the rules to the module at root and to the modules within it,
// whose imports are their own affair.
func Tree(root string, table Table) ([]Finding, error) {
	t := &tree{table: table}
	var err error
	if t.module, err = modulePath(filepath.Join(root, "go.mod")); err != nil {
		return nil, err
	}
	if err := t.read(root); err != nil {
		return nil, err
	}
	for _, f := range t.files {
		t.checkNames(f)
		if !f.generated {
			t.checkSize(f)
			t.checkCalls(f)
		}
		if f.module == "" && !f.test {
			t.checkImports(f)
		}
	}
	t.checkDocs()
	t.checkTable()
	slices.SortFunc(t.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return t.findings, nil
}

func modulePath(goMod string) (string, error) {
	data, err := os.ReadFile(goMod)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("%s names no module", goMod)
}

// read parses every Go file of the tree but testdata and what tools put there.
func (t *tree) read(root string) error {
	modules := map[string]string{".": ""} // folder -> the folder of its go.mod
	return filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		if entry.IsDir() {
			base := entry.Name()
			if relative != "." && (base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			modules[relative] = modules[path.Dir(relative)]
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && relative != "." {
				modules[relative] = relative
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parse(name, relative)
		if err != nil {
			return err
		}
		f.module = modules[path.Dir(relative)]
		t.files = append(t.files, f)
		return nil
	})
}

func parse(name, relative string) (*file, error) {
	source, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, relative, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &file{
		name:      relative,
		folder:    strings.TrimPrefix(path.Dir(relative), "."),
		test:      strings.HasSuffix(relative, "_test.go"),
		generated: ast.IsGenerated(syntax),
		lines:     strings.Count(string(source), "\n"),
		syntax:    syntax,
		set:       set,
	}, nil
}

func (t *tree) add(f *file, pos token.Pos, format string, args ...any) {
	t.findings = append(t.findings, Finding{f.name, f.set.Position(pos).Line, fmt.Sprintf(format, args...)})
}
