package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/dev"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/server"
)

// operatorFlags say who administers which server: flag over variable over the
// operator's profile.
type operatorFlags struct {
	profile, devFile string
	given            server.Profile
	verbose          bool
}

// operatorSetting is one thing that a flag, a variable or the profile says.
type operatorSetting struct {
	flag, variable, usage string
	value                 func(p *server.Profile) *string
}

func operatorSettings() []operatorSetting {
	return []operatorSetting{
		{"issuer", "HOLDFAST_ISSUER", "issuer URL of the authorization server", func(p *server.Profile) *string { return &p.Issuer }},
		{"admin-url", "HOLDFAST_ADMIN_URL", "URL of the admin API", func(p *server.Profile) *string { return &p.AdminURL }},
		{"client", "HOLDFAST_OPERATOR_CLIENT_ID", "client_id of the operator", func(p *server.Profile) *string { return &p.ClientID }},
		{"key", "HOLDFAST_OPERATOR_KEY_FILE", "the operator's private key (PKCS#8 PEM)", func(p *server.Profile) *string { return &p.KeyFile }},
		{"kid", "HOLDFAST_OPERATOR_KID", "kid of that key (default: its RFC 7638 thumbprint)", func(p *server.Profile) *string { return &p.KeyID }},
		{"ca", "HOLDFAST_CA_FILE", "PEM file of the CA that verifies the servers (default: the system's)", func(p *server.Profile) *string { return &p.CAFile }},
	}
}

func (f *operatorFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.profile, "as", "", "the operator's profile, as holdfast init writes it (or HOLDFAST_AS)")
	flags.StringVar(&f.devFile, "dev", "", "take everything that is not given from this dev.json")
	for _, s := range operatorSettings() {
		flags.StringVar(s.value(&f.given), s.flag, "", s.usage+" (or "+s.variable+")")
	}
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "say what is done, step by step")
}

// errNoOperator is an administration that nobody signs for.
var errNoOperator = errors.New("not told who administers which server")

// resolve lays flags over variables over the profile.
func (f *operatorFlags) resolve(env environment) (server.Profile, error) {
	variables := map[string]string{}
	for _, entry := range env.Environ {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "HOLDFAST_") {
			variables[name] = value
		}
	}
	p := f.given
	for _, s := range operatorSettings() {
		setDefault(s.value(&p), variables[s.variable])
	}
	file := f.profile
	if f.devFile == "" {
		setDefault(&file, variables["HOLDFAST_AS"])
	}
	var base server.Profile
	var err error
	switch {
	case file != "" && f.devFile != "":
		return p, usageError{errors.New("--as and --dev exclude one another")}
	case file != "":
		base, err = server.ReadProfile(file)
	case f.devFile != "":
		base, err = devProfile(f.devFile)
	case p == server.Profile{}:
		return p, errNoOperator
	}
	if err != nil {
		return p, err
	}
	for _, s := range operatorSettings() {
		setDefault(s.value(&p), *s.value(&base))
	}
	p.Scope, p.Resource = base.Scope, base.Resource
	setDefault(&p.Scope, server.AdminScope)
	setDefault(&p.Resource, server.AdminResource(p.Issuer))
	var missing []string
	for _, s := range operatorSettings() {
		if optional := s.flag == "kid" || s.flag == "ca"; !optional && *s.value(&p) == "" {
			missing = append(missing, "--"+s.flag)
		}
	}
	if len(missing) > 0 {
		return p, usageError{fmt.Errorf("%s missing (or give --as)", strings.Join(missing, ", "))}
	}
	return p, nil
}

func devProfile(file string) (server.Profile, error) {
	d, err := dev.ReadFile(file)
	return server.Profile{
		Issuer: d.Issuer, AdminURL: d.AdminURL, ClientID: d.OperatorClientID, KeyFile: d.OperatorKeyFile, KeyID: d.OperatorKeyID,
		Scope: d.OperatorScope, Resource: d.AdminResource, CAFile: d.CAFile,
	}, err
}

// client is the admin API as the operator reaches it: assertions signed by the
// operator's key, tokens bound to a key that lives as long as this process.
func (f *operatorFlags) client(ctx context.Context, env environment) (*adminclient.Client, error) {
	p, err := f.resolve(env)
	if err != nil {
		return nil, err
	}
	c := client.Config{Issuer: p.Issuer, Scope: p.Scope, Resource: p.Resource, Now: time.Now, Credentials: client.Credentials{ClientID: p.ClientID}}
	if f.verbose {
		c.Trace = func(step, detail string) { fmt.Fprintf(env.Stderr, "holdfast: %s: %s\n", step, printable(detail)) }
	}
	if c.Roots, err = client.Roots(p.CAFile); err != nil {
		return nil, err
	}
	key, err := client.LoadKey(p.KeyFile)
	if err != nil {
		return nil, err
	}
	if c.Credentials.Assertion, err = client.NewSigner(key, "", p.KeyID); err != nil {
		return nil, err
	}
	bound, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return nil, err
	}
	if c.Credentials.DPoP, err = dpop.NewProver(bound); err != nil {
		return nil, err
	}
	h, err := client.New(ctx, c)
	if err != nil {
		return nil, err
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &adminclient.Client{URL: strings.TrimSuffix(p.AdminURL, "/"), HTTP: h}, nil
}

// checkOutput reads the value of -o.
func checkOutput(format string) error {
	if format != "table" && format != "json" {
		return usageError{fmt.Errorf("-o is table or json, not %q", format)}
	}
	return nil
}
