package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/server"
)

var operators = kind[admin.Application]{
	noun: "operator", command: "operator", id: "CLIENT_ID", examples: "app-1",
	columns: []string{"CLIENT_ID", "STATE", "ROLE", "ORGANISATION", "NAME"},
	row: func(a *admin.Application) []string {
		return []string{a.ClientID, a.State, a.OperatorRole, a.Organisation, a.Name}
	},
	fields:  applicationFields,
	filters: []filter{stateFilter, nameFilter, organisationFilter, {flag: "role", parameter: "role", usage: "only with this role"}},
	page:    (*adminclient.Client).Operators,
	one:     (*adminclient.Client).Operator,
	end: func(api *adminclient.Client, ctx context.Context, id, verb string, dry bool) (admin.Application, *admin.Ends, error) {
		a, err := api.EndOperator(ctx, id, verb, dry)
		return a.Application, a.Ends, err
	},
	verbs: []verb{
		{adminclient.Suspend, "stop an operator until it is resumed", "Stops an operator until it is resumed. The last owner cannot be suspended."},
		{adminclient.Resume, "end a suspension", "Ends a suspension."},
		{adminclient.Revoke, "end an operator for good", "Ends an operator for good. The last owner cannot be revoked."},
	},
}

func operatorsCommand(env environment) *cobra.Command {
	c := group("operator", "operators: who administers, with which role and key", `An operator signs in with a private key. Its role says what it may do: an owner
everything; security credentials, revocation, the CA and the audit; an auditor reads;
an organisation_operator sees and changes its own organisation. The last owner cannot
be removed.`, "  holdfast operator list --as operator.json\n  holdfast operator add --as operator.json --name Ann --role security --new-key ann.key --profile ann.json",
		operators.list(env), operators.show(env), addOperator(env), rekeyOperator(env), recoverOperator(env))
	c.AddCommand(operators.ending(env)...)
	return c
}

// keyFlags say which key an operator gets: a public one from a file, or one made here.
type keyFlags struct{ jwk, newKey, profile string }

func (k *keyFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&k.jwk, "jwk", "", "file with the public JWK of a key that the operator made; - is standard input")
	c.Flags().StringVar(&k.newKey, "new-key", "", "make the key here, and write it to this file (must not exist)")
	c.Flags().StringVar(&k.profile, "profile", "", "write the operator's profile, which --as takes, to this file (must not exist); with --new-key")
}

func (k *keyFlags) check() error {
	switch {
	case (k.jwk == "") == (k.newKey == ""):
		return usageError{errors.New("give --jwk or --new-key")}
	case k.profile != "" && k.newKey == "":
		return usageError{errors.New("--profile goes with --new-key")}
	}
	for _, f := range []string{k.newKey, k.profile} {
		if _, err := os.Lstat(f); f != "" && err == nil {
			return fmt.Errorf("%s exists: it is never replaced", f)
		}
	}
	return nil
}

// imagined is the public JWK of a dry run: a new key is never on disk.
func (k *keyFlags) imagined() (json.RawMessage, error) {
	if k.newKey == "" {
		return publicJWK(k.jwk)
	}
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := jose.NewPublicKey(key.Public(), "", "")
	if err != nil {
		return nil, err
	}
	return public.JWK(), nil
}

// public is the public JWK; a new key is on disk before anybody is told of it.
func (k *keyFlags) public() (jwk json.RawMessage, err error) {
	if k.newKey == "" {
		return publicJWK(k.jwk)
	}
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return nil, err
	}
	text, err := jose.MarshalPrivateKeyPEM(key)
	if err != nil {
		return nil, err
	}
	if err := placeFile(k.newKey, text); err != nil {
		return nil, fmt.Errorf("write the operator's key: %w", err)
	}
	jwk, _, err = publicOf(k.newKey)
	return jwk, err
}

// discard removes a key that was made for nothing.
func (k *keyFlags) discard(err error) error {
	if k.newKey != "" {
		err = errors.Join(err, os.Remove(k.newKey))
	}
	return err
}

// tell writes the profile of the operator that has the key now.
func (k *keyFlags) tell(p server.Profile, clientID string) error {
	if k.profile == "" {
		return nil
	}
	_, kid, err := publicOf(k.newKey)
	if err != nil {
		return err
	}
	p.ClientID, p.KeyID = clientID, kid
	if p.KeyFile, err = filepath.Abs(k.newKey); err != nil {
		return err
	}
	if p.CAFile != "" {
		if p.CAFile, err = filepath.Abs(p.CAFile); err != nil {
			return err
		}
	}
	text, err := p.JSON()
	if err != nil {
		return err
	}
	if err := placeFile(k.profile, text); err != nil {
		return fmt.Errorf("write the operator's profile: %w", err)
	}
	return nil
}

// refused tells that the server has refused, so that nothing was made of a new key.
func refused(err error) bool {
	e, ok := errors.AsType[*adminclient.Error](err)
	return ok && e.Status >= 400 && e.Status < 500
}

func addOperator(env environment) *cobra.Command {
	var o admin.NewOperator
	var key keyFlags
	var who func() (server.Profile, error)
	d := deed{
		use: "add", short: "add an operator", args: cobra.NoArgs,
		long: `Adds an operator with a role and a key. Better than --new-key is --jwk: the operator
makes the key, and only its public half travels.`,
		example: "  holdfast operator add --as operator.json --name Ann --role security --jwk ann.jwk\n  holdfast operator add --as operator.json --name Bob --role organisation_operator --organisation acme --new-key bob.key --profile bob.json",
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&o.Name, "name", "", "name for people (needed)")
			c.Flags().StringVar(&o.Role, "role", "", "owner, security, auditor or organisation_operator (needed)")
			c.Flags().StringVar(&o.Organisation, "organisation", "", "whose operator it is (default: the operator's)")
			key.add(c)
			who = profileFlags(c, env)
		},
		check: func() error {
			if err := needed("--name", o.Name); err != nil {
				return err
			}
			if err := needed("--role", o.Role); err != nil {
				return err
			}
			return key.check()
		},
		do: func(c *errand) (err error) {
			if o.JWK, err = key.public(); err != nil {
				return err
			}
			made, err := c.api.AddOperator(c, o)
			if refused(err) {
				return key.discard(err)
			}
			if err != nil {
				return err
			}
			p, err := who()
			if err == nil {
				err = key.tell(p, made.ClientID)
			}
			return errors.Join(err, operators.write(c, &made))
		},
	}
	return d.command(env)
}

// profileFlags reads the profile of whoever calls, once the command line is read.
func profileFlags(c *cobra.Command, env environment) func() (server.Profile, error) {
	return func() (server.Profile, error) {
		f := operatorFlags{}
		f.profile, _ = c.Flags().GetString("as")
		f.devFile, _ = c.Flags().GetString("dev")
		for _, s := range operatorSettings() {
			*s.value(&f.given), _ = c.Flags().GetString(s.flag)
		}
		return f.resolve(env)
	}
}

func rekeyOperator(env environment) *cobra.Command {
	var key keyFlags
	var who func() (server.Profile, error)
	return deed{
		use: "rekey [CLIENT_ID]", short: "give an operator a new key in place of the old", args: cobra.MaximumNArgs(1), ends: true,
		long: `Gives an operator, or whoever calls, a new key; the keys of before are revoked at
once, with the tokens that they got. An owner may do it for others.`,
		example: "  holdfast operator rekey --as operator.json --new-key next.key --profile next.json",
		flags: func(c *cobra.Command) {
			key.add(c)
			who = profileFlags(c, env)
		},
		check: key.check,
		do: func(c *errand) error {
			p, err := who()
			if err != nil {
				return err
			}
			id := p.ClientID
			if len(c.args) == 1 {
				id = c.args[0]
			}
			public := key.public
			if c.dry {
				public = key.imagined
			}
			jwk, err := public()
			if err != nil {
				return err
			}
			now, err := c.api.RekeyOperator(c, id, admin.NewOperatorKey{JWK: jwk})
			switch {
			case err == nil && c.dry:
				return operators.ended(c, &now.Application, now.Ends)
			case refused(err) && !c.dry:
				return key.discard(err)
			case err != nil:
				return err
			}
			return errors.Join(key.tell(p, id), operators.write(c, &now.Application))
		},
	}.command(env)
}

func recoverOperator(env environment) *cobra.Command {
	var key keyFlags
	var output string
	c := &cobra.Command{
		Use:   "recover [CLIENT_ID]",
		Short: "replace a lost last owner, at the database itself",
		Long: `Gives the owner a new key where nobody can sign in as one any more. It asks no
server: it needs the configuration of one, the database, and the key-encryption key,
which must open what lies there. The keys that the owner had are revoked; the audit
says that it was done. With more than one owner, name the one to be replaced.

It may run beside holdfast serve, which takes the new key up by itself.`,
		Example: "  holdfast operator recover --config holdfast.yaml --new-key owner.key --profile operator.json",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
	}
	key.add(c)
	c.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	s := addSettings(c, config.ServeKeys())
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := errors.Join(checkOutput(output), key.check()); err != nil {
			return err
		}
		cfg, err := load(s, env, config.LoadServe)
		if err != nil {
			return err
		}
		text, err := key.public()
		if err != nil {
			return err
		}
		public, err := jose.ParseJWK(text)
		if err != nil {
			return err
		}
		op, err := server.Recover(c.Context(), cfg, server.Recovery{ClientID: strings.Join(args, ""), Key: public, Now: time.Now})
		if err != nil {
			return key.discard(err)
		}
		roots := filepath.Join(filepath.Dir(key.newKey), "roots.pem") // where holdfast init wrote them
		if _, err := os.Stat(roots); err == nil && key.newKey != "" && cfg.TLS.CertificateFile == "" {
			op.Profile.CAFile = roots
		}
		if err := key.tell(op.Profile, op.ClientID); err != nil {
			return err
		}
		if output == "json" {
			return writeJSON(env.Stdout, map[string]any{"client_id": op.ClientID, "kid": public.KeyID(), "revoked": op.Revoked})
		}
		return writeFields(env.Stdout, []string{"owner", op.ClientID, "kid", public.KeyID(), "revoked", strings.Join(op.Revoked, "\n")})
	}
	return c
}
