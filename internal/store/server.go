package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/keyring"
)

// Meta is a fact that was set once at first start; directory.ErrNotFound if it was not.
func (s *Store) Meta(ctx context.Context, name string) (string, error) {
	var value string
	err := s.readers.QueryRowContext(ctx, queryMeta, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		err = directory.ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return value, nil
}

// InitMeta sets the facts of the first start, with its event, once and for all;
// a database that has any is directory.ErrExists.
func (s *Store) InitMeta(ctx context.Context, e audit.Event, facts map[string]string) error {
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error {
		var n int
		if err := tx.QueryRow(queryAnyMeta).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("initialise the database: %w", directory.ErrExists)
		}
		for _, name := range slices.Sorted(maps.Keys(facts)) {
			if _, err := tx.Exec(queryAddMeta, name, facts[name]); err != nil {
				return fmt.Errorf("store %s: %w", name, err)
			}
		}
		return nil
	})
}

// Keys is keyring.Store's, newest NotBefore first.
func (s *Store) Keys(ctx context.Context, p keyring.Purpose) ([]keyring.StoredKey, error) {
	keys, err := collect(ctx, s.readers, scanKey, queryKeys, string(p))
	if err != nil {
		return nil, fmt.Errorf("read %s keys: %w", p, err)
	}
	return keys, nil
}

func scanKey(rows *sql.Rows, k *keyring.StoredKey) error {
	var created, notBefore, notAfter int64
	var certificate []byte
	err := rows.Scan(&k.ID, &k.Purpose, &k.Sealed, &certificate, &created, &notBefore, &notAfter)
	k.Certificate = none(certificate)
	k.Created, k.NotBefore, k.NotAfter = fromMicros(created), fromMicros(notBefore), fromMicros(notAfter)
	return err
}

// CreateKeys is keyring.Store's.
func (s *Store) CreateKeys(ctx context.Context, e audit.Event, only bool, keys ...keyring.StoredKey) error {
	return s.change(ctx, e, func(tx *sql.Tx, _ int64) error {
		for _, k := range keys {
			var n int
			if err := tx.QueryRow(queryCountKey, string(k.Purpose)).Scan(&n); err != nil {
				return err
			}
			if only && n > 0 {
				return fmt.Errorf("store the only %s key: %w", k.Purpose, directory.ErrExists)
			}
		}
		for _, k := range keys {
			if err := add(tx, queryAddKey, k.ID, string(k.Purpose), k.Sealed, some(k.Certificate), micros(k.Created), micros(k.NotBefore), micros(k.NotAfter)); err != nil {
				return fmt.Errorf("store %s key %s: %w", k.Purpose, k.ID, err)
			}
		}
		return nil
	})
}
