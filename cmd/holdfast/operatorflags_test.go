package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/holdfast-auth/holdfast/internal/server"
)

func TestOperatorFlags(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole := server.Profile{
		Issuer: "https://as", AdminURL: "https://admin", ClientID: "app-1", KeyFile: filepath.Join(dir, "owner.key"), KeyID: "k",
		Scope: "admin", Resource: "https://as/admin", CAFile: "/ca.pem",
	}
	good := put("operator.json", `{"issuer":"https://as","admin_url":"https://admin","client_id":"app-1","key_file":"owner.key","kid":"k","ca_file":"/ca.pem"}`)
	with := func(change func(p *server.Profile)) server.Profile {
		p := whole
		change(&p)
		return p
	}
	for _, c := range []struct {
		name    string
		flags   []string
		environ []string
		want    server.Profile
		says    string // "" when it is taken
	}{
		{"a profile is enough, and its paths start at its folder", []string{"--as", good}, nil, whole, ""},
		{"the environment names the profile", nil, []string{"HOLDFAST_AS=" + good}, whole, ""},
		{"a variable stands over the profile", []string{"--as", good}, []string{"HOLDFAST_ADMIN_URL=https://other"}, with(func(p *server.Profile) { p.AdminURL = "https://other" }), ""},
		{"a flag stands over a variable", []string{"--as", good, "--client", "app-3"}, []string{"HOLDFAST_OPERATOR_CLIENT_ID=app-2"}, with(func(p *server.Profile) { p.ClientID = "app-3" }), ""},
		{"flags alone are enough", []string{"--issuer", "https://as", "--admin-url", "https://admin", "--client", "app-1", "--key", whole.KeyFile, "--kid", "k", "--ca", "/ca.pem"}, nil, whole, ""},
		{"nothing at all", nil, []string{"HOME=/"}, server.Profile{}, "not told who administers"},
		{"half of it", []string{"--issuer", "https://as"}, nil, server.Profile{}, "--admin-url, --client, --key missing"},
		{"a profile and a dev.json", []string{"--as", good, "--dev", good}, nil, server.Profile{}, "exclude one another"},
		{"a profile that is not there", []string{"--as", filepath.Join(dir, "none")}, nil, server.Profile{}, "no such file"},
		{"a member that nobody knows", []string{"--as", put("a.json", `{"issuer":"https://as","password":"x"}`)}, nil, server.Profile{}, `unknown member "password"`},
		{"a member twice", []string{"--as", put("b.json", `{"issuer":"https://as","issuer":"https://as"}`)}, nil, server.Profile{}, "no operator's profile"},
		{"a member of another kind", []string{"--as", put("c.json", `{"issuer":7}`)}, nil, server.Profile{}, "no operator's profile"},
		{"no JSON", []string{"--as", put("d.json", `issuer: x`)}, nil, server.Profile{}, "no operator's profile"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f operatorFlags
			command := &cobra.Command{}
			f.add(command)
			if err := command.ParseFlags(c.flags); err != nil {
				t.Fatal(err)
			}
			got, err := f.resolve(environment{Environ: c.environ})
			switch {
			case c.says != "":
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want %q", err, c.says)
				}
			case err != nil || got != c.want:
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
