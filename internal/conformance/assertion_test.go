package conformance_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
)

// eachAssertion runs a module about client assertions: for private_key_jwt with
// an application, for mutual TLS to show that an assertion is no way in.
func eachAssertion(t *testing.T, module func(t *testing.T, w *world, a *application)) {
	eachVariant(t, func(t *testing.T, w *world, a *application) {
		if a.key != nil {
			module(t, w, a)
			return
		}
		a.key, a.kid = newKey(t, "ES256"), "sesame"
		r := a.tokenRequest(t)
		w.send(t, r).refused(401, "invalid_client")
	})
}

// refuseAssertion wants invalid_client for this assertion, and that nothing is
// burnt by it: with a good one of the same jti the request goes through.
func refuseAssertion(t *testing.T, w *world, a *application, header, payload claims, reason string) {
	t.Helper()
	good := a.tokenRequest(t)
	jti := claims{"jti": random(16)}
	bad := good.clone()
	bad.form.Set("client_assertion", a.assertion(t, header, jti.and(payload)))
	refuseForm(t, w, bad, reason)
	good.form.Set("client_assertion", a.assertion(t, nil, jti))
	if got := w.send(t, good); got.status != http.StatusOK {
		t.Errorf("not accepted afterwards: %s (%s)", got, got.reason())
	}
}

func refuseForm(t *testing.T, w *world, r *request, reason string) {
	t.Helper()
	got := w.send(t, r)
	if got.reason() != reason {
		t.Errorf("reason %s, want %s", got.reason(), reason)
	}
	got.refused(401, "invalid_client")
	if got.header.Get("WWW-Authenticate") != "" { // RFC 6749 section 5.2: only for who used Authorization
		t.Error(got)
	}
}

// TestClientAssertionMissing: the module without client authentication.
func TestClientAssertionMissing(t *testing.T) {
	eachAssertion(t, func(t *testing.T, w *world, a *application) {
		r := a.tokenRequest(t)
		r.form.Del("client_assertion")
		w.send(t, r).refused(400, "invalid_request") // half of the pair
		r.form.Del("client_assertion_type")
		got := w.send(t, r)
		got.refused(401, "invalid_client")
	})
}

// TestClientAssertionExpired: exp 5 min ago.
func TestClientAssertionExpired(t *testing.T) {
	eachAssertion(t, func(t *testing.T, w *world, a *application) {
		now := w.clock.Now().Unix()
		refuseAssertion(t, w, a, nil, claims{"exp": now - 300, "iat": now - 360}, "assertion_expired")
		refuseAssertion(t, w, a, nil, claims{"exp": nil}, "assertion_expired")
	})
}

// TestClientAssertionWrongAudience: FAPI 2.0 section 5.3.2.1 (8), rfc7523bis section 4.
func TestClientAssertionWrongAudience(t *testing.T) {
	eachAssertion(t, func(t *testing.T, w *world, a *application) {
		issuer := w.file.Issuer
		for name, aud := range map[string]any{
			"a stranger":                              "https://other.example",
			"advisory 23: the token endpoint":         issuer + "/token",
			"advisory 23: the mTLS token endpoint":    w.file.MTLSTokenEndpoint,
			"advisory 17: an array of ours alone":     []string{issuer},
			"advisory 17: an array with a stranger's": []string{issuer, "https://other.example"},
			"advisory 18: ours with a slash":          issuer + "/",
			"advisory 18: ours in capitals":           strings.ToUpper(issuer),
			"advisory 18: ours as a prefix":           issuer + ".evil.example",
			"none":                                    nil,
			"empty":                                   "",
		} {
			t.Run(name, func(t *testing.T) { refuseAssertion(t, w, a, nil, claims{"aud": aud}, "assertion_audience") })
		}
	})
}

// TestClientAssertionWithoutSubject is the module without sub, and its neighbours.
func TestClientAssertionWithoutSubject(t *testing.T) {
	eachAssertion(t, func(t *testing.T, w *world, a *application) {
		refuseAssertion(t, w, a, nil, claims{"sub": nil}, "assertion_subject")
		refuseAssertion(t, w, a, nil, claims{"iss": nil}, "assertion_issuer")
		refuseAssertion(t, w, a, nil, claims{"iss": "https://other.example"}, "assertion_issuer")
		refuseAssertion(t, w, a, nil, claims{"sub": []string{a.id}}, "assertion_malformed")
	})
}

// TestClientAssertionRS256: FAPI 2.0 section 5.4.1: PS256, ES256 and EdDSA only.
func TestClientAssertionRS256(t *testing.T) {
	eachAssertion(t, func(t *testing.T, w *world, a *application) {
		own, kid := a.key, a.kid
		a.key = newKey(t, "PS256")
		a.kid = a.register(t, a.key)
		refuseAssertion(t, w, a, claims{"alg": "RS256"}, nil, "assertion_malformed")
		a.key, a.kid = own, kid
		refuseAssertion(t, w, a, claims{"alg": "none"}, nil, "assertion_malformed")
		refuseAssertion(t, w, a, claims{"alg": "ES384"}, nil, "assertion_malformed")
		checkConfusion(t, w, a)
	})
}

// checkConfusion signs with what is public as if it were a secret.
func checkConfusion(t *testing.T, w *world, a *application) {
	der, err := x509.MarshalPKIXPublicKey(a.key.private.Public())
	must(t, err)
	text, err := json.Marshal(map[string]any(a.key.jwk))
	must(t, err)
	for name, secret := range map[string][]byte{
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "DER": der, "JWK": text, "nothing": nil,
	} {
		t.Run("advisory 2: HS256 keyed with the registered public key as "+name, func(t *testing.T) {
			r := a.tokenRequest(t)
			header, payload := parts(t, r.form.Get("client_assertion"))
			r.form.Set("client_assertion", hs256(t, secret, header, payload))
			refuseForm(t, w, r, "assertion_malformed")
		})
	}
}

// TestClientAssertionUsedOnce: RFC 7523 section 3 (7), OpenID Connect Core section 9.
func TestClientAssertionUsedOnce(t *testing.T) {
	eachAssertion(t, func(t *testing.T, w *world, a *application) {
		first := a.tokenRequest(t)
		if got := w.send(t, first); got.status != http.StatusOK {
			t.Fatal(got)
		}
		again := a.tokenRequest(t) // another proof, where there is one
		again.form.Set("client_assertion", first.form.Get("client_assertion"))
		refuseForm(t, w, again, "assertion_replayed")
		_, payload := parts(t, first.form.Get("client_assertion"))
		again = a.tokenRequest(t)
		again.form.Set("client_assertion", a.assertion(t, nil, claims{"jti": payload["jti"]}))
		refuseForm(t, w, again, "assertion_replayed") // the same jti in another assertion
		t.Run("advisory 42: the same jti of another client is another", func(t *testing.T) {
			b := w.application(t, a.variant)
			other := b.tokenRequest(t)
			other.form.Set("client_assertion", b.assertion(t, nil, claims{"jti": payload["jti"]}))
			if got := w.send(t, other); got.status != http.StatusOK {
				t.Error(got)
			}
		})
		t.Run("advisory 42: no jti, or one that is none", func(t *testing.T) {
			for _, id := range []any{nil, "", strings.Repeat("x", 129)} {
				refuseID(t, w, a, claims{"jti": id}, "assertion_jti")
			}
			refuseID(t, w, a, claims{"jti": 7}, "assertion_malformed")
		})
	})
}

// refuseID is refuseAssertion for those whose jti is what is wrong.
func refuseID(t *testing.T, w *world, a *application, payload claims, reason string) {
	t.Helper()
	r := a.tokenRequest(t)
	r.form.Set("client_assertion", a.assertion(t, nil, payload))
	refuseForm(t, w, r, reason)
}
