package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

var credentials = kind[admin.Credential]{
	noun: "credential", command: "credential", id: "CREDENTIAL_ID", examples: "cred-1",
	columns: []string{"CREDENTIAL_ID", "STATE", "KIND", "CLIENT_ID", "KID", "NOT_AFTER"},
	row: func(k *admin.Credential) []string {
		return []string{k.ID, k.State, k.Kind, k.ClientID, k.KeyID, when(k.NotAfter)}
	},
	fields: func(k *admin.Credential) []string {
		by := ""
		if k.Issued {
			by = "our certificate authority"
		}
		return []string{
			"credential_id", k.ID, "client_id", k.ClientID, "kind", k.Kind, "state", k.State, "kid", k.KeyID, "alg", k.Algorithm, "thumbprint", k.Thumbprint,
			"issued by", by, "instance", k.Instance, "created", when(&k.Created), "not before", when(k.NotBefore), "not after", when(k.NotAfter),
			"last used", when(k.LastUsed), "jwk", string(k.JWK),
		}
	},
	filters: []filter{
		stateFilter, organisationFilter, {flag: "kind", parameter: "kind", usage: "only of this kind: signing_key, certificate, dpop_key, ..."},
		{flag: "expires-before", parameter: "expires_before", usage: "only those that end before this time (RFC 3339, or a date)", isTime: true},
	},
	page: (*adminclient.Client).AllCredentials,
	one:  (*adminclient.Client).Credential, leaves: "left without a credential", history: (*adminclient.Client).CredentialHistory,
	end: func(api *adminclient.Client, ctx context.Context, id, verb string, dry bool) (admin.Credential, *admin.Ends, error) {
		k, err := api.EndCredential(ctx, id, verb, dry)
		return k.Credential, k.Ends, err
	},
	verbs: []verb{
		{adminclient.Suspend, "stop it until it is resumed", "Accepts the credential no more, and ends its tokens, until it is resumed. Tokens that\nended do not come back."},
		{adminclient.Resume, "end a suspension", "Accepts the credential again."},
		{adminclient.Retire, "end it because it is not needed any more", "Ends the credential because another has taken its place. The last one that an\napplication can use is not retired."},
		{adminclient.Revoke, "end it, with every token that it got or that is bound to it", "Ends the credential for good, with every token that it got or that is bound to it."},
		{adminclient.Compromise, "end it because somebody else has its key", "Ends the credential for good because somebody else has its key: no credential is ever\nmade of that key again."},
		{adminclient.RevokeTokens, "end all access tokens that it got or that are bound to it", "Ends every access token that the credential got, or that is bound to it, and that was\nissued until now."},
	},
}

func credentialCommand(env environment) *cobra.Command {
	c := group("credential", "credentials: signing keys and certificates of applications", `A credential is what an application authenticates with, or what its tokens are bound
to. Holdfast knows the public half alone.`, "  holdfast credential list --as operator.json --app app-1\n  holdfast credential list --as operator.json --expires-before 2026-12-31T00:00:00Z",
		listCredentials(env), credentials.show(env), registerCredential(env), credentials.past(env), revokeToken(env))
	c.AddCommand(revokeByThumbprint(env)...)
	c.AddCommand(credentials.ending(env)...)
	return c
}

func listCredentials(env environment) *cobra.Command {
	var application string
	ofOne := credentials
	ofOne.page = func(api *adminclient.Client, ctx context.Context, p adminclient.Page) (admin.Page[admin.Credential], error) {
		if application == "" {
			return api.AllCredentials(ctx, p)
		}
		return api.Credentials(ctx, application, p)
	}
	c := ofOne.list(env)
	c.Flags().StringVar(&application, "app", "", "only of the application with this client_id")
	return c
}

func registerCredential(env environment) *cobra.Command {
	var application, jwk, public, kid, certificate, until string
	var notAfter time.Time
	return deed{
		use: "register", short: "register the public half of a key, or a certificate", args: cobra.NoArgs,
		long: `Registers what an application will authenticate with: the public half of a key that
signs assertions (--jwk, or --public-key as openssl writes it), or a certificate that the application made itself
(--certificate). Private keys are refused.`,
		example: "  holdfast credential register --as operator.json --app app-1 --jwk key.jwk\n  holdfast credential register --as operator.json --app app-1 --certificate client.crt",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&application, "app", "", "client_id of the application (needed)")
			c.Flags().StringVar(&jwk, "jwk", "", "file with the public JWK; - is standard input")
			c.Flags().StringVar(&public, "public-key", "", "or file with the public key (PEM, SubjectPublicKeyInfo); - is standard input")
			c.Flags().StringVar(&kid, "key-id", "", "kid of that key (default: its RFC 7638 thumbprint)")
			c.Flags().StringVar(&certificate, "certificate", "", "file with the certificate (PEM); - is standard input")
			c.Flags().StringVar(&until, "not-after", "", "when a key ends (RFC 3339, or a date)")
		},
		check: func() (err error) {
			if err = needed("--app", application); err != nil {
				return err
			}
			switch {
			case countGiven(jwk, public, certificate) != 1:
				return usageError{errors.New("give one of --jwk, --public-key and --certificate")}
			case kid != "" && public == "":
				return usageError{errors.New("--key-id is for --public-key: a JWK has its own kid")}
			}
			notAfter, err = parseTime("--not-after", until)
			return err
		},
		do: func(c *errand) error {
			text, err := readInput(jwk + public + certificate)
			if err == nil && public != "" {
				text, err = jwkOf(text, kid)
			}
			if err != nil {
				return err
			}
			var made admin.Credential
			if certificate != "" {
				made, err = c.api.RegisterCertificate(c, application, string(text))
			} else {
				key := admin.NewSigningKey{JWK: text}
				if !notAfter.IsZero() {
					key.NotAfter = &notAfter
				}
				made, err = c.api.RegisterKey(c, application, key)
			}
			if err != nil {
				return err
			}
			return credentials.write(c, &made)
		},
	}.command(env)
}

// countGiven counts the flags that were given.
func countGiven(values ...string) (n int) {
	for _, v := range values {
		if v != "" {
			n++
		}
	}
	return n
}

// jwkOf is a public key in PEM as JWK.
func jwkOf(text []byte, kid string) ([]byte, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("the file does not hold one public key in PEM (openssl pkey -in client.key -pubout makes one)")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the file holds no public key that can be read")
	}
	key, err := jose.NewPublicKey(parsed, "", kid)
	if err != nil {
		return nil, fmt.Errorf("the key is none that signs assertions: %w", err)
	}
	return key.JWK(), nil
}

// readInput reads a small file, or standard input.
func readInput(path string) ([]byte, error) {
	const limit = 64 << 10
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && len(text) > limit {
		err = fmt.Errorf("%s is larger than 64 KiB", path)
	}
	return text, err
}

func revokeToken(env environment) *cobra.Command {
	var t admin.TokenRevocation
	return deed{
		use: "revoke-token [FILE]", short: "end one access token", args: cobra.MaximumNArgs(1), ends: true,
		long: `Ends one access token: the one in FILE (- is standard input; never an argument, which
others on this machine could read), or the one that --jti, --client-id and --exp name.`,
		example: "  holdfast credential revoke-token --as operator.json token.txt\n  holdfast credential revoke-token --as operator.json --jti x7 --client-id app-1 --exp 1795500000",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&t.JTI, "jti", "", "jti of the token")
			c.Flags().StringVar(&t.ClientID, "client-id", "", "the application that it was issued to")
			c.Flags().Int64Var(&t.Expires, "exp", 0, "exp of the token, in seconds since 1970")
		},
		do: func(c *errand) error {
			switch byName := t != (admin.TokenRevocation{}); {
			case byName == (len(c.args) == 1):
				return usageError{errors.New("give FILE, or --jti, --client-id and --exp")}
			case !byName:
				text, err := readInput(c.args[0])
				if err != nil {
					return err
				}
				t.Token = trimmed(text)
			}
			done, err := c.api.RevokeToken(c, t)
			if err != nil {
				return err
			}
			if c.output == "json" && !c.dry {
				return writeJSON(c.Stdout, done)
			}
			return writeEnding(c, done, []string{"jti", done.JTI, "client_id", done.ClientID, "state", "revoked", "exp", time.Unix(done.Expires, 0).UTC().Format(time.RFC3339)}, nil, "")
		},
	}.command(env)
}

// publicJWK reads the public JWK of a file that has it, or of a private key.
func publicJWK(file string) (json.RawMessage, error) {
	text, err := readInput(file)
	if err != nil {
		return nil, err
	}
	if _, err := jose.ParseJWK(text); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return text, nil
}

// publicOf is the public JWK of a private key.
func publicOf(keyFile string) (json.RawMessage, string, error) {
	key, err := client.LoadKey(keyFile)
	if err != nil {
		return nil, "", err
	}
	public, err := jose.NewPublicKey(key.Public(), "", "")
	if err != nil {
		return nil, "", err
	}
	return public.JWK(), public.KeyID(), nil
}

func trimmed(text []byte) string { return strings.TrimSpace(string(text)) }
