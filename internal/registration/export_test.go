package registration

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
)

// Wire is metadata as it is written.
func Wire(m *Metadata) any { return m.wire() }

// Verified is what a statement says that is good.
func Verified(s *Service, ctx context.Context, compact string) (*Metadata, error) {
	st, err := s.statement(ctx, s.Now(), compact, "")
	if st == nil || err != nil {
		return nil, err
	}
	return st.metadata, nil
}

// ProveKey tells why one proof does not prove a key.
func ProveKey(k *jose.PublicKey, compact, audience string, now time.Time) error {
	_, err := proveKeys([]Key{{Public: k}}, []string{compact}, nil, []string{audience}, now)
	return err
}

// KeyText is how a proof names a key.
func KeyText(k *jose.PublicKey) string {
	t := k.Thumbprint()
	return base64.RawURLEncoding.EncodeToString(t[:])
}
