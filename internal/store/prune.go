package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"time"
)

// keyParts is into how many parts the key space of single uses is cut for pruning.
const keyParts = 256

// Prune forgets uses, revoked tokens and idempotency keys that have expired at now: of the uses
// one part of 256 at each call, so that no call takes long.
func (s *Store) Prune(ctx context.Context, now time.Time) error {
	first := byte(s.slice.Add(1) % keyParts)
	from, to := []byte{first}, []byte{first + 1}
	if first == keyParts-1 {
		to = bytes.Repeat([]byte{0xff}, usedKey+1) // beyond every key
	}
	err := s.write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec(queryPruneUsed, from, to, micros(now)); err != nil {
			return err
		}
		if _, err := tx.Exec(queryPruneIdempotent, micros(now)); err != nil {
			return err
		}
		_, err := tx.Exec(queryPruneRevoked, micros(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	return nil
}
