package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/dev"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// consumerFlags say who calls, with which keys, and for what.
type consumerFlags struct {
	issuer, clientID, scope, resource string
	caFile                            string
	keyFile, kid                      string
	certFile, certKeyFile             string
	dpopKeyFile                       string
	devFile                           string
	verbose                           bool
}

func (f *consumerFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.issuer, "issuer", "", "issuer URL of the authorization server")
	flags.StringVar(&f.caFile, "ca", "", "PEM file of the CA that verifies the servers (default: the system's)")
	flags.StringVar(&f.clientID, "client", "", "client_id of the application")
	flags.StringVar(&f.keyFile, "key", "", "private key that signs assertions (PKCS#8 PEM)")
	flags.StringVar(&f.kid, "kid", "", "kid of that key (default: its RFC 7638 thumbprint)")
	flags.StringVar(&f.certFile, "cert", "", "client certificate chain (PEM, leaf first)")
	flags.StringVar(&f.certKeyFile, "cert-key", "", "private key of the certificate (PKCS#8 PEM)")
	flags.StringVar(&f.dpopKeyFile, "dpop-key", "", "private key to bind tokens to (PKCS#8 PEM; made if it is not there)")
	flags.StringVar(&f.scope, "scope", "", "scopes to ask for, separated by spaces")
	flags.StringVar(&f.resource, "resource", "", "audience to ask for (RFC 8707)")
	flags.StringVar(&f.devFile, "dev", "", "take everything that is not given from this dev.json")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "say what is done, step by step")
}

// config reads the files and checks that they make sense together. target is
// the URL to be called, which chooses among the clients of a dev.json; "" for none.
func (f *consumerFlags) config(env environment, target string) (client.Config, error) {
	if err := f.fromDev(target); err != nil {
		return client.Config{}, err
	}
	var missing []string
	for _, need := range []struct{ name, value string }{{"--issuer", f.issuer}, {"--client", f.clientID}} {
		if need.value == "" {
			missing = append(missing, need.name)
		}
	}
	if len(missing) > 0 {
		return client.Config{}, usageError{fmt.Errorf("%s missing (or give --dev)", strings.Join(missing, ", "))}
	}
	if (f.certFile == "") != (f.certKeyFile == "") {
		return client.Config{}, usageError{errors.New("--cert and --cert-key go together")}
	}
	c := client.Config{Issuer: f.issuer, Scope: f.scope, Resource: f.resource, Now: time.Now, Credentials: client.Credentials{ClientID: f.clientID}}
	if f.verbose {
		c.Trace = func(step, detail string) { fmt.Fprintf(env.Stderr, "holdfast: %s: %s\n", step, printable(detail)) }
	}
	var err error
	if c.Roots, err = client.Roots(f.caFile); err != nil {
		return c, err
	}
	c.Credentials, err = f.credentials()
	return c, err
}

func (f *consumerFlags) credentials() (client.Credentials, error) {
	c := client.Credentials{ClientID: f.clientID}
	if f.keyFile != "" {
		key, err := client.LoadKey(f.keyFile)
		if err != nil {
			return c, err
		}
		if c.Assertion, err = client.NewSigner(key, "", f.kid); err != nil {
			return c, err
		}
	}
	if f.certFile != "" {
		cert, err := client.LoadCertificate(f.certFile, f.certKeyFile)
		if err != nil {
			return c, err
		}
		c.Certificate = cert
	}
	if f.dpopKeyFile != "" || c.Certificate == nil {
		key, err := f.dpopKey()
		if err != nil {
			return c, err
		}
		if c.DPoP, err = dpop.NewProver(key); err != nil {
			return c, err
		}
	}
	if c.Assertion == nil && c.Certificate == nil {
		return c, usageError{errors.New("nothing to authenticate with: give --key, or --cert and --cert-key")}
	}
	return c, nil
}

// dpopKey reads the key that tokens are bound to. Without a file it lives as
// long as this process; a file that is not there is made, mode 0600.
func (f *consumerFlags) dpopKey() (crypto.Signer, error) {
	if f.dpopKeyFile != "" {
		key, err := client.LoadKey(f.dpopKeyFile)
		if !errors.Is(err, os.ErrNotExist) {
			return key, err
		}
	}
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil || f.dpopKeyFile == "" {
		return key, err
	}
	pem, err := jose.MarshalPrivateKeyPEM(key)
	if err != nil {
		return nil, err
	}
	err = placeFile(f.dpopKeyFile, pem)
	if errors.Is(err, os.ErrExist) { // another call of ours was faster
		return client.LoadKey(f.dpopKeyFile)
	}
	return key, err
}

// placeFile makes a file of mode 0600 that must not exist, whole or not at all.
func placeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), path)
}

// fromDev fills what was not given from a dev.json: the client that was named,
// the operator for the admin API, or else the first whose resource the target
// belongs to.
func (f *consumerFlags) fromDev(target string) error {
	if f.devFile == "" {
		return nil
	}
	d, err := dev.ReadFile(f.devFile)
	if err != nil {
		return err
	}
	setDefault(&f.issuer, d.Issuer)
	setDefault(&f.caFile, d.CAFile)
	c, err := f.chooseClient(d, target)
	if err != nil {
		return err
	}
	setDefault(&f.clientID, c.ClientID)
	setDefault(&f.scope, c.Scope)
	setDefault(&f.resource, c.Resource)
	if f.keyFile == "" && f.certFile == "" {
		f.keyFile, f.kid = c.KeyFile, c.KeyID
		f.certFile, f.certKeyFile = c.CertFile, c.CertKeyFile
	}
	if c.Binding == "dpop" {
		setDefault(&f.dpopKeyFile, filepath.Join(filepath.Dir(f.devFile), "dpop.key"))
	}
	return nil
}

func (f *consumerFlags) chooseClient(d dev.File, target string) (dev.FileClient, error) {
	if f.clientID == d.OperatorClientID || f.clientID == "" && strings.HasPrefix(target, d.AdminURL+"/") {
		return dev.FileClient{
			ClientID: d.OperatorClientID, Binding: "dpop", Scope: d.OperatorScope, Resource: d.AdminResource,
			KeyFile: d.OperatorKeyFile, KeyID: d.OperatorKeyID,
		}, nil
	}
	for _, c := range d.Clients {
		switch {
		case f.clientID == c.ClientID:
			return c, nil
		case f.clientID == "" && (target == "" || strings.HasPrefix(target, c.Resource+"/") || target == c.Resource):
			return c, nil
		}
	}
	if f.clientID != "" {
		return dev.FileClient{}, usageError{fmt.Errorf("%s has no client %q", f.devFile, f.clientID)}
	}
	return dev.FileClient{}, usageError{fmt.Errorf("no client of %s is for %s", f.devFile, target)}
}

func setDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// source is a source of tokens over connections of its own.
func (f *consumerFlags) source(ctx context.Context, c client.Config) (*client.Source, error) {
	generation, err := client.NewHTTP(c.Roots, c.Credentials.Certificate)
	if err != nil {
		return nil, err
	}
	metadata, err := client.Discover(ctx, generation, c.Issuer)
	if err != nil {
		return nil, err
	}
	return client.NewSource(c, metadata, generation)
}

// copyAnswer passes a body of any size on.
func copyAnswer(w io.Writer, r io.Reader) error {
	_, err := io.Copy(w, r)
	return err
}
