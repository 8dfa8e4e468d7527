// Package mtls is the client certificate of a request and the TLS settings of a
// listener. Listeners ask for a certificate and never let crypto/tls judge it:
// the chain is verified here, per request, against the pool of the application's
// organisation (RFC 8705; RFC 9325 section 4.2 for the cipher suites).
package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
)

// MaxChain is the most certificates that a peer may send.
const MaxChain = 5

// Faults, for errors.Is.
var (
	ErrUntrusted   = errors.New("certificate chain is not trusted")
	ErrExpired     = errors.New("certificate is expired")
	ErrNotYetValid = errors.New("certificate is not yet valid")
	ErrUsage       = errors.New("certificate is not for client authentication")
)

// Peer is the certificate that the other side proved it holds the key of. Its
// zero value is nobody.
type Peer struct {
	leaf          *x509.Certificate
	intermediates []*x509.Certificate
	thumbprint    cnf.Thumbprint
}

// FromState takes the peer of a finished handshake; ok is false when it showed
// no certificate. Chains longer than MaxChain count as none shown with ErrUntrusted.
func FromState(state *tls.ConnectionState) (p *Peer, err error) { panic("not written") }

// Leaf is the peer's own certificate.
func (p *Peer) Leaf() *x509.Certificate { return p.leaf }

// Thumbprint is the x5t#S256 of the leaf.
func (p *Peer) Thumbprint() cnf.Thumbprint { return p.thumbprint }

// ValidAt checks the leaf's own validity period at now.
func (p *Peer) ValidAt(now time.Time) error { panic("not written") }

// Pool is a set of trusted CA certificates that has no usable zero value: a zero
// Pool trusts nobody. (A nil x509.VerifyOptions.Roots would mean the system's.)
// It remembers chains that verified, by hash, never beyond their notAfter.
type Pool struct{}

// NewPool refuses an empty list and certificates that are not CAs.
func NewPool(roots, intermediates []*x509.Certificate) (*Pool, error) { panic("not written") }

// Verify builds a chain from the peer to the pool, for client authentication, at now.
func (pool *Pool) Verify(now time.Time, p *Peer) error { panic("not written") }

// ServerConfig is the TLS configuration of every listener: 1.3, and 1.2 with the
// four suites of RFC 9325 section 4.2. With askClient the listener requests (not
// requires) a certificate, names no CA, and issues no session tickets.
func ServerConfig(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), askClient bool) *tls.Config {
	panic("not written")
}

// ClientConfig is the TLS configuration for calling others. roots is required.
// certificate may be nil.
func ClientConfig(roots *x509.CertPool, certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)) (*tls.Config, error) {
	panic("not written")
}
