package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// environment is all that a command knows of the process it runs in.
type environment struct {
	Args           []string
	Environ        []string // "NAME=value"
	Stdout, Stderr io.Writer
}

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// run executes one command line and returns its exit code. Answers go to
// stdout; everything said goes to stderr.
func run(ctx context.Context, env environment) int {
	root := newRoot(env)
	root.SetArgs(env.Args)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	say(env.Stderr, err)
	if is[usageError](err) {
		return exitUsage
	}
	return exitFailed
}

var errInterrupted = errors.New("interrupted")

// say prints an error, one line for each that was joined, and below each the hint
// for it.
func say(w io.Writer, err error) {
	var told string
	for _, one := range parts(err) {
		for line := range strings.SplitSeq(one.Error(), "\n") {
			fmt.Fprintf(w, "holdfast: error: %s\n", line)
		}
		if h := hint(one); h != "" && h != told {
			fmt.Fprintf(w, "holdfast: hint: %s\n", h)
			told = h
		}
	}
}

// parts are the errors that were joined, in their order.
func parts(err error) (all []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || !strings.Contains(err.Error(), "\n") { // two that one sentence wraps are one
		return []error{err}
	}
	for _, e := range joined.Unwrap() {
		all = append(all, parts(e)...)
	}
	return all
}

func newRoot(env environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "API access by keys that never leave their owner",
		Long: `Holdfast moves API access from shared secrets to keys: mutual TLS and
private_key_jwt prove who calls, and a token opens the API only together with
the key that asked for it.

  holdfast demo     the story in nine steps, each one checked
  holdfast dev      the whole system on loopback, to try things with`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if args := c.Flags().Args(); c.HasAvailableSubCommands() && len(args) > 0 {
			err = unknownCommand(c, args[0]) // whose flag would be known
		}
		return usageError{fmt.Errorf("%w (see %s --help)", err, c.CommandPath())}
	})
	root.AddCommand(
		initCommand(env), serveCommand(env), gatewayCommand(env), checkCommand(env),
		devCommand(env), demoCommand(env), tokenCommand(env), callCommand(env), auditCommand(env), versionCommand(env), backupCommand(env), restoreCommand(env),
		enrolCommand(env), authorityCommand(env),
		operatorsCommand(env), orgCommand(env), appCommand(env), resourceCommand(env), roleCommand(env), credentialCommand(env), signingKeyCommand(env), manCommand(),
	)
	addCompletion(root)
	return root
}

// usageArgs makes a fault of the arguments a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			err = argumentFault(c, args, err)
			return usageError{fmt.Errorf("%w (see %s --help)", err, c.CommandPath())}
		}
		return nil
	}
}

// argumentFault says what is wrong with the arguments, by the names that they have
// in the usage: what is in brackets may be left out.
func argumentFault(c *cobra.Command, args []string, err error) error {
	if c.HasAvailableSubCommands() && len(args) > 0 {
		return unknownCommand(c, args[0])
	}
	words := strings.Fields(c.Use)[1:]
	needed := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasPrefix(w, "[") })
	switch {
	case len(args) < len(needed):
		return errors.New(strings.Join(needed[len(args):], " ") + " missing")
	case len(args) > len(words):
		return fmt.Errorf("one argument too many: %q", args[len(words)])
	}
	return err
}

// unknownCommand names what was meant, where there is something near.
func unknownCommand(c *cobra.Command, name string) error {
	text := fmt.Sprintf("unknown command %q for %q", name, c.CommandPath())
	if c.SuggestionsMinimumDistance <= 0 {
		c.SuggestionsMinimumDistance = 2
	}
	if near := c.SuggestionsFor(name); len(near) > 0 {
		text += ", near it: " + strings.Join(near, ", ")
	}
	return errors.New(text)
}
