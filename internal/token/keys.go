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

const (
	// KeyLife is how long a signing key signs.
	KeyLife = 90 * 24 * time.Hour
	// PublishAhead is how long a key is published before it signs, so that every
	// verifier has it by then.
	PublishAhead = 7 * 24 * time.Hour
	// renewBefore is how long before the end of the last key its successor is made.
	renewBefore = 2 * PublishAhead
)

// Keys are the token signing keys of this server, by time. Safe for concurrent
// use.
type Keys struct {
	ring  *keyring.Ring
	known atomic.Pointer[[]signingKey] // newest NotBefore first
	epoch atomic.Pointer[epoch]
}

type signingKey struct {
	id                  string
	signer              *jose.Signer
	notBefore, notAfter time.Time
}

// epoch is a time in which the set of keys does not change.
type epoch struct {
	of          *[]signingKey
	from, until time.Time // until is zero when nothing changes any more
	keys        *SigningKeys
}

// OpenKeys loads the keys from the ring; at first start it makes the first one.
func OpenKeys(ctx context.Context, ring *keyring.Ring) (*Keys, error) {
	k := &Keys{ring: ring}
	if err := k.load(ctx); err != nil {
		return nil, fmt.Errorf("open token signing keys: %w", err)
	}
	if len(*k.known.Load()) == 0 {
		now := ring.Now()
		// When another node was faster, its key counts.
		if err := k.create(ctx, true, now); err != nil && !errors.Is(err, directory.ErrExists) {
			return nil, fmt.Errorf("make the first token signing key: %w", err)
		}
		if err := k.load(ctx); err != nil {
			return nil, fmt.Errorf("open token signing keys: %w", err)
		}
	}
	return k, nil
}

// Renew takes in what other nodes made, and makes the next key when the last one
// comes to its end: two weeks before, to sign after one. A server that was away
// for longer signs with its new key at once; verifiers ask for a kid that they do
// not know. Call it every minute or so.
func (k *Keys) Renew(ctx context.Context) error {
	if err := k.load(ctx); err != nil {
		return fmt.Errorf("renew token signing keys: %w", err)
	}
	now := k.ring.Now()
	var end time.Time
	signs := false
	for _, key := range *k.known.Load() {
		if key.notAfter.After(end) {
			end = key.notAfter
		}
		signs = signs || !now.Before(key.notBefore) && now.Before(key.notAfter)
	}
	if signs && now.Before(end.Add(-renewBefore)) {
		return nil
	}
	from := now.Add(PublishAhead)
	if end.Before(from) {
		from = end
	}
	if !signs || from.Before(now) { // the last one has ended, or was revoked
		from = now
	}
	if err := k.create(ctx, false, from); err != nil {
		return fmt.Errorf("make the next token signing key: %w", err)
	}
	return k.load(ctx)
}

func (k *Keys) create(ctx context.Context, only bool, from time.Time) error {
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err == nil {
		err = k.ring.Create(ctx, "system", only, keyring.Key{Purpose: keyring.TokenSigning, Signer: key, NotBefore: from, NotAfter: from.Add(KeyLife)})
	}
	return err
}

// load reads the ring, and keeps the list of before when nothing changed.
func (k *Keys) load(ctx context.Context) error {
	stored, err := k.ring.Keys(ctx, keyring.TokenSigning)
	if err != nil {
		return err
	}
	same := func(known signingKey, s keyring.Key) bool { return known.id == s.ID }
	if known := k.known.Load(); known != nil && slices.EqualFunc(*known, stored, same) {
		return nil
	}
	keys := make([]signingKey, 0, len(stored))
	for _, s := range stored {
		signer, err := jose.NewSigner(s.Signer, "", s.ID)
		if err != nil {
			return fmt.Errorf("open token signing key %s: %w", s.ID, err)
		}
		keys = append(keys, signingKey{s.ID, signer, s.NotBefore, s.NotAfter})
	}
	slices.SortStableFunc(keys, func(a, b signingKey) int { return b.notBefore.Compare(a.notBefore) })
	k.known.Store(&keys)
	return nil
}

// Listing is what may be told of a signing key.
type Listing struct {
	KeyID               string
	Algorithm           string
	NotBefore, NotAfter time.Time // when it signs
}

// All are the keys that were not revoked, those that sign last first.
func (k *Keys) All() []Listing {
	known := *k.known.Load()
	all := make([]Listing, len(known))
	for i, key := range known {
		all[i] = Listing{key.id, string(key.signer.Public().Algorithm()), key.notBefore, key.notAfter}
	}
	return all
}

// At is the set in force at now: Current is the newest key in its time, and
// published are those that sign now, will sign, or signed a token that may still live.
func (k *Keys) At(now time.Time) *SigningKeys {
	known := k.known.Load()
	if e := k.epoch.Load(); e != nil && e.of == known && !now.Before(e.from) && (e.until.IsZero() || now.Before(e.until)) {
		return e.keys
	}
	e := epochOf(known, now)
	k.epoch.Store(e)
	return e.keys
}

func epochOf(known *[]signingKey, now time.Time) *epoch {
	var (
		e       = epoch{of: known}
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
	for _, key := range *known {
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
