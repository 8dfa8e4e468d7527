// Package keyring keeps the server's own private keys: sealed in the store, used
// through crypto.Signer, one row for each with its purpose and its time.
package keyring

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/envelope"
)

// Purpose of a key. A key serves one.
type Purpose string

// The purposes.
const (
	Root            Purpose = "root"             // the CA's root
	Issuing         Purpose = "issuing"          // the issuing CA
	TokenSigning    Purpose = "token_signing"    // access tokens
	AuditCheckpoint Purpose = "audit_checkpoint" // checkpoints of the audit chain
	// IssuingRequest is a key for an issuing CA that somebody else's root is yet
	// to certify.
	IssuingRequest Purpose = "issuing_request"
	Listener       Purpose = "listener" // TLS of our own listeners, with a certificate of our CA

	SoftwareStatement Purpose = "software_statement" // RFC 7591 section 2.3
)

var (
	errNoKeys   = errors.New("no keys to create")
	errNotKey   = errors.New("not a private key that signs")
	errOtherKey = errors.New("the certificate is that of another key")
)

// StoredKey is a key as the store keeps it.
type StoredKey struct {
	ID          string // random; for token_signing the kid
	Purpose     Purpose
	Sealed      []byte // PKCS#8 DER under the envelope, named by purpose and ID; empty for a key that is kept offline
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
	Offline             bool              // only the certificate is here
	NotBefore, NotAfter time.Time
}

// Keys opens all keys of a purpose, newest NotBefore first. One that does not
// open, or is not what its row says, is an error for all: a ring that lacks a key
// would refuse what that key signed.
func (r *Ring) Keys(ctx context.Context, p Purpose) ([]Key, error) {
	stored, err := r.Store.Keys(ctx, p)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, len(stored))
	for i, s := range stored {
		if keys[i], err = r.open(s); err != nil {
			return nil, fmt.Errorf("open %s key %s: %w", p, s.ID, err)
		}
	}
	slices.SortStableFunc(keys, func(a, b Key) int { return b.NotBefore.Compare(a.NotBefore) })
	return keys, nil
}

// Certified opens the CA's keys of a purpose, in the order of Keys. One that does
// not open, or is kept offline, has no Signer: its certificate serves without.
func (r *Ring) Certified(ctx context.Context, p Purpose) ([]Key, error) {
	stored, err := r.Store.Keys(ctx, p)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, len(stored))
	for i, s := range stored {
		if keys[i], err = r.open(s); err == nil && keys[i].Certificate != nil {
			continue
		}
		c, err := x509.ParseCertificate(s.Certificate)
		if err != nil {
			return nil, fmt.Errorf("read the certificate of %s key %s: %w", p, s.ID, err)
		}
		keys[i] = Key{ID: s.ID, Purpose: s.Purpose, Certificate: c, NotBefore: s.NotBefore, NotAfter: s.NotAfter}
	}
	slices.SortStableFunc(keys, func(a, b Key) int { return b.NotBefore.Compare(a.NotBefore) })
	return keys, nil
}

// Create seals and stores new keys, in one transaction with its event. With only
// it refuses when their purpose has a key already. An empty ID is made here, as
// is a zero NotBefore: now.
func (r *Ring) Create(ctx context.Context, actor string, only bool, keys ...Key) error {
	if len(keys) == 0 {
		return errNoKeys
	}
	now := r.Now()
	stored := make([]StoredKey, len(keys))
	made := make([]created, len(keys))
	for i, k := range keys {
		var err error
		if stored[i], err = r.seal(k, now); err != nil {
			return fmt.Errorf("seal %s key: %w", k.Purpose, err)
		}
		made[i] = created{stored[i].ID, k.Purpose}
	}
	detail, err := json.Marshal(map[string]any{"keys": made})
	if err != nil {
		return fmt.Errorf("write down new keys: %w", err)
	}
	e := audit.Event{At: now, Actor: actor, Action: "key.created", Subject: stored[0].ID, Detail: string(detail)}
	return r.Store.CreateKeys(ctx, e, only, stored...)
}

// created is what the audit trail says of a new key.
type created struct {
	ID      string  `json:"id"`
	Purpose Purpose `json:"purpose"`
}

// name ties a sealed key to its row.
func name(p Purpose, id string) string { return string(p) + "/" + id }

func (r *Ring) seal(k Key, now time.Time) (StoredKey, error) {
	if k.Signer == nil && !k.Offline {
		return StoredKey{}, errNotKey
	}
	s := StoredKey{ID: k.ID, Purpose: k.Purpose, Created: now, NotBefore: k.NotBefore, NotAfter: k.NotAfter}
	if s.ID == "" {
		s.ID = strings.ToLower(rand.Text())
	}
	if s.NotBefore.IsZero() {
		s.NotBefore = now
	}
	if k.Offline {
		if k.Signer != nil || k.Certificate == nil {
			return StoredKey{}, errNotKey
		}
		s.Sealed, s.Certificate = []byte{}, k.Certificate.Raw
		return s, nil
	}
	if k.Certificate != nil {
		if err := matches(k.Certificate, k.Signer); err != nil {
			return StoredKey{}, err
		}
		s.Certificate = k.Certificate.Raw
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.Signer)
	if err != nil {
		return StoredKey{}, err
	}
	s.Sealed, err = r.KEK.Seal(name(s.Purpose, s.ID), der)
	clear(der)
	return s, err
}

func (r *Ring) open(s StoredKey) (Key, error) {
	der, err := r.KEK.Open(name(s.Purpose, s.ID), s.Sealed)
	if err != nil {
		return Key{}, err
	}
	defer clear(der)
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return Key{}, errNotKey // the parser's error could quote the key
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return Key{}, errNotKey
	}
	k := Key{ID: s.ID, Purpose: s.Purpose, Signer: signer, NotBefore: s.NotBefore, NotAfter: s.NotAfter}
	if len(s.Certificate) == 0 {
		return k, nil
	}
	if k.Certificate, err = x509.ParseCertificate(s.Certificate); err != nil {
		return Key{}, err
	}
	return k, matches(k.Certificate, signer)
}

// matches refuses a certificate of another key.
func matches(c *x509.Certificate, signer crypto.Signer) error {
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(c.PublicKey) {
		return errOtherKey
	}
	return nil
}
