package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

var roles = kind[admin.Role]{
	noun: "role", command: "role", id: "ROLE", examples: "payments-reader",
	columns: []string{"ID", "STATE", "NAME", "GRANTS"},
	row: func(r *admin.Role) []string {
		return []string{r.ID, r.State, r.Name, strings.ReplaceAll(grantLines(r.Grants), "\n", " ")}
	},
	fields: func(r *admin.Role) []string {
		return []string{"id", r.ID, "name", r.Name, "state", r.State, "grants", grantLines(r.Grants)}
	},
	filters: []filter{stateFilter, nameFilter},
	page:    (*adminclient.Client).Roles,
	one:     (*adminclient.Client).Role,
	end: func(api *adminclient.Client, ctx context.Context, id, verb string, dry bool) (admin.Role, *admin.Ends, error) {
		r, err := api.EndRole(ctx, id, verb, dry)
		return r.Role, r.Ends, err
	},
	verbs: []verb{
		{adminclient.Suspend, "take its scopes from whoever has it, until it is resumed", "Takes the role's scopes from every application that has it, from its next token on."},
		{adminclient.Resume, "end a suspension", "Gives the role's scopes back, from the next token on."},
		{adminclient.Revoke, "take its scopes from whoever has it, for good", "Takes the role's scopes from every application that has it, for good."},
	},
}

func roleCommand(env environment) *cobra.Command {
	c := group("role", "roles: names for scopes, held by organisations", `A role is a name for scopes of resources. An organisation holds roles, and its
applications have of them what they are given.`, "  holdfast role create --as operator.json --id payments-reader --name 'Payments, reading' --grant https://api.example.com/payments=payments:read",
		roles.list(env), roles.show(env), createRole(env), updateRole(env))
	c.AddCommand(roles.ending(env)...)
	return c
}

func createRole(env environment) *cobra.Command {
	var r admin.NewRole
	var grants []string
	return deed{
		use: "create", short: "make a role", args: cobra.NoArgs, long: "Makes an active role.",
		example: "  holdfast role create --as operator.json --id payments-reader --name 'Payments, reading' --grant https://api.example.com/payments=payments:read",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&r.ID, "id", "", "id, for ever (needed)")
			c.Flags().StringVar(&r.Name, "name", "", "name for people (needed)")
			c.Flags().StringArrayVar(&grants, "grant", nil, "RESOURCE=SCOPE,SCOPE; may be repeated")
		},
		check: func() (err error) {
			if err = needed("--id", r.ID); err == nil {
				err = needed("--name", r.Name)
			}
			if err == nil {
				r.Grants, err = readGrants("grant", grants)
			}
			return err
		},
		do: func(c *errand) error {
			made, err := c.api.CreateRole(c, r)
			if err != nil {
				return err
			}
			return roles.write(c, &made)
		},
	}.command(env)
}

func updateRole(env environment) *cobra.Command {
	var name string
	var grants []string
	var command *cobra.Command
	command = deed{
		use: "update ROLE", short: "change its name or its grants", args: cobra.ExactArgs(1),
		long:    "Changes what is given and leaves the rest. Scopes that are taken away are gone from\nthe next token on.",
		example: "  holdfast role update --as operator.json --grant https://api.example.com/payments=payments:read payments-reader",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&name, "name", "", "name for people")
			c.Flags().StringArrayVar(&grants, "grant", nil, "RESOURCE=SCOPE,SCOPE: its grants from now on; may be repeated")
		},
		do: func(c *errand) error {
			var p admin.RolePatch
			given(command, "name", &p.Name, name)
			list, err := readGrants("grant", grants)
			if err != nil {
				return err
			}
			given(command, "grant", &p.Grants, list)
			if p.Name == nil && p.Grants == nil {
				return errNothingToChange
			}
			next, err := c.api.UpdateRole(c, c.args[0], p)
			if err != nil {
				return err
			}
			return roles.write(c, &next)
		},
	}.command(env)
	return command
}
