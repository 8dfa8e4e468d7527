package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// asHoldfast makes the test binary the command itself, for tests that want a
// process of its own outside a script.
const asHoldfast = "TEST_BINARY_IS_THE_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asHoldfast) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"holdfast": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exit":       exits,
			"same":       sameFiles,
			"secretless": secretless,
			"await":      await,
			"schema":     schema,
			"taken":      taken,
			"mode":       mode,
			"value":      value,
			"running":    running, "soon": soon,
			"sql":     tamper,
			"replace": replace,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			return nil
		},
	})
}
