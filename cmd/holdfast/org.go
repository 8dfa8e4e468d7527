package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

var organisations = kind[admin.Organisation]{
	noun: "organisation", command: "org", id: "ORGANISATION", examples: "acme",
	columns: []string{"ID", "STATE", "NAME", "ROLES"},
	row: func(o *admin.Organisation) []string {
		return []string{o.ID, o.State, o.Name, strings.Join(o.Roles, ",")}
	},
	fields: func(o *admin.Organisation) []string {
		return []string{"id", o.ID, "name", o.Name, "state", o.State, "roles", strings.Join(o.Roles, "\n")}
	},
	filters: []filter{stateFilter, nameFilter},
	page:    (*adminclient.Client).Organisations,
	one:     (*adminclient.Client).Organisation, history: (*adminclient.Client).OrganisationHistory,
	end: func(api *adminclient.Client, ctx context.Context, id, verb string, dry bool) (admin.Organisation, *admin.Ends, error) {
		o, err := api.EndOrganisation(ctx, id, verb, dry)
		return o.Organisation, o.Ends, err
	},
	verbs: []verb{
		{adminclient.Suspend, "stop all its applications until it is resumed", "Stops every application of the organisation, and ends their access tokens, until it\nis resumed. Tokens that ended do not come back."},
		{adminclient.Resume, "end a suspension", "Ends a suspension: its applications get tokens again."},
		{adminclient.Revoke, "end it for good, with all that it has", "Ends the organisation for good: no application of it gets a token again."},
		{adminclient.RevokeTokens, "end all access tokens of its applications", "Ends every access token of its applications that was issued until now. They get new\nones at once."},
	},
}

func orgCommand(env environment) *cobra.Command {
	c := group("org", "organisations", `Organisations own applications, resources and the CAs they trust. What one has, no
other sees.`, "  holdfast org list --as operator.json\n  holdfast org create --as operator.json --name 'Acme Ltd'",
		organisations.list(env), organisations.show(env), createOrg(env), updateOrg(env), organisations.past(env))
	c.AddCommand(trustAnchorCommand(env), initialAccessTokenCommand(env), softwareStatementCommand(env), nameCommand(env))
	c.AddCommand(organisations.ending(env)...)
	return c
}

func createOrg(env environment) *cobra.Command {
	var o admin.NewOrganisation
	return deed{
		use: "create", short: "make an organisation", args: cobra.NoArgs,
		long:    "Makes an active organisation. Its id is made by the server unless --id names one.",
		example: "  holdfast org create --as operator.json --name 'Acme Ltd'\n  holdfast org create --as operator.json --id acme --name 'Acme Ltd' --role payments-reader",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&o.ID, "id", "", "id, for ever (default: made by the server)")
			c.Flags().StringVar(&o.Name, "name", "", "name for people (needed)")
			c.Flags().StringArrayVar(&o.Roles, "role", nil, "a role that it holds; may be repeated")
		},
		check: func() error { return needed("--name", o.Name) },
		do: func(c *errand) error {
			made, err := c.api.CreateOrganisation(c, o)
			if err != nil {
				return err
			}
			return organisations.write(c, &made)
		},
	}.command(env)
}

// needed is the usage error for a flag that is missing.
func needed(flag, value string) error {
	if value == "" {
		return usageError{errors.New(flag + " missing")}
	}
	return nil
}

var errNothingToChange = usageError{errors.New("nothing to change: give a flag for what is to be different")}

func updateOrg(env environment) *cobra.Command {
	var name string
	var roles []string
	var noRoles bool
	var command *cobra.Command
	command = deed{
		use: "update ORGANISATION", short: "change its name or the roles that it holds", args: cobra.ExactArgs(1),
		long: `Changes what is given and leaves the rest. A change that somebody else made since the
organisation was read refuses it. A role that is taken away takes its scopes from the
organisation's applications with the next token.`,
		example: "  holdfast org update --as operator.json --role payments-reader --role payments-writer acme\n  holdfast org update --as operator.json --no-roles acme",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&name, "name", "", "name for people")
			c.Flags().StringArrayVar(&roles, "role", nil, "the roles that it holds from now on; may be repeated")
			c.Flags().BoolVar(&noRoles, "no-roles", false, "it holds no role from now on")
		},
		do: func(c *errand) error {
			var p admin.OrganisationPatch
			given(command, "name", &p.Name, name)
			givenList(command, "role", "no-roles", &p.Roles, roles)
			if p.Name == nil && p.Roles == nil {
				return errNothingToChange
			}
			next, err := c.api.UpdateOrganisation(c, c.args[0], p)
			if err != nil {
				return err
			}
			return organisations.write(c, &next)
		},
	}.command(env)
	return command
}

// given sets a member of a patch whose flag is on the command line.
func given[T any](c *cobra.Command, flag string, to **T, value T) {
	if c.Flags().Changed(flag) {
		*to = &value
	}
}

// givenList does so for a list, which another flag empties.
func givenList(c *cobra.Command, flag, none string, to **[]string, list []string) {
	if c.Flags().Changed(none) {
		list = []string{}
	}
	if c.Flags().Changed(flag) || c.Flags().Changed(none) {
		*to = &list
	}
}
