package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/idempotency"
)

// leaveRecord is the part of a change that a repetition is recognised by. A key
// under which another change was made is idempotency.ErrUsed.
func leaveRecord(tx *sql.Tx, p *idempotency.Pending) error {
	if p == nil || p.Stored {
		return nil
	}
	switch n, err := affected(tx, queryAddIdempotent, p.Key[:], p.Request[:], some(p.Answer), micros(p.Until), micros(p.Until.Add(-idempotency.Life))); {
	case err != nil:
		return fmt.Errorf("store the record of an idempotency key: %w", err)
	case n == 0:
		return idempotency.ErrUsed
	}
	return nil
}

// Remembered is what was left under a key; directory.ErrNotFound if there is
// nothing that lives at now.
func (s *Store) Remembered(ctx context.Context, key [32]byte, now time.Time) (idempotency.Record, error) {
	r := idempotency.Record{Key: key}
	var until int64
	err := s.readers.QueryRowContext(ctx, queryIdempotent, key[:], micros(now)).Scan(digest(r.Request[:]), &r.Answer, &until)
	if errors.Is(err, sql.ErrNoRows) {
		err = directory.ErrNotFound
	}
	if err != nil {
		return r, fmt.Errorf("look for an idempotency key: %w", err)
	}
	r.Until = fromMicros(until)
	return r, nil
}

// Remember keeps the answer to a request: beside the record that its change left,
// or, when it changed nothing, as a record of its own.
func (s *Store) Remember(ctx context.Context, p *idempotency.Pending) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		if !p.Stored {
			return leaveRecord(tx, p)
		}
		if _, err := affected(tx, queryAnswerIdempotent, p.Key[:], p.Request[:], p.Answer); err != nil {
			return fmt.Errorf("store the answer of an idempotency key: %w", err)
		}
		return nil
	})
}
