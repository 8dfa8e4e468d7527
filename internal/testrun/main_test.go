package main

import (
	"slices"
	"strings"
	"testing"
)

func TestFollow(t *testing.T) {
	tests := []struct {
		name, events, out string
		skipped           []string
	}{
		{
			name: "a package that passes is one line",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`,
			out: "ok  \tp\t0.1s\n",
		},
		{
			name: "a failing test is told",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: wrong\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- FAIL: TestA (0.00s)\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
`,
			out: "    a_test.go:1: wrong\n--- FAIL: TestA (0.00s)\nFAIL\tp\t0.1s\n",
		},
		{
			name: "a skipped test is counted and told",
			events: `{"Action":"output","Package":"p","Test":"TestA/b","Output":"--- SKIP: TestA/b (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA/b"}
{"Action":"pass","Package":"p","Test":"TestA"}
`,
			out:     "--- SKIP: TestA/b (0.00s)\n",
			skipped: []string{"p TestA/b"},
		},
		{
			name: "a package without tests is not a skipped test",
			events: `{"Action":"output","Package":"p","Output":"?   \tp\t[no test files]\n"}
{"Action":"skip","Package":"p"}
`,
			out: "?   \tp\t[no test files]\n",
		},
		{
			name: "a test that never ended, and a line that is no event",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: no\n"}
cannot find module
`,
			out: "cannot find module\npanic: no\n",
		},
		{
			name:   "a build that fails",
			events: `{"Action":"build-output","ImportPath":"p","Output":"a.go:1: undefined\n"}`,
			out:    "a.go:1: undefined\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			skipped, err := follow(strings.NewReader(tt.events), &out)
			if err != nil || out.String() != tt.out || !slices.Equal(skipped, tt.skipped) {
				t.Errorf("got %q, %q, %v", out.String(), skipped, err)
			}
		})
	}
}
