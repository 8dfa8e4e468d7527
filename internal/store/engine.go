package store

import (
	"context"
	"database/sql"
)

// engine is what SQLite and PostgreSQL do each in its own way. Everything else is
// one text for both.
type engine interface {
	// reading are the connections that read, and the options with which a
	// transaction there sees one state of the database.
	reading() (*sql.DB, *sql.TxOptions)
	// write runs f in one transaction, once it is this caller's turn. ctx ends the
	// waiting, never the transaction. Where the database took the transaction back
	// by itself, f may run again on the state of then.
	write(ctx context.Context, f func(tx *sql.Tx) error) error
	// record inserts sorted rows in one transaction and calls taken for each whose
	// key was there already, in the database or earlier among the rows. With an
	// error nobody may take it that a row was recorded, or that it was not. Only
	// one goroutine calls it.
	record(rows []row, taken func(*row)) error
	// backup writes a copy of one state of the database to a file that is empty.
	backup(ctx context.Context, path string) error
	// fault is why nothing can be written now; nil if as far as it knows it can.
	fault() error
	// close ends all connections, after whoever writes; nobody writes after it.
	close() error
}

// turn lets one goroutine write at a time, first come, first served.
type turn struct {
	token chan struct{} // of one: whoever put it in has the turn
	stop  <-chan struct{}
}

func newTurn(stop <-chan struct{}) turn { return turn{make(chan struct{}, 1), stop} }

// take waits for the turn; a store that closes meanwhile is ErrClosed.
func (t turn) take(ctx context.Context) error {
	select {
	case t.token <- struct{}{}:
		return nil
	case <-t.stop:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t.token }

// keep takes the turn for good.
func (t turn) keep() { t.token <- struct{}{} }
