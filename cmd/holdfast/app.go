package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

var applicationVerbs = []verb{
	{adminclient.Suspend, "stop it until it is resumed", "Gives it no tokens, and ends those that it has, until it is resumed. Tokens that ended\ndo not come back."},
	{adminclient.Resume, "end a suspension", "Ends a suspension: it gets tokens again."},
	{adminclient.Revoke, "end it for good", "Ends it for good, with its tokens. Its client_id is never used again."},
	{adminclient.RevokeTokens, "end all its access tokens", "Ends every access token of it that was issued until now. It gets new ones at once."},
}

var applications = kind[admin.Application]{
	noun: "application", command: "app", id: "CLIENT_ID", examples: "app-1",
	columns: []string{"CLIENT_ID", "STATE", "ORGANISATION", "NAME", "AUTH_METHOD", "BINDING"},
	row: func(a *admin.Application) []string {
		return []string{a.ClientID, a.State, a.Organisation, a.Name, a.AuthMethod, a.Binding}
	},
	fields:  applicationFields,
	filters: []filter{stateFilter, nameFilter, organisationFilter, {flag: "auth-method", parameter: "auth_method", usage: "only with this method of authentication"}},
	page: func(api *adminclient.Client, ctx context.Context, p adminclient.Page) (admin.Page[admin.Application], error) {
		return api.Applications(ctx, "", p)
	},
	one: (*adminclient.Client).Application, history: (*adminclient.Client).ApplicationHistory,
	end: func(api *adminclient.Client, ctx context.Context, id, verb string, dry bool) (admin.Application, *admin.Ends, error) {
		a, err := api.EndApplication(ctx, id, verb, dry)
		return a.Application, a.Ends, err
	},
	verbs: applicationVerbs,
}

func applicationFields(a *admin.Application) []string {
	return []string{
		"client_id", a.ClientID, "organisation", a.Organisation, "name", a.Name, "state", a.State, "auth method", a.AuthMethod, "binding", a.Binding,
		"nonce", yes(a.RequireNonce), "certificate URI", a.SANURI, "certificate DNS name", a.SANDNS, "certificate IP", a.SANIP, "certificate e-mail", a.SANEmail,
		"jwks_uri", a.JWKSURI, "operator role", a.OperatorRole, "roles", strings.Join(a.Roles, "\n"), "grants", grantLines(a.Grants), "may ask for", grantLines(a.EffectiveGrants),
	}
}

func appCommand(env environment) *cobra.Command {
	c := group("app", "applications, and their instances", `An application is an OAuth client: it authenticates with credentials and gets tokens
for what it is granted, by itself or by a role that its organisation holds.`, "  holdfast app list --as operator.json --organisation acme",
		applications.list(env), applications.show(env), createApp(env), updateApp(env), applications.past(env), instanceCommand(env), enrolmentCodeCommand(env))
	c.AddCommand(applications.ending(env)...)
	return c
}

// names are the flags for the four names of a certificate (RFC 8705 section 2.1.2).
func nameFlags(c *cobra.Command, uri, dns, ip, email *string) {
	c.Flags().StringVar(uri, "san-uri", "", "URI in the certificates of the organisation's own CA, for tls_client_auth")
	c.Flags().StringVar(dns, "san-dns", "", "or DNS name")
	c.Flags().StringVar(ip, "san-ip", "", "or IP address")
	c.Flags().StringVar(email, "san-email", "", "or e-mail address")
}

func createApp(env environment) *cobra.Command {
	var a admin.NewApplication
	var grants []string
	return deed{
		use: "create", short: "make an application", args: cobra.NoArgs,
		long: `Makes an active application. It needs a credential before it gets a token: holdfast
credential register, or holdfast enrol with a code.`,
		example: "  holdfast app create --as operator.json --organisation acme --name Shop \\\n      --auth-method private_key_jwt --binding dpop --grant https://api.example.com/payments=payments",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&a.ClientID, "client-id", "", "client_id, for ever (default: made by the server)")
			c.Flags().StringVar(&a.Organisation, "organisation", "", "whose it is (needed)")
			c.Flags().StringVar(&a.Name, "name", "", "name for people (needed)")
			c.Flags().StringVar(&a.AuthMethod, "auth-method", "private_key_jwt", "private_key_jwt, tls_client_auth or self_signed_tls_client_auth")
			c.Flags().StringVar(&a.Binding, "binding", "dpop", "what its tokens are bound to: mtls or dpop")
			c.Flags().BoolVar(&a.RequireNonce, "require-nonce", false, "demand a DPoP nonce at the token endpoint")
			c.Flags().StringArrayVar(&grants, "grant", nil, "RESOURCE=SCOPE,SCOPE; may be repeated")
			c.Flags().StringArrayVar(&a.Roles, "role", nil, "a role that its organisation holds; may be repeated")
			c.Flags().StringVar(&a.JWKSURI, "jwks-uri", "", "https URL where it publishes its keys")
			nameFlags(c, &a.SANURI, &a.SANDNS, &a.SANIP, &a.SANEmail)
		},
		check: func() (err error) {
			if err = needed("--organisation", a.Organisation); err == nil {
				err = needed("--name", a.Name)
			}
			if err == nil {
				a.Grants, err = readGrants("grant", grants)
			}
			return err
		},
		do: func(c *errand) error {
			made, err := c.api.CreateApplication(c, a)
			if err != nil {
				return err
			}
			return applications.write(c, &made)
		},
	}.command(env)
}

func updateApp(env environment) *cobra.Command {
	var a admin.NewApplication
	var grants, roles []string
	var noRoles, noGrants bool
	var command *cobra.Command
	removable := func(flag string, to *admin.Removable, value string) {
		if command.Flags().Changed(flag) {
			*to = admin.Removable{Given: true, Value: value}
		}
	}
	command = deed{
		use: "update CLIENT_ID", short: "change what it is granted, or how it authenticates", args: cobra.ExactArgs(1), ends: true,
		long: `Changes what is given and leaves the rest; an empty --jwks-uri or --san-... takes it
away. A change that somebody else made since the application was read refuses it.
--dry-run tells what it would be left with.`,
		example: "  holdfast app update --as operator.json --grant https://api.example.com/payments=payments,refunds app-1\n  holdfast app update --as operator.json --no-roles app-1",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&a.Name, "name", "", "name for people")
			c.Flags().StringVar(&a.AuthMethod, "auth-method", "", "private_key_jwt, tls_client_auth or self_signed_tls_client_auth")
			c.Flags().StringVar(&a.Binding, "binding", "", "what its tokens are bound to: mtls or dpop")
			c.Flags().BoolVar(&a.RequireNonce, "require-nonce", false, "demand a DPoP nonce (--require-nonce=false: no more)")
			c.Flags().StringArrayVar(&grants, "grant", nil, "RESOURCE=SCOPE,SCOPE: its own grants from now on; may be repeated")
			c.Flags().BoolVar(&noGrants, "no-grants", false, "it has no grants of its own from now on")
			c.Flags().StringArrayVar(&roles, "role", nil, "its roles from now on; may be repeated")
			c.Flags().BoolVar(&noRoles, "no-roles", false, "it has no role from now on")
			c.Flags().StringVar(&a.JWKSURI, "jwks-uri", "", "https URL where it publishes its keys")
			nameFlags(c, &a.SANURI, &a.SANDNS, &a.SANIP, &a.SANEmail)
		},
		do: func(c *errand) error {
			var p admin.ApplicationPatch
			given(command, "name", &p.Name, a.Name)
			given(command, "auth-method", &p.AuthMethod, a.AuthMethod)
			given(command, "binding", &p.Binding, a.Binding)
			given(command, "require-nonce", &p.RequireNonce, a.RequireNonce)
			givenList(command, "role", "no-roles", &p.Roles, roles)
			list, err := readGrants("grant", grants)
			if err != nil {
				return err
			}
			given(command, "grant", &p.Grants, list)
			given(command, "no-grants", &p.Grants, []admin.Grant{})
			removable("jwks-uri", &p.JWKSURI, a.JWKSURI)
			removable("san-uri", &p.SANURI, a.SANURI)
			removable("san-dns", &p.SANDNS, a.SANDNS)
			removable("san-ip", &p.SANIP, a.SANIP)
			removable("san-email", &p.SANEmail, a.SANEmail)
			if p == (admin.ApplicationPatch{}) {
				return errNothingToChange
			}
			next, err := c.api.ChangeApplication(c, c.args[0], p)
			if err != nil {
				return err
			}
			if c.dry {
				return applications.ended(c, &next.Application, next.Ends)
			}
			return applications.write(c, &next.Application)
		},
	}.command(env)
	return command
}

func instanceCommand(env environment) *cobra.Command {
	var application string
	instances := kind[admin.Instance]{
		noun: "instance", command: "app instance", id: "INSTANCE", leaves: credentials.leaves, examples: "inst-1 --app app-1",
		columns: []string{"ID", "STATE", "NAME", "CREATED"},
		row:     func(i *admin.Instance) []string { return []string{i.ID, i.State, i.Name, when(&i.Created)} },
		fields: func(i *admin.Instance) []string {
			return []string{"id", i.ID, "client_id", i.ClientID, "name", i.Name, "state", i.State, "created", when(&i.Created)}
		},
		filters: []filter{stateFilter, nameFilter},
		page: func(api *adminclient.Client, ctx context.Context, p adminclient.Page) (admin.Page[admin.Instance], error) {
			return api.Instances(ctx, application, p)
		},
		one: func(api *adminclient.Client, ctx context.Context, id string) (admin.Instance, error) {
			return api.Instance(ctx, application, id)
		},
		end: func(api *adminclient.Client, ctx context.Context, id, _ string, dry bool) (admin.Instance, *admin.Ends, error) {
			i, err := api.RevokeInstance(ctx, application, id, dry)
			return i.Instance, i.Ends, err
		},
		verbs: []verb{{adminclient.Revoke, "end it, with every credential that names it", "Ends the instance and revokes every credential that names it."}},
	}
	var i admin.NewInstance
	create := deed{
		use: "create", short: "make an instance", args: cobra.NoArgs,
		long:    "Makes an instance: one replica of an application, which credentials may name.",
		example: "  holdfast app instance create --as operator.json --app app-1 --name eu-west-1",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&i.ID, "id", "", "id, for ever (default: made by the server)")
			c.Flags().StringVar(&i.Name, "name", "", "name, unique in its application (needed)")
		},
		check: func() error { return needed("--name", i.Name) },
		do: func(c *errand) error {
			made, err := c.api.CreateInstance(c, application, i)
			if err != nil {
				return err
			}
			return instances.write(c, &made)
		},
	}.command(env)
	return group("instance", "instances: the replicas of an application", "An instance is one replica of an application: a record, which credentials may name.",
		"  holdfast app instance list --as operator.json --app app-1",
		within("app", "client_id of the application", &application, append(instances.ending(env), instances.list(env), instances.show(env), create)...)...)
}
