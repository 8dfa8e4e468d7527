package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrOutcomeUnknown is a Publish of which nobody knows whether it was one: the
// connection was lost, and the database has not answered since.
var ErrOutcomeUnknown = errors.New("whether the database was put in place is not known")

// Draft is a database that is being filled and that nobody sees: a file of
// another name, or in PostgreSQL a schema of another name. It gets its name whole.
type Draft struct {
	*Store
	place place
}

// place is where a draft gets its name.
type place interface {
	publish(ctx context.Context) error
	discard() error
}

// NewDraft begins a database where dsn names none yet; otherwise it is
// fs.ErrExist. The file of a SQLite draft is made in folder.
func NewDraft(ctx context.Context, dsn, folder string, o Options) (*Draft, error) {
	o.Create, o.ReadOnly = true, false
	switch there, err := Exists(ctx, dsn, o); {
	case err != nil:
		return nil, err
	case there:
		return nil, fmt.Errorf("database %s exists%w", Name(dsn), silent{fs.ErrExist})
	}
	if IsPostgres(dsn) {
		return draftSchema(ctx, dsn, o)
	}
	as, err := Path(dsn)
	if err != nil {
		return nil, err
	}
	f := file{filepath.Join(folder, "holdfast.db"), as}
	s, err := Open(ctx, f.draft, o)
	if err != nil {
		return nil, err
	}
	return &Draft{s, f}, nil
}

// Publish closes the draft and gives it its name, at once. A database that
// somebody else put there meanwhile is fs.ErrExist, and left alone.
func (d *Draft) Publish(ctx context.Context) error {
	if err := d.Store.Close(); err != nil {
		return err
	}
	return d.place.publish(ctx)
}

// Discard closes and removes a draft. After Publish it removes nothing of what was
// published.
func (d *Draft) Discard() error {
	err := d.Store.Close()
	if errors.Is(err, ErrClosed) {
		err = nil
	}
	return errors.Join(err, d.place.discard())
}

// Exists tells whether there is a database; what may be wrong with it, Open tells.
func Exists(ctx context.Context, dsn string, o Options) (there bool, err error) {
	if !IsPostgres(dsn) {
		path, err := Path(dsn)
		if err != nil {
			return false, err
		}
		switch _, err = os.Lstat(path); {
		case errors.Is(err, fs.ErrNotExist):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("look for database %s: %w", path, cause(err))
		}
		return true, nil
	}
	to, err := newSessions(dsn, o)
	if err != nil {
		return false, err
	}
	conn, err := to.connect(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	err = conn.QueryRow(ctx, queryHasSchema, to.schema).Scan(&there)
	return there, err
}

// file is the place of a SQLite draft.
type file struct{ draft, as string }

func (f file) publish(context.Context) error {
	if err := os.Link(f.draft, f.as); err != nil {
		return fmt.Errorf("put the database in place: %w", err)
	}
	return syncFolder(filepath.Dir(f.as))
}

func (f file) discard() error {
	var err error
	for _, end := range []string{"", "-wal", "-shm", "-journal"} {
		if e := os.Remove(f.draft + end); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// draftPrefix begins the names of schemas that are drafts.
const draftPrefix = namespace + "_draft_"

// Who builds a draft holds a lock on its name, so that others leave it alone.
const (
	queryDrafts      = `SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1)`
	queryLockDraft   = `SELECT pg_try_advisory_lock($1, hashtext($2))`
	queryUnlockDraft = `SELECT pg_advisory_unlock($1, hashtext($2))`
)

// namespaceOf is the place of a draft in PostgreSQL.
type namespaceOf struct {
	to   *sessions // to the draft
	db   *sql.DB
	lock *sql.Conn // holds the draft's lock
}

func draftSchema(ctx context.Context, dsn string, o Options) (_ *Draft, err error) {
	to, err := newSessions(dsn, o)
	if err != nil {
		return nil, err
	}
	to.schema = draftPrefix + strings.ToLower(rand.Text())
	n := &namespaceOf{to: to, db: to.with(migrationPatience).open(1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.discard())
		}
	}()
	if n.lock, err = n.db.Conn(ctx); err != nil {
		return nil, to.plain(err)
	}
	if _, err := n.take(ctx, to.schema); err != nil {
		return nil, err
	}
	if err := n.removeUnfinished(ctx); err != nil {
		return nil, fmt.Errorf("remove what an earlier attempt left in database %s: %w", to.name, err)
	}
	s, err := openSessions(ctx, to, o)
	if err != nil {
		return nil, err
	}
	return &Draft{s, n}, nil
}

func (n *namespaceOf) take(ctx context.Context, schema string) (taken bool, err error) {
	err = n.lock.QueryRowContext(ctx, queryLockDraft, migrationLock, schema).Scan(&taken)
	return taken, err
}

// removeUnfinished removes drafts whose makers are no more.
func (n *namespaceOf) removeUnfinished(ctx context.Context) error {
	left, err := collect(ctx, n.lock, func(r *sql.Rows, s *string) error { return r.Scan(s) }, queryDrafts, draftPrefix)
	if err != nil {
		return err
	}
	for _, schema := range left {
		switch taken, err := n.take(ctx, schema); {
		case err != nil:
			return err
		case !taken:
			continue // somebody builds it
		}
		if err := n.drop(ctx, schema); err != nil {
			return err
		}
		if _, err := n.lock.ExecContext(ctx, queryUnlockDraft, migrationLock, schema); err != nil {
			return err
		}
	}
	return nil
}

func (n *namespaceOf) drop(ctx context.Context, schema string) error {
	_, err := n.lock.ExecContext(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{schema}.Sanitize()+" CASCADE")
	return err
}

func (n *namespaceOf) publish(ctx context.Context) error {
	_, err := n.lock.ExecContext(ctx, "ALTER SCHEMA "+pgx.Identifier{n.to.schema}.Sanitize()+" RENAME TO "+namespace)
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && (refused.Code == "42P06" || refused.Code == "23505"): // there is one of that name
		return fmt.Errorf("put the database in place%w", silent{fs.ErrExist})
	case errors.As(err, &refused) && refused.Severity == "ERROR":
		return fmt.Errorf("put the database in place: %w", err)
	}
	return n.settle(ctx, err)
}

// settle finds out what became of a rename whose answer was lost.
func (n *namespaceOf) settle(ctx context.Context, lost error) error {
	for range 10 {
		conn, err := n.to.connect(ctx)
		if err == nil {
			var draft bool
			err = conn.QueryRow(ctx, queryHasSchema, n.to.schema).Scan(&draft)
			conn.Close(ctx)
			if err == nil && draft {
				return fmt.Errorf("put the database in place: %w", lost)
			}
			if err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, lost)
}

func (n *namespaceOf) discard() error {
	ctx, cancel := context.WithTimeout(context.Background(), migrationPatience)
	defer cancel()
	var err error
	if n.lock != nil {
		err = errors.Join(n.drop(ctx, n.to.schema), n.lock.Close())
	}
	return errors.Join(err, n.db.Close())
}
