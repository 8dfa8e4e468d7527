package conformance_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What went wrong in other servers, tried on this one. The numbers are those of the
// list in docs/conformance.md.

// door is where a token or an assertion is shown, and what refuses it there.
type door struct {
	name string
	show func(t *testing.T, a *application, credential string) *answer
}

// tokenDoors take access tokens.
func tokenDoors() []door {
	at := func(target func(*application) string) func(*testing.T, *application, string) *answer {
		return func(t *testing.T, a *application, token string) *answer {
			url := target(a)
			return a.send(t, &request{client: a.http, method: http.MethodGet, url: url, header: http.Header{
				"Authorization": {"DPoP " + token}, "Dpop": {a.proof(t, http.MethodGet, url, nil, claims{"ath": ath(token)})},
			}})
		}
	}
	return []door{
		{"gateway", at((*application).resourceURL)},
		{"admin API", at(func(a *application) string { return a.file.AdminURL + "/v1/organisations" })},
		{"feed", at(func(a *application) string { return a.file.Issuer + "/feed" })},
	}
}

func (d door) refuses(t *testing.T, a *application, token string) {
	t.Helper()
	began := time.Now()
	got := d.show(t, a, token)
	if got.status != 401 && got.status != 400 {
		t.Errorf("%s: %s (%s)", d.name, got, got.reason())
	}
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("%s: took %v", d.name, took)
	}
}

// TestAdvisoriesOfTokens: forged access tokens, at everything that takes one and at
// introspection.
func TestAdvisoriesOfTokens(t *testing.T) {
	w := start(t)
	a, server := w.application(t, byKey), w.server(t)
	header, payload := parts(t, a.token(t))
	mine := newKey(t, "ES256")
	of := func(k claims) *ecdsa.PublicKey { return publicKey(t, k) }
	signing := w.jwks(t)[0]
	der, err := x509.MarshalPKIXPublicKey(of(signing))
	must(t, err)
	forged := map[string]string{}
	for name, secret := range map[string][]byte{
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "DER": der, "JWK": []byte(fmt.Sprint(signing)), "nothing": nil,
	} {
		forged["advisory 1: HS256 keyed with our public key as "+name] = hs256(t, secret, header, payload)
	}
	forged["advisory 4: another algorithm than the key's"] = mine.compact(t, header.with(claims{"alg": "EdDSA"}), payload)
	forged["advisory 5: the key in the header"] = mine.compact(t, header.with(claims{"jwk": mine.jwk}), payload)
	forged["advisory 5: the key in the header, no kid"] = mine.compact(t, header.with(claims{"jwk": mine.jwk, "kid": nil}), payload)
	forged["advisory 6: crit"] = mine.compact(t, header.with(claims{"crit": []string{"bork"}}), payload)
	forged["advisory 8: dots"] = strings.Repeat(".", 7<<10)
	forged["advisory 10: five parts"] = mine.compact(t, header, payload) + ".YQ.YQ"
	forged["advisory 11: PBES2 with p2c of 2^31"] = jwe(t)
	signed := mine.compact(t, header, payload)
	forged["advisory 12: a signature of 5,000 characters"] = signed[:strings.LastIndexByte(signed, '.')+1] + strings.Repeat("A", 5000)
	forged["none"] = mine.compact(t, header.with(claims{"alg": "none"}), payload)
	for name, token := range forged {
		t.Run(name, func(t *testing.T) {
			for _, d := range tokenDoors() {
				d.refuses(t, a, token)
			}
			server.inactive(t, token, "token_foreign")
			if got := w.revoke(t, a, token); got.status != http.StatusOK || got.body != "" {
				t.Errorf("revocation: %s", got)
			}
		})
	}
	t.Run("advisory 21: a byte less, a byte more, a bit changed, anywhere", func(t *testing.T) {
		token := a.token(t)
		for i := 0; i < len(token); i += 37 {
			d := tokenDoors()[0]
			d.refuses(t, a, token[:i])
			d.refuses(t, a, token[:i]+"A"+token[i:])
			if token[i] != '.' && i < len(token)-4 { // the last characters hold bits that no byte has
				d.refuses(t, a, flip(token, i))
			}
		}
	})
}

// publicKey is that of an EC JWK.
func publicKey(t testing.TB, jwk claims) *ecdsa.PublicKey {
	t.Helper()
	point := append(append([]byte{4}, decode(t, jwk["x"])...), decode(t, jwk["y"])...)
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	must(t, err)
	return k
}

// jwe is a JWE whose key would take minutes to derive.
func jwe(t testing.TB) string {
	return encode(t, claims{"alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2s": random(16), "p2c": 1 << 31}) + "." + random(40) + "." + random(12) + "." + random(64) + "." + random(16)
}

// TestAdvisoriesOfAssertions: forged assertions; with each the reason is the one
// that the advisory is about, and nothing is fetched.
func TestAdvisoriesOfAssertions(t *testing.T) {
	w := start(t)
	a := w.application(t, byKey)
	var fetched atomic.Int32
	trap := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fetched.Add(1) }))
	defer trap.Close()
	evil := newKey(t, "ES256")
	header, payload := claims{"alg": "ES256", "kid": a.kid}, func() claims {
		_, p := parts(t, a.assertion(t, nil, nil))
		return p
	}
	numbers := func(r, s *big.Int) string {
		h, p := encode(t, header), encode(t, payload())
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return h + "." + p + "." + b64(signature)
	}
	n := elliptic.P256().Params().N
	zero, one := new(big.Int), big.NewInt(1)
	above := new(big.Int).Add(n, one)
	good := a.assertion(t, nil, nil)
	unsigned := good[:strings.LastIndexByte(good, '.')+1]
	der, err := ecdsa.SignASN1(rand.Reader, a.key.private.(*ecdsa.PrivateKey), digest(unsigned[:len(unsigned)-1]))
	must(t, err)
	for name, c := range map[string]struct{ assertion, reason string }{
		"advisory 4: another algorithm than the key's":  {a.key.compact(t, header.with(claims{"alg": "PS256"}), payload()), "assertion_signature"},
		"advisory 5: jwk of another key":                {evil.compact(t, header.with(claims{"jwk": evil.jwk}), payload()), "assertion_signature"},
		"advisory 5: jku":                               {evil.compact(t, header.with(claims{"jku": trap.URL}), payload()), "assertion_signature"},
		"advisory 5: x5u":                               {evil.compact(t, header.with(claims{"x5u": trap.URL}), payload()), "assertion_signature"},
		"advisory 5: x5c":                               {evil.compact(t, header.with(claims{"x5c": []string{"MIIB"}}), payload()), "assertion_signature"},
		"advisory 6: crit of the unknown":               {a.key.compact(t, header.with(claims{"crit": []string{"bork"}, "bork": 1}), payload()), "assertion_malformed"},
		"advisory 6: crit empty":                        {a.key.compact(t, header.with(claims{"crit": []string{}}), payload()), "assertion_malformed"},
		"advisory 6: crit of an absent member":          {a.key.compact(t, header.with(claims{"crit": []string{"exp"}}), payload()), "assertion_malformed"},
		"advisory 7: expired and badly signed":          {evil.compact(t, header, payload().with(claims{"exp": 1})), "assertion_signature"},
		"advisory 8: 60,000 dots":                       {strings.Repeat(".", 60_000), "assertion_malformed"},
		"advisory 10: five parts":                       {good + ".YQ.YQ", "assertion_malformed"},
		"advisory 11: PBES2 with p2c of 2^31":           {jwe(t), "assertion_malformed"},
		"advisory 12: a signature of 21,830 characters": {unsigned + strings.Repeat("A", 21_830), "assertion_malformed"},
		"advisory 12: a signature of 65 bytes":          {unsigned + b64(make([]byte, 65)), "assertion_signature"},
		"advisory 13: r = 0":                            {numbers(zero, one), "assertion_signature"},
		"advisory 13: s = 0":                            {numbers(one, zero), "assertion_signature"},
		"advisory 13: r = n":                            {numbers(n, one), "assertion_signature"},
		"advisory 13: s = n + 1":                        {numbers(one, above), "assertion_signature"},
		"advisory 13: r = s = 0":                        {numbers(zero, zero), "assertion_signature"},
		"advisory 13: DER":                              {unsigned + b64(der), "assertion_signature"},
		"advisory 19: exp as text":                      {a.assertion(t, nil, claims{"exp": "9999999999"}), "assertion_malformed"},
		"advisory 19: exp negative":                     {a.assertion(t, nil, claims{"exp": -1}), "assertion_expired"},
		"advisory 19: iat 1 h ahead":                    {a.assertion(t, nil, claims{"iat": w.clock.Now().Unix() + 3600}), "assertion_from_future"},
	} {
		t.Run(name, func(t *testing.T) {
			r := a.tokenRequest(t)
			r.form.Set("client_assertion", c.assertion)
			began := time.Now()
			refuseForm(t, w, r, c.reason)
			if took := time.Since(began); took > 500*time.Millisecond {
				t.Errorf("took %v", took)
			}
		})
	}
	if fetched.Load() != 0 {
		t.Errorf("advisory 5: %d fetches of a key that a header named", fetched.Load())
	}
	t.Run("advisory 14: PS256 with another salt than the hash's length", func(t *testing.T) {
		own, kid := a.key, a.kid
		defer func() { a.key, a.kid = own, kid }()
		a.key = newKey(t, "PS256")
		a.kid = a.register(t, a.key)
		for _, salt := range []int{rsa.PSSSaltLengthAuto, 20, 31, 33, 64} { // auto is the longest that fits
			input := encode(t, claims{"alg": "PS256", "kid": a.kid}) + "." + encode(t, payload())
			signature, err := rsa.SignPSS(rand.Reader, a.key.private.(*rsa.PrivateKey), crypto.SHA256, digest(input), &rsa.PSSOptions{SaltLength: salt})
			must(t, err)
			r := a.tokenRequest(t)
			r.form.Set("client_assertion", input+"."+b64(signature))
			refuseForm(t, w, r, "assertion_signature")
		}
		a.token(t) // with the right one
	})
}

func digest(input string) []byte {
	sum := sha256.Sum256([]byte(input))
	return sum[:]
}

// TestAdvisoriesOfOthers: what one client may not do with what is another's.
func TestAdvisoriesOfOthers(t *testing.T) {
	w := start(t)
	server := w.server(t)
	a := w.application(t, byKey, withLedger)
	neighbour, stranger := w.application(t, byKey), w.elsewhere(t)
	t.Run("advisory 94: a token is revoked by its owner alone", func(t *testing.T) {
		token := a.ledgerToken(t)
		before := w.sequence(t)
		for name, other := range map[string]*application{"of the same organisation": neighbour, "of another": stranger, "the token's resource": server.application} {
			got := w.revoke(t, other, token)
			if got.status != 400 || got.text("error") != "invalid_grant" {
				t.Errorf("%s: %s", name, got)
			}
		}
		if w.sequence(t) != before || server.introspect(t, token).json["active"] != true {
			t.Error("the token has ended")
		}
	})
	t.Run("advisory 40: nobody introspects a token but a server of its resource", func(t *testing.T) {
		token := a.ledgerToken(t)
		for _, other := range []*application{a, neighbour, stranger} {
			got := w.send(t, &request{client: other.http, method: http.MethodPost, url: other.base() + "/introspect", form: other.authenticated(t, "token", token)})
			if got.body != `{"active":false}` || got.reason() != "token_of_another_resource" {
				t.Errorf("%s (%s)", got, got.reason())
			}
		}
	})
	t.Run("advisory 45: a token of one resource opens no other, and no API of ours", func(t *testing.T) {
		token := a.ledgerToken(t)
		for _, d := range tokenDoors() {
			got := d.show(t, a, token)
			if got.status != 401 || got.reason() != "wrong_audience" {
				t.Errorf("%s: %s (%s)", d.name, got, got.reason())
			}
		}
	})
	t.Run("advisory 36: no grant but the one, for no kind of client", func(t *testing.T) {
		token := a.token(t)
		for _, v := range variants {
			client := w.application(t, v)
			for _, grant := range []string{"refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:jwt-bearer", "authorization_code"} {
				r := client.tokenRequest(t)
				r.form.Set("grant_type", grant)
				for _, name := range []string{"refresh_token", "subject_token", "assertion", "code"} {
					r.form.Set(name, token)
				}
				w.send(t, r).refused(400, "unsupported_grant_type")
			}
		}
	})
	t.Run("advisory 32: a bound token over another certificate opens nothing and is renewed by nothing", func(t *testing.T) {
		bound := w.application(t, byCA)
		token := bound.token(t)
		r := bound.resourceRequest(t, token)
		r.client = w.application(t, byCA).http
		w.send(t, r).denied(401, "invalid_token", "binding_foreign")
	})
	t.Run("advisory 98: an id is random, and never given again", func(t *testing.T) {
		ids := map[string]bool{a.id: true, neighbour.id: true, stranger.id: true}
		if len(ids) != 3 || len(a.id) < 26 {
			t.Errorf("%v", ids)
		}
		_, err := w.admin.RevokeApplication(t.Context(), neighbour.id)
		must(t, err)
		if _, err := w.admin.CreateApplication(t.Context(), newApplication(w.organisation, neighbour.id)); err == nil {
			t.Error("the client_id of a revoked application was given again")
		}
	})
}

// TestAdvisoriesOfAnswers: what an answer must not hold.
func TestAdvisoriesOfAnswers(t *testing.T) {
	w := start(t)
	got := w.send(t, &request{client: w.plain, method: http.MethodGet, url: w.file.AdminURL + "/openapi.json"})
	t.Run("advisory 113: no answer of the admin API has a member for a secret", func(t *testing.T) {
		schemas := answered(got.json)
		if len(schemas) < 8 {
			t.Fatalf("%d schemas", len(schemas))
		}
		secret := []string{"private_key", "secret", "client_secret", "password", "registration_access_token", "api_key", "d", "p", "q", "k", "token", "assertion", "initial_access_token", "software_statement"}
		for name, schema := range schemas {
			if strings.HasPrefix(name, "Made") { // the one answer that says it
				continue
			}
			properties, _ := schema["properties"].(map[string]any)
			for _, member := range secret {
				if properties[member] != nil {
					t.Errorf("%s has the member %s", name, member)
				}
			}
		}
	})
	t.Run("advisory 22: where a page begins is data, and nothing that the caller could forge", func(t *testing.T) {
		operator := w.operator(t)
		r := operator.tokenRequest(t)
		r.form.Set("scope", w.file.OperatorScope)
		token := w.send(t, r).text("access_token")
		for _, after := range []string{"' OR '1'='1", "x' UNION SELECT value FROM meta --", "\x00", "%00", strings.Repeat("z", 400), "{}"} {
			for _, list := range []string{"organisations", "applications", "resources", "audit"} {
				target := w.file.AdminURL + "/v1/" + list
				q := &request{client: w.plain, method: http.MethodGet, url: target + "?after=" + escape(after), header: http.Header{
					"Authorization": {"DPoP " + token}, "Dpop": {operator.proof(t, http.MethodGet, target, nil, claims{"ath": ath(token)})},
				}}
				got := w.send(t, q)
				if got.status >= 500 || got.status == 401 || got.status == 403 || strings.Contains(got.body, "SQL") {
					t.Errorf("%s after %q: %s (%s)", list, after, got, got.reason())
				}
			}
		}
	})
}

// answered are the schemas of an OpenAPI document that answers are made of.
func answered(document map[string]any) map[string]map[string]any {
	components, _ := document["components"].(map[string]any)
	all, _ := components["schemas"].(map[string]any)
	found := map[string]map[string]any{}
	var follow func(v any)
	follow = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				follow(item)
			}
		case map[string]any:
			if ref, _ := v["$ref"].(string); ref != "" {
				name := ref[strings.LastIndexByte(ref, '/')+1:]
				if schema, ok := all[name].(map[string]any); ok && found[name] == nil {
					found[name] = schema
					follow(schema)
				}
			}
			for name, item := range v {
				if name != "requestBody" {
					follow(item)
				}
			}
		}
	}
	follow(document["paths"])
	return found
}

// TestAdvisoriesOfConnections: a connection that was begun in another way, or
// resumed, proves no more than any other.
func TestAdvisoriesOfConnections(t *testing.T) {
	w := start(t)
	listeners := w.listeners(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		name := tls.VersionName(version)
		t.Run("advisories 58 and 59: a session of the public listener is resumed at no other, "+name, func(t *testing.T) {
			cache := tls.NewLRUClientSessionCache(8)
			config := &tls.Config{RootCAs: w.roots, ServerName: "localhost", Time: w.clock.Now, MinVersion: version, MaxVersion: version, ClientSessionCache: cache}
			if resumed(t, listeners["public"], config) {
				t.Fatal("resumed before there was a session")
			}
			if !resumed(t, listeners["public"], config) {
				t.Error("the public listener gives no sessions")
			}
			for _, other := range []string{"mtls", "admin", "gateway"} {
				if resumed(t, listeners[other], config) {
					t.Errorf("resumed at %s", other)
				}
			}
		})
		t.Run("advisory 60: a listener that asks for certificates resumes nothing, "+name, func(t *testing.T) {
			for _, listener := range []string{"mtls", "admin", "gateway"} {
				config := &tls.Config{RootCAs: w.roots, ServerName: "localhost", Time: w.clock.Now, MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(8)}
				for range 3 {
					if resumed(t, listeners[listener], config) {
						t.Errorf("%s resumes", listener)
					}
				}
			}
		})
	}
	a := w.application(t, byCA)
	t.Run("advisory 63: a ClientHello in pieces meets the same policy", func(t *testing.T) {
		for name, cut := range map[string]func([]byte) [][]byte{"segments of one byte": bytewise, "records of one byte": recordwise} {
			for _, c := range []*tls.Certificate{nil, a.certificate} {
				r := a.tokenRequest(t)
				r.client = w.inPieces(listeners["mtls"], c, cut)
				got := w.send(t, r)
				r.client.CloseIdleConnections()
				if (got.status == http.StatusOK) != (c != nil) {
					t.Errorf("%s, certificate %t: %s", name, c != nil, got)
				}
			}
		}
	})
	for _, h2 := range []bool{false, true} {
		for name, sni := range map[string]string{"in capitals": "LOCALHOST", "with a dot": "localhost.", "of nobody": "other.example", "a wildcard": "*.example", "absent": "127.0.0.1"} {
			t.Run(fmt.Sprintf("advisory 64: SNI %s, h2 %t: a certificate is asked for as ever", name, h2), func(t *testing.T) {
				for _, c := range []*tls.Certificate{nil, a.certificate} {
					config := &tls.Config{ServerName: sni, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						if c == nil {
							return &tls.Certificate{}, nil
						}
						return c, nil
					}
					r := a.tokenRequest(t)
					r.client = w.clientAt(listeners["mtls"], config)
					r.client.Transport.(*http.Transport).ForceAttemptHTTP2 = h2
					got := w.send(t, r)
					r.client.CloseIdleConnections()
					if (got.status == http.StatusOK) != (c != nil) || (got.proto == 2) != h2 {
						t.Errorf("certificate %t: %s", c != nil, got)
					}
				}
			})
		}
	}
}
