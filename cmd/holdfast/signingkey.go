package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

func signingKeyCommand(env environment) *cobra.Command {
	keys := kind[admin.SigningKey]{
		noun: "signing key", command: "signing-key", id: "KID", examples: "k7",
		columns: []string{"KID", "STATE", "PURPOSE", "ALG", "NOT_BEFORE", "NOT_AFTER"},
		row: func(k *admin.SigningKey) []string {
			return []string{k.KeyID, k.State, k.Purpose, k.Algorithm, when(k.NotBefore), when(k.NotAfter)}
		},
		fields: func(k *admin.SigningKey) []string {
			return []string{"kid", k.KeyID, "state", k.State, "signs", k.Purpose, "alg", k.Algorithm, "not before", when(k.NotBefore), "not after", when(k.NotAfter)}
		},
		page: (*adminclient.Client).SigningKeys,
		end: func(api *adminclient.Client, ctx context.Context, kid, _ string, dry bool) (admin.SigningKey, *admin.Ends, error) {
			k, err := api.RevokeSigningKey(ctx, kid, dry)
			return k, nil, err
		},
		verbs: []verb{{adminclient.Revoke, "end it, with all that it signed", "Ends the key with all that it signed: access tokens, or software statements. The next one is made at once;\napplications get new tokens, and who checks tokens by the published keys is told by\nthese."}},
	}
	return group("signing-key", "signing keys: what access tokens and software statements are signed with",
		"Access tokens and software statements are signed by keys of the server's own, which it makes and replaces by itself.",
		"  holdfast signing-key list --as operator.json", append(keys.ending(env), keys.list(env))...)
}

// revokeByThumbprint are the commands for keys and certificates that have no record
// until they are revoked.
func revokeByThumbprint(env environment) []*cobra.Command {
	var commands []*cobra.Command
	for _, one := range []struct {
		use, short, long string
		do               func(*adminclient.Client, context.Context, string, string) (admin.CredentialChange, error)
	}{
		{"revoke-dpop-key JKT", "end a DPoP key of an application, with its tokens", "Ends every token of the application that is bound to the key with this RFC 7638\nthumbprint, and binds none to it again.", (*adminclient.Client).RevokeDPoPKey},
		{"revoke-published-key JKT", "end a key at an application's jwks_uri", "Accepts the key with this RFC 7638 thumbprint no more, whatever the application's\njwks_uri says, and ends the tokens that it got.", (*adminclient.Client).RevokePublishedKey},
		{"revoke-trusted-certificate X5T", "end a certificate of the organisation's own CA", "Accepts the certificate with this x5t#S256 no more, and ends the tokens that it got or\nthat are bound to it.", (*adminclient.Client).RevokeTrustedCertificate},
	} {
		var application string
		commands = append(commands, within("app", "client_id of the application", &application, deed{
			use: one.use, short: one.short, long: one.long, args: cobra.ExactArgs(1), ends: true,
			example: "  holdfast credential " + firstWord(one.use) + " --as operator.json --app app-1 NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
			do: func(c *errand) error {
				now, err := one.do(c.api, c, application, c.args[0])
				if err != nil {
					return err
				}
				return credentials.ended(c, &now.Credential, now.Ends)
			},
		}.command(env))...)
	}
	return commands
}
