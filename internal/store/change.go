package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/idempotency"
)

// write runs f in one transaction; engine.write says more.
func (s *Store) write(ctx context.Context, f func(tx *sql.Tx) error) error {
	return s.engine.write(ctx, f)
}

// change takes the next number of the chain, seals and appends e, and lets apply
// make the change, all in one transaction. An event that has a number already
// was decided on the state before it: if the chain has moved on, it is ErrStale.
// The first change of a request with an idempotency key leaves its record, too.
func (s *Store) change(ctx context.Context, e audit.Event, apply func(tx *sql.Tx, sequence int64) error) error {
	p := idempotency.From(ctx)
	if e.Sequence == 0 {
		e.Sequence = directory.Expected(ctx)
	}
	err := s.write(ctx, func(tx *sql.Tx) error {
		e := e // f may run again
		head, err := scanHead(tx.QueryRow(queryNext))
		if err != nil {
			return fmt.Errorf("take the next number: %w", err)
		}
		if e.Sequence != 0 && e.Sequence != head.Sequence {
			return directory.ErrStale
		}
		e.Sequence = head.Sequence
		e.Seal(head.Hash)
		if err := appendEvent(tx, e); err != nil {
			return err
		}
		if err := apply(tx, e.Sequence); err != nil {
			return err
		}
		if err := leaveRecord(tx, p); err != nil {
			return err
		}
		_, err = tx.Exec(querySetHash, e.Hash[:])
		return err
	})
	if err == nil && p != nil {
		p.Stored = true
	}
	return err
}

func appendEvent(tx *sql.Tx, e audit.Event) error {
	_, err := tx.Exec(queryAppendEvent, e.Sequence, e.At.UnixMicro(), e.Actor, e.Action, e.Organisation, e.Subject, e.Detail, e.Previous[:], e.Hash[:])
	if err != nil {
		return fmt.Errorf("append event %d: %w", e.Sequence, err)
	}
	return nil
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
