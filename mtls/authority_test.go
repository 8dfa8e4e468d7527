package mtls

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"testing"
	"time"
)

// noon is when the tests of rules happen.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// authority is a CA that signs whatever a test asks for.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// caTemplate is a CA good for a year around noon.
func caTemplate(t testing.TB, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: name},
		NotBefore: noon.AddDate(0, -6, 0), NotAfter: noon.AddDate(0, 6, 0),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

// clientTemplate is a client certificate good for a week around noon.
func clientTemplate(t testing.TB, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: name},
		NotBefore: noon.AddDate(0, 0, -3), NotAfter: noon.AddDate(0, 0, 3),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "test", Path: "/" + name}},
	}
}

func newAuthority(t testing.TB, template *x509.Certificate) *authority {
	t.Helper()
	key := newKey(t)
	return &authority{sign(t, template, template, key.Public(), key), key}
}

// issue signs template for the public key.
func (a *authority) issue(t testing.TB, template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	return sign(t, template, a.certificate, public, a.key)
}

// under makes an issuing CA below a.
func (a *authority) under(t testing.TB, template *x509.Certificate) *authority {
	t.Helper()
	key := newKey(t)
	return &authority{a.issue(t, template, key.Public()), key}
}

func sign(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shown is the state of a finished handshake in which the client showed chain.
func shown(chain ...*x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: chain}
}

func peer(t testing.TB, chain ...*x509.Certificate) *Peer {
	t.Helper()
	p, err := FromState(shown(chain...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func pool(t testing.TB, roots ...*x509.Certificate) *Pool {
	t.Helper()
	p, err := NewPool(roots, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// keyPair is chain with the key of its leaf.
func keyPair(key crypto.Signer, chain ...*x509.Certificate) *tls.Certificate {
	pair := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, bytes.Clone(c.Raw))
	}
	return pair
}
