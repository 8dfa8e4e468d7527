// Package keyring keeps the server's own private keys: sealed in the store, used
// through crypto.Signer, one row for each with its purpose and its time.
package keyring

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/envelope"
)

// Purpose of a key. A key serves one.
type Purpose string

// The purposes.
const (
	Root         Purpose = "root"          // the CA's root
	Issuing      Purpose = "issuing"       // the issuing CA
	TokenSigning Purpose = "token_signing" // access tokens
)

// StoredKey is a key as the store keeps it.
type StoredKey struct {
	ID          string // random; for token_signing the kid
	Purpose     Purpose
	Sealed      []byte // PKCS#8 DER under the envelope, named by purpose and ID
	Certificate []byte // DER, for the CA's keys
	Created     time.Time
	NotBefore   time.Time // from when it signs
	NotAfter    time.Time // until when it signs
}

// Store keeps the keys.
type Store interface {
	Keys(ctx context.Context, p Purpose) ([]StoredKey, error)
	// CreateKeys stores all of them with the event, or none; ErrExists (of the
	// directory) when a key with this purpose exists and only is true.
	CreateKeys(ctx context.Context, e audit.Event, only bool, keys ...StoredKey) error
}

// Ring opens and makes keys.
type Ring struct {
	Store Store
	KEK   *envelope.Key
	Now   func() time.Time
}

// Key is an opened key.
type Key struct {
	ID                  string
	Purpose             Purpose
	Signer              crypto.Signer
	Certificate         *x509.Certificate // for the CA's keys
	NotBefore, NotAfter time.Time
}

// Keys opens all keys of a purpose, newest NotBefore first.
func (r *Ring) Keys(ctx context.Context, p Purpose) ([]Key, error) { panic("not written") }

// Create seals and stores new keys, in one transaction with its event. With only
// it refuses when their purpose has a key already.
func (r *Ring) Create(ctx context.Context, actor string, only bool, keys ...Key) error {
	panic("not written")
}
