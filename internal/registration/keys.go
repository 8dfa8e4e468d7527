package registration

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
)

const (
	keyLife = 90 * 24 * time.Hour
	// renewBefore is how long before its end a key signs no more.
	renewBefore = 7 * 24 * time.Hour
	// How old the keys may be that are published, and that lack a kid.
	reloadEvery   = 10 * time.Second
	reloadUnknown = time.Second
)

// Keys are the keys that software statements are signed with. The first one is
// made when the first statement is. Safe for concurrent use.
type Keys struct {
	Ring *keyring.Ring

	mu     sync.Mutex
	known  []statementKey // newest NotBefore first; guarded by mu
	loaded time.Time      // guarded by mu
}

type statementKey struct {
	signer              *jose.Signer
	notBefore, notAfter time.Time
}

// signer is the key to sign with now; it is made when there is none.
func (k *Keys) signer(ctx context.Context) (*jose.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.Ring.Now()
	if err := k.load(ctx, now); err != nil { // a key may have been revoked
		return nil, err
	}
	if s := k.current(now); s != nil {
		return s, nil
	}
	if err := k.create(ctx, now); err != nil {
		return nil, err
	}
	return k.current(now), nil
}

func (k *Keys) create(ctx context.Context, now time.Time) error {
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err == nil {
		err = k.Ring.Create(ctx, "system", false, keyring.Key{Purpose: keyring.SoftwareStatement, Signer: key, NotBefore: now, NotAfter: now.Add(keyLife)})
	}
	if err == nil {
		err = k.load(ctx, now)
	}
	if err != nil {
		return fmt.Errorf("make a key for software statements: %w", err)
	}
	return nil
}

// Renew takes in what other nodes made and what was revoked, and makes the successor
// of the key that signed until then. Call it every minute or so and after a revocation.
func (k *Keys) Renew(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.Ring.Now()
	before := len(k.known)
	if err := k.load(ctx, now); err != nil || before == 0 || k.current(now) != nil {
		return err
	}
	return k.create(ctx, now)
}

// Listing is what may be told of a key.
type Listing struct {
	KeyID               string
	Algorithm           string
	NotBefore, NotAfter time.Time // when it signs
}

// All are the keys that were not revoked, newest first.
func (k *Keys) All(ctx context.Context) ([]Listing, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(ctx, reloadUnknown); err != nil {
		return nil, err
	}
	all := make([]Listing, len(k.known))
	for i, key := range k.known {
		public := key.signer.Public()
		all[i] = Listing{public.KeyID(), string(public.Algorithm()), key.notBefore, key.notAfter.Add(-renewBefore)}
	}
	return all, nil
}

func (k *Keys) current(now time.Time) *jose.Signer {
	for _, key := range k.known {
		if !now.Before(key.notBefore) && now.Before(key.notAfter.Add(-renewBefore)) {
			return key.signer
		}
	}
	return nil
}

func (k *Keys) load(ctx context.Context, now time.Time) error {
	stored, err := k.Ring.Keys(ctx, keyring.SoftwareStatement)
	if err != nil {
		return err
	}
	known := make([]statementKey, 0, len(stored))
	for _, s := range stored {
		signer, err := jose.NewSigner(s.Signer, "", s.ID)
		if err != nil {
			return fmt.Errorf("open key %s for software statements: %w", s.ID, err)
		}
		known = append(known, statementKey{signer, s.NotBefore, s.NotAfter})
	}
	k.known, k.loaded = known, now
	return nil
}

// refresh loads the keys when they are older than age.
func (k *Keys) refresh(ctx context.Context, age time.Duration) error {
	now := k.Ring.Now()
	if !k.loaded.IsZero() && now.Sub(k.loaded) < age {
		return nil
	}
	return k.load(ctx, now)
}

// Published are the keys that a statement may be signed with that has not expired.
func (k *Keys) Published(ctx context.Context) ([]*jose.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(ctx, reloadEvery); err != nil {
		return nil, err
	}
	now := k.Ring.Now()
	var keys []*jose.PublicKey
	for _, key := range k.known {
		if now.Before(key.notAfter.Add(MaxStatementLife)) {
			keys = append(keys, key.signer.Public())
		}
	}
	return keys, nil
}

// verifier is the key with this kid; nil, which verifies nothing, if there is
// none. Whether it was revoked the directory knows sooner.
func (k *Keys) verifier(ctx context.Context, kid string) (*jose.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key := k.find(kid); key != nil {
		return key, nil
	}
	if err := k.refresh(ctx, reloadUnknown); err != nil { // another node may have made it
		return nil, err
	}
	return k.find(kid), nil
}

func (k *Keys) find(kid string) *jose.PublicKey {
	for _, key := range k.known {
		if public := key.signer.Public(); public.KeyID() == kid {
			return public
		}
	}
	return nil
}

// StatementKeys are the keys that software statements are verified with.
func (s *Service) StatementKeys(ctx context.Context) ([]*jose.PublicKey, error) {
	return s.Keys.Published(ctx)
}
