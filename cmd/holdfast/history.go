package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/audit"
)

// past is the command that tells what was done to one.
func (k kind[T]) past(env environment) *cobra.Command {
	var after int64
	var limit int
	return deed{
		use: "history " + k.id, short: "list the changes of one " + k.noun, args: cobra.ExactArgs(1),
		long:    "Lists what the audit has of one " + k.noun + ", the oldest first.\nWith -o json each change is one object on a line of its own.",
		example: "  holdfast " + k.command + " history --as operator.json " + k.examples,
		flags: func(c *cobra.Command) {
			c.Flags().Int64Var(&after, "after", 0, "changes after this number")
			c.Flags().IntVar(&limit, "limit", 100, "how many at most, 1 to 1000")
		},
		check: func() error {
			if limit < 1 || limit > 1000 {
				return usageError{errors.New("--limit is 1 to 1000")}
			}
			return nil
		},
		do: func(c *errand) error {
			page, err := k.history(c.api, c, c.args[0], after, limit)
			if err != nil {
				return err
			}
			events := make([]audit.Event, len(page.Items))
			for i := range page.Items {
				if events[i], err = adminclient.EventOf(&page.Items[i]); err != nil {
					return err
				}
			}
			if err := writeEvents(c.Stdout, c.output, events); err != nil {
				return err
			}
			if page.Next != 0 {
				fmt.Fprintf(c.Stderr, "holdfast: there may be more: --after %d\n", page.Next)
			}
			return nil
		},
	}.command(env)
}

func firstWord(use string) string {
	word, _, _ := strings.Cut(use, " ")
	return word
}
