// Package mtls is the client certificate of a request and the TLS settings of a
// listener. Listeners ask for a certificate and never let crypto/tls judge it:
// the chain is verified here, per request, against the pool of the application's
// organisation (RFC 8705; RFC 9325 section 4.2 for the cipher suites).
package mtls

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
)

// Limits of what a peer may send.
const (
	MaxChain      = 5        // certificates
	maxChainBytes = 48 << 10 // DER of all of them, which is 64 KiB of PEM
)

// Faults, for errors.Is.
var (
	ErrNoCertificate = errors.New("no client certificate")
	ErrUntrusted     = errors.New("certificate chain is not trusted")
	ErrExpired       = errors.New("certificate is expired")
	ErrNotYetValid   = errors.New("certificate is not yet valid")
	ErrUsage         = errors.New("certificate is not for client authentication")
)

// Peer is the certificate that the other side proved it holds the key of. Its
// zero value is nobody.
type Peer struct {
	leaf          *x509.Certificate
	intermediates []*x509.Certificate
	thumbprint    cnf.Thumbprint
	chain         [sha256.Size]byte // over the thumbprints of all that was sent
}

// FromState takes the peer of a finished handshake, or ErrNoCertificate. A chain
// beyond MaxChain or 48 KiB, and a key that no credential may have (RSA outside
// 2048 to 4096 bits, a curve other than P-256 and P-384), count as none shown,
// with ErrUntrusted.
//
// crypto/tls verifies, under every ClientAuth setting, that a client which sends
// a certificate signed the handshake with its key; tls.RequestClientCert only
// leaves the judgement of the chain to us. A state of another origin than a
// handshake proves nothing.
func FromState(state *tls.ConnectionState) (p *Peer, err error) {
	if state == nil || !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return nil, ErrNoCertificate
	}
	sent := state.PeerCertificates
	if len(sent) > MaxChain {
		return nil, fmt.Errorf("%w: more than %d certificates", ErrUntrusted, MaxChain)
	}
	bytes := 0
	for _, c := range sent {
		if bytes += len(c.Raw); bytes > maxChainBytes {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrUntrusted, maxChainBytes)
		}
		if !acceptable(c.PublicKey) {
			return nil, fmt.Errorf("%w: key of a kind or size that is not accepted", ErrUntrusted)
		}
	}
	p = &Peer{leaf: sent[0], intermediates: sent[1:], thumbprint: cnf.CertificateThumbprint(sent[0].Raw)}
	prints := make([]byte, 0, MaxChain*sha256.Size)
	prints = append(prints, p.thumbprint[:]...)
	for _, c := range p.intermediates {
		t := cnf.CertificateThumbprint(c.Raw)
		prints = append(prints, t[:]...)
	}
	p.chain = sha256.Sum256(prints)
	return p, nil
}

// acceptable bounds the work that verifying a stranger's signatures costs.
func acceptable(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 4096
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384()
	case ed25519.PublicKey:
		return true
	}
	return false
}

// Leaf is the peer's own certificate.
func (p *Peer) Leaf() *x509.Certificate { return p.leaf }

// Thumbprint is the x5t#S256 of the leaf.
func (p *Peer) Thumbprint() cnf.Thumbprint { return p.thumbprint }

// ForClients checks what the leaf says of its own use, for one whose chain counts
// for nothing: that its key may sign a handshake, and that no extended key usage
// excludes client authentication.
func (p *Peer) ForClients() error {
	if p == nil || p.leaf == nil {
		return ErrNoCertificate
	}
	if p.leaf.KeyUsage != 0 && p.leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return ErrUsage
	}
	for _, usage := range p.leaf.ExtKeyUsage {
		if usage == x509.ExtKeyUsageClientAuth || usage == x509.ExtKeyUsageAny {
			return nil
		}
	}
	if len(p.leaf.ExtKeyUsage)+len(p.leaf.UnknownExtKeyUsage) > 0 {
		return ErrUsage
	}
	return nil
}

// ValidAt checks the leaf's own validity period at now.
func (p *Peer) ValidAt(now time.Time) error {
	if p == nil || p.leaf == nil {
		return ErrNoCertificate
	}
	if now.Before(p.leaf.NotBefore) {
		return ErrNotYetValid
	}
	if now.After(p.leaf.NotAfter) {
		return ErrExpired
	}
	return nil
}
