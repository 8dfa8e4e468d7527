package check

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Document compares docs/conformance.md with the tests of the tree at root: the
// tests that it names exist, and every advisory of the list is either in the name of
// a test case, in each folder that the document says, or in its table of what is not
// built, and not in both. It returns what is not so.
func Document(root, text string, advisories []int) ([]string, error) {
	t := &tree{}
	if err := t.read(root); err != nil {
		return nil, err
	}
	d := document{functions: map[string]bool{}, named: map[int][]string{}}
	for _, f := range t.files {
		if (f.test || forTests(f.folder)) && f.folder != own {
			d.read(f)
		}
	}
	d.checkTests(text)
	d.checkAdvisories(text, advisories)
	return d.faults, nil
}

// own is the folder of this package, whose tests have texts that look like names.
const own = "internal/check"

// document is what the tests of a tree are called.
type document struct {
	functions map[string]bool  // folder.TestName
	named     map[int][]string // folders that have an advisory in the name of a case
	faults    []string
}

func (d *document) fault(format string, args ...any) {
	d.faults = append(d.faults, fmt.Sprintf(format, args...))
}

// says are the methods whose text is a message, not a name.
var says = []string{"Error", "Errorf", "Fatal", "Fatalf", "Log", "Logf"}

// read collects the names in one file: of functions, and of cases, which are texts.
func (d *document) read(f *file) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil {
				d.functions[f.folder+"."+n.Name.Name] = true
				d.name(f.folder, advisoryInName.FindAllStringSubmatch(n.Name.Name, -1))
			}
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains(says, s.Sel.Name) {
				return false
			}
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				d.name(f.folder, advisoryInText.FindAllStringSubmatch(n.Value, -1))
			}
		}
		return true
	})
}

var (
	advisoryInName = regexp.MustCompile(`^Test.*Advisor(?:y|ies)([0-9]+(?:(?:And|To)[0-9]+)*)`)
	advisoryInText = regexp.MustCompile(`advisor(?:y|ies) ([0-9]+(?:(?:, | and | to )[0-9]+)*)`)
	number         = regexp.MustCompile(`(to |To)?([0-9]+)`)
)

// name notes the numbers of "7", "7 and 8", "7, 9", "7 to 9".
func (d *document) name(folder string, matches [][]string) {
	for _, m := range matches {
		last := 0
		for _, part := range number.FindAllStringSubmatch(m[1], -1) {
			n, _ := strconv.Atoi(part[2])
			first := n
			if part[1] != "" {
				first = last + 1
			}
			for i := first; i <= n; i++ {
				if !slices.Contains(d.named[i], folder) {
					d.named[i] = append(d.named[i], folder)
				}
			}
			last = n
		}
	}
}

var testInText = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)`")

// checkTests looks for every test that the text names as `folder.TestName`.
func (d *document) checkTests(text string) {
	found := testInText.FindAllStringSubmatch(text, -1)
	if len(found) == 0 {
		d.fault("no test is named")
	}
	for _, m := range found {
		if !d.functions[m[1]+"."+m[2]] {
			d.fault("there is no test %s in %s", m[2], m[1])
		}
	}
}

// Headings of the document under which the advisories stand.
const (
	headingTested   = "## Advisories"
	headingNotBuilt = "### Not built, and why"
)

// checkAdvisories wants each number of the list in one of the two tables, and the
// tables to be true.
func (d *document) checkAdvisories(text string, advisories []int) {
	tested, notBuilt := rowsUnder(text, headingTested), rowsUnder(text, headingNotBuilt)
	for n := range tested {
		if !slices.Contains(advisories, n) {
			d.fault("advisory %d is not in the list", n)
		}
	}
	for _, n := range advisories {
		folders, inTested := tested[n]
		reason, inNotBuilt := notBuilt[n]
		switch {
		case inTested && inNotBuilt:
			d.fault("advisory %d is in both tables", n)
		case inNotBuilt && len(d.named[n]) > 0:
			d.fault("advisory %d is said not to be built, and is in the name of a test in %s: move its row to the other table", n, strings.Join(d.named[n], ", "))
		case inNotBuilt && reason[len(reason)-1] == "":
			d.fault("advisory %d is not built for no reason", n)
		case inNotBuilt:
		case !inTested && len(d.named[n]) > 0:
			d.fault("advisory %d is in no table, and in the name of a test in %s", n, strings.Join(d.named[n], ", "))
		case !inTested:
			d.fault("advisory %d is in the name of no test and in no table", n)
		default:
			for _, folder := range strings.Split(strings.ReplaceAll(folders[len(folders)-1], "`", ""), ", ") {
				if !slices.Contains(d.named[n], folder) {
					d.fault("advisory %d is in the name of no test in %q; it is in %s", n, folder, strings.Join(d.named[n], ", "))
				}
			}
		}
	}
}

// rowsUnder reads the rows of the first table under a heading whose first cell is a
// number: their other cells.
func rowsUnder(text, heading string) map[int][]string {
	rows := map[int][]string{}
	_, rest, _ := strings.Cut(text, "\n"+heading+"\n")
	for line := range strings.Lines(rest) {
		if strings.HasPrefix(line, "#") {
			break
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		n, err := strconv.Atoi(strings.TrimSpace(cells[0]))
		if err != nil || len(cells) < 2 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows[n] = cells[1:]
	}
	return rows
}
