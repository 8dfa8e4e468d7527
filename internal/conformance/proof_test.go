package conformance_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestAccessTokenTypeHeaderCaseSensitivity: RFC 9110 section 11.1: the name of a
// scheme has no case.
func TestAccessTokenTypeHeaderCaseSensitivity(t *testing.T) {
	eachVariant(t, func(t *testing.T, w *world, a *application) {
		token := a.token(t)
		for _, scheme := range []string{a.scheme(), strings.ToLower(a.scheme()), strings.ToUpper(a.scheme()), "d" + a.scheme()[1:], "b" + a.scheme()[1:]} {
			r := a.resourceRequest(t, token)
			r.header.Set("Authorization", scheme+" "+token)
			got := w.send(t, r)
			if strings.EqualFold(scheme, a.scheme()) {
				got.served()
			} else if got.status != 400 && got.status != 401 {
				t.Errorf("scheme %s: %s", scheme, got)
			}
		}
	})
}

// place is where a proof is shown: at the token endpoint, or at a resource.
type place struct {
	name    string
	request func(t testing.TB, a *application, token string) *request
}

var places = []place{
	{"token endpoint", func(t testing.TB, a *application, _ string) *request { return a.tokenRequest(t) }},
	{"resource", func(t testing.TB, a *application, token string) *request { return a.resourceRequest(t, token) }},
}

// expectation of a proof at one place.
func (p place) accepts(got *answer) {
	got.t.Helper()
	if got.status != http.StatusOK || (p.name == "token endpoint") != (got.text("access_token") != "") {
		got.t.Errorf("%s: not accepted: %s (%s)", p.name, got, got.reason())
	}
}

// refuses wants the place's answer to a bad proof (RFC 9449 sections 5 and 7.1).
func (p place) refuses(got *answer, reason string) {
	got.t.Helper()
	status := 400
	if p.name == "resource" {
		status = 401
	}
	if got.status != status || got.text("error") != "invalid_dpop_proof" || got.reason() != reason {
		got.t.Errorf("%s: want %d invalid_dpop_proof (%s), got %s (%s)", p.name, status, reason, got, got.reason())
	}
	challenges := got.header.Values("WWW-Authenticate")
	if p.name != "resource" {
		if len(challenges) != 0 {
			got.t.Errorf("challenges %q", challenges)
		}
		return
	}
	all := strings.Join(challenges, "\n")
	if !strings.Contains(all, `DPoP error="invalid_dpop_proof"`) || !strings.Contains(all, `algs="ES256 PS256 EdDSA Ed25519"`) && !strings.Contains(all, `algs="PS256 ES256 EdDSA Ed25519"`) ||
		!strings.Contains(all, `resource_metadata="`) {
		got.t.Errorf("challenges %q", challenges)
	}
}

// eachPlace runs for the two DPoP variants at each place, with a token, and says
// for the two others what becomes of a proof beside a certificate.
func eachPlace(t *testing.T, test func(t *testing.T, w *world, a *application, p place, token string)) {
	eachVariant(t, func(t *testing.T, w *world, a *application) {
		token := a.token(t)
		if a.binding == "mtls" {
			proofBesideCertificate(t, w, a, token)
			return
		}
		for _, p := range places {
			t.Run(p.name, func(t *testing.T) { test(t, w, a, p, token) })
		}
	})
}

// proofBesideCertificate: a client whose tokens are bound to its certificate
// cannot choose to have them bound to a key; at the resource a proof that nobody
// asked for is nothing.
func proofBesideCertificate(t *testing.T, w *world, a *application, token string) {
	t.Helper()
	a.proofKey = newKey(t, "ES256")
	defer func() { a.proofKey = nil }()
	w.send(t, a.tokenRequest(t)).refused(400, "invalid_request")
	w.send(t, a.resourceRequest(t, token)).served()
	r := a.resourceRequest(t, token)
	r.header.Set("Authorization", "DPoP "+token)
	w.send(t, r).denied(401, "invalid_token", "wrong_scheme")
}

// reprove replaces the proof of r by one with these changes, for the same target.
func (a *application) reprove(t testing.TB, r *request, token string, header, payload claims) {
	t.Helper()
	target, _, _ := strings.Cut(r.url, "?")
	own := claims{}
	if strings.HasPrefix(r.url, a.payments) {
		own["ath"] = ath(token)
	}
	r.header.Set("DPoP", a.proof(t, r.method, target, header, own.and(payload)))
}

// TestCheckDpopProofNbfExp: claims that RFC 9449 does not have are allowed.
func TestCheckDpopProofNbfExp(t *testing.T) {
	eachPlace(t, func(t *testing.T, w *world, a *application, p place, token string) {
		now := w.clock.Now().Unix()
		for _, more := range []claims{{"nbf": now, "exp": now + 60}, {"nbf": now - 10, "exp": now + 300}, {"nbf": now}, {"exp": now + 60}} {
			r := p.request(t, a, token)
			a.reprove(t, r, token, nil, more)
			p.accepts(w.send(t, r))
		}
	})
}

// TestDpopProofWithIat10SecondsBefore is the module of that name.
func TestDpopProofWithIat10SecondsBefore(t *testing.T) { testIat(t, -10) }

// TestDpopProofWithIat10SecondsAfter: FAPI 2.0 section 5.3.2.1 (13).
func TestDpopProofWithIat10SecondsAfter(t *testing.T) { testIat(t, 10) }

func testIat(t *testing.T, offset int64) {
	eachPlace(t, func(t *testing.T, w *world, a *application, p place, token string) {
		r := p.request(t, a, token)
		a.reprove(t, r, token, nil, claims{"iat": w.clock.Now().Unix() + offset})
		p.accepts(w.send(t, r))
	})
}

// badProof is one way in which a proof is wrong.
type badProof struct {
	name            string
	header, payload claims
	reason          string // the same at both places
}

func badProofs(t *testing.T, a *application, target string) []badProof {
	now := a.clock.Now().Unix()
	other := newKey(t, "ES256")
	host := strings.Replace(target, "localhost", "localhost.example", 1)
	return []badProof{
		{"typ missing", claims{"typ": nil}, nil, "proof_malformed"},
		{"alg missing", claims{"alg": nil}, nil, "proof_malformed"},
		{"jwk missing", claims{"jwk": nil}, nil, "proof_malformed"},
		{"jti missing", nil, claims{"jti": nil}, "proof_malformed"},
		{"htm missing", nil, claims{"htm": nil}, "proof_malformed"},
		{"htu missing", nil, claims{"htu": nil}, "proof_malformed"},
		{"iat missing", nil, claims{"iat": nil}, "proof_malformed"},
		{"typ of another JWT", claims{"typ": "JWT"}, nil, "proof_malformed"},
		{"typ of an access token", claims{"typ": "at+jwt"}, nil, "proof_malformed"},
		{"RS256", claims{"alg": "RS256"}, nil, "proof_malformed"},
		{"none", claims{"alg": "none"}, nil, "proof_malformed"},
		{"HS256", claims{"alg": "HS256"}, nil, "proof_malformed"},
		{"private key in jwk", claims{"jwk": a.proofKey.privateJWK(t)}, nil, "proof_malformed"},
		{"jwk of another key", claims{"jwk": other.jwk}, nil, "proof_signature"},
		{"crit", claims{"crit": []string{"bork"}, "bork": true}, nil, "proof_malformed"},
		{"another htm", nil, claims{"htm": "PUT"}, "proof_method"},
		{"htm in another case", nil, claims{"htm": "post"}, "proof_method"},
		{"another path", nil, claims{"htu": target + "x"}, "proof_url"},
		{"path in another case", nil, claims{"htu": strings.Replace(target, "/token", "/TOKEN", 1) + strings.Repeat("X", strings.Count(target, "/payments"))}, "proof_url"},
		{"another host", nil, claims{"htu": host}, "proof_url"},
		{"another port", nil, claims{"htu": strings.Replace(target, "localhost:", "localhost:1", 1)}, "proof_url"},
		{"http", nil, claims{"htu": strings.Replace(target, "https:", "http:", 1)}, "proof_url"},
		{"a path alone", nil, claims{"htu": "/token"}, "proof_url"},
		{"a user name", nil, claims{"htu": strings.Replace(target, "https://", "https://good@", 1)}, "proof_url"},
		{"iat 1 h ago", nil, claims{"iat": now - 3600}, "proof_too_old"},
		{"iat in 1 h", nil, claims{"iat": now + 3600}, "proof_from_future"},
		{"iat as text", nil, claims{"iat": fmt.Sprint(now)}, "proof_malformed"},
		{"htm a list", nil, claims{"htm": []string{"POST", "GET"}}, "proof_malformed"},
		{"nonce of nobody", nil, claims{"nonce": "sesame"}, ""}, // answered with use_dpop_nonce
		{"jti of 129 bytes", nil, claims{"jti": strings.Repeat("x", 129)}, "proof_malformed"},
	}
}

// TestDpopNegativeTests: each is refused; and as a refusal burns nothing, the same
// request with the same jti and a good proof goes through afterwards.
func TestDpopNegativeTests(t *testing.T) {
	eachPlace(t, func(t *testing.T, w *world, a *application, p place, token string) {
		target := p.request(t, a, token).url
		for _, bad := range badProofs(t, a, target) {
			t.Run(bad.name, func(t *testing.T) {
				r := p.request(t, a, token)
				jti := claims{"jti": random(16)}
				a.reprove(t, r, token, bad.header, jti.and(bad.payload))
				if got := w.send(t, r); bad.reason != "" {
					p.refuses(got, bad.reason)
				} else if got.text("error") != "use_dpop_nonce" || got.header.Get("DPoP-Nonce") == "" {
					t.Error(got)
				}
				a.reprove(t, r, token, nil, jti)
				p.accepts(w.send(t, r))
			})
		}
		t.Run("raw", func(t *testing.T) { checkRawProofs(t, w, a, p, token) })
		t.Run("reused jti", func(t *testing.T) {
			r := p.request(t, a, token)
			p.accepts(w.send(t, r))
			again := p.request(t, a, token) // another assertion, the same proof
			again.header.Set("DPoP", r.header.Get("DPoP"))
			p.refuses(w.send(t, again), "proof_replayed")
		})
		if p.name == "resource" {
			checkProofsOfTokens(t, w, a, p, token)
		}
	})
}

// checkRawProofs are those that are no JWS with something wrong in it.
func checkRawProofs(t *testing.T, w *world, a *application, p place, token string) {
	send := func(lines ...string) *answer {
		r := p.request(t, a, token)
		r.header["Dpop"] = lines
		return w.send(t, r)
	}
	good := p.request(t, a, token).header.Get("DPoP")
	for name, raw := range map[string]string{
		"not a JWT": "sesame", "empty": "", "two parts": good[:strings.LastIndexByte(good, '.')], "five parts": good + ".YQ.YQ", "padded": good + "=",
		"two in one line": good + ", " + good, "too large": good + strings.Repeat("x", 4<<10),
	} {
		got := send(raw)
		if got.reason() != "proof_malformed" {
			t.Errorf("%s: %s", name, got)
		}
		p.refuses(got, "proof_malformed")
	}
	p.refuses(send(flip(good, len(good)-10)), "proof_signature")
	k := sharedRSA(t)
	header, payload := parts(t, good)
	p.refuses(send(k.compact(t, header.with(claims{"alg": "RS256", "jwk": k.jwk}), payload)), "proof_malformed")
	p.refuses(send(), "proof_missing")
	other := p.request(t, a, token).header.Get("DPoP")
	if got := send(good, other); p.name == "resource" {
		got.denied(400, "invalid_request", "multiple_credentials")
	} else {
		p.refuses(got, "proof_repeated")
	}
	r := p.request(t, a, token)
	r.header["Dpop"] = []string{good}
	p.accepts(w.send(t, r)) // none of these has burnt its jti
}

// rsaKey is one for all, as it takes long to make.
var rsaKey struct {
	sync.Once
	key *key
}

func sharedRSA(t *testing.T) *key {
	t.Helper()
	rsaKey.Do(func() { rsaKey.key = newKey(t, "PS256") })
	return rsaKey.key
}

// checkProofsOfTokens are what is wrong between a proof and a token.
func checkProofsOfTokens(t *testing.T, w *world, a *application, p place, token string) {
	r := p.request(t, a, token)
	a.reprove(t, r, token, nil, claims{"ath": nil})
	p.refuses(w.send(t, r), "proof_token_hash")
	a.reprove(t, r, token, nil, claims{"ath": ath(token + "x")})
	p.refuses(w.send(t, r), "proof_token_hash")
	a.reprove(t, r, token, nil, claims{"ath": ath(token) + "="})
	p.refuses(w.send(t, r), "proof_token_hash")

	own := a.proofKey
	a.proofKey = newKey(t, "ES256")
	stranger := a.resourceRequest(t, token)
	p.refuses(w.send(t, stranger), "proof_key_mismatch")
	a.proofKey = own

	r = p.request(t, a, token)
	r.header.Set("Authorization", "Bearer "+token)
	got := w.send(t, r)
	got.denied(401, "invalid_token", "wrong_scheme")
	challenges := got.header.Values("WWW-Authenticate") // RFC 9449 section 7.2, design.md
	if len(challenges) != 2 || !strings.HasPrefix(challenges[0], `Bearer error="invalid_token"`) || !strings.HasPrefix(challenges[1], `DPoP algs="`) {
		t.Errorf("challenges %q", challenges)
	}
	r.header.Set("Authorization", "DPoP "+token)
	p.accepts(w.send(t, r)) // and its jti is not burnt either
}

// TestDpopMustAccept: RFC 9449 section 4.3 (9) and RFC 3986 sections 6.2.2 and 6.2.3.
func TestDpopMustAccept(t *testing.T) {
	eachPlace(t, func(t *testing.T, w *world, a *application, p place, token string) {
		target := p.request(t, a, token).url
		last := strings.LastIndexByte(target, '/') + 1
		for name, htu := range map[string]string{
			"htu as it is":          target,
			"with a query":          target + "?a=b",
			"with a fragment":       target + "#f",
			"with both":             target + "?a=b#f",
			"host in capitals":      strings.Replace(target, "localhost", "LOCALHOST", 1),
			"scheme in capitals":    strings.Replace(target, "https", "HTTPS", 1),
			"an escape of a letter": target[:last] + fmt.Sprintf("%%%02x", target[last]) + target[last+1:],
		} {
			r := p.request(t, a, token)
			a.reprove(t, r, token, nil, claims{"htu": htu})
			got := w.send(t, r)
			if got.status != 200 {
				t.Errorf("%s (%s)", name, htu)
			}
			p.accepts(got)
		}
		t.Run("members that nobody knows", func(t *testing.T) {
			r := p.request(t, a, token)
			a.reprove(t, r, token, claims{"x-vendor": 1}, claims{"vendor": map[string]any{"a": 1}, "sub": a.id})
			p.accepts(w.send(t, r))
		})
		if p.name == "token endpoint" {
			t.Run("the endpoint of the other listener, by its own URL", func(t *testing.T) {
				r := p.request(t, a, token)
				if r.url = w.file.MTLSTokenEndpoint; a.key == nil {
					return // which is where it is already
				}
				a.reprove(t, r, token, nil, nil)
				p.accepts(w.send(t, r))
			})
		}
		if p.name == "resource" {
			t.Run("a request with a query", func(t *testing.T) {
				r := p.request(t, a, token)
				r.url += "?from=2026&x=1"
				p.accepts(w.send(t, r))
			})
		}
	})
}

// TestDpopDefaultPort: where the public URL has no port, a proof may name 443 or not.
func TestDpopDefaultPort(t *testing.T) {
	w := start(t)
	good := []string{"https://localhost/x", "https://localhost:443/x", "HTTPS://LocalHost:443/x?x#y"}
	bad := []string{"https://localhost:444/x", "http://localhost:443/x", "http://localhost:80/x", "http://localhost/x", "https://localhost:443:443/x", "https://localhost:/y"}
	t.Run("token endpoint", func(t *testing.T) {
		a := w.portless(t)
		ask := func(htu string) *answer {
			r := a.tokenRequest(t)
			r.form.Set("scope", a.file.OperatorScope)
			r.header.Set("DPoP", a.proof(t, http.MethodPost, strings.Replace(htu, "/x", "/token", 1), nil, nil))
			return w.send(t, r)
		}
		for _, htu := range good {
			places[0].accepts(ask(htu))
		}
		for _, htu := range bad {
			places[0].refuses(ask(htu), "proof_url")
		}
	})
	t.Run("resource", func(t *testing.T) { checkDefaultPort(t, w, good, bad) })
}

func checkDefaultPort(t *testing.T, w *world, good, bad []string) {
	gateway := w.secondGateway(t)
	a := w.application(t, variants[0])
	token := a.token(t)
	nonce := ""
	ask := func(htu string) *answer {
		r := a.clientOf(t, gateway)
		r.method, r.url = http.MethodGet, secondURL+"/payments/1"
		r.header = http.Header{"Authorization": {"DPoP " + token}}
		payload := claims{"ath": ath(token)}
		if nonce != "" {
			payload["nonce"] = nonce
		}
		r.header.Set("DPoP", a.proof(t, http.MethodGet, htu, nil, payload))
		return w.send(t, r)
	}
	// This gateway has only just begun to remember proofs, and so wants a nonce.
	first := ask(secondURL + "/payments/1")
	first.denied(401, "use_dpop_nonce", "nonce_required")
	if nonce = first.header.Get("DPoP-Nonce"); nonce == "" {
		t.Fatal(first)
	}
	for _, htu := range good {
		ask(strings.Replace(htu, "/x", "/payments/1", 1)).served()
	}
	for _, htu := range bad {
		ask(strings.Replace(htu, "/x", "/payments/1", 1)).denied(401, "invalid_dpop_proof", "proof_url")
	}
}
