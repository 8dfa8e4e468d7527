package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// manCommand writes a manual page for every command, from its help.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man FOLDER",
		Short: "write the manual pages",
		Long: `Writes a manual page for every command into FOLDER, which is made when it is not
there: holdfast.1, holdfast-org-create.1 and so on.`,
		Example: "  holdfast man /usr/local/share/man/man1\n  man -l holdfast-org-create.1",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			return writeManual(args[0], c.Root())
		},
	}
}

func writeManual(folder string, c *cobra.Command) error {
	name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
	if err := os.WriteFile(filepath.Join(folder, name), manualPage(c), 0o644); err != nil {
		return err
	}
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() {
			if err := writeManual(folder, below); err != nil {
				return err
			}
		}
	}
	return nil
}

// manualPage is the help of a command in the language of man(7).
func manualPage(c *cobra.Command) []byte {
	var b bytes.Buffer
	section := func(title, text string) {
		if text = strings.TrimRight(text, "\n"); text != "" {
			fmt.Fprintf(&b, ".SH %s\n%s\n", title, text)
		}
	}
	name := strings.ReplaceAll(c.CommandPath(), " ", "-")
	fmt.Fprintf(&b, ".TH \"%s\" \"1\" \"\" \"Holdfast\" \"Holdfast\"\n", strings.ToUpper(troff(name)))
	section("NAME", troff(name)+` \- `+troff(c.Short))
	section("SYNOPSIS", ".B "+troff(c.UseLine()))
	long := c.Long
	if long == "" {
		long = strings.ToUpper(c.Short[:1]) + c.Short[1:] + "."
	}
	section("DESCRIPTION", paragraphs(long))
	section("COMMANDS", commandsBelow(c))
	section("OPTIONS", verbatim(c.LocalFlags().FlagUsages()))
	section("EXAMPLES", verbatim(c.Example))
	section("EXIT STATUS", ".TP\n0\nDone.\n.TP\n1\nFailed: standard error says why.\n.TP\n2\nThe command line cannot be understood.")
	var also []string
	if p := c.Parent(); p != nil {
		also = append(also, strings.ReplaceAll(p.CommandPath(), " ", "-")+"(1)")
	}
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() {
			also = append(also, strings.ReplaceAll(below.CommandPath(), " ", "-")+"(1)")
		}
	}
	section("SEE ALSO", troff(strings.Join(also, ", ")))
	return b.Bytes()
}

func commandsBelow(c *cobra.Command) string {
	var b strings.Builder
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", troff(below.Name()), troff(below.Short))
		}
	}
	return b.String()
}

// troff is text in which nothing is a command: backslashes are escaped, hyphens
// stay hyphens, and no line begins with a dot or an apostrophe.
func troff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

// paragraphs keeps lines that are indented as they are, and fills the others.
func paragraphs(s string) string {
	var b strings.Builder
	for i, p := range strings.Split(strings.Trim(s, "\n"), "\n\n") {
		switch {
		case strings.HasPrefix(p, "  "):
			b.WriteString(verbatim(p))
			continue
		case i > 0:
			b.WriteString(".PP\n")
		}
		b.WriteString(troff(p) + "\n")
	}
	return b.String()
}

func verbatim(s string) string {
	if s = strings.Trim(s, "\n"); s == "" {
		return ""
	}
	return ".nf\n" + troff(s) + "\n.fi\n"
}
