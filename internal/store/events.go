package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-auth/holdfast/internal/audit"
)

// Events reads at most limit events after the sequence, in order.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]audit.Event, error) {
	return readEvents(ctx, s.readers, after, limit)
}

// Head is the end of the audit chain.
func (s *Store) Head(ctx context.Context) (audit.Head, error) {
	head, err := scanHead(s.readers.QueryRowContext(ctx, queryHead))
	if err != nil {
		return audit.Head{}, fmt.Errorf("read the head of the chain: %w", err)
	}
	return head, nil
}

// VerifyChain checks the whole chain and that it ends at the head, on one state
// of the database. A fault in the chain is an *audit.ChainError.
func (s *Store) VerifyChain(ctx context.Context) (audit.Head, error) {
	var head audit.Head
	err := s.read(ctx, func(tx *sql.Tx) error {
		end, err := scanHead(tx.QueryRowContext(ctx, queryHead))
		if err != nil {
			return fmt.Errorf("read the head of the chain: %w", err)
		}
		for {
			const page = 1000
			events, err := readEvents(ctx, tx, head.Sequence, page)
			if err != nil {
				return err
			}
			if head, err = audit.VerifyChain(head, slices.Values(events)); err != nil {
				return err
			}
			if len(events) < page {
				break
			}
		}
		if head != end {
			return &audit.ChainError{Sequence: head.Sequence + 1, Reason: fmt.Sprintf("is missing or not the last: the head of the chain is at %d", end.Sequence)}
		}
		return nil
	})
	return head, err
}

// querier is a *sql.DB or a *sql.Tx.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func readEvents(ctx context.Context, q querier, after int64, limit int) ([]audit.Event, error) {
	events, err := collect(ctx, q, scanEvent, queryEvents, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read events after %d: %w", after, err)
	}
	return events, nil
}

func scanEvent(rows *sql.Rows, e *audit.Event) error {
	var at int64
	err := rows.Scan(&e.Sequence, &at, &e.Actor, &e.Action, &e.Organisation, &e.Subject, &e.Detail, anyDigest(e.Previous[:]), anyDigest(e.Hash[:]))
	e.At = fromMicros(at)
	return err
}

// anyDigest scans a BLOB; one of another length, which nobody here has written, is
// all ones, so that it is the chain's check that finds it.
type anyDigest []byte

func (d anyDigest) Scan(value any) error {
	b, _ := value.([]byte)
	if len(b) != len(d) {
		b = bytes.Repeat([]byte{0xff}, len(d))
	}
	copy(d, b)
	return nil
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q querier, scan func(*sql.Rows, *T) error, query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var one T
		if err := scan(rows, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// read runs f in a transaction that sees one state of the database.
func (s *Store) read(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.readers.BeginTx(ctx, s.readOptions)
	if err != nil {
		return fmt.Errorf("begin to read: %w", err)
	}
	defer tx.Rollback()
	return f(tx)
}

// checkHead refuses a database whose last event is not the one that the head names.
func (s *Store) checkHead(ctx context.Context) error {
	return s.read(ctx, func(tx *sql.Tx) error {
		head, err := scanHead(tx.QueryRowContext(ctx, queryHead))
		if err != nil {
			return fmt.Errorf("read the head of the chain: %w", err)
		}
		last, err := collect(ctx, tx, scanEvent, queryLastEvent)
		if err != nil {
			return fmt.Errorf("read the last event: %w", err)
		}
		end := audit.Head{}
		if len(last) == 1 {
			end = audit.Head{Sequence: last[0].Sequence, Hash: last[0].Hash}
			if !last[0].Verify() {
				return &audit.ChainError{Sequence: end.Sequence, Reason: "was changed after it was sealed"}
			}
		}
		if end != head {
			return errors.New("the audit chain does not end at its head")
		}
		return nil
	})
}
