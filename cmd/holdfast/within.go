package main

import (
	"github.com/spf13/cobra"
)

// within adds to each of the commands a flag that names whose things they are
// about, and demands it.
func within(flag, usage string, owner *string, commands ...*cobra.Command) []*cobra.Command {
	for _, one := range commands {
		one.Flags().StringVar(owner, flag, "", usage+" (needed)")
		run := one.RunE
		one.RunE = func(c *cobra.Command, args []string) error {
			if err := needed("--"+flag, *owner); err != nil {
				return err
			}
			return run(c, args)
		}
	}
	return commands
}
