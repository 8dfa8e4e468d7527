package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func fixture(out *strings.Builder) options {
	return options{
		root:    "testdata/module",
		targets: []target{{Package: "door", Killers: []string{"other"}}, {Package: "other"}},
		workers: 2,
		out:     out,
	}
}

func TestEachShapeOfCheckIsRemoved(t *testing.T) {
	var out strings.Builder
	o := fixture(&out)
	o.packages, o.verbose = []string{"./door"}, true
	o.equivalents = []equivalent{
		{File: "door/door.go", Function: "Same", Source: "n < 0", Reason: "the loop refuses it"},
		{File: "elsewhere/x.go", Function: "F", Source: "x", Reason: "not of the packages chosen"},
	}
	if err := run(t.Context(), o); !errors.Is(err, errSurvived) {
		t.Fatalf("got %v", err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{
		`door/door.go:12: name == "": killed by TestOpen/called_`,
		`door/door.go:12: age < 0: SURVIVED`,
		`door/door.go:16: age > 150: killed by TestOpen/called_bob#01`,
		`door/door.go:20: case "eve": killed by TestOpen/called_eve`,
		`door/door.go:26: age >= 18: killed by TestOpen/called_bob#02`,
		`door/door.go:26: name != "mallory": killed by TestOpen/called_mallory`,
		`door/door.go:32: a > 0: killed by TestFits`,
		`door/door.go:32: b > 0: SURVIVED`,
		`door/door.go:35: name == "nobody": killed by TestAsk`,
		`door/door.go:42: r.Method != "GET": killed by TestServe`,
		`door/door.go:46: r.URL.Path == "/nowhere": SURVIVED (no test reaches it)`,
		`door/door.go:54: n == 1: SURVIVED (no test reaches it)`,
		`door/door.go:62: n > 3: SURVIVED (no test reaches it)`,
		`door/door.go:69: n < 0: equivalent: the loop refuses it`,
		`door/door.go:79: n < 0: SURVIVED (no test reaches it)`,
		`15 checks: 8 killed, 6 survived, 1 equivalent, in `,
	}
	for i, line := range want {
		if i >= len(lines) || !strings.HasPrefix(lines[i], line) {
			t.Fatalf("line %d: want %s\n%s", i+1, line, out.String())
		}
	}
	if _, err := os.Stat("testdata/module/door/hf_switchboard.go"); err == nil {
		t.Error("the tree was touched")
	}
}

func TestEquivalentsMustSurviveAndExist(t *testing.T) {
	var out strings.Builder
	o := fixture(&out)
	o.equivalents = []equivalent{
		{File: "door/door.go", Function: "Open", Source: "age > 150", Reason: "wrong"},
		{File: "door/door.go", Function: "Open", Source: "age > 151", Reason: "gone"},
	}
	if err := run(t.Context(), o); !errors.Is(err, errSurvived) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"age > 150: killed by TestOpen/called_bob#01, but in the table of equivalents\n",
		"door/door.go: age > 151: no such check, but in the table of equivalents\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing from\n%s", want, out.String())
		}
	}
}

func TestListRunsNothing(t *testing.T) {
	var out strings.Builder
	o := fixture(&out)
	o.list = true
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "door/door.go:12: name == \"\"\n") || !strings.HasSuffix(out.String(), "15 checks\n") {
		t.Errorf("got\n%s", out.String())
	}
}

func TestUnknownPackage(t *testing.T) {
	o := fixture(new(strings.Builder))
	o.packages = []string{"window"}
	if err := run(t.Context(), o); err == nil || errors.Is(err, errSurvived) {
		t.Errorf("got %v", err)
	}
}

func TestInstrumentClosesWhatBeginsTogether(t *testing.T) {
	source := "a || b"
	sites := []site{
		{Number: 1, start: 0, end: 6, before: never, after: closed},
		{Number: 2, start: 0, end: 1, before: never, after: closed},
		{Number: 3, start: 5, end: 6, before: always, after: closed},
	}
	want := "(hfCheck(1) && ((hfCheck(2) && (a)) || (!hfCheck(3) || (b))))"
	if got := string(instrument([]byte(source), sites)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestKillerIsTheInnermostFirstFailure(t *testing.T) {
	tests := []struct{ out, want string }{
		{"--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/b (0.00s)\n        --- FAIL: TestA/b/c (0.00s)\n    --- FAIL: TestA/d (0.00s)\nFAIL\n", "TestA/b/c"},
		{"panic: test timed out after 30s\n\trunning tests:\n\t\tTestA/b (30s)\n", "TestA/b (which did not end)"},
		{"signal: killed\n", "a crash"},
	}
	for _, tt := range tests {
		if got := killer([]byte(tt.out)); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
