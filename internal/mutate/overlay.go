package main

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The instrumented binaries read these variables.
const (
	mutantVariable = "HFMUTANT" // the number of the check that is off
	reachVariable  = "HFREACH"  // a file that takes the number of each check that is reached
)

// switchboard is added to every instrumented package, in a file of its own.
const switchboard = `package %s

import (
	"os"
	"strconv"
	"sync"
)

var (
	hfMutant, _ = strconv.Atoi(os.Getenv("` + mutantVariable + `"))
	hfReach     = os.Getenv("` + reachVariable + `")
	hfSeen      sync.Map
)

func hfCheck(n int) bool {
	if hfReach != "" {
		hfReached(n)
	}
	return n != hfMutant
}

func hfReached(n int) {
	if _, seen := hfSeen.LoadOrStore(n, true); seen {
		return
	}
	f, err := os.OpenFile(hfReach, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strconv.Itoa(n) + "\n"); err != nil {
		panic(err)
	}
}
`

// writeOverlay writes instrumented copies of the sites' files below folder and
// returns the file for go test's -overlay.
func writeOverlay(root, folder string, sites []site) (string, error) {
	replace := make(map[string]string) // file of the tree -> its copy
	packages := make(map[string]string)
	byFile := make(map[string][]site)
	for _, s := range sites {
		byFile[s.File] = append(byFile[s.File], s)
	}
	for name, list := range byFile {
		original := filepath.Join(root, filepath.FromSlash(name))
		source, err := os.ReadFile(original)
		if err != nil {
			return "", err
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), name, source, parser.PackageClauseOnly)
		if err != nil {
			return "", err
		}
		packages[filepath.Dir(original)] = syntax.Name.Name
		replace[original] = filepath.Join(folder, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(replace[original], instrument(source, list), 0o600); err != nil {
			return "", err
		}
	}
	for dir, name := range packages {
		added := filepath.Join(dir, "hf_switchboard.go")
		replace[added] = filepath.Join(folder, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(replace[added], fmt.Appendf(nil, switchboard, name), 0o600); err != nil {
			return "", err
		}
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(folder, "overlay.json")
	return overlay, os.WriteFile(overlay, data, 0o600)
}

// instrument wraps each site in its switch. No line is added, so that what the
// tests print names the lines of the tree.
func instrument(source []byte, sites []site) []byte {
	type insertion struct {
		offset int
		text   string
	}
	var starts, ends []insertion
	sites = slices.Clone(sites)
	// Outer before inner: what begins together is opened in this order and closed in the opposite one.
	slices.SortStableFunc(sites, func(a, b site) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	for _, s := range sites {
		starts = append(starts, insertion{s.start, fmt.Sprintf(s.before, s.Number)})
		ends = append([]insertion{{s.end, s.after}}, ends...)
	}
	all := append(ends, starts...)
	slices.SortStableFunc(all, func(a, b insertion) int { return a.offset - b.offset })
	var b strings.Builder
	at := 0
	for _, in := range all {
		b.Write(source[at:in.offset])
		b.WriteString(in.text)
		at = in.offset
	}
	b.Write(source[at:])
	return []byte(b.String())
}
