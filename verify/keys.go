package verify

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

// ErrNoKeys is a KeySource that has no keys of an issuer, or only keys that are
// too old to be trusted.
var ErrNoKeys = errors.New("no usable keys of the issuer")

// ErrKeyUnknown is a kid of which it could not be found out in time whether the
// issuer has such a key. Whoever makes up kids brings it about at will.
var ErrKeyUnknown = errors.New("whether the issuer has this key could not be found out now")

// MaxKeys is the most keys that a set may have.
const MaxKeys = 64

// KeySource has the keys of issuers. It is asked on every request.
type KeySource interface {
	// Keys returns the issuer's keys as they are known now, without blocking. As
	// long as no key changed it returns the same pointer: verdicts that were
	// remembered with another one are forgotten.
	Keys(issuer string) (*KeySet, error)
	// Want asks for a key that Keys did not have. It blocks at most 250 ms.
	Want(ctx context.Context, issuer, kid string) Outcome
}

// Outcome is what came of wanting a key.
type Outcome int

// The outcomes.
const (
	Absent    Outcome = iota // the issuer has no such key
	Refreshed                // ask Keys again
	Unknown                  // it could not be found out now
)

// KeySet is the keys of one issuer, by kid. Immutable.
type KeySet struct {
	byID map[string]*jose.PublicKey
}

// NewKeySet makes a set of keys whose kids differ.
func NewKeySet(keys ...*jose.PublicKey) (*KeySet, error) {
	s := &KeySet{byID: make(map[string]*jose.PublicKey, len(keys))}
	for _, k := range keys {
		if _, twice := s.byID[k.KeyID()]; twice {
			return nil, errors.New("two keys of one kid")
		}
		s.byID[k.KeyID()] = k
	}
	return s, nil
}

// ParseKeySet reads an RFC 7517 JWK set of at most MaxKeys keys.
func ParseKeySet(jwks []byte) (*KeySet, error) {
	keys, err := jose.ParseJWKSet(jwks, MaxKeys)
	if err != nil {
		return nil, err
	}
	return NewKeySet(keys...)
}

// Has tells whether a key with this kid is in the set.
func (s *KeySet) Has(kid string) bool { return s.byID[kid] != nil }

// Equal tells whether both sets hold the same keys under the same names.
func (s *KeySet) Equal(other *KeySet) bool {
	if s == nil || other == nil || len(s.byID) != len(other.byID) {
		return false
	}
	for kid, k := range s.byID {
		o := other.byID[kid]
		if o == nil || o.Thumbprint() != k.Thumbprint() { // a thumbprint tells the kind, too
			return false
		}
	}
	return true
}

// StaticKeys is the KeySource of one issuer in the same process, which replaces
// the keys itself.
type StaticKeys struct {
	issuer string
	set    atomic.Pointer[KeySet]
}

// NewStaticKeys begins with set.
func NewStaticKeys(issuer string, set *KeySet) *StaticKeys {
	k := &StaticKeys{issuer: issuer}
	k.set.Store(set)
	return k
}

// Replace puts set in place of the keys so far.
func (k *StaticKeys) Replace(set *KeySet) {
	if !set.Equal(k.set.Load()) {
		k.set.Store(set)
	}
}

// Keys is part of KeySource.
func (k *StaticKeys) Keys(issuer string) (*KeySet, error) {
	set := k.set.Load()
	if issuer != k.issuer || set == nil {
		return nil, ErrNoKeys
	}
	return set, nil
}

// Want is part of KeySource: what is not here does not exist.
func (k *StaticKeys) Want(context.Context, string, string) Outcome { return Absent }
