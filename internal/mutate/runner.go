package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// testTimeout ends a test that a mutant has sent round in circles.
const testTimeout = 30 * time.Second

// result is what became of one mutant.
type result struct {
	site
	killer  string // the test that failed; "" where none did
	reached bool   // some test passed by the check
}

// runner holds the instrumented test binaries.
type runner struct {
	options
	folder   string // scratch
	sites    []site
	killers  map[string][]string // package of a check -> packages whose tests may notice
	binaries map[string]*binary  // by package
}

// binary is the compiled tests of one package.
type binary struct {
	pkg, path, dir string
	tests          []*test
}

// test is one top-level test of a binary, with what it did while all checks were on.
type test struct {
	name    string
	took    time.Duration
	reaches map[int]bool
}

// sources returns the names of a target's Go files, without tests.
func (t target) sources(root string) ([]string, error) {
	if len(t.Files) > 0 {
		return t.Files, nil
	}
	entries, err := os.ReadDir(filepath.Join(root, t.Package))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// prepare instruments the sources and compiles the tests.
func prepare(ctx context.Context, o options, chosen []target, sites []site) (*runner, error) {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return nil, err
	}
	o.root = root
	folder, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return nil, err
	}
	r := &runner{options: o, folder: folder, sites: sites, killers: make(map[string][]string), binaries: make(map[string]*binary)}
	overlay, err := writeOverlay(root, folder, sites)
	if err != nil {
		r.close()
		return nil, err
	}
	for _, t := range chosen {
		r.killers[t.Package] = append([]string{t.Package}, t.Killers...)
		for _, pkg := range r.killers[t.Package] {
			if r.binaries[pkg] != nil {
				continue
			}
			if r.binaries[pkg], err = r.compile(ctx, overlay, pkg); err != nil {
				r.close()
				return nil, err
			}
		}
	}
	return r, nil
}

func (r *runner) close() { os.RemoveAll(r.folder) }

func (r *runner) compile(ctx context.Context, overlay, pkg string) (*binary, error) {
	b := &binary{pkg: pkg, path: filepath.Join(r.folder, strings.ReplaceAll(pkg, "/", "-")+".test"), dir: filepath.Join(r.root, pkg)}
	build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", b.path, "./"+pkg)
	build.Dir = r.root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile the tests of %s: %w\n%s", pkg, err, out)
	}
	if _, err := os.Stat(b.path); err != nil {
		return b, nil // it has no tests
	}
	list := exec.CommandContext(ctx, b.path, "-test.list", ".")
	list.Dir = b.dir
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests of %s: %w", pkg, err)
	}
	for name := range strings.FieldsSeq(string(out)) {
		if !strings.HasPrefix(name, "Benchmark") {
			b.tests = append(b.tests, &test{name: name})
		}
	}
	return b, nil
}

// learnReach runs each test alone with every check on, which must pass.
func (r *runner) learnReach(ctx context.Context) error {
	var mu sync.Mutex
	var failed []string
	var jobs []func()
	for _, b := range r.binaries {
		for i, t := range b.tests {
			jobs = append(jobs, func() {
				reach := filepath.Join(r.folder, fmt.Sprintf("%s.%d.reach", filepath.Base(b.path), i))
				start := time.Now()
				out, err := b.run(ctx, []*test{t}, reachVariable+"="+reach)
				t.took = time.Since(start)
				t.reaches = readNumbers(reach)
				if err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = append(failed, fmt.Sprintf("%s fails with every check in place: %v\n%s", t.name, err, out))
				}
			})
		}
	}
	parallel(r.workers, jobs)
	if len(failed) > 0 {
		return fmt.Errorf("%s", strings.Join(failed, "\n"))
	}
	return ctx.Err()
}

func readNumbers(file string) map[int]bool {
	numbers := make(map[int]bool)
	data, err := os.ReadFile(file)
	if err != nil {
		return numbers // nothing was reached
	}
	for line := range strings.FieldsSeq(string(data)) {
		if n, err := strconv.Atoi(line); err == nil {
			numbers[n] = true
		}
	}
	return numbers
}

// run runs some tests of the binary with one variable set.
func (b *binary) run(ctx context.Context, tests []*test, variable string) ([]byte, error) {
	names := make([]string, len(tests))
	timeout := testTimeout
	for i, t := range tests {
		names[i] = t.name
		timeout += 5 * t.took
	}
	cmd := exec.CommandContext(ctx, b.path, "-test.run", "^("+strings.Join(names, "|")+")$",
		"-test.failfast", "-test.timeout", timeout.String(), "-test.count", "1")
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), variable)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.Bytes(), err
}

// runAll runs every mutant and returns the results in the order of the sites.
func (r *runner) runAll(ctx context.Context) []result {
	results := make([]result, len(r.sites))
	jobs := make([]func(), len(r.sites))
	for i, s := range r.sites {
		jobs[i] = func() { results[i] = r.mutant(ctx, s) }
	}
	parallel(r.workers, jobs)
	return results
}

// mutant runs the tests that reach a check with the check off, quick ones first.
func (r *runner) mutant(ctx context.Context, s site) result {
	const quick = 500 * time.Millisecond
	res := result{site: s}
	for _, pkg := range r.killers[s.Package] {
		b := r.binaries[pkg]
		var groups [2][]*test
		for _, t := range b.tests {
			switch {
			case !t.reaches[s.Number]:
			case t.took < quick:
				groups[0] = append(groups[0], t)
			default:
				groups[1] = append(groups[1], t)
			}
		}
		for _, group := range groups {
			if len(group) == 0 {
				continue
			}
			res.reached = true
			if out, err := b.run(ctx, group, fmt.Sprintf("%s=%d", mutantVariable, s.Number)); err != nil {
				res.killer = killer(out)
				return res
			}
		}
	}
	return res
}

var (
	failLine    = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)
	runningTest = regexp.MustCompile(`(?m)^panic: test timed out after [^\n]*\n\s*running tests:\n\s*(\S+)`)
)

// killer names the first test that failed, by its innermost subtest.
func killer(out []byte) string {
	if m := runningTest.FindSubmatch(out); m != nil {
		return string(m[1]) + " (which did not end)"
	}
	name := ""
	for _, m := range failLine.FindAllSubmatch(out, -1) {
		if next := string(m[1]); name == "" || strings.HasPrefix(next, name+"/") {
			name = next
		}
	}
	if name == "" {
		return "a crash"
	}
	return name
}

// parallel runs jobs, some at a time, and waits for all.
func parallel(workers int, jobs []func()) {
	queue := slices.Clone(jobs)
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range max(1, workers) {
		wait.Go(func() {
			for {
				mu.Lock()
				if len(queue) == 0 {
					mu.Unlock()
					return
				}
				job := queue[0]
				queue = queue[1:]
				mu.Unlock()
				job()
			}
		})
	}
	wait.Wait()
}
