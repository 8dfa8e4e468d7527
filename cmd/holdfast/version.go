package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release build.
var version = "dev"

// buildFacts is what `holdfast version --json` prints.
type buildFacts struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	CGO      bool   `json:"cgo"`
	FIPS140  string `json:"fips140,omitempty"`
}

func facts() buildFacts {
	f := buildFacts{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return f
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			f.Revision = s.Value
		case "vcs.modified":
			f.Modified = s.Value == "true"
		case "CGO_ENABLED":
			f.CGO = s.Value == "1"
		case "GOFIPS140":
			f.FIPS140 = s.Value
		}
	}
	return f
}

func versionCommand(env environment) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "print the version and how this binary was built",
		Long: `Prints the version, the revision that it was built from, and the Go version and
platform that it was built for.`,
		Example: "  holdfast version\n  holdfast version --json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			f := facts()
			if asJSON {
				return json.NewEncoder(env.Stdout).Encode(f)
			}
			name := "holdfast " + f.Version
			if f.Revision != "" {
				name += " " + f.Revision
			}
			_, err := fmt.Fprintf(env.Stdout, "%s (%s, %s/%s, cgo %t)\n", name, f.Go, f.OS, f.Arch, f.CGO)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}
