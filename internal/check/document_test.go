package check

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// advisories are the ones that the server, the directory and the certificate
// authority answer for.
func advisories() (list []int) {
	for _, r := range [][2]int{{1, 53}, {58, 67}, {84, 90}, {92, 96}, {98, 100}, {108, 110}, {113, 113}} {
		for n := r[0]; n <= r[1]; n++ {
			list = append(list, n)
		}
	}
	return list
}

// TestConformanceDocument: docs/conformance.md says what is so.
func TestConformanceDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	faults, err := Document("../..", string(text), advisories())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// TestConformanceDocumentIsComplete: it names every test of the black-box suite.
func TestConformanceDocumentIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	suite := &tree{}
	if err := suite.read("../../internal/conformance"); err != nil {
		t.Fatal(err)
	}
	d := document{functions: map[string]bool{}, named: map[int][]string{}}
	for _, f := range suite.files {
		f.folder = "internal/conformance"
		d.read(f)
	}
	tests := 0
	for name := range d.functions {
		if _, function, _ := strings.Cut(name, "."); !strings.HasPrefix(function, "Test") || function == "TestMain" {
			continue
		}
		tests++
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/conformance.md does not name %s", name)
		}
	}
	if tests < 20 {
		t.Errorf("only %d tests", tests)
	}
}

func TestEachFaultOfTheDocumentIsFound(t *testing.T) {
	const source = "package a\n\nfunc TestA(t *T) {\n\tt.Run(\"advisories 1 and 2: x\", nil)\n\tt.Run(\"advisories 4 to 6: y\", nil)\n\tt.Errorf(\"advisory 3: only said\")\n}\n\nfunc TestAdvisories7And8X(t *T) {}\n"
	const good = "# X\n\n`a.TestA`\n\n## Advisories\n\n| 1 | x | `a` |\n| 2 | x | a |\n| 4 | x | a |\n| 5 | x | a |\n| 6 | x | a |\n| 7 | x | a |\n| 8 | x | a |\n\n### Not built, and why\n\n| 3 | because |\n"
	list := []int{1, 2, 3, 4, 5, 6, 7, 8}
	for _, c := range []struct {
		name, old, new string
		want           string
	}{
		{"nothing wrong", "", "", ""},
		{"a test that is not there", "a.TestA", "a.TestB", "there is no test TestB in a"},
		{"a test of another package", "a.TestA", "b.TestA", "there is no test TestA in b"},
		{"no test at all", "`a.TestA`", "", "no test is named"},
		{"a number in no table", "| 3 | because |\n", "", "advisory 3 is in the name of no test and in no table"},
		{"a tested number in no table", "| 4 | x | a |\n", "", "advisory 4 is in no table, and in the name of a test in a"},
		{"a number in both tables", "| 3 | because |", "| 3 | because |\n| 1 | because |", "advisory 1 is in both tables"},
		{"a number that is built after all", "| 8 | x | a |\n\n### Not built, and why\n\n", "\n### Not built, and why\n\n| 8 | because |\n", "advisory 8 is said not to be built"},
		{"a number tested elsewhere", "| 5 | x | a |", "| 5 | x | a, b |", `advisory 5 is in the name of no test in "b"`},
		{"what is only said is no name", "| 3 | because |", "", "advisory 3 is in the name of no test"},
		{"no reason", "| 3 | because |", "| 3 | |", "advisory 3 is not built for no reason"},
		{"a number of no list", "| 7 | x | a |", "| 7 | x | a |\n| 99 | x | a |", "advisory 99 is not in the list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.MkdirAll(filepath.Join(root, "a"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, "a", "a_test.go"), []byte(source), 0o600); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(good, c.old) {
				t.Fatalf("the fixture has no %q", c.old)
			}
			faults, err := Document(root, strings.Replace(good, c.old, c.new, 1), list)
			if err != nil {
				t.Fatal(err)
			}
			found := slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, c.want) })
			if c.want == "" && len(faults) > 0 || c.want != "" && !found {
				t.Errorf("found %q, want %q", faults, c.want)
			}
		})
	}
}
