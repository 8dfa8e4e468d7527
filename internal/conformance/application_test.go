package conformance_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	formType      = "application/x-www-form-urlencoded"
)

// variant is one column of the plan: how a client authenticates, and what its
// tokens are bound to.
type variant struct{ name, method, binding string }

// variants are the four of the conformance plan.
var variants = []variant{
	{"private_key_jwt, DPoP binding", "private_key_jwt", "dpop"},
	{"private_key_jwt, mTLS binding", "private_key_jwt", "mtls"},
	{"mTLS client authentication, DPoP binding", "tls_client_auth", "dpop"},
	{"mTLS client authentication, mTLS binding", "tls_client_auth", "mtls"},
}

// eachVariant runs one module for each variant, with an application of its kind.
func eachVariant(t *testing.T, module func(t *testing.T, w *world, a *application)) {
	w := start(t)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { module(t, w, w.application(t, v)) })
	}
}

// application is an OAuth client with everything that it needs.
type application struct {
	*world
	variant
	id          string
	key         *key // signs assertions; nil: none
	kid         string
	certificate *tls.Certificate // nil: none
	proofKey    *key             // makes DPoP proofs; nil: none
	http        *http.Client     // shows certificate
}

// application makes one that may ask for the scope payments.
func (w *world) application(t testing.TB, v variant, changes ...func(*admin.NewApplication)) *application {
	t.Helper()
	asked := admin.NewApplication{
		Organisation: w.organisation, Name: "under test", AuthMethod: v.method, Binding: v.binding,
		Grants: []admin.Grant{{Resource: w.payments, Scopes: []string{"payments"}}},
	}
	for _, change := range changes {
		change(&asked)
	}
	made, err := w.admin.CreateApplication(t.Context(), asked)
	must(t, err)
	a := &application{world: w, variant: v, id: made.ClientID}
	if v.method == "private_key_jwt" {
		a.key = newKey(t, "ES256")
		a.kid = a.register(t, a.key)
	}
	if v.binding == "dpop" {
		a.proofKey = newKey(t, "ES256")
	}
	switch {
	case v.method == "self_signed_tls_client_auth":
		a.certificate = a.ownCertificate(t)
	case v.method == "tls_client_auth", v.binding == "mtls":
		a.certificate = a.issued(t, newKey(t, "ES256"))
	}
	a.http = w.plain
	if a.certificate != nil {
		a.http = w.client(a.certificate)
		t.Cleanup(a.http.CloseIdleConnections)
	}
	if !asked.RequireNonce {
		a.awaitGateway(t)
	}
	return a
}

// awaitGateway waits until the gateway has heard of the application: a change is
// in force everywhere within 2 s (design.md).
func (a *application) awaitGateway(t testing.TB) {
	t.Helper()
	token := a.token(t)
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		got := a.send(t, a.resourceRequest(t, token))
		if got.status == http.StatusOK {
			return
		}
		if reason := got.reason(); reason != "application_unknown" && reason != "credential_unknown" || time.Now().After(deadline) {
			t.Fatalf("the gateway does not know the application: %s (%s)", got, reason)
		}
	}
}

// register has the public half of a key that signs assertions registered.
func (a *application) register(t testing.TB, k *key) (kid string) {
	t.Helper()
	jwk, err := json.Marshal(map[string]any(k.jwk.with(claims{"alg": k.alg, "use": "sig"})))
	must(t, err)
	c, err := a.admin.RegisterKey(t.Context(), a.id, admin.NewSigningKey{JWK: jwk})
	must(t, err)
	return c.KeyID
}

// issued has a certificate issued for a key by the system's own CA.
func (a *application) issued(t testing.TB, k *key) *tls.Certificate {
	t.Helper()
	return a.issuedFor(t, k, 0)
}

// issuedFor asks for a life in seconds.
func (a *application) issuedFor(t testing.TB, k *key, life int64) *tls.Certificate {
	t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k.private)
	must(t, err)
	c, err := a.admin.IssueCertificate(context.Background(), a.id, admin.NewRequest{
		LifeSeconds: life, CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
	})
	must(t, err)
	out := &tls.Certificate{PrivateKey: k.private}
	for rest := []byte(c.Chain); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return out
		}
		out.Certificate = append(out.Certificate, block.Bytes)
	}
}

// ownCertificate is a certificate that the application made itself, registered.
func (a *application) ownCertificate(t testing.TB) *tls.Certificate {
	t.Helper()
	c := selfSigned(t, a.clock.Now(), nil)
	_, err := a.admin.RegisterCertificate(t.Context(), a.id, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	must(t, err)
	return c
}

// selfSigned makes a certificate that nobody vouches for.
func selfSigned(t testing.TB, now time.Time, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 150))
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "self-made"},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// base is the URL of the listener that the application uses: with a certificate,
// as a client that honours mtls_endpoint_aliases.
func (a *application) base() string {
	if a.certificate != nil {
		return a.mtlsBase
	}
	return a.file.Issuer
}

// assertion is a client assertion with changes laid over its header and claims.
func (a *application) assertion(t testing.TB, header, payload claims) string {
	t.Helper()
	now := a.clock.Now().Unix()
	return a.key.compact(t,
		claims{"alg": a.key.alg, "kid": a.kid, "typ": "JWT"}.with(header),
		claims{"iss": a.id, "sub": a.id, "aud": a.file.Issuer, "jti": random(16), "iat": now, "exp": now + 60}.with(payload))
}

// proof is a DPoP proof with changes laid over its header and claims.
func (a *application) proof(t testing.TB, method, target string, header, payload claims) string {
	t.Helper()
	return a.proofKey.compact(t,
		claims{"alg": a.proofKey.alg, "typ": "dpop+jwt", "jwk": a.proofKey.jwk}.with(header),
		claims{"jti": random(16), "htm": method, "htu": target, "iat": a.clock.Now().Unix()}.with(payload))
}

// authenticated is a form that authenticates the application.
func (a *application) authenticated(t testing.TB, more ...string) url.Values {
	t.Helper()
	form := url.Values{"client_id": {a.id}}
	if a.key != nil {
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", a.assertion(t, nil, nil))
	}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

// tokenRequest is a good request for a token of scope payments.
func (a *application) tokenRequest(t testing.TB) *request {
	t.Helper()
	r := &request{client: a.http, method: http.MethodPost, url: a.base() + "/token", header: http.Header{}}
	r.form = a.authenticated(t, "grant_type", "client_credentials", "scope", "payments")
	if a.proofKey != nil {
		r.header.Set("DPoP", a.proof(t, http.MethodPost, r.url, nil, nil))
	}
	return r
}

// token gets an access token.
func (a *application) token(t testing.TB) string {
	t.Helper()
	got := a.send(t, a.tokenRequest(t))
	token := got.text("access_token")
	if got.status != http.StatusOK || token == "" {
		t.Fatalf("no token: %s", got)
	}
	return token
}

// scheme is the token type of the application's tokens.
func (a *application) scheme() string {
	if a.binding == "dpop" {
		return "DPoP"
	}
	return "Bearer"
}

// resourceURL is what the tokens open.
func (a *application) resourceURL() string { return a.payments + "/1" }

// resourceRequest is a good request at the gateway with this token.
func (a *application) resourceRequest(t testing.TB, token string) *request {
	t.Helper()
	r := &request{client: a.http, method: http.MethodGet, url: a.resourceURL(), header: http.Header{"Authorization": {a.scheme() + " " + token}}}
	if a.proofKey != nil {
		r.header.Set("DPoP", a.proof(t, http.MethodGet, a.resourceURL(), nil, claims{"ath": ath(token)}))
	}
	return r
}
