//go:build postgres

package once

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// kind is one kind of thing that may be consumed once.
type kind struct {
	// share is how many of 100 attempts are at such a thing.
	share int
	// make makes the thing, where it has to be made before it is consumed.
	make    func(ctx context.Context, s *store.Store, key string) error
	consume func(ctx context.Context, s *store.Store, key string) (outcome, error)
}

var kinds = map[string]kind{
	"jti": {
		share: 100,
		consume: func(ctx context.Context, s *store.Store, key string) (outcome, error) {
			err := s.FirstUse(ctx, token.Use{Key: sha256.Sum256([]byte(key)), Until: time.Now().Add(time.Hour)})
			var replayed *token.ReplayedError
			switch {
			case err == nil:
				return first, nil
			case errors.As(err, &replayed):
				return again, nil
			}
			return unknown, err
		},
	},
}
