package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// AddCheckpoint stores a signed checkpoint. It is directory.ErrExists when the
// head that it is of, or the checkpoint that it follows, has one already: another
// node was faster.
func (s *Store) AddCheckpoint(ctx context.Context, c *audit.Checkpoint) error {
	next := ""
	if c.Next != nil {
		next = c.Next.KeyID()
	}
	return s.write(ctx, func(tx *sql.Tx) error {
		if err := add(tx, queryAddCheckpoint, c.Sequence, c.Previous, micros(c.At), c.KeyID, next, c.JWS); err != nil {
			return fmt.Errorf("store the checkpoint of event %d: %w", c.Sequence, err)
		}
		return nil
	})
}

// Checkpoints reads at most limit checkpoints after the sequence, in order.
func (s *Store) Checkpoints(ctx context.Context, after int64, limit int) ([]audit.SignedCheckpoint, error) {
	return s.checkpoints(ctx, queryCheckpoints, after, limit)
}

// NewestCheckpoint is the last one; directory.ErrNotFound if there is none.
func (s *Store) NewestCheckpoint(ctx context.Context) (audit.SignedCheckpoint, error) {
	newest, err := s.checkpoints(ctx, queryNewestCheckpoint)
	switch {
	case err != nil:
		return audit.SignedCheckpoint{}, err
	case len(newest) == 0:
		return audit.SignedCheckpoint{}, fmt.Errorf("read the newest checkpoint: %w", directory.ErrNotFound)
	}
	return newest[0], nil
}

// Handovers are the checkpoints that name another key for those after them, in order.
func (s *Store) Handovers(ctx context.Context) ([]audit.SignedCheckpoint, error) {
	return s.checkpoints(ctx, queryHandovers)
}

func (s *Store) checkpoints(ctx context.Context, query string, args ...any) ([]audit.SignedCheckpoint, error) {
	all, err := collect(ctx, s.readers, scanCheckpoint, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return all, nil
}

func scanCheckpoint(rows *sql.Rows, c *audit.SignedCheckpoint) error {
	return rows.Scan(&c.Sequence, &c.JWS)
}

// EventHash is the hash of one event; directory.ErrNotFound if there is none.
func (s *Store) EventHash(ctx context.Context, sequence int64) (hash [32]byte, err error) {
	err = s.readers.QueryRowContext(ctx, queryEventHash, sequence).Scan(digest(hash[:]))
	if errors.Is(err, sql.ErrNoRows) {
		err = directory.ErrNotFound
	}
	if err != nil {
		return hash, fmt.Errorf("read event %d: %w", sequence, err)
	}
	return hash, nil
}

// SelectEvents reads at most limit events after the sequence that the selection
// fits, in order.
func (s *Store) SelectEvents(ctx context.Context, after int64, limit int, by audit.Selection) ([]audit.Event, error) {
	var query strings.Builder
	query.WriteString(queryEventsWhere)
	args := []any{after}
	where := func(condition string, values ...any) { // each ? of it takes one of values
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		query.WriteString(" AND " + condition)
	}
	for _, one := range []struct{ column, value string }{
		{"actor", by.Actor}, {"organisation", by.Organisation}, {"subject", by.Subject},
	} {
		if one.value != "" {
			where(one.column+" = ?", one.value)
		}
	}
	if noun, all := strings.CutSuffix(by.Action, ".*"); all {
		where("substr(action, 1, ?) = ?", len(noun)+1, noun+".")
	} else if by.Action != "" {
		where("action = ?", by.Action)
	}
	for _, noun := range by.NotNouns {
		where("substr(action, 1, ?) <> ?", len(noun)+1, noun+".")
	}
	if !by.Since.IsZero() {
		where("at >= ?", micros(by.Since))
	}
	if !by.Until.IsZero() {
		where("at < ?", micros(by.Until))
	}
	args = append(args, limit)
	query.WriteString(queryEventsEnd + "$" + strconv.Itoa(len(args)))
	events, err := collect(ctx, s.readers, scanEvent, query.String(), args...)
	if err != nil {
		return nil, fmt.Errorf("select events after %d: %w", after, err)
	}
	return events, nil
}
