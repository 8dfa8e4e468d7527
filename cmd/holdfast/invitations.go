package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

// What an operator hands out so that others come in: enrolment codes and initial
// access tokens. The secret is in one answer, and on stdout nothing else is.

// writeSecret prints the secret alone, for a file or a pipe, and talks beside it;
// as JSON it is in the object.
func writeSecret(c *errand, made any, secret, what string, expires time.Time) error {
	if c.output == "json" {
		return writeJSON(c.Stdout, made)
	}
	fmt.Fprintf(c.Stderr, "holdfast: %s, good until %s; it is shown this once\n", what, when(&expires))
	_, err := fmt.Fprintln(c.Stdout, secret)
	return err
}

func enrolmentCodeCommand(env environment) *cobra.Command {
	var application string
	codes := kind[admin.EnrolmentCode]{
		noun: "enrolment code", command: "app enrolment-code", id: "CODE-ID", examples: "--app app-1 code-1",
		columns: []string{"ID", "STATE", "PROFILE", "INSTANCE", "EXPIRES", "CREDENTIAL"},
		row: func(k *admin.EnrolmentCode) []string {
			return []string{k.ID, k.State, k.Profile, k.Instance, when(&k.Expires), k.CredentialID}
		},
		fields: func(k *admin.EnrolmentCode) []string {
			return []string{"id", k.ID, "client_id", k.ClientID, "state", k.State, "profile", k.Profile, "instance", k.Instance,
				"made by", k.CreatedBy, "created", when(&k.Created), "expires", when(&k.Expires), "used", when(k.Used), "revoked", when(k.Revoked), "credential", k.CredentialID}
		},
		page: func(api *adminclient.Client, ctx context.Context, p adminclient.Page) (admin.Page[admin.EnrolmentCode], error) {
			return api.EnrolmentCodes(ctx, application, p)
		},
		one: func(api *adminclient.Client, ctx context.Context, id string) (admin.EnrolmentCode, error) {
			return api.EnrolmentCode(ctx, application, id)
		},
	}
	var n admin.NewCode
	var life time.Duration
	create := deed{
		use: "create", short: "make a code that is good for one certificate", args: cobra.NoArgs,
		long: `Makes a single-use code, which whoever runs the application exchanges for a
certificate with holdfast enrol. The code alone is printed on standard output; it is
shown this once, and the server keeps its digest only.`,
		example: "  holdfast app enrolment-code create --as operator.json --app app-1 > code.txt",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&n.Profile, "profile", "", "client_transport or client_signing (default: as the application authenticates)")
			c.Flags().StringVar(&n.Instance, "instance", "", "name of the replica that it is for")
			c.Flags().DurationVar(&life, "life", 24*time.Hour, "how long it can be used, 24h at most")
		},
		do: func(c *errand) error {
			n.LifeSeconds = int64(life / time.Second)
			made, err := c.api.CreateEnrolmentCode(c, application, n)
			if err != nil {
				return err
			}
			return writeSecret(c, &made, made.Code, "enrolment code "+line(made.ID), made.Expires)
		},
	}.command(env)
	revoke := deed{
		use: "revoke CODE-ID", short: "end a code that was not used", args: cobra.ExactArgs(1), ends: true,
		long:    "Ends a code. A certificate that it was used for stays: holdfast credential revoke ends that.",
		example: "  holdfast app enrolment-code revoke --as operator.json --app app-1 code-1",
		do: func(c *errand) error {
			now, err := c.api.RevokeEnrolmentCode(c, application, c.args[0])
			if err != nil {
				return err
			}
			return codes.ended(c, &now, nil)
		},
	}.command(env)
	return group("enrolment-code", "enrolment codes: for the first certificate of an application",
		"An enrolment code lets whoever runs an application get its first certificate, once.",
		"  holdfast app enrolment-code create --as operator.json --app app-1 > code.txt\n  holdfast enrol --issuer https://auth.example.com --code-file code.txt",
		within("app", "client_id of the application", &application, codes.list(env), codes.show(env), create, revoke)...)
}

func initialAccessTokenCommand(env environment) *cobra.Command {
	var organisation string
	tokens := kind[admin.InitialAccessToken]{
		noun: "initial access token", command: "org initial-access-token",
		columns: []string{"ID", "USED", "EXPIRES", "REVOKED", "GRANTS"},
		row: func(t *admin.InitialAccessToken) []string {
			return []string{t.ID, fmt.Sprintf("%d of %d", t.Used, t.Uses), when(&t.Expires), when(t.Revoked), grantLines(t.Grants)}
		},
		fields: func(t *admin.InitialAccessToken) []string {
			return []string{"id", t.ID, "organisation", t.Organisation, "used", fmt.Sprintf("%d of %d", t.Used, t.Uses), "grants", grantLines(t.Grants),
				"made by", t.CreatedBy, "created", when(&t.Created), "expires", when(&t.Expires), "revoked", when(t.Revoked)}
		},
		page: func(api *adminclient.Client, ctx context.Context, p adminclient.Page) (admin.Page[admin.InitialAccessToken], error) {
			return api.InitialTokens(ctx, organisation, p)
		},
	}
	var n admin.NewInitialAccessToken
	var life time.Duration
	var grants []string
	create := deed{
		use: "create", short: "make a token that an application registers itself with", args: cobra.NoArgs,
		long: `Makes an initial access token (RFC 7591): whoever has it registers applications of
the organisation, as many as --uses says. The token alone is printed on standard
output; it is shown this once.`,
		example: "  holdfast org initial-access-token create --as operator.json --organisation acme --grant https://api.example.com/payments=payments > token.txt",
		flags: func(c *cobra.Command) {
			c.Flags().IntVar(&n.Uses, "uses", 1, "how many applications may be registered with it")
			c.Flags().DurationVar(&life, "life", 24*time.Hour, "how long it can be used, 720h at most")
			c.Flags().StringArrayVar(&grants, "grant", nil, "RESOURCE=SCOPE,SCOPE that they may ask for; may be repeated (default: what the organisation's roles have)")
			c.Flags().StringArrayVar(&n.Roles, "role", nil, "a role that they may ask for; may be repeated")
		},
		do: func(c *errand) (err error) {
			if n.Grants, err = readGrants("grant", grants); err != nil {
				return err
			}
			n.Limited, n.LifeSeconds = len(grants)+len(n.Roles) > 0, int64(life/time.Second)
			made, err := c.api.CreateInitialToken(c, organisation, n)
			if err != nil {
				return err
			}
			return writeSecret(c, &made, made.Token, "initial access token "+line(made.ID), made.Expires)
		},
	}.command(env)
	revoke := deed{
		use: "revoke TOKEN-ID", short: "end an initial access token", args: cobra.ExactArgs(1), ends: true,
		long:    "Ends an initial access token. Applications that were registered with it stay.",
		example: "  holdfast org initial-access-token revoke --as operator.json --organisation acme iat-1",
		do: func(c *errand) error {
			now, err := c.api.RevokeInitialToken(c, organisation, c.args[0])
			if err != nil {
				return err
			}
			return tokens.ended(c, &now, nil)
		},
	}.command(env)
	return group("initial-access-token", "initial access tokens: applications register themselves with them",
		"An initial access token lets applications register themselves at <issuer>/register (RFC 7591).",
		"  holdfast org initial-access-token create --as operator.json --organisation acme > token.txt",
		within("organisation", "whose applications they are", &organisation, tokens.list(env), create, revoke)...)
}
