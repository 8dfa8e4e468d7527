package as_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

type claims = authtest.Claims

func TestProof(t *testing.T) {
	w := newWorld(t)
	key, other := w.NewSigner(jose.ES256, ""), w.NewSigner(jose.ES256, "")
	now := w.Now.Unix()
	cases := []struct {
		name   string
		header []string
		reason string // "" is accepted
	}{
		{"no proof", nil, "proof_missing"},
		{"RFC 9449 §4.3 (1): two proofs", []string{w.Proof(key, tokenURL, nil, nil), w.Proof(key, tokenURL, nil, nil)}, "proof_repeated"},
		{"two proofs in one line", []string{w.Proof(key, tokenURL, nil, nil) + ", " + w.Proof(key, tokenURL, nil, nil)}, "proof_malformed"},
		{"(2) not a JWT", []string{"abc"}, "proof_malformed"},
		{"(2) empty", []string{""}, "proof_malformed"},
		{"(3) no jti", []string{w.Proof(key, tokenURL, nil, claims{"jti": nil})}, "proof_malformed"},
		{"(3) no htm", []string{w.Proof(key, tokenURL, nil, claims{"htm": nil})}, "proof_malformed"},
		{"(3) no htu", []string{w.Proof(key, tokenURL, nil, claims{"htu": nil})}, "proof_malformed"},
		{"(3) no iat", []string{w.Proof(key, tokenURL, nil, claims{"iat": nil})}, "proof_malformed"},
		{"(4) typ JWT", []string{w.Proof(key, tokenURL, claims{"typ": "JWT"}, nil)}, "proof_malformed"},
		{"(5) alg none", []string{w.Proof(key, tokenURL, claims{"alg": "none"}, nil)}, "proof_malformed"},
		{"(5) alg RS256", []string{w.Proof(key, tokenURL, claims{"alg": "RS256"}, nil)}, "proof_malformed"},
		{"(6) another key's jwk", []string{w.Proof(key, tokenURL, claims{"jwk": json.RawMessage(other.Public().JWK())}, nil)}, "proof_signature"},
		{"(7) no jwk", []string{w.Proof(key, tokenURL, claims{"jwk": nil}, nil)}, "proof_malformed"},
		{"(8) GET", []string{w.Proof(key, tokenURL, nil, claims{"htm": "GET"})}, "proof_method"},
		{"(9) another URL", []string{w.Proof(key, authtest.Issuer+"/introspect", nil, nil)}, "proof_url"},
		{"(9) another server", []string{w.Proof(key, "https://evil.example/token", nil, nil)}, "proof_url"},
		{"(9) the other listener's URL", []string{w.Proof(key, mtlsTokenURL, nil, nil)}, "proof_url"},
		{"(9) host case and default port", []string{w.Proof(key, "https://AS.example:443/token", nil, nil)}, ""},
		{"(9) query ignored", []string{w.Proof(key, tokenURL+"?a=b", nil, nil)}, ""},
		{"(11) 2 min old", []string{w.Proof(key, tokenURL, nil, claims{"iat": now - 120})}, "proof_too_old"},
		{"(11) 1 h ahead", []string{w.Proof(key, tokenURL, nil, claims{"iat": now + 3600})}, "proof_from_future"},
		{"iat 10 s ahead", []string{w.Proof(key, tokenURL, nil, claims{"iat": now + 10})}, ""},
		{"unknown claims are ignored", []string{w.Proof(key, tokenURL, nil, claims{"exp": now, "foo": "bar"})}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := len(w.uses.seen)
			a := w.do(call{form: w.tokenForm("jwt-dpop"), header: http.Header{"Dpop": c.header}})
			if c.reason == "" {
				w.issued(a, cnf.ToKey(key.Public().Thumbprint()))
				return
			}
			w.refusal(a, 400, "invalid_dpop_proof", c.reason)
			if len(w.uses.seen) != before {
				t.Error("a bad proof burnt a jti")
			}
		})
	}
	t.Run("the mTLS listener's URL there", func(t *testing.T) {
		a := w.do(call{mtls: true, form: w.tokenForm("jwt-dpop"), header: http.Header{"Dpop": {w.Proof(key, mtlsTokenURL, nil, nil)}}})
		w.issued(a, cnf.ToKey(key.Public().Thumbprint()))
		a = w.do(call{mtls: true, form: w.tokenForm("jwt-dpop"), header: http.Header{"Dpop": {w.Proof(key, tokenURL, nil, nil)}}})
		w.refusal(a, 400, "invalid_dpop_proof", "proof_url")
	})
}

func TestNonce(t *testing.T) {
	w := newWorld(t)
	w.Edit("jwt-dpop", func(a *directory.Application) { a.RequireNonce = true })
	key, other := w.NewSigner(jose.ES256, ""), w.NewSigner(jose.ES256, "")
	ask := func(nonce any, form func(*call)) *answer {
		c := call{form: w.tokenForm("jwt-dpop"), header: http.Header{"Dpop": {w.Proof(key, tokenURL, nil, claims{"nonce": nonce})}}}
		if form != nil {
			form(&c)
		}
		return w.do(c)
	}
	for name, nonce := range map[string]any{
		"none": nil, "made up": "abc", "of another key": w.nonces.Issue(w.Now, other.Public().Thumbprint()),
		"stale": w.nonces.Issue(w.Now.Add(-20*time.Minute), key.Public().Thumbprint()),
	} {
		t.Run("RFC 9449 §8: nonce "+name, func(t *testing.T) {
			a := ask(nonce, nil)
			w.refusal(a, 400, "use_dpop_nonce", "proof_nonce")
			if !w.nonces.Check(w.Now, a.Header().Get("DPoP-Nonce"), key.Public().Thumbprint(), time.Time{}) {
				t.Error("no fresh nonce")
			}
			if w.uses.calls != 0 {
				t.Error("use_dpop_nonce burnt a jti")
			}
		})
	}
	t.Run("the same assertion succeeds with the nonce", func(t *testing.T) {
		var form call
		a := ask(nil, func(c *call) { form = *c })
		a = ask(a.Header().Get("DPoP-Nonce"), func(c *call) { c.form = form.form })
		w.issued(a, cnf.ToKey(key.Public().Thumbprint()))
	})
	t.Run("RFC 9449 §4.3 (10): a client without the policy needs none, but none that is not ours", func(t *testing.T) {
		w.Edit("jwt-dpop", func(a *directory.Application) { a.RequireNonce = false })
		w.issued(ask(nil, nil), cnf.ToKey(key.Public().Thumbprint()))
		a := ask("abc", nil)
		w.refusal(a, 400, "use_dpop_nonce", "proof_nonce")
		w.issued(ask(a.Header().Get("DPoP-Nonce"), nil), cnf.ToKey(key.Public().Thumbprint()))
	})
	t.Run("a resource may demand one, of whoever asks for a token of it", func(t *testing.T) {
		resource := *w.Snapshot.Resource(authtest.Payments)
		resource.RequireNonce = true
		w.Apply(directory.Delta{Resources: []directory.Resource{resource}})
		before := w.uses.calls
		a := ask(nil, nil)
		w.refusal(a, 400, "use_dpop_nonce", "proof_nonce")
		if w.uses.calls != before {
			t.Error("use_dpop_nonce burnt a jti")
		}
		w.issued(ask(a.Header().Get("DPoP-Nonce"), nil), cnf.ToKey(key.Public().Thumbprint()))
		resource.RequireNonce = false
		w.Apply(directory.Delta{Resources: []directory.Resource{resource}})
		w.issued(ask(nil, nil), cnf.ToKey(key.Public().Thumbprint()))
	})
}

func TestRevokedProofKey(t *testing.T) {
	w := newWorld(t)
	key := w.NewSigner(jose.ES256, "")
	w.Apply(directory.Delta{Credentials: []directory.Credential{{ID: "dpop-1", ClientID: "jwt-dpop", Kind: directory.DPoPKey,
		State: directory.Revoked, Thumbprint: key.Public().Thumbprint()}}})
	w.refusal(w.do(w.dpopCall(key)), 400, "invalid_dpop_proof", "proof_key_not_accepted")

	t.Run("a compromised signing key is no proof key either", func(t *testing.T) {
		old := w.Key("jwt-dpop", jose.ES256, "older")
		w.EditCredential("key-older", func(c *directory.Credential) { c.State = directory.Compromised })
		w.refusal(w.do(w.dpopCall(old)), 400, "invalid_dpop_proof", "proof_key_not_accepted")
	})
	t.Run("nor the key of a compromised certificate", func(t *testing.T) {
		c := w.SelfSigned("jwt-dpop")
		old, err := jose.NewSigner(c.Key, jose.ES256, "")
		if err != nil {
			t.Fatal(err)
		}
		w.issued(w.do(w.dpopCall(old)), cnf.ToKey(old.Public().Thumbprint()))
		w.EditCredential(c.ID, func(c *directory.Credential) { c.State = directory.Compromised })
		w.refusal(w.do(w.dpopCall(old)), 400, "invalid_dpop_proof", "proof_key_not_accepted")
	})
	t.Run("what is compromised at another application says nothing of a proof key here", func(t *testing.T) {
		theirs := w.Key("jwt-mtls", jose.ES256, "theirs")
		w.EditCredential("key-theirs", func(c *directory.Credential) { c.State = directory.Compromised })
		w.issued(w.do(w.dpopCall(theirs)), cnf.ToKey(theirs.Public().Thumbprint()))
	})
}

func TestCertificateBindingRefused(t *testing.T) {
	cases := []struct {
		name   string
		reason string
		edit   func(w *world, c *call)
	}{
		{"advisory 33: no certificate", clientauth.ReasonCertificateMissing, func(_ *world, c *call) { c.peer = nil }},
		{"a certificate on the public listener", clientauth.ReasonCertificateMissing, func(_ *world, c *call) { c.mtls = false }},
		{"an unusable chain", clientauth.ReasonCertificateUnusable, func(_ *world, c *call) {
			leaf := c.peer[0]
			c.peer = []*x509.Certificate{leaf, leaf, leaf, leaf, leaf, leaf}
		}},
		{"a certificate that nobody knows", clientauth.ReasonCertificateUnknown, func(w *world, c *call) {
			c.peer = []*x509.Certificate{w.Stranger("x").Certificate}
		}},
		{"another application's certificate", clientauth.ReasonCertificateForeign, func(w *world, c *call) {
			c.peer = []*x509.Certificate{w.Issue("tls-mtls").Certificate}
		}},
		{"a certificate by a CA that is not the organisation's", clientauth.ReasonCertificateUntrusted, func(w *world, c *call) {
			c.peer = []*x509.Certificate{w.IssueBy(w.CAOf(authtest.Rival), "jwt-mtls").Certificate}
		}},
		{"a certificate with two names", clientauth.ReasonCertificateSAN, func(w *world, c *call) {
			c.peer = []*x509.Certificate{w.Issue("jwt-mtls", func(c *x509.Certificate) { c.DNSNames = []string{"x.example"} }).Certificate}
		}},
		{"an expired certificate", clientauth.ReasonCertificateExpired, func(w *world, c *call) {
			c.peer = []*x509.Certificate{w.Issue("jwt-mtls", func(c *x509.Certificate) { c.NotAfter = w.Now.Add(-time.Second) }).Certificate}
		}},
		{"a revoked certificate", clientauth.ReasonCertificateNotAccepted, func(w *world, c *call) {
			revoked := w.Issue("jwt-mtls")
			w.EditCredential(revoked.ID, func(c *directory.Credential) { c.State = directory.Revoked })
			c.peer = []*x509.Certificate{revoked.Certificate}
		}},
		{"advisory 35: a renewed certificate that we did not record", clientauth.ReasonCertificateUnknown, func(w *world, c *call) {
			c.peer = []*x509.Certificate{w.Stranger("jwt-mtls", func(t *x509.Certificate) { t.Subject = c.peer[0].Subject }).Certificate}
		}},
		{"a DPoP proof instead", "proof_unexpected", func(w *world, c *call) {
			c.peer, c.header = nil, http.Header{"Dpop": {w.Proof(w.NewSigner(jose.ES256, ""), mtlsTokenURL, nil, nil)}}
		}},
		{"a DPoP proof beside the certificate", "proof_unexpected", func(w *world, c *call) {
			c.header = http.Header{"Dpop": {w.Proof(w.NewSigner(jose.ES256, ""), mtlsTokenURL, nil, nil)}}
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			request := call{mtls: true, form: w.tokenForm("jwt-mtls"), peer: []*x509.Certificate{w.SelfSigned("jwt-mtls").Certificate}}
			c.edit(w, &request)
			w.refusal(w.do(request), 400, "invalid_request", c.reason)
			if w.uses.calls != 0 {
				t.Error("a refused request burnt a jti")
			}
		})
	}
}

// Promise 1: whatever is tried, no token is unbound, and none is bound to what
// the request did not prove.
func TestNothingYieldsAnUnboundToken(t *testing.T) {
	w := newWorld(t)
	key := w.NewSigner(jose.ES256, "")
	certificates := map[string]*authtest.Certificate{}
	methods := []directory.AuthMethod{directory.PrivateKeyJWT, directory.TLSClientAuth, directory.SelfSignedTLSClientAuth, "none", ""}
	bindings := []cnf.Method{cnf.DPoP, cnf.MTLS, "none", ""}
	tried, given := 0, 0
	for i, method := range methods {
		for j, binding := range bindings {
			id := directory.ClientID(fmt.Sprintf("client-%d-%d", i, j))
			w.Application(id, method, binding)
			signer := w.Key(id, jose.ES256, string(id))
			certificates["issued"], certificates["registered"] = w.Issue(id), w.SelfSigned(id)
			certificates["stranger"], certificates["absent"] = w.Stranger(string(id)), nil
			for _, listener := range []bool{false, true} {
				for shown, certificate := range certificates {
					for proofs := range 3 {
						for _, asserted := range []bool{false, true} {
							tried++
							c := call{mtls: listener, form: w.tokenForm(id), header: http.Header{}}
							if asserted {
								c.form.Set("client_assertion_type", clientauth.AssertionType)
								c.form.Set("client_assertion", w.Assertion(id, signer, nil))
							}
							endpoint := tokenURL
							if listener {
								endpoint = mtlsTokenURL
							}
							for range proofs {
								c.header.Add("Dpop", w.Proof(key, endpoint, nil, nil))
							}
							if certificate != nil {
								c.peer = []*x509.Certificate{certificate.Certificate}
							}
							a := w.do(c)
							if a.Code != http.StatusOK {
								if strings.Contains(a.Body.String(), "access_token") {
									t.Fatal("a refusal with a token")
								}
								continue
							}
							given++
							claims, err := w.keys.Parse(authtest.Issuer, a.text("access_token"))
							if err != nil {
								t.Fatal(err)
							}
							at := fmt.Sprintf("%s/%s mtls=%v certificate=%s proofs=%d assertion=%v", method, binding, listener, shown, proofs, asserted)
							switch {
							case claims.Binding.Method() != binding:
								t.Fatalf("%s: bound by %q", at, claims.Binding.Method())
							case binding == cnf.DPoP && (proofs != 1 || claims.Binding != cnf.ToKey(key.Public().Thumbprint()) || a.text("token_type") != "DPoP"):
								t.Fatalf("%s: not bound to the proof's key", at)
							case binding == cnf.MTLS && (!listener || certificate == nil || certificate.ID == "" ||
								claims.Binding != cnf.ToCertificate(cnf.CertificateThumbprint(certificate.Raw)) || a.text("token_type") != "Bearer"):
								t.Fatalf("%s: not bound to the certificate", at)
							case method == directory.PrivateKeyJWT && !asserted:
								t.Fatalf("%s: not authenticated", at)
							case method != directory.PrivateKeyJWT && (asserted || !listener || certificate == nil):
								t.Fatalf("%s: not authenticated", at)
							}
						}
					}
				}
			}
		}
	}
	// private_key_jwt with DPoP: each certificate on each listener; with mTLS: two
	// certificates. Each mTLS method: its own certificate, either binding.
	if want := 8 + 2 + 2 + 2; given != want {
		t.Errorf("%d of %d requests got a token, want %d", given, tried, want)
	}
}
