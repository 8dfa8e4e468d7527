// Package token is the life of an access token: how it is minted (a JWT by RFC
// 9068, always bound), with which key, and how the single use of assertions and
// proofs is recorded.
package token

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// ErrUnbound is an attempt to mint a token without a binding.
var ErrUnbound = errors.New("token without a binding")

// Claims of an access token (RFC 9068 section 2.2). For client_credentials sub is client_id.
type Claims struct {
	Issuer       string
	Audience     string
	ClientID     string
	Organisation string
	Scope        string
	ID           string // jti
	CredentialID string // the credential that authenticated
	IssuedAt     time.Time
	Expires      time.Time
	Binding      cnf.Binding
}

// SigningKeys is the set of keys that access tokens are signed with. Immutable.
type SigningKeys struct {
	// Current signs.
	Current *jose.Signer
	// Published are all that verify, Current's included.
	Published []*jose.PublicKey
}

// Mint makes the JWT, typ at+jwt. It refuses a zero binding with ErrUnbound.
func (k *SigningKeys) Mint(c Claims) (string, error) { panic("not written") }

// Parse verifies a token that this server issued (signature, typ, issuer); it
// does not look at exp or revocation.
func (k *SigningKeys) Parse(issuer, raw string) (*Claims, error) { panic("not written") }

// Use is one id that may be used once, until a time.
type Use struct {
	Key   [32]byte
	Until time.Time
}

// AssertionUse names the single use of a client's assertion.
func AssertionUse(clientID, jti string, until time.Time) Use { panic("not written") }

// ReplayedError tells which of the uses was not the first.
type ReplayedError struct{ Index int }

func (e *ReplayedError) Error() string { return "used before" }

// Uses records single use. FirstUse returns nil once all uses are on disk and
// each was the first of its key; *ReplayedError if one was not. Calls for one key
// are serialisable across nodes and durable on return.
type Uses interface {
	FirstUse(ctx context.Context, uses ...Use) error
}
