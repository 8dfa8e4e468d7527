package conformance_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
)

// level is one at which the admin API ends tokens.
type level struct {
	name  string
	end   func(a *application, tokens ...string) error
	lift  func(a *application) error // nil: it is for good
	stops bool                       // the token endpoint gives no tokens meanwhile
}

func levels(t *testing.T, w *world) []level {
	ctx := t.Context()
	return []level{
		{"token", func(_ *application, tokens ...string) error {
			for _, token := range tokens {
				if _, err := w.admin.RevokeToken(ctx, admin.TokenRevocation{Token: token}); err != nil {
					return err
				}
			}
			return nil
		}, nil, false},
		{"credential", func(a *application, _ ...string) error { return suspendCredentials(t, a) }, func(a *application) error {
			return eachCredential(t, a, func(id string) error {
				_, err := w.admin.ResumeCredential(ctx, id)
				return err
			})
		}, true},
		{"application", func(a *application, _ ...string) error {
			_, err := w.admin.SuspendApplication(ctx, a.id)
			return err
		}, func(a *application) error {
			_, err := w.admin.ResumeApplication(ctx, a.id)
			return err
		}, true},
		{"organisation", func(a *application, _ ...string) error {
			_, err := w.admin.SuspendOrganisation(ctx, a.organisation)
			return err
		}, func(a *application) error {
			_, err := w.admin.ResumeOrganisation(ctx, a.organisation)
			return err
		}, true},
		{"signing key", func(_ *application, tokens ...string) error {
			header, _ := parts(t, tokens[0])
			kid, _ := header["kid"].(string)
			if _, err := w.admin.RevokeSigningKey(ctx, kid, false); err != nil {
				return err
			}
			w.waitFor(t, "the operator goes on", func() bool { // whose own token has ended, too
				_, err := w.admin.SigningKeys(ctx, adminclient.Page{})
				return err == nil
			})
			w.pass(t, 11*time.Second) // a gateway asks for keys that it does not know once in 10 s
			return nil
		}, nil, false},
	}
}

// TestRevocationPairs: advisory 96: at every pair of levels, through the token
// endpoint, introspection and the gateway: a token lives only if it was issued after
// the last revocation at each of them, and lifting one never lifts another.
func TestRevocationPairs(t *testing.T) {
	w, err := newWorld()
	must(t, err)
	t.Cleanup(func() { must(t, w.end()) })
	server := w.server(t)
	all := levels(t, w)
	pairs := 0
	for i, one := range all {
		for _, other := range all[i+1:] {
			pairs++
			t.Run(fmt.Sprintf("advisory 96: %s and %s", one.name, other.name), func(t *testing.T) {
				a := w.elsewhere(t)
				introspected, paid := a.ledgerToken(t), a.token(t)
				dead := func(when string) {
					t.Helper()
					if got := server.introspect(t, introspected); got.body != `{"active":false}` {
						t.Errorf("%s: introspection: %s", when, got)
					}
					w.waitFor(t, when+": the gateway refuses the token", func() bool { return w.send(t, a.resourceRequest(t, paid)).status == http.StatusUnauthorized })
				}
				stopped := func(when string, want bool) {
					t.Helper()
					if got := w.send(t, a.tokenRequest(t)); want && got.status != http.StatusUnauthorized {
						t.Errorf("%s: the token endpoint: %s (%s)", when, got, got.reason())
					}
				}
				w.pass(t, time.Second)
				must(t, one.end(a, introspected, paid))
				dead("after the first")
				stopped("after the first", one.stops)
				must(t, other.end(a, introspected, paid))
				dead("after both")
				stopped("after both", one.stops || other.stops)
				if other.lift != nil {
					must(t, other.lift(a))
					dead("the second lifted")
					stopped("the second lifted", one.stops)
				}
				if one.lift != nil {
					must(t, one.lift(a))
					dead("all lifted")
				}
				var fresh string
				w.waitFor(t, "a new token", func() bool {
					got := w.send(t, a.tokenRequest(t))
					fresh = got.text("access_token")
					return got.status == http.StatusOK
				})
				w.waitFor(t, "the gateway takes the new token", func() bool { return w.send(t, a.resourceRequest(t, fresh)).status == http.StatusOK })
				if got := server.introspect(t, a.ledgerToken(t)); got.json["active"] != true {
					t.Errorf("a new token: %s (%s)", got, got.reason())
				}
			})
		}
	}
	if pairs != 10 {
		t.Errorf("%d pairs", pairs)
	}
}

// TestRevokeTokens: advisory 97: ending the tokens of a credential, an application or
// an organisation ends those that there are, at every door, and stops nobody.
func TestRevokeTokens(t *testing.T) {
	w := start(t)
	server := w.server(t)
	for name, end := range map[string]func(a *application) error{
		"credential": func(a *application) error {
			return eachCredential(t, a, func(id string) error {
				_, err := w.admin.EndCredential(t.Context(), id, adminclient.RevokeTokens, false)
				return err
			})
		},
		"application": func(a *application) error {
			_, err := w.admin.EndApplication(t.Context(), a.id, adminclient.RevokeTokens, false)
			return err
		},
		"organisation": func(a *application) error {
			_, err := w.admin.EndOrganisation(t.Context(), a.organisation, adminclient.RevokeTokens, false)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.elsewhere(t)
			token, paid := a.ledgerToken(t), a.token(t)
			w.pass(t, time.Second)
			must(t, end(a))
			server.inactive(t, token, name+"_tokens_revoked")
			w.waitFor(t, "the gateway refuses the token", func() bool { return w.send(t, a.resourceRequest(t, paid)).status == http.StatusUnauthorized })
			if got := server.introspect(t, a.ledgerToken(t)); got.json["active"] != true {
				t.Errorf("a new token: %s (%s)", got, got.reason())
			}
		})
	}
}

// TestRoleWithdrawn: what a role gave is gone with the next token, whether the role is
// suspended, loses a scope, or is taken from the organisation or the application.
func TestRoleWithdrawn(t *testing.T) {
	w := start(t)
	ctx := t.Context()
	const uri = "https://roles.example/api"
	_, err := w.admin.CreateResource(ctx, admin.NewResource{URI: uri, Organisation: w.organisation, Name: "Roles", Scopes: []string{"read", "write"}})
	must(t, err)
	grants := []admin.Grant{{Resource: uri, Scopes: []string{"read", "write"}}}
	_, err = w.admin.CreateRole(ctx, admin.NewRole{ID: "worker", Name: "Worker", Grants: grants})
	must(t, err)
	a := w.elsewhere(t)
	_, err = w.admin.UpdateOrganisation(ctx, a.organisation, admin.OrganisationPatch{Roles: &[]string{"worker"}})
	must(t, err)
	_, err = w.admin.UpdateApplication(ctx, a.id, admin.ApplicationPatch{Roles: &[]string{"worker"}})
	must(t, err)
	scope := func() string {
		t.Helper()
		r := a.tokenRequest(t)
		r.form.Del("scope")
		r.form.Set("resource", uri)
		got := w.send(t, r)
		if got.status != http.StatusOK {
			return got.text("error")
		}
		_, payload := parts(t, got.text("access_token"))
		s, _ := payload["scope"].(string)
		return s
	}
	want := func(when, text string) {
		t.Helper()
		if got := scope(); !slices.Contains(strings.Split(text, "|"), got) {
			t.Errorf("%s: %q, want %q", when, got, text)
		}
	}
	want("with the role", "read write")
	for _, c := range []struct {
		name string
		do   func() error
		want string
	}{
		{"the role without a scope", func() error {
			less := []admin.Grant{{Resource: uri, Scopes: []string{"read"}}}
			_, err := w.admin.UpdateRole(ctx, "worker", admin.RolePatch{Grants: &less})
			return err
		}, "read"},
		{"the role suspended", func() error { _, err := w.admin.EndRole(ctx, "worker", adminclient.Suspend, false); return err }, "invalid_scope|invalid_target"},
		{"the role resumed", func() error { _, err := w.admin.EndRole(ctx, "worker", adminclient.Resume, false); return err }, "read"},
		{"the organisation without the role", func() error {
			_, err := w.admin.UpdateOrganisation(ctx, a.organisation, admin.OrganisationPatch{Roles: &[]string{}})
			return err
		}, "invalid_scope|invalid_target"},
		{"the organisation with it again", func() error {
			_, err := w.admin.UpdateOrganisation(ctx, a.organisation, admin.OrganisationPatch{Roles: &[]string{"worker"}})
			return err
		}, "read"},
		{"the application without the role", func() error {
			_, err := w.admin.UpdateApplication(ctx, a.id, admin.ApplicationPatch{Roles: &[]string{}})
			return err
		}, "invalid_scope|invalid_target"},
	} {
		must(t, c.do())
		want(c.name, c.want)
	}
}
