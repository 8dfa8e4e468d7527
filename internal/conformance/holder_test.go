package conformance_test

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"
)

// TestEnsureHolderOfKeyRequired: there is no token without a key to bind it to,
// and none is good without its key.
func TestEnsureHolderOfKeyRequired(t *testing.T) {
	eachVariant(t, func(t *testing.T, w *world, a *application) {
		t.Run("no token without", func(t *testing.T) {
			r := a.tokenRequest(t)
			bare := r.clone()
			bare.header.Del("DPoP")
			switch {
			case a.binding == "dpop":
				w.send(t, bare).refused(400, "invalid_dpop_proof")
			case a.method == "private_key_jwt":
				bare.client = w.plain
				w.send(t, bare).refused(400, "invalid_request")
				bare.url = w.file.Issuer + "/token" // which asks for no certificate
				bare.client = a.http
				w.send(t, bare).refused(400, "invalid_request")
			default:
				bare.client = w.plain
				w.send(t, bare).refused(401, "invalid_client")
			}
			if got := w.send(t, r); got.status != http.StatusOK { // nothing was burnt
				t.Error(got)
			}
		})
		token := a.token(t)
		refuse := func(name string, client *http.Client, change func(r *request), code, reason string) {
			t.Run(name, func(t *testing.T) {
				r := a.resourceRequest(t, token)
				r.client = client
				if change != nil {
					change(r)
				}
				w.send(t, r).denied(401, code, reason)
			})
		}
		if a.binding == "mtls" {
			other := w.application(t, a.variant)
			renewed := w.client(a.issued(t, newKey(t, "ES256")))
			t.Cleanup(renewed.CloseIdleConnections)
			stranger := w.client(selfSigned(t, w.clock.Now(), nil))
			t.Cleanup(stranger.CloseIdleConnections)
			a.awaitCertificate(t, renewed, token)
			refuse("a token without its certificate", w.plain, nil, "invalid_token", "no_client_cert")
			refuse("with another application's", other.http, nil, "invalid_token", "binding_foreign")
			refuse("with a stranger's", stranger, nil, "invalid_token", "binding_foreign")
			refuse("with another of the same application", renewed, nil, "invalid_token", "binding_rotated")
			refuse("as DPoP", a.http, func(r *request) { r.header.Set("Authorization", "DPoP "+token) }, "invalid_token", "wrong_scheme")
			return
		}
		refuse("a token without a proof", a.http, func(r *request) { r.header.Del("DPoP") }, "invalid_dpop_proof", "proof_missing")
		refuse("a token as Bearer without a proof", a.http, func(r *request) {
			r.header.Set("Authorization", "Bearer "+token)
			r.header.Del("DPoP")
		}, "invalid_token", "wrong_scheme")
		own := a.proofKey
		a.proofKey = newKey(t, "ES256")
		refuse("a token with a proof of another key", a.http, nil, "invalid_dpop_proof", "proof_key_mismatch")
		a.proofKey = own
	})
}

// awaitCertificate waits until the gateway knows that a new certificate is the
// application's: until then it is a stranger's.
func (a *application) awaitCertificate(t testing.TB, c *http.Client, token string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		r := a.resourceRequest(t, token)
		r.client = c
		if a.send(t, r).reason() == "binding_rotated" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the gateway does not know the new certificate")
		}
	}
}

// TestEnsureClientIdInTokenEndpoint: client B's id with client A's proof.
func TestEnsureClientIdInTokenEndpoint(t *testing.T) {
	eachVariant(t, func(t *testing.T, w *world, a *application) {
		b := w.application(t, a.variant)
		for name, change := range map[string]func(r *request){
			"B's client_id with A's proof": func(r *request) { r.form.Set("client_id", b.id) },
			"a client_id of nobody":        func(r *request) { r.form.Set("client_id", "nobody") },
		} {
			t.Run(name, func(t *testing.T) {
				good := a.tokenRequest(t)
				r := good.clone()
				change(r)
				w.send(t, r).refused(401, "invalid_client")
				if got := w.send(t, good); got.status != http.StatusOK { // nothing was burnt
					t.Error(got)
				}
			})
		}
		t.Run("no client_id", func(t *testing.T) {
			r := a.tokenRequest(t)
			r.form.Del("client_id")
			got := w.send(t, r)
			if a.key != nil { // RFC 7521 section 4.2: the assertion says who it is
				if got.status != http.StatusOK {
					t.Error(got)
				}
				return
			}
			got.refused(400, "invalid_request") // RFC 8705 section 2
		})
		if a.key != nil {
			t.Run("B's name in A's assertion", func(t *testing.T) {
				r := a.tokenRequest(t)
				r.form.Set("client_id", b.id)
				r.form.Set("client_assertion", a.assertion(t, nil, claims{"iss": b.id, "sub": b.id}))
				w.send(t, r).refused(401, "invalid_client")
				r.form.Set("client_assertion", a.assertion(t, nil, claims{"iss": b.id}))
				w.send(t, r).refused(401, "invalid_client")
			})
		}
		if a.certificate != nil {
			t.Run("A's assertion or name over B's certificate", func(t *testing.T) {
				r := a.tokenRequest(t)
				r.client = b.http
				status, code := 401, "invalid_client"
				if a.key != nil { // A proved who it is, and has nothing to bind a token to
					status, code = 400, "invalid_request"
				}
				w.send(t, r).refused(status, code)
			})
			t.Run("advisory 25: A's leaf with B's certificate behind it is A", func(t *testing.T) {
				mixed := &tls.Certificate{PrivateKey: a.certificate.PrivateKey, Certificate: append([][]byte{a.certificate.Certificate[0]}, b.certificate.Certificate...)}
				c := w.client(mixed)
				t.Cleanup(c.CloseIdleConnections)
				r := a.tokenRequest(t)
				r.client = c
				got := w.send(t, r)
				if _, payload := parts(t, got.text("access_token")); payload["client_id"] != a.id {
					t.Errorf("%v", payload)
				}
				r = b.tokenRequest(t)
				r.client = c
				if a.key == nil {
					w.send(t, r).refused(401, "invalid_client")
				} else { // B proved who it is, and has nothing to bind a token to
					w.send(t, r).refused(400, "invalid_request")
				}
			})
		}
	})
}
