package conformance_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// These tests stand at both edges of each bound of design.md's table "Numbers":
// the last second that is accepted and the first that is not. The clock stands
// still while they look.

// edge is one bound of one claim: what is still accepted, and what is not.
type edge struct {
	name         string
	claim        string
	last, beyond int64 // seconds from now
	reason       string
}

// TestClockOfProofs: iat of a DPoP proof, at the token endpoint and the resource.
func TestClockOfProofs(t *testing.T) {
	eachPlace(t, func(t *testing.T, w *world, a *application, p place, token string) {
		for _, e := range []edge{
			{name: "at most 60 s old, with 10 s of grace", claim: "iat", last: -69, beyond: -70, reason: "proof_too_old"},
			{name: "up to 30 s ahead", claim: "iat", last: 30, beyond: 31, reason: "proof_from_future"},
		} {
			t.Run(e.name, func(t *testing.T) {
				now := w.clock.Now().Unix()
				r := p.request(t, a, token)
				jti := random(16)
				a.reprove(t, r, token, nil, claims{e.claim: now + e.beyond, "jti": jti})
				p.refuses(w.send(t, r), e.reason)
				a.reprove(t, r, token, nil, claims{e.claim: now + e.last, "jti": jti})
				p.accepts(w.send(t, r))
			})
		}
	})
}

// TestClockOfAssertions: exp, iat and nbf of a client assertion.
func TestClockOfAssertions(t *testing.T) {
	eachAssertion(t, func(t *testing.T, w *world, a *application) {
		for _, e := range []edge{
			{name: "exp with 10 s of grace", claim: "exp", last: -9, beyond: -10, reason: "assertion_expired"},
			{name: "exp at most 5 min ahead", claim: "exp", last: 300, beyond: 301, reason: "assertion_lifetime"},
			{name: "iat up to 30 s ahead", claim: "iat", last: 30, beyond: 31, reason: "assertion_from_future"},
			{name: "nbf up to 30 s ahead", claim: "nbf", last: 30, beyond: 31, reason: "assertion_from_future"},
		} {
			t.Run(e.name, func(t *testing.T) {
				now := w.clock.Now().Unix()
				refuseAssertion(t, w, a, nil, claims{e.claim: now + e.beyond}, e.reason)
				r := a.tokenRequest(t)
				r.form.Set("client_assertion", a.assertion(t, nil, claims{e.claim: now + e.last}))
				if got := w.send(t, r); got.status != http.StatusOK {
					t.Errorf("%s (%s)", got, got.reason())
				}
			})
		}
	})
}

// TestClockOfSingleUse: an assertion's jti is remembered until exp + 60 s, a proof's
// until iat + 100 s: longer than either is accepted.
func TestClockOfSingleUse(t *testing.T) {
	w := start(t)
	a := w.application(t, variants[0])
	first := a.tokenRequest(t)
	began := w.clock.Now().Unix()
	_, payload := parts(t, first.form.Get("client_assertion"))
	if got := w.send(t, first); got.status != http.StatusOK {
		t.Fatal(got)
	}
	token := a.token(t)
	opened := a.resourceRequest(t, token)
	w.send(t, opened).served()
	w.pass(t, 69*time.Second) // the proofs' last second, and the assertion's: exp is 60 s, the grace 10 s
	r := a.tokenRequest(t)
	r.form.Set("client_assertion", first.form.Get("client_assertion"))
	refuseForm(t, w, r, "assertion_replayed")
	r = a.tokenRequest(t)
	r.header.Set("DPoP", first.header.Get("DPoP"))
	w.send(t, r).refused(400, "invalid_dpop_proof")
	w.send(t, opened).denied(401, "invalid_dpop_proof", "proof_replayed")
	w.pass(t, 1*time.Second)
	r = a.tokenRequest(t)
	r.form.Set("client_assertion", first.form.Get("client_assertion"))
	refuseForm(t, w, r, "assertion_expired")
	w.send(t, opened).denied(401, "invalid_dpop_proof", "proof_too_old")
	w.pass(t, 49*time.Second) // exp + 59 s
	if now := w.clock.Now().Unix(); now != began+119 {
		t.Fatal(now - began)
	}
	r = a.tokenRequest(t)
	r.form.Set("client_assertion", a.assertion(t, nil, claims{"jti": payload["jti"]}))
	refuseForm(t, w, r, "assertion_replayed")
}

// TestClockOfTokens: exp of an access token has no grace, at the resource and at
// introspection.
func TestClockOfTokens(t *testing.T) {
	w := start(t)
	server := w.server(t)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			a := w.application(t, v, withLedger)
			token, other := a.token(t), a.ledgerToken(t)
			w.pass(t, 299*time.Second)
			w.send(t, a.resourceRequest(t, token)).served()
			if got := server.introspect(t, other); got.json["active"] != true {
				t.Error(got)
			}
			w.pass(t, time.Second)
			w.send(t, a.resourceRequest(t, token)).denied(401, "invalid_token", "expired")
			server.inactive(t, other, "token_expired")
		})
	}
}

// TestClockOfCredentials: no token outlives the certificate or key that it was
// obtained with or is bound to (promise 4).
func TestClockOfCredentials(t *testing.T) {
	w := start(t)
	t.Run("certificate", func(t *testing.T) {
		a := w.application(t, variants[3])
		k := newKey(t, "ES256")
		a.certificate = a.issuedFor(t, k, 120)
		a.http = w.client(a.certificate)
		t.Cleanup(a.http.CloseIdleConnections)
		got := w.send(t, a.tokenRequest(t))
		if life, _ := got.json["expires_in"].(float64); life <= 0 || life > 120 {
			t.Errorf("expires_in %v", got.json["expires_in"])
		}
		leaf, err := x509.ParseCertificate(a.certificate.Certificate[0])
		must(t, err)
		if back := w.clock.Now().Sub(leaf.NotBefore); back != 5*time.Minute {
			t.Errorf("backdated %v, want 5 min", back)
		}
		token := got.text("access_token")
		w.pass(t, leaf.NotAfter.Sub(w.clock.Now())-time.Second)
		w.send(t, a.resourceRequest(t, token)).served()
		w.pass(t, time.Second)
		got = w.send(t, a.resourceRequest(t, token))
		got.denied(401, "invalid_token", "expired")
		w.send(t, a.tokenRequest(t)).refused(401, "invalid_client")
	})
	t.Run("certificate of its own, not yet valid", func(t *testing.T) {
		a := w.application(t, variant{"", "self_signed_tls_client_auth", "mtls"})
		begins := w.clock.Now().Add(30 * time.Second)
		c := selfSigned(t, w.clock.Now(), func(c *x509.Certificate) { c.NotBefore = begins })
		_, err := w.admin.RegisterCertificate(t.Context(), a.id, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
		must(t, err)
		a.certificate, a.http = c, w.client(c)
		t.Cleanup(a.http.CloseIdleConnections)
		w.pass(t, 29*time.Second)
		w.send(t, a.tokenRequest(t)).refused(401, "invalid_client")
		w.pass(t, time.Second)
		a.token(t)
	})
	t.Run("signing key", func(t *testing.T) {
		a := w.application(t, variants[0])
		a.key = newKey(t, "ES256")
		ends := w.clock.Now().Add(120 * time.Second)
		jwk, err := json.Marshal(map[string]any(a.key.jwk.with(claims{"alg": "ES256"})))
		must(t, err)
		c, err := w.admin.RegisterKey(t.Context(), a.id, admin.NewSigningKey{JWK: jwk, NotAfter: &ends})
		must(t, err)
		a.kid = c.KeyID
		if got := w.send(t, a.tokenRequest(t)); got.json["expires_in"] != 120.0 {
			t.Errorf("expires_in %v", got.json["expires_in"])
		}
		w.pass(t, 119*time.Second)
		if got := w.send(t, a.tokenRequest(t)); got.json["expires_in"] != 1.0 {
			t.Errorf("expires_in %v", got.json["expires_in"])
		}
		w.pass(t, time.Second)
		refuseForm(t, w, a.tokenRequest(t), "key_not_accepted")
	})
}

// TestClockOfNonces: a nonce is good for the running period of 5 min and the one
// after it, for its key alone; to be told to use one burns no jti.
func TestClockOfNonces(t *testing.T) {
	w := start(t)
	for _, v := range []variant{variants[0], variants[2]} {
		t.Run(v.name, func(t *testing.T) {
			const period = 300
			now := w.clock.Now().Unix()
			w.pass(t, time.Duration(period-now%period)*time.Second) // a period begins
			a := w.application(t, v, func(n *admin.NewApplication) { n.RequireNonce = true })
			r := a.tokenRequest(t)
			assertion := r.form.Get("client_assertion")
			jti := claims{"jti": random(16)}
			ask := func(nonce any) *answer {
				r := a.tokenRequest(t)
				a.reprove(t, r, "", nil, jti.with(claims{"nonce": nonce}))
				if a.key != nil {
					r.form.Set("client_assertion", assertion)
				}
				return w.send(t, r)
			}
			got := ask(nil)
			got.refused(400, "use_dpop_nonce") // RFC 9449 section 8
			first := got.header.Get("DPoP-Nonce")
			got = ask("sesame")
			got.refused(400, "use_dpop_nonce")
			got = ask(flip(first, 3))
			got.refused(400, "use_dpop_nonce")
			got = ask(first) // the same jti and the same assertion as all before
			if got.status != http.StatusOK || got.header.Get("DPoP-Nonce") == "" {
				t.Fatalf("%s (%s)", got, got.reason())
			}
			w.pass(t, (2*period-1)*time.Second)
			again := func(nonce string) *answer {
				r := a.tokenRequest(t)
				a.reprove(t, r, "", nil, claims{"nonce": nonce})
				return w.send(t, r)
			}
			if got = again(first); got.status != http.StatusOK {
				t.Errorf("in the last second of the second period: %s", got)
			}
			w.pass(t, time.Second)
			got = again(first)
			got.refused(400, "use_dpop_nonce")
			own := a.proofKey
			fresh := got.header.Get("DPoP-Nonce")
			a.proofKey = newKey(t, "ES256")
			got = again(fresh)
			got.refused(400, "use_dpop_nonce") // another key's
			a.proofKey = own
			if got = again(fresh); got.status != http.StatusOK {
				t.Error(got)
			}
		})
	}
}

// TestClockOfDoubt: for its first 100 s a gateway cannot know which proofs were used
// before it began, and demands a nonce that was issued since.
func TestClockOfDoubt(t *testing.T) {
	w := start(t)
	a := w.application(t, variants[0])
	token := a.token(t)
	before := w.send(t, a.resourceRequest(t, token)).header.Get("DPoP-Nonce") // of a gateway with the same configuration
	w.pass(t, time.Second)
	gateway := w.secondGateway(t)
	ask := func(nonce string) *answer {
		r := a.clientOf(t, gateway)
		r.method, r.url, r.header = http.MethodGet, secondURL+"/payments/1", http.Header{"Authorization": {"DPoP " + token}}
		payload := claims{"ath": ath(token)}
		if nonce != "" {
			payload["nonce"] = nonce
		}
		r.header.Set("DPoP", a.proof(t, r.method, r.url, nil, payload))
		return w.send(t, r)
	}
	ask(before).denied(401, "use_dpop_nonce", "nonce_required")
	w.pass(t, 99*time.Second)
	got := ask("")
	got.denied(401, "use_dpop_nonce", "nonce_required")
	ask(got.header.Get("DPoP-Nonce")).served()
	ask(before).denied(401, "use_dpop_nonce", "nonce_required")
	w.pass(t, time.Second)
	ask("").served()
	ask(before).served() // a nonce of the same secret, and in its time
}
