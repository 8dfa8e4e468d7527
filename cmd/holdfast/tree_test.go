package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commandsOf are all commands below one.
func commandsOf(c *cobra.Command) (all []*cobra.Command) {
	for _, below := range c.Commands() {
		all = append(append(all, below), commandsOf(below)...)
	}
	return all
}

// TestDestructiveVerbs: every verb that ends something has --dry-run.
func TestDestructiveVerbs(t *testing.T) {
	destructive := []string{"revoke", "suspend", "retire", "start-retirement", "compromise", "stop", "import", "rekey", "remove"}
	found := map[string]bool{}
	for _, c := range commandsOf(newRoot(environment{})) {
		if !slices.Contains(destructive, c.Name()) && !strings.HasPrefix(c.Name(), "revoke-") && c.CommandPath() != "holdfast app update" {
			continue
		}
		found[c.Name()] = true
		if c.Flags().Lookup("dry-run") == nil {
			t.Errorf("%s has no --dry-run", c.CommandPath())
		}
	}
	for _, name := range append(destructive, "revoke-tokens", "revoke-token", "revoke-dpop-key", "revoke-published-key", "revoke-trusted-certificate", "update") {
		if !found[name] {
			t.Errorf("there is no verb %q", name)
		}
	}
}

// TestOutputFlag: -o is table or json everywhere.
func TestOutputFlag(t *testing.T) {
	for _, c := range commandsOf(newRoot(environment{})) {
		if f := c.Flags().ShorthandLookup("o"); f != nil && (f.Name != "output" || f.DefValue != "table") {
			t.Errorf("%s: -o is --%s, %q", c.CommandPath(), f.Name, f.DefValue)
		}
	}
}
