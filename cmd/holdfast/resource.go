package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

var resources = kind[admin.Resource]{
	noun: "resource", command: "resource", id: "URI", examples: "https://api.example.com/payments",
	columns: []string{"URI", "STATE", "ORGANISATION", "NAME", "SCOPES"},
	row: func(r *admin.Resource) []string {
		return []string{r.URI, r.State, r.Organisation, r.Name, strings.Join(r.Scopes, ",")}
	},
	fields: func(r *admin.Resource) []string {
		return []string{
			"uri", r.URI, "organisation", r.Organisation, "name", r.Name, "state", r.State, "scopes", strings.Join(r.Scopes, " "),
			"servers", strings.Join(r.Servers, "\n"), "nonce", yes(r.RequireNonce),
		}
	},
	filters: []filter{stateFilter, nameFilter, organisationFilter},
	page:    (*adminclient.Client).Resources,
	one:     (*adminclient.Client).Resource,
	end: func(api *adminclient.Client, ctx context.Context, id, verb string, dry bool) (admin.Resource, *admin.Ends, error) {
		r, err := api.EndResource(ctx, id, verb, dry)
		return r.Resource, r.Ends, err
	},
	verbs: []verb{
		{adminclient.Suspend, "give no tokens for it until it is resumed", "Gives no tokens for the resource, and ends those that there are, until it is resumed."},
		{adminclient.Resume, "end a suspension", "Gives tokens for the resource again."},
		{adminclient.Revoke, "give no tokens for it ever again", "Gives no tokens for the resource ever again, and ends those that there are."},
	},
}

func resourceCommand(env environment) *cobra.Command {
	c := group("resource", "resources: APIs, their scopes and servers", `A resource is an API: its audience URI, its scopes, and the applications that serve
it and may introspect its tokens.`, "  holdfast resource list --as operator.json",
		resources.list(env), resources.show(env), createResource(env), updateResource(env))
	c.AddCommand(resources.ending(env)...)
	return c
}

func createResource(env environment) *cobra.Command {
	var r admin.NewResource
	return deed{
		use: "create URI", short: "make a resource", args: cobra.ExactArgs(1),
		long:    "Makes an active resource of an organisation. A scope belongs to one resource.",
		example: "  holdfast resource create --as operator.json --organisation acme --name Payments --scope payments --scope refunds https://api.example.com/payments",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&r.Organisation, "organisation", "", "whose it is (needed)")
			c.Flags().StringVar(&r.Name, "name", "", "name for people (needed)")
			c.Flags().StringArrayVar(&r.Scopes, "scope", nil, "a scope (needed); may be repeated")
			c.Flags().StringArrayVar(&r.Servers, "server", nil, "client_id of an application that may introspect its tokens; may be repeated")
			c.Flags().BoolVar(&r.RequireNonce, "require-nonce", false, "demand a DPoP nonce for its tokens")
		},
		check: func() error {
			if err := needed("--organisation", r.Organisation); err != nil {
				return err
			}
			if err := needed("--scope", strings.Join(r.Scopes, "")); err != nil {
				return err
			}
			return needed("--name", r.Name)
		},
		do: func(c *errand) error {
			r.URI = c.args[0]
			made, err := c.api.CreateResource(c, r)
			if err != nil {
				return err
			}
			return resources.write(c, &made)
		},
	}.command(env)
}

func updateResource(env environment) *cobra.Command {
	var name string
	var scopes, servers []string
	var noServers, nonce bool
	var command *cobra.Command
	command = deed{
		use: "update URI", short: "change its name, scopes or servers", args: cobra.ExactArgs(1),
		long:    "Changes what is given and leaves the rest. A scope that is granted cannot be taken\naway.",
		example: "  holdfast resource update --as operator.json --server app-2 https://api.example.com/payments",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&name, "name", "", "name for people")
			c.Flags().StringArrayVar(&scopes, "scope", nil, "its scopes from now on; may be repeated")
			c.Flags().StringArrayVar(&servers, "server", nil, "the applications that may introspect its tokens from now on; may be repeated")
			c.Flags().BoolVar(&noServers, "no-servers", false, "no application may introspect its tokens from now on")
			c.Flags().BoolVar(&nonce, "require-nonce", false, "demand a DPoP nonce for its tokens (--require-nonce=false: no more)")
		},
		do: func(c *errand) error {
			var p admin.ResourcePatch
			given(command, "name", &p.Name, name)
			given(command, "scope", &p.Scopes, scopes)
			given(command, "require-nonce", &p.RequireNonce, nonce)
			givenList(command, "server", "no-servers", &p.Servers, servers)
			if p == (admin.ResourcePatch{}) {
				return errNothingToChange
			}
			next, err := c.api.UpdateResource(c, c.args[0], p)
			if err != nil {
				return err
			}
			return resources.write(c, &next)
		},
	}.command(env)
	return command
}
