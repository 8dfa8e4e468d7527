// Package verifytest is an authorization server and its clients, as small as the
// tests of the verifier and its doors need them: it signs whatever it is told.
package verifytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"maps"
	"math/big"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/mtls"
	"github.com/holdfast-auth/holdfast/verify"
)

// Clock is a clock that tests set.
type Clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

// NewClock begins at a whole second near the real time, because certificates of
// real handshakes are made around it.
func NewClock() *Clock { return &Clock{now: time.Now().Truncate(time.Second)} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Claims are members of a token's payload; a nil value removes one.
type Claims map[string]any

// Issuer signs tokens.
type Issuer struct {
	URL    string
	Signer *jose.Signer
	clock  *Clock

	mu sync.Mutex
	n  int // guarded by mu: the last jti
}

// NewIssuer makes an issuer with a fresh key for alg.
func NewIssuer(t testing.TB, clock *Clock, url string, alg jose.Algorithm) *Issuer {
	t.Helper()
	return &Issuer{URL: url, Signer: NewSigner(t, alg, ""), clock: clock}
}

// NewSigner makes a signer with a fresh key.
func NewSigner(t testing.TB, alg jose.Algorithm, kid string) *jose.Signer {
	t.Helper()
	key, err := jose.GenerateKey(alg, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner(key, alg, kid)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Keys is the issuer's key set.
func (is *Issuer) Keys(t testing.TB) *verify.KeySet {
	t.Helper()
	set, err := verify.NewKeySet(is.Signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Claims are those of a good token of client "shop" for resource, bound so.
func (is *Issuer) Claims(resource, scope string, bound cnf.Binding) Claims {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.n++
	c := Claims{
		"iss": is.URL, "aud": resource, "sub": "shop", "client_id": "shop", "organisation": "acme",
		"credential_id": "cred-1", "jti": "token-" + strconv.Itoa(is.n), "scope": scope,
		"iat": is.clock.Now().Unix(), "exp": is.clock.Now().Add(5 * time.Minute).Unix(),
	}
	if !bound.IsZero() {
		c["cnf"] = json.RawMessage(bound.AppendJSON(nil))
	}
	return c
}

// With is c with some claims changed.
func (c Claims) With(other Claims) Claims {
	all := maps.Clone(c)
	for name, value := range other {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	return all
}

// Token signs claims as an access token.
func (is *Issuer) Token(t testing.TB, c Claims) string {
	t.Helper()
	return Sign(t, is.Signer, "at+jwt", c)
}

// Sign signs claims under any typ.
func Sign(t testing.TB, s *jose.Signer, typ string, c Claims) string {
	t.Helper()
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Sign(s.Header(typ, false), payload)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Client is an application with a certificate and a DPoP key.
type Client struct {
	Certificate tls.Certificate
	Peer        *mtls.Peer
	Prover      *dpop.Prover
}

// NewClient makes a client whose self-signed certificate is valid from one hour
// before to one hour after the time.
func NewClient(t testing.TB, clock *Clock) *Client {
	t.Helper()
	return NewClientValid(t, clock.Now().Add(-time.Hour), clock.Now().Add(time.Hour))
}

// NewClientValid makes a client whose certificate is valid in that time.
func NewClientValid(t testing.TB, from, until time.Time) *Client {
	t.Helper()
	cert := Certificate(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "client"}, NotBefore: from, NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	peer, err := mtls.FromState(&tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{cert.Leaf}})
	if err != nil {
		t.Fatal(err)
	}
	prover, err := dpop.NewProver(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return &Client{cert, peer, prover}
}

// ToCertificate binds to the client's certificate.
func (c *Client) ToCertificate() cnf.Binding { return cnf.ToCertificate(c.Peer.Thumbprint()) }

// ToKey binds to the client's DPoP key.
func (c *Client) ToKey() cnf.Binding { return cnf.ToKey(c.Prover.JKT()) }

// Certificate makes a self-signed certificate with a fresh P-256 key.
func Certificate(t testing.TB, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Proof makes a proof and fails the test if it cannot.
func (c *Client) Proof(t testing.TB, now time.Time, method, url, token, nonce string) string {
	t.Helper()
	proof, err := c.Prover.Prove(now, method, url, token, nonce)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}
