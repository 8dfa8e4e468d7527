package conformance_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestHappyFlow is the flow of two clients at once, and what the plan looks at on
// its way.
func TestHappyFlow(t *testing.T) {
	eachVariant(t, func(t *testing.T, w *world, first *application) {
		other := first.variant
		if other.method == "tls_client_auth" {
			other.method = "self_signed_tls_client_auth" // RFC 8705 section 2.2: the other kind of mTLS
		}
		second := w.application(t, other)
		kids := map[any]bool{}
		for _, k := range w.jwks(t) {
			kids[k["kid"]] = true
		}
		const rounds = 8
		tokens := make([]string, 2*rounds)
		var group sync.WaitGroup
		for i, a := range []*application{first, second} {
			for n := range rounds {
				group.Go(func() { tokens[i*rounds+n] = flow(t, a) })
			}
		}
		group.Wait()
		for i, token := range tokens {
			if token == "" || slices.Contains(tokens[:i], token) {
				t.Fatalf("token %d is none or was given twice", i)
			}
			a := first
			if i >= rounds {
				a = second
			}
			checkToken(t, a, kids, token)
		}
	})
}

// flow gets one token and opens the resource with it. It does not end the test:
// many run at once.
func flow(t *testing.T, a *application) (token string) {
	got, err := a.try(t, a.tokenRequest(t))
	if err != nil || got.status != http.StatusOK {
		t.Errorf("token: %v %v", got, err)
		return ""
	}
	token = got.text("access_token")
	for name, ok := range map[string]bool{
		"RFC 6749 §5.1: application/json": got.header.Get("Content-Type") == "application/json",
		"RFC 6749 §5.1: no-store":         got.header.Get("Cache-Control") == "no-store" && got.header.Get("Pragma") == "no-cache",
		"token_type":                      got.text("token_type") == a.scheme(),
		"expires_in is 5 min":             got.json["expires_in"] == 300.0,
		"scope":                           got.text("scope") == "payments",
		"RFC 6749 §4.4.3: no refresh token": got.json["refresh_token"] == nil &&
			got.json["id_token"] == nil,
	} {
		if !ok {
			t.Errorf("%s: %s", name, got)
		}
	}
	got, err = a.try(t, a.resourceRequest(t, token))
	if err != nil || got.status != http.StatusOK || got.text("client") != a.id || got.text("scope") != "payments" || got.text("binding") != a.binding {
		t.Errorf("resource: %v %v", got, err)
	}
	return token
}

// checkToken reads the token as nobody but its resource should, RFC 9068.
func checkToken(t *testing.T, a *application, kids map[any]bool, token string) {
	t.Helper()
	header, payload := parts(t, token)
	if header["typ"] != "at+jwt" || !slices.Contains(fapiAlgs, header["alg"].(string)) || !kids[header["kid"]] {
		t.Errorf("header %v", header)
	}
	now := float64(a.clock.Now().Unix())
	said := claims{"iss": a.file.Issuer, "aud": a.payments, "sub": a.id, "client_id": a.id, "scope": "payments", "iat": now, "exp": now + 300}
	for name, want := range said {
		if payload[name] != want {
			t.Errorf("%s is %v, want %v", name, payload[name], want)
		}
	}
	if id, _ := payload["credential_id"].(string); id == "" {
		t.Error("no credential_id")
	}
	bound, _ := payload["cnf"].(map[string]any)
	want := claims{}
	if a.binding == "dpop" {
		want["jkt"] = a.proofKey.jkt
	} else {
		sum := sha256.Sum256(a.certificate.Certificate[0])
		want["x5t#S256"] = b64(sum[:])
	}
	if len(bound) != 1 || bound["jkt"] != want["jkt"] || bound["x5t#S256"] != want["x5t#S256"] {
		t.Errorf("cnf is %v, want %v", bound, want)
	}
	// FAPI 2.0 section 5.4.1 wants 128 bits; the suite wants 96 of what Shannon's formula gives.
	id, _ := payload["jti"].(string)
	if bits, err := base64.RawURLEncoding.DecodeString(id); err != nil || 8*len(bits) < 128 {
		t.Errorf("jti %q has less than 128 bits", id)
	}
	if e := entropy(id); e < 96 {
		t.Errorf("jti %q: %.0f bits", id, e)
	}
	if e := entropy(token); e < 96 {
		t.Errorf("token: %.0f bits", e)
	}
}

// entropy is Shannon's, of the characters as they occur, times their number.
func entropy(s string) (bits float64) {
	counts := map[rune]float64{}
	for _, c := range s {
		counts[c]++
	}
	for _, n := range counts {
		bits -= n * math.Log2(n/float64(len(s)))
	}
	return bits
}

// TestHappyFlowTLS is what the plan looks at in each connection: versions, suites,
// the server's key.
func TestHappyFlowTLS(t *testing.T) {
	w := start(t)
	fapi := []uint16{ // RFC 9325 section 4.2
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	}
	// Each suite is for a kind of certificate: the second gateway has an RSA one.
	certificates := map[string]string{"gateway with an RSA certificate": "RSA"}
	listeners := w.listeners(t)
	listeners["gateway with an RSA certificate"] = w.secondGateway(t).address
	for name, address := range listeners {
		certificate := "ECDSA"
		if certificates[name] != "" {
			certificate = certificates[name]
		}
		t.Run(name, func(t *testing.T) {
			for version, spoken := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
				if err := handshake(w, address, version, nil); (err == nil) != spoken {
					t.Errorf("FAPI 2.0 §5.2.1: %s: %v", tls.VersionName(version), err)
				}
			}
			for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
				if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
					continue
				}
				want := slices.Contains(fapi, suite.ID) && strings.Contains(suite.Name, "_"+certificate+"_")
				if err := handshake(w, address, tls.VersionTLS12, []uint16{suite.ID}); (err == nil) != want {
					t.Errorf("FAPI 2.0 §5.2.2, RFC 9325 §4.2: %s: %v", suite.Name, err)
				}
			}
		})
	}
}

// handshake says hello with one version and these suites, and checks the key that
// the server shows.
func handshake(w *world, address string, version uint16, suites []uint16) error {
	config := &tls.Config{ServerName: "localhost", MinVersion: version, MaxVersion: version, CipherSuites: suites, InsecureSkipVerify: true}
	config.VerifyConnection = func(s tls.ConnectionState) error {
		switch k := s.PeerCertificates[0].PublicKey.(type) {
		case *ecdsa.PublicKey:
			if k.Params().BitSize < 224 {
				return errShortKey
			}
		case *rsa.PublicKey:
			if k.N.BitLen() < 2048 {
				return errShortKey
			}
		}
		return nil
	}
	conn, err := tls.Dial("tcp", address, config)
	if err == nil {
		err = conn.Close()
	}
	return err
}

// TestDateOnEveryAnswer asks each listener for what it has and for what it has not,
// over both versions of HTTP. send checks the field of every answer; here is one of each.
func TestDateOnEveryAnswer(t *testing.T) {
	w := start(t)
	statuses := map[int]bool{}
	bases := map[string]string{"public": w.file.Issuer, "mtls": w.mtlsBase, "admin": w.file.AdminURL, "gateway": w.file.GatewayURL}
	for _, h2 := range []bool{false, true} {
		c := w.client(nil)
		c.Transport.(*http.Transport).ForceAttemptHTTP2 = h2
		for _, base := range bases {
			for _, path := range []string{"/", "/token", "/.well-known/jwks.json", "/feed", "/readyz", "/v1/applications", "/payments/1", "/%2e%2e/x", "//", "/nothing"} {
				for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodDelete, "SESAME"} {
					got := w.send(t, &request{client: c, method: method, url: base + path})
					statuses[got.status] = true
					if (got.proto == 2) != h2 {
						t.Errorf("HTTP/%d", got.proto)
					}
				}
			}
		}
		c.CloseIdleConnections()
	}
	for _, status := range []int{200, 400, 401, 404, 405} {
		if !statuses[status] {
			t.Errorf("no answer was %d", status)
		}
	}
}
