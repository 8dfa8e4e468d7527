package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/server"
)

func initCommand(env environment) *cobra.Command {
	var first server.FirstStart
	var asJSON bool
	c := &cobra.Command{
		Use:   "init",
		Short: "first start: database, trust domain, root, and the first owner's key",
		Long: `Makes what an installation has before anybody uses it: the database, the
key-encryption key where there is none, the root and the issuing CA, the token
signing key, and the first owner: an operator who signs in with a private key
that is made here and stays here.

With --issuing-cert, --issuing-key and --root-cert the issuing CA is your own: its
key is copied into the database, under the key-encryption key, and the root's key
stays where it is.

It is refused where there is a database already. All of it appears, or none.`,
		Example: "  holdfast init --config holdfast.yaml --operator-key owner.key\n  holdfast init --config holdfast.yaml --issuing-cert issuing.pem --issuing-key issuing.key --root-cert root.pem",
		Args:    usageArgs(cobra.NoArgs),
	}
	c.Flags().StringVar(&first.OperatorKeyFile, "operator-key", "operator.key", "where the first owner's private key is written (must not exist)")
	c.Flags().StringVar(&first.TrustDomain, "trust-domain", "", "trust domain of certificate names, fixed for ever (default: the issuer's host)")
	c.Flags().StringVar(&first.RootsFile, "roots", "", "where the root certificate is written, which clients and gateways verify this server by (default: roots.pem beside the operator's key)")
	c.Flags().StringVar(&first.ProfileFile, "profile", "", "where the file is written that other commands take with --as (default: operator.json beside the operator's key)")
	var own ownAuthority
	own.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	s := addSettings(c, config.ServeKeys())
	c.RunE = func(c *cobra.Command, _ []string) error {
		if s.example {
			_, err := env.Stdout.Write(config.Example(config.KindServe))
			return err
		}
		cfg, err := load(s, env, config.LoadServe)
		if err != nil {
			return err
		}
		if first.TrustDomain == "" {
			u, err := url.Parse(cfg.Issuer)
			if err != nil {
				return err
			}
			first.TrustDomain = u.Hostname()
		}
		if first.OperatorKeyFile, err = filepath.Abs(first.OperatorKeyFile); err != nil {
			return err
		}
		if first.RootsFile == "" {
			first.RootsFile = filepath.Join(filepath.Dir(first.OperatorKeyFile), "roots.pem")
		}
		if first.RootsFile, err = filepath.Abs(first.RootsFile); err != nil {
			return err
		}
		if first.ProfileFile == "" {
			first.ProfileFile = filepath.Join(filepath.Dir(first.OperatorKeyFile), "operator.json")
		}
		if first.Authority, err = own.read(); err != nil {
			return err
		}
		first.Now = time.Now
		op, err := server.Init(c.Context(), cfg, first)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(env.Stdout).Encode(op)
		}
		_, err = fmt.Fprintf(env.Stdout, `first owner   %[1]s
private key   %[2]s (keep it: nobody else has it)
root          %[3]s (clients and gateways verify this server by it)
profile       %[9]s (for --as of the commands that administer)

Start it:     holdfast serve --config %[4]s
Then call its admin API as the first owner:
  holdfast call --issuer %[5]s --ca %[3]s --client %[1]s --key %[2]s \
      --scope %[6]s --resource %[7]s %[8]s/v1/organisations
`, op.ClientID, op.KeyFile, first.RootsFile, s.file, cfg.Issuer, op.Scope, op.Resource, cfg.AdminURL, first.ProfileFile)
		return err
	}
	return c
}

// ownAuthority are the files of an issuing CA that an operator brings.
type ownAuthority struct{ issuingCert, issuingKey, rootCert string }

func (o *ownAuthority) add(c *cobra.Command) {
	c.Flags().StringVar(&o.issuingCert, "issuing-cert", "", "certificate of your own issuing CA (PEM)")
	c.Flags().StringVar(&o.issuingKey, "issuing-key", "", "private key of that CA (PKCS#8 PEM)")
	c.Flags().StringVar(&o.rootCert, "root-cert", "", "certificate of the root that signed it (PEM); its key is not needed")
}

func (o *ownAuthority) read() (*server.OwnAuthority, error) {
	files := []string{o.issuingCert, o.issuingKey, o.rootCert}
	switch n := len(slices.DeleteFunc(slices.Clone(files), func(f string) bool { return f == "" })); n {
	case 0:
		return nil, nil
	case len(files):
	default:
		return nil, usageError{errors.New("--issuing-cert, --issuing-key and --root-cert go together")}
	}
	var own server.OwnAuthority
	for i, into := range []*[]byte{&own.IssuingCertificate, &own.IssuingKey, &own.RootCertificate} {
		text, err := os.ReadFile(files[i])
		if err != nil {
			return nil, fmt.Errorf("read your certificate authority: %w", err)
		}
		*into = text
	}
	return &own, nil
}
