package audit

import (
	"errors"
	"fmt"
	"math"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

// maxTrusted bounds how many keys a Trust follows.
const maxTrusted = 1000

// Trust is which keys sign the checkpoints of one issuer: those that it begins
// with, and after them only keys that a checkpoint under the one before named as
// its successor. From then on the older key signs nothing.
type Trust struct {
	Issuer string
	Keys   []TrustedKey
}

// TrustedKey signs checkpoints up to one.
type TrustedKey struct {
	*jose.PublicKey
	Until int64 // the last checkpoint that it may sign; math.MaxInt64 for no end
}

// NewTrust begins with keys; an issuer "" is that of the first checkpoint.
func NewTrust(issuer string, keys ...*jose.PublicKey) *Trust {
	t := &Trust{Issuer: issuer}
	for _, k := range keys {
		t.Keys = append(t.Keys, TrustedKey{k, math.MaxInt64})
	}
	return t
}

// Open verifies a checkpoint and learns the successor that it names. Every error
// is ErrCheckpoint.
func (t *Trust) Open(compact string) (*Checkpoint, error) {
	keys := make([]*jose.PublicKey, len(t.Keys))
	for i, k := range t.Keys {
		keys[i] = k.PublicKey
	}
	c, err := ParseCheckpoint(compact, keys...)
	if err != nil {
		return nil, err
	}
	signer := t.find(c.KeyID)
	if t.Issuer == "" {
		t.Issuer = c.Issuer // the first says whose keys these are
	}
	switch {
	case c.Issuer != t.Issuer:
		return nil, fmt.Errorf("%w: it is of another issuer", ErrCheckpoint)
	case c.Sequence > signer.Until:
		return nil, fmt.Errorf("%w: its key was succeeded by another at event %d", ErrCheckpoint, signer.Until)
	case c.Next != nil:
		return c, t.succeed(signer, c)
	}
	return c, nil
}

func (t *Trust) find(kid string) *TrustedKey {
	for i := range t.Keys {
		if t.Keys[i].KeyID() == kid {
			return &t.Keys[i]
		}
	}
	return nil
}

func (t *Trust) succeed(signer *TrustedKey, c *Checkpoint) error {
	known := t.find(c.Next.KeyID())
	switch {
	case known == nil && len(t.Keys) >= maxTrusted:
		return fmt.Errorf("%w: more keys than can be", ErrCheckpoint)
	case known != nil && known.Thumbprint() != c.Next.Thumbprint():
		return fmt.Errorf("%w: its successor has the kid of another key", ErrCheckpoint)
	case known == signer:
		return fmt.Errorf("%w: its key succeeds itself", ErrCheckpoint)
	}
	signer.Until = c.Sequence
	if known == nil {
		t.Keys = append(t.Keys, TrustedKey{c.Next, math.MaxInt64})
	}
	return nil
}

// errNoKey is a trust without a key to begin with.
var errNoKey = errors.New("there is no key to verify checkpoints by")
