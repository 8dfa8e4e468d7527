// Package dpop makes, reads and checks DPoP proofs (RFC 9449). It keeps no
// state: whoever checks a proof stores its jti last, once everything else held.
package dpop

import (
	"crypto"
	"errors"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// Limits of a proof.
const (
	MaxProof = 4 << 10          // bytes
	MaxID    = 128              // bytes of jti
	MaxAge   = 60 * time.Second // iat at most this old, with 10 s of grace
	MaxAhead = 30 * time.Second // iat at most this far ahead
	// KeepID is how long after iat a jti must be remembered.
	KeepID = 100 * time.Second
)

// Faults, for errors.Is; each is one row of RFC 9449 section 4.3.
var (
	ErrMalformed  = errors.New("proof is malformed")
	ErrSignature  = errors.New("proof signature does not verify")
	ErrMethod     = errors.New("proof is for another method")
	ErrURL        = errors.New("proof is for another URL")
	ErrTokenHash  = errors.New("proof is for another access token")
	ErrTooOld     = errors.New("proof is too old")
	ErrFromFuture = errors.New("proof is from the future")
	ErrNonce      = errors.New("proof lacks a fresh nonce")
)

// Proof is a proof whose signature verified under the key it carries.
type Proof struct {
	Key       *jose.PublicKey
	JKT       cnf.Thumbprint
	ID        string // jti
	Method    string // htm
	URL       string // htu as it was sent
	IssuedAt  time.Time
	Nonce     string // "" when absent
	TokenHash string // ath, "" when absent
}

// Parse reads a DPoP header value and verifies its signature with the key it
// carries: typ dpop+jwt, an allowed algorithm, a public jwk, and jti, htm, htu
// and iat present with the right types. Unknown claims are ignored.
func Parse(raw string) (*Proof, error) { panic("not written") }

// Expect is what a proof must be for.
type Expect struct {
	Method string
	URL    string // the configured public URL of this request, without query or fragment
	// AccessToken demands ath; empty at the token endpoint.
	AccessToken string
}

// Check compares p with what is expected at now: htm, htu (RFC 3986 section 6.2.2 and 6.2.3
// normalisation, query and fragment ignored), ath, iat. It does not check
// nonce, key or single use.
func (p *Proof) Check(now time.Time, want Expect) error { panic("not written") }

// UseKey is the name under which the use of this proof is recorded: SHA-256 over
// jkt and jti, so that nobody can burn another key's jti.
func (p *Proof) UseKey() [32]byte { panic("not written") }

// KeepUntil is until when the use must be remembered.
func (p *Proof) KeepUntil() time.Time { return p.IssuedAt.Add(KeepID) }

// Nonces issues and checks stateless nonces: an HMAC over issue time and jkt,
// good for the running and the previous period of five minutes (RFC 9449
// section 8). All nodes that share a secret accept each other's.
type Nonces struct{ secret [32]byte }

// NewNonces makes a source from 32 random bytes.
func NewNonces(secret [32]byte) *Nonces { return &Nonces{secret} }

// Issue makes a nonce for the key jkt.
func (n *Nonces) Issue(now time.Time, jkt cnf.Thumbprint) string { panic("not written") }

// Check tells whether nonce was issued for jkt, not before notBefore (the zero
// time: any), and at most two periods ago.
func (n *Nonces) Check(now time.Time, nonce string, jkt cnf.Thumbprint, notBefore time.Time) bool {
	panic("not written")
}

// Prover makes proofs with one key. Safe for concurrent use.
type Prover struct{}

// NewProver prepares proofs with key (the algorithm is the key's own).
func NewProver(key crypto.Signer) (*Prover, error) { panic("not written") }

// JKT is the thumbprint of the prover's key.
func (p *Prover) JKT() cnf.Thumbprint { panic("not written") }

// Prove makes a proof for one request. accessToken and nonce may be empty; url
// loses its query and fragment.
func (p *Prover) Prove(now time.Time, method, url, accessToken, nonce string) (string, error) {
	panic("not written")
}
