package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

func softwareStatementCommand(env environment) *cobra.Command {
	var organisation string
	statements := kind[admin.SoftwareStatement]{
		noun: "software statement", command: "org software-statement",
		columns: []string{"ID", "USED", "EXPIRES", "REVOKED", "SOFTWARE"},
		row: func(s *admin.SoftwareStatement) []string {
			return []string{s.ID, fmt.Sprintf("%d of %d", s.Used, s.Uses), when(&s.Expires), when(s.Revoked), s.SoftwareID}
		},
		fields: func(s *admin.SoftwareStatement) []string {
			return []string{"id", s.ID, "organisation", s.Organisation, "software", s.SoftwareID, "used", fmt.Sprintf("%d of %d", s.Used, s.Uses), "alone", yes(s.Standalone),
				"made by", s.CreatedBy, "created", when(&s.Created), "expires", when(&s.Expires), "revoked", when(s.Revoked), "claims", string(s.Claims)}
		},
		page: func(api *adminclient.Client, ctx context.Context, p adminclient.Page) (admin.Page[admin.SoftwareStatement], error) {
			return api.Statements(ctx, organisation, p)
		},
	}
	var n admin.NewSoftwareStatement
	var life time.Duration
	var metadata string
	create := deed{
		use: "create", short: "have what software says of itself signed", args: cobra.NoArgs,
		long: `Has client metadata (RFC 7591 section 2, with a software_id) signed as a software
statement, which fixes it for whoever registers with it. The statement alone is
printed on standard output; it is shown this once.`,
		example: "  holdfast org software-statement create --as operator.json --organisation acme --metadata shop.json > statement.jwt",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&metadata, "metadata", "", "file with the client metadata (JSON); - is standard input (needed)")
			c.Flags().DurationVar(&life, "life", 10*time.Minute, "how long it can be used, 720h at most")
			c.Flags().IntVar(&n.Uses, "uses", 1, "how many applications may be registered with it")
			c.Flags().BoolVar(&n.Standalone, "standalone", false, "it is enough without an initial access token")
			c.Flags().BoolVar(&n.OneTime, "one-time", false, "it is good for one registration, without an initial access token")
		},
		check: func() error {
			if n.OneTime && n.Uses != 1 {
				return usageError{errors.New("--one-time and --uses exclude one another")}
			}
			return needed("--metadata", metadata)
		},
		do: func(c *errand) (err error) {
			if n.Metadata, err = readInput(metadata); err != nil {
				return err
			}
			n.LifeSeconds = int64(life / time.Second)
			made, err := c.api.CreateStatement(c, organisation, n)
			if err != nil {
				return err
			}
			return writeSecret(c, &made, made.Statement, "software statement "+line(made.ID), made.Expires)
		},
	}.command(env)
	revoke := deed{
		use: "revoke STATEMENT-ID", short: "end a software statement", args: cobra.ExactArgs(1), ends: true,
		long:    "Ends a software statement: nobody registers with it any more. Applications that did stay.",
		example: "  holdfast org software-statement revoke --as operator.json --organisation acme ss-1",
		do: func(c *errand) error {
			now, err := c.api.RevokeStatement(c, organisation, c.args[0])
			if err != nil {
				return err
			}
			return statements.ended(c, &now, nil)
		},
	}.command(env)
	return group("software-statement", "software statements: metadata that applications register with",
		"A software statement is client metadata that this server signed (RFC 7591 section 2.3).",
		"  holdfast org software-statement list --as operator.json --organisation acme",
		within("organisation", "whose applications they are", &organisation, statements.list(env), create, revoke)...)
}

func nameCommand(env environment) *cobra.Command {
	var organisation string
	fields := func(n *admin.OrganisationName) []string {
		return []string{"name", n.Name, "organisation", n.Organisation, "added", when(&n.Added)}
	}
	names := kind[admin.OrganisationName]{
		columns: []string{"NAME", "ADDED"}, fields: fields,
		row: func(n *admin.OrganisationName) []string { return []string{n.Name, when(&n.Added)} },
		page: func(api *adminclient.Client, ctx context.Context, _ adminclient.Page) (admin.Page[admin.OrganisationName], error) {
			return api.Names(ctx, organisation)
		},
	}
	list := deed{
		use: "list", short: "list the names", args: cobra.NoArgs,
		long:    "Lists the names that server certificates of the organisation may have.",
		example: "  holdfast org name list --as operator.json --organisation acme",
		do:      func(c *errand) error { return names.pages(c, adminclient.Page{}, true) },
	}.command(env)
	add := deed{
		use: "add NAME", short: "let its server certificates have a name", args: cobra.ExactArgs(1),
		long:    "Lets server certificates of the organisation have a DNS name, without wildcard, or an IP address.",
		example: "  holdfast org name add --as operator.json --organisation acme api.acme.example",
		do: func(c *errand) error {
			made, err := c.api.AddName(c, organisation, c.args[0])
			if err != nil {
				return err
			}
			return names.write(c, &made)
		},
	}.command(env)
	remove := deed{
		use: "remove NAME", short: "take a name away", args: cobra.ExactArgs(1), ends: true,
		long:    "Takes a name away, and lists the rest. Certificates that have it live on until they end\nor are revoked.",
		example: "  holdfast org name remove --as operator.json --organisation acme api.acme.example",
		do: func(c *errand) error {
			left, err := c.api.RemoveName(c, organisation, c.args[0])
			if err != nil {
				return err
			}
			if c.dry {
				fmt.Fprintln(c.Stderr, "holdfast: nothing was changed")
			}
			names.page = func(*adminclient.Client, context.Context, adminclient.Page) (admin.Page[admin.OrganisationName], error) {
				return left, nil
			}
			return names.pages(c, adminclient.Page{}, true)
		},
	}.command(env)
	return group("name", "names: what server certificates of an organisation may say",
		"An organisation's server certificates have names that an owner has given it.",
		"  holdfast org name list --as operator.json --organisation acme",
		within("organisation", "whose names they are", &organisation, list, add, remove)...)
}
