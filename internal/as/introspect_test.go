package as_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// newToken gets a token for payments, bound to key.
func newToken(w *world, key *jose.Signer) string {
	w.T.Helper()
	a := w.do(w.dpopCall(key))
	w.issued(a, cnf.ToKey(key.Public().Thumbprint()))
	return a.text("access_token")
}

func (w *world) introspect(caller directory.ClientID, raw string) *answer {
	w.T.Helper()
	return w.do(call{path: "/introspect", form: w.authenticated(caller, "token", raw)})
}

func TestIntrospect(t *testing.T) {
	w := newWorld(t)
	key := w.NewSigner(jose.ES256, "")
	raw := newToken(w, key)
	parsed, err := w.keys.Parse(authtest.Issuer, raw)
	if err != nil {
		t.Fatal(err)
	}
	a := w.introspect(authtest.ResourceApp, raw)
	want := map[string]any{
		"active": true, "iss": authtest.Issuer, "aud": authtest.Payments, "sub": "jwt-dpop", "client_id": "jwt-dpop", "scope": "payments",
		"jti": parsed.ID, "token_type": "DPoP", "iat": float64(w.Now.Unix()), "exp": float64(w.Now.Unix() + 300),
	}
	for name, v := range want {
		if a.JSON[name] != v {
			t.Errorf("%s is %v, want %v", name, a.JSON[name], v)
		}
	}
	confirmation, _ := a.JSON["cnf"].(map[string]any)
	if confirmation["jkt"] != cnf.Thumbprint(key.Public().Thumbprint()).String() || len(a.JSON) != len(want)+1 {
		t.Errorf("body %s", a.Body)
	}
	if a.Header().Get("Cache-Control") != "no-store" || w.event.TokenID != parsed.ID || w.event.ClientID != string(authtest.ResourceApp) || w.event.Resource != authtest.Payments {
		t.Errorf("header %v, event %+v", a.Header(), w.event)
	}
	t.Run("RFC 8705 §3.2: a certificate-bound token", func(t *testing.T) {
		c := w.Issue("tls-mtls")
		got := w.do(call{mtls: true, form: w.tokenForm("tls-mtls"), peer: []*x509.Certificate{c.Certificate}})
		a := w.introspect(authtest.ResourceApp, got.text("access_token"))
		confirmation, _ := a.JSON["cnf"].(map[string]any)
		if a.text("token_type") != "Bearer" || confirmation["x5t#S256"] != cnf.CertificateThumbprint(c.Raw).String() {
			t.Errorf("body %s", a.Body)
		}
	})
}

func TestIntrospectInactive(t *testing.T) {
	cases := []struct {
		name   string
		reason string
		try    func(w *world, raw string) *answer
	}{
		{"advisory 40: the caller is not the token's audience", "token_of_another_resource", func(w *world, raw string) *answer {
			return w.introspect("jwt-dpop", raw)
		}},
		{"advisory 40: the caller serves another resource", "token_of_another_resource", func(w *world, raw string) *answer {
			w.Apply(directory.Delta{Resources: []directory.Resource{{URI: authtest.Reports, Organisation: authtest.Acme, Scopes: []string{"reports"}, Servers: []directory.ClientID{"jwt-dpop"}, State: directory.Active}}})
			return w.introspect("jwt-dpop", raw)
		}},
		{"expired", "token_expired", func(w *world, raw string) *answer {
			w.Now = w.Now.Add(5 * time.Minute)
			return w.introspect(authtest.ResourceApp, raw)
		}},
		{"revoked", "token_revoked", func(w *world, raw string) *answer {
			if a := w.do(call{path: "/revoke", form: w.authenticated("jwt-dpop", "token", raw)}); a.Code != 200 {
				w.T.Fatal(a.Body)
			}
			return w.introspect(authtest.ResourceApp, raw)
		}},
		{"advisory 38: application suspended", "application_suspended", func(w *world, raw string) *answer {
			w.Edit("jwt-dpop", func(a *directory.Application) { a.State = directory.Suspended })
			return w.introspect(authtest.ResourceApp, raw)
		}},
		{"advisory 38: key revoked", "credential_revoked", func(w *world, raw string) *answer {
			w.EditCredential("key-kid-jwt-dpop", func(c *directory.Credential) { c.State = directory.Revoked })
			return w.introspect(authtest.ResourceApp, raw)
		}},
		{"garbage", "token_foreign", func(w *world, _ string) *answer { return w.introspect(authtest.ResourceApp, "abc") }},
		{"advisory 21: one byte less", "token_foreign", func(w *world, raw string) *answer {
			return w.introspect(authtest.ResourceApp, raw[:len(raw)-1])
		}},
		{"larger than 8 KiB", "token_foreign", func(w *world, raw string) *answer {
			return w.introspect(authtest.ResourceApp, raw+strings.Repeat("A", 8<<10))
		}},
		{"signed by another key", "token_foreign", func(w *world, raw string) *answer {
			w.keys = token.NewSigningKeys(w.NewSigner(jose.ES256, "as"))
			return w.introspect(authtest.ResourceApp, raw)
		}},
		{"an assertion as a token", "token_foreign", func(w *world, _ string) *answer {
			return w.introspect(authtest.ResourceApp, w.Assertion("jwt-dpop", w.signers["jwt-dpop"], nil))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			a := c.try(w, newToken(w, w.NewSigner(jose.ES256, "")))
			if a.Code != 200 || strings.TrimSpace(a.Body.String()) != `{"active":false}` || w.event.Reason != c.reason || a.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %s (%s), want inactive (%s)", a.Code, a.Body, w.event.Reason, c.reason)
			}
		})
	}
}

// protected are the two endpoints that take a token.
var protected = []string{"/introspect", "/revoke"}

func TestTokenEndpointsAuthenticate(t *testing.T) {
	for _, path := range protected {
		t.Run(path, func(t *testing.T) {
			w := newWorld(t)
			raw := newToken(w, w.NewSigner(jose.ES256, ""))
			form := func(values ...string) call {
				return call{path: path, form: w.authenticated(authtest.ResourceApp, append([]string{"token", raw}, values...)...)}
			}
			c := form()
			c.form.Del("client_assertion")
			c.form.Del("client_assertion_type")
			w.refusal(w.do(c), 401, "invalid_client", clientauth.ReasonAssertionMissing)

			c = form("client_secret", "s")
			w.refusal(w.do(c), 400, "invalid_request", clientauth.ReasonTwoMethods)

			c = form()
			c.form.Del("token")
			w.refusal(w.do(c), 400, "invalid_request", "token_missing")

			c = form()
			c.form.Add("token", raw)
			w.refusal(w.do(c), 400, "invalid_request", "duplicate_parameter")

			w.age = time.Minute
			w.refusal(w.do(form()), 503, "temporarily_unavailable", "snapshot_stale")
			w.age, w.uses.down = 0, true
			w.refusal(w.do(form()), 503, "temporarily_unavailable", "store_unavailable")
			w.uses.down = false

			c = form("token", "abc")
			if a := w.do(c); a.Code != 200 {
				t.Fatalf("%d %s", a.Code, a.Body)
			}
			w.refusal(w.do(c), 401, "invalid_client", clientauth.ReasonAssertionReplayed)

			t.Run("token_type_hint of any kind is ignored", func(t *testing.T) {
				if a := w.do(form("token", "abc", "token_type_hint", "refresh_token")); a.Code != 200 {
					t.Errorf("%d %s", a.Code, a.Body)
				}
			})
		})
	}
}

func TestRevoke(t *testing.T) {
	w := newWorld(t)
	key := w.NewSigner(jose.ES256, "")
	revoke := func(caller directory.ClientID, raw string) *answer {
		return w.do(call{path: "/revoke", form: w.authenticated(caller, "token", raw)})
	}
	raw := newToken(w, key)
	parsed, err := w.keys.Parse(authtest.Issuer, raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("RFC 7009 §2.1: another client's token", func(t *testing.T) {
		w.refusal(revoke(authtest.ResourceApp, raw), 400, "invalid_grant", "token_of_another_client")
	})
	t.Run("RFC 7009 §2.2: an unknown token", func(t *testing.T) {
		for _, unknown := range []string{"abc", raw[:len(raw)-2] + "AA"} {
			if a := revoke("jwt-dpop", unknown); a.Code != 200 || a.Body.Len() != 0 || w.event.Reason != "token_foreign" {
				t.Errorf("%d %s (%s)", a.Code, a.Body, w.event.Reason)
			}
		}
	})
	t.Run("a forged token writes nothing", func(t *testing.T) {
		forger := token.NewSigningKeys(w.NewSigner(jose.ES256, "as"))
		forged, err := forger.Mint(*parsed)
		if err != nil {
			t.Fatal(err)
		}
		revoke("jwt-dpop", forged)
	})
	if len(w.revoked) != 0 {
		t.Fatalf("revoked %v", w.revoked)
	}
	t.Run("advisory 50: the directory cannot write", func(t *testing.T) {
		w.down = true
		a := revoke("jwt-dpop", raw)
		w.down = false
		if a.Code != 503 || a.Header().Get("Retry-After") == "" || w.event.Reason != "store_unavailable" {
			t.Errorf("%d %s", a.Code, a.Body)
		}
	})
	a := revoke("jwt-dpop", raw)
	if a.Code != 200 || a.Body.Len() != 0 || a.Header().Get("Cache-Control") != "no-store" || w.event.Outcome != "revoked" || w.event.TokenID != parsed.ID {
		t.Fatalf("%d %s, event %+v", a.Code, a.Body, w.event)
	}
	if len(w.revoked) != 1 || w.revoked[0].ID != parsed.ID || !w.revoked[0].Expires.Equal(parsed.Expires) {
		t.Fatalf("revoked %v", w.revoked)
	}
	t.Run("again writes nothing", func(t *testing.T) {
		if a := revoke("jwt-dpop", raw); a.Code != 200 || len(w.revoked) != 1 || w.event.Reason != "token_revoked" {
			t.Errorf("%d, revoked %v (%s)", a.Code, w.revoked, w.event.Reason)
		}
	})
	t.Run("an expired token writes nothing", func(t *testing.T) {
		raw := newToken(w, key)
		w.Now = w.Now.Add(5 * time.Minute)
		if a := revoke("jwt-dpop", raw); a.Code != 200 || len(w.revoked) != 1 || w.event.Reason != "token_expired" {
			t.Errorf("%d, revoked %v (%s)", a.Code, w.revoked, w.event.Reason)
		}
	})
	t.Run("a token whose credential is suspended is revoked for good", func(t *testing.T) {
		second := w.Key("jwt-dpop", jose.ES256, "second")
		raw := newToken(w, key)
		w.EditCredential("key-kid-jwt-dpop", func(c *directory.Credential) { c.State = directory.Suspended })
		w.signers["jwt-dpop"] = second
		if a := revoke("jwt-dpop", raw); a.Code != 200 || len(w.revoked) != 2 {
			t.Errorf("%d, revoked %v", a.Code, w.revoked)
		}
	})
	t.Run("by certificate", func(t *testing.T) {
		c := w.Issue("tls-mtls")
		got := w.do(call{mtls: true, form: w.tokenForm("tls-mtls"), peer: []*x509.Certificate{c.Certificate}})
		a := w.do(call{mtls: true, path: "/revoke", form: w.authenticated("tls-mtls", "token", got.text("access_token")), peer: []*x509.Certificate{c.Certificate}})
		if a.Code != http.StatusOK || len(w.revoked) != 3 {
			t.Errorf("%d, revoked %v", a.Code, w.revoked)
		}
	})
}
