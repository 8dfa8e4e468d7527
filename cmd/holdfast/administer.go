package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

// The commands that administer: each is one call of the admin API.

// errand is one run of such a command.
type errand struct {
	context.Context
	environment
	api    *adminclient.Client
	args   []string
	output string
	dry    bool // decided by the server, and not made
}

// deed describes a command that administers.
type deed struct {
	use, short, long, example string
	args                      cobra.PositionalArgs
	flags                     func(c *cobra.Command)
	check                     func() error // of the flags, before anything is asked of the server
	ends                      bool         // it ends something: it has --dry-run
	do                        func(c *errand) error
}

func (d deed) command(env environment) *cobra.Command {
	var f operatorFlags
	var output string
	var dry bool
	c := &cobra.Command{
		Use: d.use, Short: d.short, Long: d.long, Example: d.example, Args: usageArgs(d.args),
		RunE: func(c *cobra.Command, args []string) error {
			err := checkOutput(output)
			if err == nil && d.check != nil {
				err = d.check()
			}
			if err != nil {
				return err
			}
			api, err := f.client(c.Context(), env)
			if err != nil {
				return err
			}
			ctx := c.Context()
			if dry {
				ctx = adminclient.DryRun(ctx)
			}
			return d.do(&errand{ctx, env, api, args, output, dry})
		},
	}
	if d.flags != nil {
		d.flags(c)
	}
	if d.ends {
		c.Flags().BoolVar(&dry, "dry-run", false, "have the server decide and tell what would end, and change nothing")
	}
	f.add(c)
	c.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return c
}

// group is a command that only holds others.
func group(use, short, long, example string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(commands...)
	return c
}

// kind is what a group of commands lists, shows and ends.
type kind[T any] struct {
	noun     string // as people say it: "organisation"
	command  string // as it is typed: "org"
	id       string // of the argument: "ORGANISATION"
	columns  []string
	row      func(*T) []string
	fields   func(*T) []string // name, value, name, value, ...
	filters  []filter
	page     func(*adminclient.Client, context.Context, adminclient.Page) (admin.Page[T], error)
	one      func(*adminclient.Client, context.Context, string) (T, error)
	end      func(*adminclient.Client, context.Context, string, string, bool) (T, *admin.Ends, error)
	verbs    []verb
	examples string // the id in examples
	leaves   string // what is said of applications that it ends; "" when it simply ends them
	history  func(*adminclient.Client, context.Context, string, int64, int) (admin.EventPage, error)
}

// filter is a flag of a list and the parameter that it sets.
type filter struct {
	flag, parameter, usage string
	isTime                 bool
}

var (
	stateFilter        = filter{flag: "state", parameter: "state", usage: "only in this state"}
	nameFilter         = filter{flag: "name-prefix", parameter: "name_prefix", usage: "only with a name that begins so"}
	organisationFilter = filter{flag: "organisation", parameter: "organisation", usage: "only of this organisation"}
)

// verb is what ends something, or takes that back.
type verb struct{ name, short, long string }

const printableWidth = 48

// cell is text for a table: without what could command a terminal, and not too long.
func cell(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > printableWidth {
		return string(runes[:printableWidth-3]) + "..."
	}
	return s
}

// line is text for people: printable, and whole.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func (k kind[T]) list(env environment) *cobra.Command {
	var limit int
	var cursor string
	var all bool
	values := make([]string, len(k.filters))
	return deed{
		use: "list", short: "list " + k.noun + "s", args: cobra.NoArgs,
		long: "Lists " + k.noun + "s in the order of their ids, a page at a time; --all lists every page.\n" +
			"With -o json each is one object on a line of its own.",
		example: "  holdfast " + k.command + " list --as operator.json\n  holdfast " + k.command + " list --as operator.json --all -o json",
		flags: func(c *cobra.Command) {
			for i, f := range k.filters {
				c.Flags().StringVar(&values[i], f.flag, "", f.usage)
			}
			c.Flags().IntVar(&limit, "limit", 100, "how many at most, 1 to 1000")
			c.Flags().StringVar(&cursor, "cursor", "", "go on where a list before ended")
			c.Flags().BoolVar(&all, "all", false, "every page")
		},
		check: func() error {
			if limit < 1 || limit > 1000 {
				return usageError{errors.New("--limit is 1 to 1000")}
			}
			for i, f := range k.filters {
				if !f.isTime || values[i] == "" {
					continue
				}
				at, err := parseTime("--"+f.flag, values[i])
				if err != nil {
					return err
				}
				values[i] = at.UTC().Format(time.RFC3339Nano)
			}
			return nil
		},
		do: func(c *errand) error {
			p := adminclient.Page{Cursor: cursor, Limit: limit, Filter: url.Values{}}
			if all {
				p.Limit = 1000
			}
			for i, f := range k.filters {
				if values[i] != "" {
					p.Filter.Set(f.parameter, values[i])
				}
			}
			return k.pages(c, p, all)
		},
	}.command(env)
}

func (k kind[T]) pages(c *errand, p adminclient.Page, all bool) error {
	t := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	encode := json.NewEncoder(c.Stdout)
	encode.SetEscapeHTML(false)
	if c.output == "table" {
		fmt.Fprintln(t, strings.Join(k.columns, "\t"))
	}
	for {
		page, err := k.page(c.api, c, p)
		if of := p.Filter.Get(organisationFilter.parameter); err == nil && len(page.Items) == 0 && of != "" {
			_, err = c.api.Organisation(c, of) // nothing of what is not there is no answer
		}
		if err != nil {
			return err
		}
		for i := range page.Items {
			if c.output == "json" {
				err = encode.Encode(page.Items[i])
			} else {
				_, err = fmt.Fprintln(t, row(k.row(&page.Items[i])))
			}
			if err != nil {
				return err
			}
		}
		if p.Cursor = page.Next; p.Cursor == "" || !all {
			break
		}
	}
	err := t.Flush()
	if p.Cursor != "" {
		fmt.Fprintf(c.Stderr, "holdfast: there are more: --cursor %s\n", printable(p.Cursor))
	}
	return err
}

// row is the cells of a line; the first, an id, is whole. What is empty is a dash.
func row(cells []string) string {
	for i, s := range cells {
		switch {
		case s == "":
			cells[i] = "-"
		case i == 0:
			cells[i] = line(s)
		default:
			cells[i] = cell(s)
		}
	}
	return strings.Join(cells, "\t")
}

func (k kind[T]) show(env environment) *cobra.Command {
	return deed{
		use: "show " + k.id, short: "show one " + k.noun, args: cobra.ExactArgs(1),
		long:    "Shows one " + k.noun + ".",
		example: "  holdfast " + k.command + " show --as operator.json " + k.examples,
		do: func(c *errand) error {
			v, err := k.one(c.api, c, c.args[0])
			if err != nil {
				return err
			}
			return k.write(c, &v)
		},
	}.command(env)
}

// write prints one: its fields below one another, or an object.
func (k kind[T]) write(c *errand, v *T) error {
	if c.output == "json" {
		return writeJSON(c.Stdout, v)
	}
	return writeFields(c.Stdout, k.fields(v))
}

func writeJSON(w io.Writer, v any) error {
	encode := json.NewEncoder(w)
	encode.SetEscapeHTML(false)
	return encode.Encode(v)
}

func writeFields(w io.Writer, fields []string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i < len(fields); i += 2 {
		if fields[i+1] == "" {
			continue
		}
		name := fields[i]
		for text := range strings.SplitSeq(fields[i+1], "\n") {
			fmt.Fprintf(t, "%s\t%s\n", name, line(text))
			name = ""
		}
	}
	return t.Flush()
}

// ending are the commands of the verbs.
func (k kind[T]) ending(env environment) []*cobra.Command {
	var commands []*cobra.Command
	for _, v := range k.verbs {
		takesBack := v.name == adminclient.Resume
		example := "  holdfast " + k.command + " " + v.name + " --as operator.json " + k.examples
		if !takesBack {
			example = "  holdfast " + k.command + " " + v.name + " --as operator.json --dry-run " + k.examples + "\n" + example
		}
		commands = append(commands, deed{
			use: v.name + " " + k.id, short: v.short, long: v.long, example: example, args: cobra.ExactArgs(1),
			ends: !takesBack,
			do: func(c *errand) error {
				now, ends, err := k.end(c.api, c, c.args[0], v.name, c.dry)
				if err != nil {
					return err
				}
				if takesBack && c.output != "json" {
					ends = nil
				}
				return k.ended(c, &now, ends)
			},
		}.command(env))
	}
	return commands
}

// ended says what became of one, or would, and what ends with it.
func (k kind[T]) ended(c *errand, now *T, ends *admin.Ends) error {
	return writeEnding(c, now, k.fields(now), ends, k.leaves)
}

func writeEnding(c *errand, now any, fields []string, ends *admin.Ends, leaves string) error {
	if c.output == "json" {
		return writeJSON(c.Stdout, struct {
			DryRun bool        `json:"dry_run"`
			Now    any         `json:"becomes"`
			Ends   *admin.Ends `json:"ends,omitempty"`
		}{c.dry, now, ends})
	}
	if c.dry {
		fmt.Fprintln(c.Stdout, "would become:")
		fmt.Fprintln(c.Stderr, "holdfast: nothing was changed")
	}
	if err := writeFields(c.Stdout, fields); err != nil || ends == nil {
		return err
	}
	verb := "ends"
	if c.dry {
		verb = "would end"
	}
	what := []string{}
	if ends.ApplicationCount > 0 && leaves == "" {
		what = append(what, counted(ends.ApplicationCount, "application", ends.Applications))
	}
	if ends.CredentialCount > 0 {
		what = append(what, counted(ends.CredentialCount, "credential", ends.Credentials))
	}
	if ends.TokensIssued != nil {
		what = append(what, "access tokens issued before "+ends.TokensIssued.UTC().Format(time.RFC3339))
	}
	if len(what) == 0 {
		what = append(what, "nothing that is in use")
	}
	_, err := fmt.Fprintf(c.Stdout, "%s:\n  %s\n", verb, strings.Join(what, "\n  "))
	if err == nil && ends.ApplicationCount > 0 && leaves != "" {
		_, list, _ := strings.Cut(counted(ends.ApplicationCount, "application", ends.Applications), ": ")
		_, err = fmt.Fprintf(c.Stdout, "%s: %s\n", leaves, list)
	}
	return err
}

func counted(n int, noun string, first []string) string {
	if n != 1 {
		noun += "s"
	}
	for i := range first {
		first[i] = line(first[i])
	}
	text := fmt.Sprintf("%d %s: %s", n, noun, strings.Join(first, ", "))
	if n > len(first) {
		text += ", ..."
	}
	return text
}

// readGrant reads resource=scope,scope.
func readGrants(flag string, texts []string) ([]admin.Grant, error) {
	grants := []admin.Grant{}
	for _, text := range texts {
		i := strings.LastIndex(text, "=")
		if i < 1 || i == len(text)-1 {
			return nil, usageError{fmt.Errorf("--%s is RESOURCE=SCOPE,SCOPE, such as https://api.example.com/payments=payments,refunds, not %q", flag, text)}
		}
		grants = append(grants, admin.Grant{Resource: text[:i], Scopes: strings.Split(text[i+1:], ",")})
	}
	return grants, nil
}

func grantLines(grants []admin.Grant) string {
	var lines []string
	for _, g := range grants {
		lines = append(lines, g.Resource+"="+strings.Join(g.Scopes, ","))
	}
	return strings.Join(lines, "\n")
}

func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
