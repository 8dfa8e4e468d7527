package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

func trustAnchorCommand(env environment) *cobra.Command {
	var organisation string
	anchors := kind[admin.TrustAnchor]{
		noun: "trust anchor", command: "org trust-anchor", id: "ANCHOR", examples: "--organisation acme ca-1",
		columns: []string{"ID", "STATE", "NAME", "NOT AFTER", "SPKI"},
		row: func(a *admin.TrustAnchor) []string {
			return []string{a.ID, a.State, a.Name, when(a.NotAfter), a.SPKI}
		},
		fields: func(a *admin.TrustAnchor) []string {
			return []string{"id", a.ID, "organisation", a.Organisation, "name", a.Name, "state", a.State, "spki", a.SPKI,
				"created", when(&a.Created), "not before", when(a.NotBefore), "not after", when(a.NotAfter)}
		},
		page: func(api *adminclient.Client, ctx context.Context, p adminclient.Page) (admin.Page[admin.TrustAnchor], error) {
			return api.TrustAnchors(ctx, organisation, p)
		},
		one: func(api *adminclient.Client, ctx context.Context, id string) (admin.TrustAnchor, error) {
			return api.TrustAnchor(ctx, organisation, id)
		},
		end: func(api *adminclient.Client, ctx context.Context, id, verb string, dry bool) (admin.TrustAnchor, *admin.Ends, error) {
			a, err := api.EndTrustAnchor(ctx, organisation, id, verb, dry)
			return a.TrustAnchor, a.Ends, err
		},
		verbs: []verb{
			{"start-retirement", "trust it still, while another takes over", "Trusts the CA still, and says that another takes over."},
			{"retire", "trust it no more", "Trusts certificates of this CA no more, from the next request on. Tokens live to their end."},
			{adminclient.Suspend, "trust it no more until it is resumed", "Trusts certificates of this CA no more until it is resumed. Tokens live to their end."},
			{adminclient.Resume, "end a suspension", "Trusts certificates of this CA again."},
			{adminclient.Compromise, "end it because somebody else has its key", "Trusts certificates of this CA no more because somebody else has its key: it is never\ntrusted again. Every token of the organisation that was issued before ends."},
			{adminclient.Revoke, "trust it no more, and end all tokens of the organisation", "Trusts certificates of this CA no more. No token says which CA it came of, so every token of the organisation that was issued before ends."},
		},
	}
	var n admin.NewTrustAnchor
	var file string
	add := deed{
		use: "add", short: "trust a CA of the organisation's own", args: cobra.NoArgs,
		long: `Trusts a CA for tls_client_auth of the organisation's applications, by its key: a
CA of the same name with another key is not trusted. An application is recognised by
the one name that it is registered with (holdfast app create --san-dns).`,
		example: "  holdfast org trust-anchor add --as operator.json --organisation acme --name 'Acme issuing 2' --certificate ca.pem",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&n.Name, "name", "", "name for people (needed)")
			c.Flags().StringVar(&file, "certificate", "", "PEM file of the CA's certificate (needed)")
		},
		check: func() error {
			if err := needed("--name", n.Name); err != nil {
				return err
			}
			return needed("--certificate", file)
		},
		do: func(c *errand) error {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			n.Certificate = string(text)
			made, err := c.api.AddTrustAnchor(c, organisation, n)
			if err != nil {
				return err
			}
			return anchors.write(c, &made)
		},
	}.command(env)
	return group("trust-anchor", "trust anchors: the organisation's own CAs",
		"A trust anchor is a CA whose certificates an organisation's applications may show.",
		"  holdfast org trust-anchor list --as operator.json --organisation acme",
		within("organisation", "whose CAs they are", &organisation, append(anchors.ending(env), anchors.list(env), anchors.show(env), add)...)...)
}
