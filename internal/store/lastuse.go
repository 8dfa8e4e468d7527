package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// AddLastUsed stores when credentials were last used, all of them in one
// transaction that is no change of the chain. What is stored already and later
// stays. The uses are in the order of client and credential, so that two nodes
// cannot deadlock.
func (s *Store) AddLastUsed(ctx context.Context, uses []directory.LastUse) error {
	err := s.write(ctx, func(tx *sql.Tx) error {
		insert, err := tx.Prepare(queryAddLastUsed)
		if err != nil {
			return err
		}
		defer insert.Close()
		for _, u := range uses {
			if _, err := insert.Exec(string(u.ClientID), string(u.CredentialID), micros(u.At)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store last uses: %w", err)
	}
	return nil
}

// LastUsed is when the credentials of an application were last used; "" is every
// application.
func (s *Store) LastUsed(ctx context.Context, client directory.ClientID) ([]directory.LastUse, error) {
	query, args := queryLastUsed, []any{string(client)}
	if client == "" {
		query, args = queryAllLastUsed, nil
	}
	uses, err := collect(ctx, s.readers, scanLastUse, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read last uses: %w", err)
	}
	return uses, nil
}

// PruneLastUsed forgets uses before a time: not every one is of a credential that
// has a record, so that otherwise there would be ever more of them.
func (s *Store) PruneLastUsed(ctx context.Context, before time.Time) error {
	err := s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(queryPruneLastUsed, micros(before))
		return err
	})
	if err != nil {
		return fmt.Errorf("prune last uses: %w", err)
	}
	return nil
}

func scanLastUse(rows *sql.Rows, u *directory.LastUse) error {
	var at int64
	err := rows.Scan(&u.ClientID, &u.CredentialID, &at)
	u.At = fromMicros(at)
	return err
}

// AddNotice stores with its event that people were told of an end, once:
// directory.ErrExists if they were.
func (s *Store) AddNotice(ctx context.Context, e audit.Event, n directory.Notice) error {
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error {
		if err := add(tx, queryAddNotice, n.Subject, n.Days, micros(n.NotAfter), micros(e.At)); err != nil {
			return fmt.Errorf("store notice of %s: %w", n.Subject, err)
		}
		return nil
	})
}

// Notices are those of ends after a time, which people were told of: the subject,
// the days and the end.
func (s *Store) Notices(ctx context.Context, after time.Time) ([]directory.Notice, error) {
	notices, err := collect(ctx, s.readers, scanNotice, queryNotices, micros(after))
	if err != nil {
		return nil, fmt.Errorf("read notices: %w", err)
	}
	return notices, nil
}

func scanNotice(rows *sql.Rows, n *directory.Notice) error {
	var end int64
	err := rows.Scan(&n.Subject, &n.Days, &end)
	n.NotAfter = fromMicros(end)
	return err
}
