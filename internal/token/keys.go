package token

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
)

// KeyLife is how long a signing key signs.
const KeyLife = 90 * 24 * time.Hour

// Keys are the token signing keys of this server, by time. Safe for concurrent
// use.
type Keys struct {
	keys  []signingKey // newest NotBefore first
	epoch atomic.Pointer[epoch]
}

type signingKey struct {
	signer              *jose.Signer
	notBefore, notAfter time.Time
}

// epoch is a time in which the set of keys does not change.
type epoch struct {
	from, until time.Time // until is zero when nothing changes any more
	keys        *SigningKeys
}

// OpenKeys loads the keys from the ring; at first start it makes the first one.
func OpenKeys(ctx context.Context, ring *keyring.Ring) (*Keys, error) {
	stored, err := ring.Keys(ctx, keyring.TokenSigning)
	if err == nil && len(stored) == 0 {
		stored, err = createFirst(ctx, ring)
	}
	if err != nil {
		return nil, fmt.Errorf("open token signing keys: %w", err)
	}
	k := &Keys{}
	for _, s := range stored {
		signer, err := jose.NewSigner(s.Signer, "", s.ID)
		if err != nil {
			return nil, fmt.Errorf("open token signing key %s: %w", s.ID, err)
		}
		k.keys = append(k.keys, signingKey{signer, s.NotBefore, s.NotAfter})
	}
	slices.SortStableFunc(k.keys, func(a, b signingKey) int { return b.notBefore.Compare(a.notBefore) })
	return k, nil
}

// createFirst makes the first key. When another node was faster, its key counts.
func createFirst(ctx context.Context, ring *keyring.Ring) ([]keyring.Key, error) {
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err == nil {
		now := ring.Now()
		err = ring.Create(ctx, "system", true, keyring.Key{Purpose: keyring.TokenSigning, Signer: key, NotBefore: now, NotAfter: now.Add(KeyLife)})
	}
	if err != nil && !errors.Is(err, directory.ErrExists) {
		return nil, err
	}
	return ring.Keys(ctx, keyring.TokenSigning)
}

// At is the set in force at now: Current is the newest key in its time, and
// published are those that sign now, will sign, or signed a token that may still live.
func (k *Keys) At(now time.Time) *SigningKeys {
	if e := k.epoch.Load(); e != nil && !now.Before(e.from) && (e.until.IsZero() || now.Before(e.until)) {
		return e.keys
	}
	e := k.epochOf(now)
	k.epoch.Store(e)
	return e.keys
}

func (k *Keys) epochOf(now time.Time) *epoch {
	var (
		e       epoch
		current *jose.Signer
		others  []*jose.PublicKey
	)
	bound := func(t time.Time) { // t is an instant at which the set changes
		if t.After(now) && (e.until.IsZero() || t.Before(e.until)) {
			e.until = t
		}
		if !t.After(now) && t.After(e.from) {
			e.from = t
		}
	}
	for _, key := range k.keys {
		forgotten := key.notAfter.Add(MaxLife)
		bound(key.notBefore)
		bound(key.notAfter)
		bound(forgotten)
		switch {
		case current == nil && !now.Before(key.notBefore) && now.Before(key.notAfter):
			current = key.signer
		case now.Before(forgotten):
			others = append(others, key.signer.Public())
		}
	}
	e.keys = NewSigningKeys(current, others...)
	return &e
}
