package checkpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
)

const (
	// KeyLife is how long a checkpoint key signs. A server that was away at its end
	// still hands over with it.
	KeyLife = 365 * 24 * time.Hour
	// renewBefore is how long before that end the successor is made.
	renewBefore = 30 * 24 * time.Hour
)

// signingKey is a key of the ring, ready to sign.
type signingKey struct {
	*jose.Signer
	notBefore, notAfter time.Time
}

// loadKeys opens all checkpoint keys, oldest first.
func loadKeys(ctx context.Context, ring *keyring.Ring) ([]signingKey, error) {
	stored, err := ring.Keys(ctx, keyring.AuditCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("open checkpoint keys: %w", err)
	}
	keys := make([]signingKey, 0, len(stored))
	for _, s := range stored {
		signer, err := jose.NewSigner(s.Signer, jose.ES256, "")
		if err != nil {
			return nil, fmt.Errorf("open checkpoint key %s: %w", s.ID, err)
		}
		keys = append(keys, signingKey{signer, s.NotBefore, s.NotAfter})
	}
	slices.SortStableFunc(keys, func(a, b signingKey) int { return a.notBefore.Compare(b.notBefore) })
	return keys, nil
}

// createKey makes the key that follows n others. When another node was faster,
// its key counts.
func createKey(ctx context.Context, ring *keyring.Ring, n int) error {
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return err
	}
	now := ring.Now()
	err = ring.Create(ctx, "system", false, keyring.Key{
		ID: "checkpoint-" + strconv.Itoa(n+1), Purpose: keyring.AuditCheckpoint, Signer: key, NotBefore: now, NotAfter: now.Add(KeyLife),
	})
	if err != nil && !errors.Is(err, directory.ErrExists) {
		return fmt.Errorf("make a checkpoint key: %w", err)
	}
	return nil
}

// Create makes the first key, at first start.
func Create(ctx context.Context, ring *keyring.Ring) error { return createKey(ctx, ring, 0) }

// chooseKeys finds who signs the next checkpoint and, when it is to be the last
// of that key, its successor (nil: none): the first key signs until a checkpoint
// named another. Every node chooses alike, as the stored handovers decide.
func chooseKeys(keys []signingKey, handovers []audit.SignedCheckpoint, trust *audit.Trust) (signer, next *signingKey, err error) {
	if len(keys) == 0 {
		return nil, nil, errors.New("there is no checkpoint key")
	}
	at := 0
	for _, h := range handovers {
		c, err := trust.Open(h.JWS)
		if err != nil || c.Next == nil {
			return nil, nil, fmt.Errorf("the checkpoint of event %d hands over to nobody known: %w", h.Sequence, err)
		}
		at = slices.IndexFunc(keys, func(k signingKey) bool { return k.Public().KeyID() == c.Next.KeyID() })
		if at < 0 {
			return nil, nil, fmt.Errorf("the key that the checkpoint of event %d names is not there", h.Sequence)
		}
	}
	if at+1 < len(keys) {
		next = &keys[at+1]
	}
	return &keys[at], next, nil
}
