// Package token is the life of an access token: how it is minted (a JWT by RFC
// 9068, always bound), with which key, and how the single use of assertions and
// proofs is recorded.
package token

import (
	"errors"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// Limits of an access token.
const (
	MaxSize = 8 << 10   // bytes
	MaxLife = time.Hour // from iat to exp
)

// Type is the JWS "typ" of an access token (RFC 9068 section 2.1).
const Type = "at+jwt"

// Faults, for errors.Is.
var (
	// ErrUnbound is an attempt to mint a token without a binding.
	ErrUnbound = errors.New("token without a binding")
	// ErrNoKey says that no signing key is in its time.
	ErrNoKey = errors.New("no token signing key is in force")
	// ErrForeign is a token that this server did not issue, or that was changed.
	ErrForeign = errors.New("not a token of this server")
)

// Claims of an access token (RFC 9068 section 2.2). For client_credentials sub is client_id.
type Claims struct {
	Issuer       string
	Audience     string
	ClientID     string
	Organisation string
	Scope        string
	ID           string // jti
	KeyID        string // kid of the key that signed it; set by Parse
	CredentialID string // the credential that authenticated
	IssuedAt     time.Time
	Expires      time.Time
	Binding      cnf.Binding
}

// SigningKeys is the set of keys that access tokens are signed with. Immutable.
type SigningKeys struct {
	// Current signs; nil when no key is in its time.
	Current *jose.Signer
	// Published are all that verify, Current's included.
	Published []*jose.PublicKey

	header jose.PreparedHeader // of Current; prepared by NewSigningKeys
}

// NewSigningKeys makes a set that signs with current (which may be nil) and
// publishes current's key first, then others.
func NewSigningKeys(current *jose.Signer, others ...*jose.PublicKey) *SigningKeys {
	k := &SigningKeys{Current: current}
	if current != nil {
		k.header = current.Header(Type, false)
		k.Published = append(k.Published, current.Public())
	}
	k.Published = append(k.Published, others...)
	return k
}
