package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-auth/holdfast/internal/audit"
)

// ErrInUse is a database that another process has open.
var ErrInUse = errors.New("in use")

// ErrNotSQLite is a database that holdfast does not copy: its server has tools.
var ErrNotSQLite = errors.New("a PostgreSQL database is copied with the tools of PostgreSQL")

// Backup writes a copy of one state of a SQLite database, while others change it,
// to a file of mode 0600 that does not exist; it appears whole, and its chain was
// verified. It returns where that chain ends.
func (s *Store) Backup(ctx context.Context, path string) (end audit.Head, err error) {
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, ".holdfast-backup-*")
	if err != nil {
		return end, fmt.Errorf("backup %s cannot be made: %w", path, cause(err))
	}
	made := f.Name()
	defer func() {
		err = errors.Join(err, f.Close(), file{draft: made}.discard())
	}()
	if err := s.engine.backup(ctx, made); err != nil {
		return end, fmt.Errorf("make backup %s: %w", path, err)
	}
	copied, err := Open(ctx, made, Options{ReadOnly: true, Now: s.now})
	if err != nil {
		return end, fmt.Errorf("make backup %s: %w", path, err)
	}
	end, err = copied.VerifyChain(ctx)
	if err := errors.Join(err, copied.Close(), f.Sync()); err != nil {
		return end, fmt.Errorf("verify backup %s: %w", path, err)
	}
	if err := os.Link(made, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return end, fmt.Errorf("backup %s exists%w", path, silent{fs.ErrExist})
		}
		return end, fmt.Errorf("put backup %s in place: %w", path, err)
	}
	return end, syncFolder(folder)
}

func (d *sqlite) backup(ctx context.Context, path string) error {
	var from string
	if err := d.readers.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&from); err != nil {
		return err
	}
	// A connection of its own: the others may not write, not even elsewhere.
	db, err := sql.Open("sqlite", sqliteDSN(from, "_txlock=deferred"))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO $1", path)
	return errors.Join(err, db.Close())
}

func (p *postgres) backup(context.Context, string) error { return ErrNotSQLite }

// NewDraftOf is NewDraft, filled with a backup; one of an older schema is brought
// up to date.
func NewDraftOf(ctx context.Context, backup, dsn, folder string, o Options) (*Draft, error) {
	switch there, err := Exists(ctx, dsn, o); {
	case err != nil:
		return nil, err
	case there:
		return nil, fmt.Errorf("database %s exists%w", Name(dsn), silent{fs.ErrExist})
	case IsPostgres(dsn):
		return nil, ErrNotSQLite
	}
	as, err := Path(dsn)
	if err != nil {
		return nil, err
	}
	if err := inspectSQLite(backup); err != nil {
		return nil, err
	}
	f := file{filepath.Join(folder, "holdfast.db"), as}
	if err := copyFile(backup, f.draft); err != nil {
		return nil, fmt.Errorf("copy %s: %w", backup, cause(err))
	}
	o.Create, o.ReadOnly = false, false
	s, err := Open(ctx, f.draft, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("backup %s: %w", backup, err), f.discard())
	}
	return &Draft{s, f}, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// querySessions counts the sessions of other nodes.
const querySessions = `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()`

// Alone tells whether no other process has the database open; otherwise it is
// ErrInUse. Nobody keeps one from opening it afterwards.
func Alone(ctx context.Context, dsn string, o Options) error {
	if !IsPostgres(dsn) {
		return aloneWithFile(ctx, dsn)
	}
	to, err := newSessions(dsn, o)
	if err != nil {
		return err
	}
	conn, err := to.connect(ctx)
	if err != nil {
		return err
	}
	var others int
	err = conn.QueryRow(ctx, querySessions, to.config.RuntimeParams["application_name"]).Scan(&others)
	if err = errors.Join(err, conn.Close(ctx)); err == nil && others > 0 {
		err = fmt.Errorf("database %s is in use by %d sessions of holdfast%w", to.name, others, silent{ErrInUse})
	}
	return err
}

// aloneWithFile leaves the mode in which several can have the file open, which
// SQLite does only for who is alone with it. Opening it takes that mode again.
func aloneWithFile(ctx context.Context, dsn string) error {
	path, err := Path(dsn)
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	if err := inspectSQLite(path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", sqliteDSN(path, "_pragma=busy_timeout(0)"))
	if err != nil {
		return err
	}
	var mode string
	err = db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode)
	if e := db.Close(); err == nil && mode == "delete" {
		return e
	}
	if err != nil {
		var coded interface{ Code() int }
		if !errors.As(err, &coded) || coded.Code()&0xff != codeBusy {
			return fmt.Errorf("database %s: %w", path, err)
		}
	}
	return fmt.Errorf("database %s is in use by another process%w", path, silent{ErrInUse})
}

// codeBusy is SQLite's for a file that somebody else has open.
const codeBusy = 5
