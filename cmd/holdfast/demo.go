package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/demo"
)

func demoCommand(env environment) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "play the story end to end over real sockets and check each step",
		Long: `Starts the whole system on free loopback ports, in a folder that is thrown
away, and plays nine steps: an API key leaks and opens the API to its thief; a
token bound to a key leaks and opens nothing. Each step's evidence is what came
over the wire and the reason that the event stream gives for the same request.

Exits 0 only if every step held.`,
		Example: "  holdfast demo\n  holdfast demo --json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			setProcessors()
			return demo.Run(c.Context(), demo.Options{Out: env.Stdout, JSON: asJSON, Now: time.Now})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a step: step, claim, held, evidence")
	return c
}
