// Package authtest is a small world to test client authentication in: two
// organisations, each with its CA, two resources, and whatever applications,
// keys and certificates a test adds. It keeps state and a clock, and makes
// assertions and proofs that are wrong in any way that a test asks for.
package authtest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/mtls"
)

// The world's fixed names.
const (
	Issuer      = "https://as.example"
	TrustDomain = "holdfast.example"
	Acme        = directory.OrganisationID("acme")
	Rival       = directory.OrganisationID("rival")
	Payments    = "https://api.example/payments" // scopes payments and refunds
	Reports     = "https://api.example/reports"  // scope reports
	Secrets     = "https://api.example/secrets"  // scope secrets, granted to nobody
	ResourceApp = directory.ClientID("rs")       // may introspect tokens for Payments
)

// World is the directory as a test has made it, and its clock.
type World struct {
	T        testing.TB
	Now      time.Time
	Snapshot *directory.Snapshot
	Auth     *clientauth.Authenticator

	cas map[directory.OrganisationID]*CA
}

// New makes the world with its organisations and resources, at noon.
func New(t testing.TB) *World {
	w := &World{
		T:        t,
		Now:      time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC),
		Snapshot: directory.Empty(),
		cas:      map[directory.OrganisationID]*CA{},
	}
	w.cas[Acme], w.cas[Rival] = w.NewCA("acme CA"), w.NewCA("rival CA")
	w.Auth = &clientauth.Authenticator{Issuer: Issuer, TrustDomain: TrustDomain, Pool: func(o directory.OrganisationID) *mtls.Pool {
		if ca := w.cas[o]; ca != nil {
			return ca.Pool
		}
		return nil
	}}
	w.Apply(directory.Delta{
		Organisations: []directory.Organisation{{ID: Acme, State: directory.Active}, {ID: Rival, State: directory.Active}},
		Resources: []directory.Resource{
			{URI: Payments, Organisation: Acme, Scopes: []string{"payments", "refunds"}, Servers: []directory.ClientID{ResourceApp}, State: directory.Active},
			{URI: Reports, Organisation: Acme, Scopes: []string{"reports"}, State: directory.Active},
			{URI: Secrets, Organisation: Rival, Scopes: []string{"secrets"}, State: directory.Active},
		},
	})
	return w
}

// Apply makes the next snapshot.
func (w *World) Apply(d directory.Delta) {
	d.Sequence = w.Snapshot.Sequence() + 1
	w.Snapshot = w.Snapshot.Apply(d, w.Now)
}

// Application adds an application of acme that may use payments and refunds;
// edit may change it.
func (w *World) Application(id directory.ClientID, method directory.AuthMethod, binding cnf.Method, edit ...func(*directory.Application)) {
	a := directory.Application{
		ClientID: id, Organisation: Acme, Name: string(id), AuthMethod: method, Binding: binding, State: directory.Active,
		Grants: []directory.Grant{{Resource: Payments, Scopes: []string{"payments", "refunds"}}},
	}
	for _, e := range edit {
		e(&a)
	}
	w.Apply(directory.Delta{Applications: []directory.Application{a}})
}

// Edit changes an application.
func (w *World) Edit(id directory.ClientID, edit func(*directory.Application)) {
	a := w.Snapshot.Client(id).Application
	edit(&a)
	w.Apply(directory.Delta{Applications: []directory.Application{a}})
}

// SetOrganisation moves an organisation to a state.
func (w *World) SetOrganisation(id directory.OrganisationID, s directory.State) {
	w.Apply(directory.Delta{Organisations: []directory.Organisation{{ID: id, State: s}}})
}

// EditCredential changes a credential.
func (w *World) EditCredential(id directory.CredentialID, edit func(*directory.Credential)) {
	c := *w.Snapshot.Credential(id)
	edit(&c)
	w.Apply(directory.Delta{Credentials: []directory.Credential{c}})
}

// NewSigner makes a key that nobody has registered.
func (w *World) NewSigner(alg jose.Algorithm, kid string) *jose.Signer {
	w.T.Helper()
	key, err := jose.GenerateKey(alg, rand.Reader)
	if err != nil {
		w.T.Fatal(err)
	}
	s, err := jose.NewSigner(key, alg, kid)
	if err != nil {
		w.T.Fatal(err)
	}
	return s
}

// Key makes a signing key and registers it for the client, with id "key-" + kid.
func (w *World) Key(client directory.ClientID, alg jose.Algorithm, kid string, edit ...func(*directory.Credential)) *jose.Signer {
	w.T.Helper()
	s := w.NewSigner(alg, kid)
	c := directory.Credential{
		ID: directory.CredentialID("key-" + s.Public().KeyID()), ClientID: client, Kind: directory.SigningKey, State: directory.Active,
		Key: s.Public(), Thumbprint: s.Public().Thumbprint(), Created: w.Now,
	}
	for _, e := range edit {
		e(&c)
	}
	w.Apply(directory.Delta{Credentials: []directory.Credential{c}})
	return s
}

// Claims are those of a JWT. A json.RawMessage value is written as it is.
type Claims = map[string]any

// AssertionClaims are good claims for client with a fresh jti; nil in edit
// removes one.
func (w *World) AssertionClaims(client directory.ClientID, edit Claims) Claims {
	return with(Claims{
		"iss": client, "sub": client, "aud": Issuer, "jti": rand.Text(),
		"iat": w.Now.Unix(), "exp": w.Now.Add(time.Minute).Unix(),
	}, edit)
}

// Assertion is a client assertion signed by s; edit changes its claims.
func (w *World) Assertion(client directory.ClientID, s *jose.Signer, edit Claims) string {
	w.T.Helper()
	header := Claims{"alg": s.Public().Algorithm(), "kid": s.Public().KeyID(), "typ": "client-authentication+jwt"}
	return w.JWS(header, w.AssertionClaims(client, edit), s)
}

// Proof is a DPoP proof for POST url with a fresh jti; the edits change header and claims.
func (w *World) Proof(s *jose.Signer, url string, header, claims Claims) string {
	w.T.Helper()
	return w.JWS(
		with(Claims{"alg": s.Public().Algorithm(), "typ": "dpop+jwt", "jwk": json.RawMessage(publicJWK(s))}, header),
		with(Claims{"jti": rand.Text(), "htm": "POST", "htu": url, "iat": w.Now.Unix()}, claims), s)
}

// publicJWK is the JWK without kid, alg and use.
func publicJWK(s *jose.Signer) []byte {
	var jwk map[string]any
	_ = json.Unmarshal(s.Public().JWK(), &jwk)
	for _, name := range []string{"kid", "alg", "use"} {
		delete(jwk, name)
	}
	b, _ := json.Marshal(jwk)
	return b
}

func with(base, edit Claims) Claims {
	maps.Copy(base, edit)
	maps.DeleteFunc(base, func(_ string, v any) bool { return v == nil })
	return base
}

// JWS signs any header and payload with s, whatever the header says.
func (w *World) JWS(header, payload Claims, s *jose.Signer) string {
	w.T.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		w.T.Fatal(err)
	}
	p, err := json.Marshal(payload)
	if err != nil {
		w.T.Fatal(err)
	}
	compact, err := s.Sign(jose.PreparedHeader(base64.RawURLEncoding.EncodeToString(h)), p)
	if err != nil {
		w.T.Fatal(err)
	}
	return compact
}

// Form parses values as the body of a request.
func (w *World) Form(values url.Values) oauth.Form {
	w.T.Helper()
	r, err := http.NewRequest(http.MethodPost, Issuer+"/token", strings.NewReader(values.Encode()))
	if err != nil {
		w.T.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	f, err := oauth.ParseForm(r)
	if err != nil {
		w.T.Fatal(err)
	}
	return f
}
