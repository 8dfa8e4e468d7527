package as_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/token"
)

func TestTokenByAssertionAndDPoP(t *testing.T) {
	w := newWorld(t)
	key := w.NewSigner(jose.ES256, "")
	a := w.do(w.dpopCall(key))
	claims := w.issued(a, cnf.ToKey(key.Public().Thumbprint()))
	if a.text("token_type") != "DPoP" || a.text("scope") != "payments" || a.JSON["expires_in"] != 300.0 || len(a.JSON) != 4 {
		t.Errorf("body %s", a.Body)
	}
	if a.Header().Get("Cache-Control") != "no-store" || a.Header().Get("Content-Type") != "application/json" {
		t.Errorf("header %v", a.Header())
	}
	if !w.nonces.Check(w.Now, a.Header().Get("DPoP-Nonce"), key.Public().Thumbprint(), time.Time{}) {
		t.Error("RFC 9449 §8.2: no fresh nonce with the answer")
	}
	want := token.Claims{
		Issuer: authtest.Issuer, Audience: authtest.Payments, ClientID: "jwt-dpop", Organisation: "acme", Scope: "payments",
		ID: claims.ID, KeyID: claims.KeyID, CredentialID: "key-kid-jwt-dpop", IssuedAt: w.Now, Expires: w.Now.Add(5 * time.Minute),
		Binding: cnf.ToKey(key.Public().Thumbprint()),
	}
	if *claims != want {
		t.Errorf("claims %+v, want %+v", *claims, want)
	}
	if len(claims.ID) != 32 {
		t.Errorf("jti %q has not 192 bits", claims.ID)
	}
	e := w.event
	if e.Outcome != "issued" || e.ClientID != "jwt-dpop" || e.Organisation != "acme" || e.AuthMethod != "private_key_jwt" || e.CredentialID != "key-kid-jwt-dpop" ||
		e.Binding != "dpop" || e.Resource != authtest.Payments || e.TokenID != claims.ID || e.Reason != "" || e.Error != "" {
		t.Errorf("event %+v", e)
	}
	if len(w.uses.seen) != 2 || w.uses.calls != 1 {
		t.Errorf("%d uses in %d writes, want assertion and proof in one", len(w.uses.seen), w.uses.calls)
	}
}

func TestTokenByCertificate(t *testing.T) {
	w := newWorld(t)
	for _, id := range []directory.ClientID{"tls-mtls", "self-mtls"} {
		t.Run(string(id), func(t *testing.T) {
			c := w.SelfSigned
			if id == "tls-mtls" {
				c = w.Issue
			}
			certificate := c(id)
			a := w.do(call{mtls: true, form: w.tokenForm(id), peer: []*x509.Certificate{certificate.Certificate}})
			claims := w.issued(a, cnf.ToCertificate(cnf.CertificateThumbprint(certificate.Raw)))
			if a.text("token_type") != "Bearer" || claims.CredentialID != string(certificate.ID) || w.event.Binding != "mtls" || w.event.AuthMethod != string(w.Snapshot.Client(id).AuthMethod) {
				t.Errorf("body %s, claims %+v, event %+v", a.Body, claims, w.event)
			}
			if a.Header().Get("DPoP-Nonce") != "" {
				t.Error("a nonce without a proof")
			}
		})
	}
	if w.uses.calls != 0 {
		t.Error("a token by certificate wrote something")
	}
}

func TestTokenByAssertionBoundToCertificate(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]*authtest.Certificate{"registered": w.SelfSigned("jwt-mtls"), "issued": w.Issue("jwt-mtls")} {
		t.Run(name, func(t *testing.T) {
			a := w.do(call{mtls: true, form: w.tokenForm("jwt-mtls"), peer: []*x509.Certificate{c.Certificate}})
			claims := w.issued(a, cnf.ToCertificate(cnf.CertificateThumbprint(c.Raw)))
			if claims.CredentialID != "key-kid-jwt-mtls" || w.event.CredentialID != "key-kid-jwt-mtls" {
				t.Errorf("claims %+v", claims)
			}
		})
	}
	if len(w.uses.seen) != 2 {
		t.Errorf("%d uses, want one for each assertion", len(w.uses.seen))
	}
}

func TestTokenByCertificateBoundToKey(t *testing.T) {
	w := newWorld(t)
	key := w.NewSigner(jose.EdDSA, "")
	a := w.do(call{mtls: true, form: w.tokenForm("tls-dpop"), peer: []*x509.Certificate{w.Issue("tls-dpop").Certificate},
		header: http.Header{"Dpop": {w.Proof(key, mtlsTokenURL, nil, nil)}}})
	w.issued(a, cnf.ToKey(key.Public().Thumbprint()))
	if len(w.uses.seen) != 1 {
		t.Errorf("%d uses, want the proof's", len(w.uses.seen))
	}
}

func TestTokenRequestRefused(t *testing.T) {
	key := authtest.New(t).NewSigner(jose.ES256, "")
	cases := []struct {
		name   string
		edit   func(w *world, c *call)
		status int
		code   string
		reason string
	}{
		{"RFC 6749 §5.2: no grant_type", func(_ *world, c *call) { c.form.Del("grant_type") }, 400, "invalid_request", "grant_type_missing"},
		{"advisory 36: authorization_code", func(_ *world, c *call) { c.form.Set("grant_type", "authorization_code") }, 400, "unsupported_grant_type", "grant_type_unknown"},
		{"FAPI 2.0 §5.3.2.1-2: password", func(_ *world, c *call) { c.form.Set("grant_type", "password") }, 400, "unsupported_grant_type", "grant_type_unknown"},
		{"a parameter twice", func(_ *world, c *call) { c.form.Add("scope", "refunds") }, 400, "invalid_request", "duplicate_parameter"},
		{"credentials in the query", func(_ *world, c *call) { c.path = "/token?client_id=jwt-dpop" }, 400, "invalid_request", "query_not_allowed"},
		{"another media type", func(_ *world, c *call) { c.header.Set("Content-Type", "application/json") }, 400, "invalid_request", "media_type"},
		{"no authentication", func(_ *world, c *call) {
			for _, name := range []string{"client_id", "client_assertion", "client_assertion_type"} {
				c.form.Del(name)
			}
		}, 401, "invalid_client", clientauth.ReasonNoCredential},
		{"a certificate on the public listener is nobody", func(w *world, c *call) {
			c.form, c.peer = w.tokenForm("tls-mtls"), []*x509.Certificate{w.Issue("tls-mtls").Certificate}
		}, 401, "invalid_client", clientauth.ReasonCertificateMissing},
		{"too many certificates on the mTLS listener", func(w *world, c *call) {
			leaf := w.Issue("tls-mtls").Certificate
			*c = call{mtls: true, form: w.tokenForm("tls-mtls"), peer: []*x509.Certificate{leaf, leaf, leaf, leaf, leaf, leaf}}
		}, 401, "invalid_client", clientauth.ReasonCertificateUnusable},
		{"the mTLS listener without a certificate", func(w *world, c *call) {
			*c = call{mtls: true, form: w.tokenForm("tls-mtls")}
		}, 401, "invalid_client", clientauth.ReasonCertificateMissing},
		{"advisory 37: scope beyond the registration", func(_ *world, c *call) { c.form.Set("scope", "reports") }, 400, "invalid_scope", "scope_not_granted"},
		{"one scope too many", func(w *world, c *call) {
			w.Edit("jwt-dpop", func(a *directory.Application) { a.Grants[0].Scopes = []string{"payments"} })
			c.form.Set("scope", "payments refunds")
		}, 400, "invalid_scope", "scope_not_granted"},
		{"scope that nobody has", func(_ *world, c *call) { c.form.Set("scope", "payments nothing") }, 400, "invalid_scope", "scope_unknown"},
		{"scopes of two resources", func(w *world, c *call) {
			w.Edit("jwt-dpop", func(a *directory.Application) {
				a.Grants = append(a.Grants, directory.Grant{Resource: authtest.Reports, Scopes: []string{"reports"}})
			})
			c.form.Set("scope", "payments reports")
		}, 400, "invalid_scope", "scope_two_resources"},
		{"RFC 6749 §3.3: two spaces", func(_ *world, c *call) { c.form.Set("scope", "payments  refunds") }, 400, "invalid_scope", "scope_malformed"},
		{"RFC 6749 §3.3: a quote", func(_ *world, c *call) { c.form.Set("scope", `pay"ments`) }, 400, "invalid_scope", "scope_malformed"},
		{"RFC 6749 §3.3: a backslash", func(_ *world, c *call) { c.form.Set("scope", `pay\ments`) }, 400, "invalid_scope", "scope_malformed"},
		{"RFC 6749 §3.3: beyond ASCII", func(_ *world, c *call) { c.form.Set("scope", "päyments") }, 400, "invalid_scope", "scope_malformed"},
		{"RFC 8707 §2: resource unknown", func(_ *world, c *call) { c.form.Set("resource", "https://api.example/nothing") }, 400, "invalid_target", "resource_unknown"},
		{"advisory 18: resource with a trailing slash", func(_ *world, c *call) { c.form.Set("resource", authtest.Payments+"/") }, 400, "invalid_target", "resource_unknown"},
		{"RFC 8707 §2: not a URI", func(_ *world, c *call) { c.form.Set("resource", "payments") }, 400, "invalid_target", "resource_unknown"},
		{"RFC 8707 §2: resource not granted", func(_ *world, c *call) { c.form.Set("resource", authtest.Secrets) }, 400, "invalid_target", "resource_not_granted"},
		{"more than one resource", func(_ *world, c *call) { c.form["resource"] = []string{authtest.Payments, authtest.Payments} }, 400, "invalid_target", "resource_repeated"},
		{"resource and a scope of another", func(w *world, c *call) {
			w.Edit("jwt-dpop", func(a *directory.Application) {
				a.Grants = append(a.Grants, directory.Grant{Resource: authtest.Reports, Scopes: []string{"reports"}})
			})
			c.form.Set("resource", authtest.Reports)
		}, 400, "invalid_scope", "scope_not_granted"},
		{"neither scope nor resource with two grants", func(w *world, c *call) {
			w.Edit("jwt-dpop", func(a *directory.Application) {
				a.Grants = append(a.Grants, directory.Grant{Resource: authtest.Reports, Scopes: []string{"reports"}})
			})
			c.form.Del("scope")
		}, 400, "invalid_scope", "scope_missing"},
		{"neither scope nor resource without grants", func(w *world, c *call) {
			w.Edit("jwt-dpop", func(a *directory.Application) { a.Grants = nil })
			c.form.Del("scope")
		}, 400, "invalid_scope", "scope_missing"},
		{"a grant without scopes", func(w *world, c *call) {
			w.Edit("jwt-dpop", func(a *directory.Application) { a.Grants[0].Scopes = nil })
			c.form.Del("scope")
		}, 400, "invalid_scope", "scope_missing"},
		{"snapshot older than 10 s", func(w *world, _ *call) { w.age = 10*time.Second + 1 }, 503, "temporarily_unavailable", "snapshot_stale"},
		{"restored from a copy: nobody knows whether the assertion is new", func(w *world, _ *call) { w.uses.fails = fmt.Errorf("record: %w", token.ErrRestored) }, 503, "temporarily_unavailable", "restored"},
		{"store down", func(w *world, _ *call) { w.uses.down = true }, 503, "temporarily_unavailable", "store_unavailable"},
		{"no signing key in its time", func(w *world, _ *call) { w.keys = token.NewSigningKeys(nil) }, 503, "temporarily_unavailable", "signing_key_missing"},
		{"no randomness", func(w *world, _ *call) { w.random = iotest.ErrReader(errDown) }, 500, "server_error", "internal"},
		{"a client without a binding", func(w *world, _ *call) {
			w.Edit("jwt-dpop", func(a *directory.Application) { a.Binding = "" })
		}, 500, "server_error", "binding_unknown"},
		{"a client with an unknown binding", func(w *world, _ *call) {
			w.Edit("jwt-dpop", func(a *directory.Application) { a.Binding = "none" })
		}, 500, "server_error", "binding_unknown"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			request := w.dpopCall(key)
			c.edit(w, &request)
			a := w.do(request)
			w.refusal(a, c.status, c.code, c.reason)
			if len(w.uses.seen) != 0 {
				t.Error("a refused request burnt a jti")
			}
			want := ""
			switch {
			case c.reason == "restored":
				want = "60"
			case c.status == 503:
				want = "2"
			}
			if retry := a.Header().Get("Retry-After"); retry != want {
				t.Errorf("Retry-After %q, want %q", retry, want)
			}
		})
	}
}

// broken is a key that cannot sign, as a KMS that does not answer.
type broken struct{ crypto.Signer }

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errDown }

func TestSigningKeyFails(t *testing.T) {
	w := newWorld(t)
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(broken{key}, jose.ES256, "as")
	if err != nil {
		t.Fatal(err)
	}
	w.keys = token.NewSigningKeys(signer)
	w.refusal(w.do(w.dpopCall(w.NewSigner(jose.ES256, ""))), 500, "server_error", "internal")
}

func TestScope(t *testing.T) {
	cases := []struct {
		name     string
		resource string
		scope    string
		want     string
	}{
		{"RFC 8707: the resource that owns the scope", "", "payments", "payments"},
		{"as asked, in order", "", "refunds payments", "refunds payments"},
		{"doubles removed", "", "payments refunds payments", "payments refunds"},
		{"RFC 8707 §2: the resource named", authtest.Payments, "refunds", "refunds"},
		{"a resource and no scope is all that is granted", authtest.Payments, "", "payments refunds"},
		{"nothing with one grant is all of it", "", "", "payments refunds"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			key := w.NewSigner(jose.ES256, "")
			a := w.do(w.dpopCall(key, "resource", c.resource, "scope", c.scope))
			claims := w.issued(a, cnf.ToKey(key.Public().Thumbprint()))
			if claims.Scope != c.want || a.text("scope") != c.want || claims.Audience != authtest.Payments {
				t.Errorf("scope %q at %s, want %q", claims.Scope, claims.Audience, c.want)
			}
		})
	}
}

// TestResourceThatIsNotThere: a grant does not outlive the resource that it is for.
func TestResourceThatIsNotThere(t *testing.T) {
	for name, resource := range map[string]directory.Resource{
		"suspended": {URI: authtest.Payments, Organisation: authtest.Acme, Scopes: []string{"payments", "refunds"}, State: directory.Suspended},
		"revoked":   {URI: authtest.Payments, Organisation: authtest.Acme, Scopes: []string{"payments", "refunds"}, State: directory.Revoked},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Apply(directory.Delta{Resources: []directory.Resource{resource}})
			w.refusal(w.do(w.dpopCall(w.NewSigner(jose.ES256, ""))), 400, "invalid_target", "resource_not_active")
			if w.uses.calls != 0 {
				t.Error("a jti was burnt")
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		w := newWorld(t)
		w.Edit("jwt-dpop", func(a *directory.Application) {
			a.Grants = []directory.Grant{{Resource: "https://api.example/gone", Scopes: []string{"gone"}}}
		})
		w.refusal(w.do(w.dpopCall(w.NewSigner(jose.ES256, ""), "scope", "")), 400, "invalid_target", "resource_not_active")
	})
}

func TestTokenLife(t *testing.T) {
	w := newWorld(t)
	life := func(c call) time.Duration {
		t.Helper()
		a := w.do(c)
		if a.Code != 200 {
			t.Fatalf("%d %s", a.Code, a.Body)
		}
		claims, err := w.keys.Parse(authtest.Issuer, a.text("access_token"))
		if err != nil {
			t.Fatal(err)
		}
		if got := claims.Expires.Sub(claims.IssuedAt).Seconds(); got != a.JSON["expires_in"] {
			t.Errorf("expires_in %v, exp - iat %v", a.JSON["expires_in"], got)
		}
		return claims.Expires.Sub(w.Now)
	}
	ends := func(d time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotAfter = w.Now.Add(d) }
	}
	byCertificate := func(id directory.ClientID, c *authtest.Certificate) call {
		return call{mtls: true, form: w.tokenForm(id), peer: []*x509.Certificate{c.Certificate}}
	}
	if got := life(byCertificate("tls-mtls", w.Issue("tls-mtls", ends(time.Minute)))); got != time.Minute {
		t.Errorf("promise 4: past the certificate's notAfter: %v", got)
	}
	if got := life(byCertificate("jwt-mtls", w.SelfSigned("jwt-mtls", ends(time.Minute)))); got != time.Minute {
		t.Errorf("promise 4: past the binding certificate's notAfter: %v", got)
	}
	recorded := w.SelfSigned("jwt-mtls")
	w.EditCredential(recorded.ID, func(c *directory.Credential) { c.NotAfter = w.Now.Add(2 * time.Minute) })
	if got := life(byCertificate("jwt-mtls", recorded)); got != 2*time.Minute {
		t.Errorf("promise 4: past the end of the binding credential: %v", got)
	}
	unbounded := w.SelfSigned("jwt-mtls", ends(time.Minute))
	w.EditCredential(unbounded.ID, func(c *directory.Credential) { c.NotAfter = time.Time{} })
	if got := life(byCertificate("jwt-mtls", unbounded)); got != time.Minute {
		t.Errorf("promise 4: past the certificate's notAfter when the record has none: %v", got)
	}
	key := w.NewSigner(jose.ES256, "")
	w.EditCredential("key-kid-jwt-dpop", func(c *directory.Credential) { c.NotAfter = w.Now.Add(3 * time.Minute) })
	if got := life(w.dpopCall(key)); got != 3*time.Minute {
		t.Errorf("promise 4: past the end of the key that authenticated: %v", got)
	}
	w.EditCredential("key-kid-jwt-dpop", func(c *directory.Credential) { c.NotAfter = w.Now.Add(time.Second / 2) })
	w.refusal(w.do(w.dpopCall(key)), 401, "invalid_client", "credential_expiring")
}

func TestSnapshotAge(t *testing.T) {
	w := newWorld(t)
	w.age = 10 * time.Second
	key := w.NewSigner(jose.ES256, "")
	w.issued(w.do(w.dpopCall(key)), cnf.ToKey(key.Public().Thumbprint()))
}

func TestReplay(t *testing.T) {
	w := newWorld(t)
	key := w.NewSigner(jose.ES256, "")
	first := w.dpopCall(key)
	w.issued(w.do(first), cnf.ToKey(key.Public().Thumbprint()))

	t.Run("advisory 46: the whole request again", func(t *testing.T) {
		w.refusal(w.do(first), 401, "invalid_client", clientauth.ReasonAssertionReplayed)
		if w.event.ClientID != "jwt-dpop" || w.event.CredentialID == "" {
			t.Errorf("event %+v", w.event)
		}
	})
	t.Run("the assertion with a fresh proof", func(t *testing.T) {
		again := w.dpopCall(key)
		again.form.Set("client_assertion", first.form.Get("client_assertion"))
		w.refusal(w.do(again), 401, "invalid_client", clientauth.ReasonAssertionReplayed)
	})
	t.Run("RFC 9449 §11.1: the proof with a fresh assertion", func(t *testing.T) {
		again := w.dpopCall(key)
		again.header = first.header
		w.refusal(w.do(again), 400, "invalid_dpop_proof", "proof_replayed")
	})
	t.Run("the proof with a certificate", func(t *testing.T) {
		c := call{mtls: true, form: w.tokenForm("tls-dpop"), peer: []*x509.Certificate{w.Issue("tls-dpop").Certificate},
			header: http.Header{"Dpop": {w.Proof(key, mtlsTokenURL, nil, nil)}}}
		w.issued(w.do(c), cnf.ToKey(key.Public().Thumbprint()))
		w.refusal(w.do(c), 400, "invalid_dpop_proof", "proof_replayed")
	})
}

func TestRevokedAtOnce(t *testing.T) {
	cases := map[string]func(w *world){
		"advisory 38: application": func(w *world) {
			w.Edit("jwt-dpop", func(a *directory.Application) { a.State = directory.Suspended })
		},
		"advisory 39: organisation": func(w *world) { w.SetOrganisation(authtest.Acme, directory.Suspended) },
		"advisory 38: key": func(w *world) {
			w.EditCredential("key-kid-jwt-dpop", func(c *directory.Credential) { c.State = directory.Revoked })
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(w)
			if a := w.do(w.dpopCall(w.NewSigner(jose.ES256, ""))); a.Code != 401 || a.text("error") != "invalid_client" {
				t.Fatalf("%d %s", a.Code, a.Body)
			}
		})
	}
}

func TestUnauthenticatedAnswersAreEqual(t *testing.T) {
	w := newWorld(t)
	stranger := w.NewSigner(jose.ES256, "kid-jwt-dpop")
	var bodies []string
	for _, form := range []url.Values{
		{"client_id": {"nobody"}},
		{"client_id": {"tls-mtls"}},
		{"client_id": {"jwt-dpop"}, "client_assertion_type": {clientauth.AssertionType}, "client_assertion": {w.Assertion("jwt-dpop", stranger, nil)}},
		{"client_assertion_type": {clientauth.AssertionType}, "client_assertion": {w.Assertion("nobody", stranger, nil)}},
		{"client_id": {"jwt-dpop"}, "client_secret": {"s"}},
	} {
		form.Set("grant_type", "client_credentials")
		a := w.do(call{form: form})
		bodies = append(bodies, a.Body.String())
		if a.Code != 401 || a.Header().Get("WWW-Authenticate") != "" {
			t.Errorf("%d %v", a.Code, a.Header())
		}
	}
	for _, b := range bodies {
		if b != bodies[0] || !strings.Contains(b, `"invalid_client"`) {
			t.Errorf("%s differs from %s", b, bodies[0])
		}
	}
	t.Run("the event names a client only when it is known", func(t *testing.T) {
		w.do(call{form: url.Values{"grant_type": {"client_credentials"}, "client_id": {"nobody"}}})
		if w.event.ClientID != "" {
			t.Errorf("event names %q", w.event.ClientID)
		}
		w.do(call{form: url.Values{"grant_type": {"client_credentials"}, "client_id": {"tls-mtls"}}})
		if w.event.ClientID != "tls-mtls" || w.event.Organisation != "acme" || w.event.CredentialID != "" || w.event.AuthMethod != "" {
			t.Errorf("event %+v", w.event)
		}
	})
	t.Run("RFC 6749 §5.2: WWW-Authenticate answers an Authorization header", func(t *testing.T) {
		for authorization, want := range map[string]string{
			"Basic and0Ong=": `Basic realm="holdfast"`, "Sesame": `Basic realm="holdfast"`, "": `Basic realm="holdfast"`,
			"Bearer x": `Bearer realm="holdfast", error="invalid_token"`, "BEARER x": `Bearer realm="holdfast", error="invalid_token"`,
		} {
			a := w.do(call{form: url.Values{"grant_type": {"client_credentials"}}, header: http.Header{"Authorization": {authorization}}})
			w.refusal(a, 401, "invalid_client", clientauth.ReasonMethodNotOffered)
			if got := a.Header().Get("WWW-Authenticate"); got != want {
				t.Errorf("%q: %s", authorization, got)
			}
		}
	})
}

func TestNoSecretsInEvents(t *testing.T) {
	w := newWorld(t)
	key := w.NewSigner(jose.ES256, "")
	c := w.dpopCall(key)
	secrets := []string{c.form.Get("client_assertion"), c.header.Get("Dpop")}
	a := w.do(c)
	secrets = append(secrets, a.text("access_token"))
	for range 2 { // the second is a replay
		text, err := json.Marshal(w.event) // every field, those to come included
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets {
			if bytes.Contains(text, []byte(s)) {
				t.Error("an event holds a credential")
			}
		}
		w.do(c)
	}
}
