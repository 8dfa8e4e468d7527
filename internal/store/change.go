package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// write runs f in one transaction on the connection that writes, once it is this
// caller's turn. ctx ends the waiting, never the transaction.
func (s *Store) write(ctx context.Context, f func(tx *sql.Tx) error) error {
	select {
	case s.turn <- struct{}{}:
	case <-s.stop:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	if err := s.broken.Load(); err != nil {
		return *err
	}
	tx, err := s.writer.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(tx); err != nil {
		tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil {
		// The driver may have left the transaction open; nothing may join it.
		s.writer.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return s.commitFailed(err)
	}
	return nil
}

// change takes the next number of the chain, seals and appends e, and lets apply
// make the change, all in one transaction. An event that has a number already
// was decided on the state before it: if the chain has moved on, it is ErrStale.
func (s *Store) change(ctx context.Context, e audit.Event, apply func(tx *sql.Tx, sequence int64) error) error {
	return s.write(ctx, func(tx *sql.Tx) error {
		head, err := scanHead(tx.QueryRow(queryNext))
		if err != nil {
			return fmt.Errorf("take the next number: %w", err)
		}
		if e.Sequence != 0 && e.Sequence != head.Sequence {
			return directory.ErrStale
		}
		e.Sequence = head.Sequence
		e.Seal(head.Hash)
		if _, err := tx.Exec(queryAppendEvent, e.Sequence, e.At.UnixMicro(), e.Actor, e.Action, e.Organisation, e.Subject, e.Detail, e.Previous[:], e.Hash[:]); err != nil {
			return fmt.Errorf("append event %d: %w", e.Sequence, err)
		}
		if err := apply(tx, e.Sequence); err != nil {
			return err
		}
		_, err = tx.Exec(querySetHash, e.Hash[:])
		return err
	})
}

// add runs an insert that may find its row taken: then it is ErrExists.
func add(tx *sql.Tx, query string, args ...any) error {
	switch n, err := affected(tx, query, args...); {
	case err != nil:
		return err
	case n == 0:
		return directory.ErrExists
	}
	return nil
}

func affected(tx *sql.Tx, query string, args ...any) (int64, error) {
	result, err := tx.Exec(query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// commitFailed decides what a commit that failed means. After a failed fsync the
// system may have dropped what it could not write, so that a later success
// proves nothing: the store writes no more until it is opened again.
func (s *Store) commitFailed(err error) error {
	err = fmt.Errorf("commit: %w", err)
	if lostSync(err) {
		err = fmt.Errorf("the disk did not take what was written, and nothing more is written until a restart: %w", err)
		s.broken.Store(&err)
	}
	return err
}

// The codes of SQLite for a file or a folder that could not be synced.
const (
	codeSyncFile   = 10 | 4<<8
	codeSyncFolder = 10 | 5<<8
)

func lostSync(err error) bool {
	var coded interface{ Code() int }
	return errors.As(err, &coded) && (coded.Code() == codeSyncFile || coded.Code() == codeSyncFolder)
}

func scanHead(row *sql.Row) (audit.Head, error) {
	var head audit.Head
	err := row.Scan(&head.Sequence, digest(head.Hash[:]))
	return head, err
}

// digest scans a BLOB of exactly its own length.
type digest []byte

func (d digest) Scan(value any) error {
	b, _ := value.([]byte)
	if len(b) != len(d) {
		return fmt.Errorf("a digest of %d bytes is not one of %d", len(b), len(d))
	}
	copy(d, b)
	return nil
}

// micros is a time as it is stored; 0 is the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// some makes an empty BLOB of none, as no column here takes NULL.
func some(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// none is the reverse.
func none(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.Clone(b)
}
