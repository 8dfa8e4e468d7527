package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const (
	readConnections = 4
	// applicationID is "Hold": it marks our files in the header of a SQLite file.
	applicationID = 0x486f6c64
	headerSize    = 100
	queryOnly     = "_pragma=query_only(1)"
)

// sqlite is an engine: one connection writes, all turns go to it, and a few read.
type sqlite struct {
	readers *sql.DB
	writers *sql.DB   // of one connection
	writer  *sql.Conn // the one that writes
	insert  *inserter // used by record alone
	turn    turn
	broken  atomic.Pointer[error] // why nothing is written any more
}

func openSQLite(ctx context.Context, path string, o Options, stop <-chan struct{}) (_ *sqlite, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("find database %s: %w", path, err)
	}
	switch err := inspectSQLite(path); {
	case errors.Is(err, fs.ErrNotExist) && o.Create && !o.ReadOnly:
		if err := createSQLite(ctx, path); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	d := &sqlite{turn: newTurn(stop)}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	more := ""
	if o.ReadOnly {
		more = "&" + queryOnly
	}
	if d.writers, err = openWriters(path, more); err != nil {
		return nil, err
	}
	if err := migrate(ctx, sqliteDialect, d.writers, path, o.ReadOnly); err != nil {
		return nil, err
	}
	if d.readers, err = sql.Open("sqlite", sqliteDSN(path, queryOnly)); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	d.readers.SetMaxOpenConns(readConnections)
	d.readers.SetMaxIdleConns(readConnections)
	if d.writer, err = d.writers.Conn(ctx); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if d.insert, err = newInserter(d.writer); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return d, nil
}

// openWriters makes the pool of the one connection that writes.
func openWriters(path, more string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", sqliteDSN(path, "_txlock=immediate&_pragma=cache_size(-16000)&_pragma=wal_autocheckpoint(4000)&_pragma=journal_size_limit(67108864)"+more))
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

func (d *sqlite) reading() (*sql.DB, *sql.TxOptions) { return d.readers, nil }

func (d *sqlite) write(ctx context.Context, f func(tx *sql.Tx) error) error {
	if err := d.turn.take(ctx); err != nil {
		return err
	}
	defer d.turn.give()
	if err := d.fault(); err != nil {
		return err
	}
	tx, err := d.writer.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(tx); err != nil {
		tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil {
		// The driver may have left the transaction open; nothing may join it.
		d.writer.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return d.commitFailed(err)
	}
	return nil
}

func (d *sqlite) record(rows []row, taken func(*row)) error {
	d.turn.token <- struct{}{} // close waits for who records
	defer d.turn.give()
	if err := d.fault(); err != nil {
		return err
	}
	err := d.insert.insert(rows, taken)
	var failed commitError
	if errors.As(err, &failed) {
		return d.commitFailed(failed.error)
	}
	return err
}

func (d *sqlite) fault() error {
	if err := d.broken.Load(); err != nil {
		return *err
	}
	return nil
}

func (d *sqlite) close() error {
	d.turn.keep()
	var err error
	if d.insert != nil {
		err = d.insert.close()
	}
	if d.writer != nil {
		err = errors.Join(err, d.writer.Close())
	}
	// The writer is closed last: whoever closes a SQLite file last tidies it.
	for _, db := range []*sql.DB{d.readers, d.writers} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

// commitFailed decides what a commit that failed means. After a failed fsync the
// system may have dropped what it could not write, so that a later success
// proves nothing: the store writes no more until it is opened again.
func (d *sqlite) commitFailed(err error) error {
	err = fmt.Errorf("commit: %w", err)
	if lostSync(err) {
		err = fmt.Errorf("the disk did not take what was written, and nothing more is written until a restart: %w", err)
		d.broken.Store(&err)
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

func sqliteDSN(path, more string) string {
	u := url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + more}
	return u.String()
}

// inspectSQLite looks at a file before SQLite does, so that the answer is plain.
func inspectSQLite(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("database %s does not exist%w", path, silent{fs.ErrNotExist})
	case err != nil:
		return fmt.Errorf("database %s cannot be read: %w", path, cause(err))
	case info.IsDir():
		return fmt.Errorf("database %s is a directory, not a file", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("database %s is not a regular file", path)
	case info.Size() == 0:
		return fmt.Errorf("database %s is an empty file%w", path, silent{ErrNotDatabase})
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("database %s cannot be read: %w", path, cause(err))
	}
	defer f.Close()
	var header [headerSize]byte
	if _, err := io.ReadFull(f, header[:]); err != nil || string(header[:16]) != "SQLite format 3\x00" {
		return fmt.Errorf("file %s is not a database%w", path, silent{ErrNotDatabase})
	}
	if binary.BigEndian.Uint32(header[68:]) != applicationID {
		return fmt.Errorf("file %s is a database, but not one of holdfast", path)
	}
	return nil
}

// createSQLite makes a database under another name and gives it its own once it
// is whole, mode 0600. A database that another process made first is left alone.
func createSQLite(ctx context.Context, path string) (err error) {
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); err != nil {
		return fmt.Errorf("database %s cannot be made: the folder %s does not exist", path, folder)
	}
	f, err := os.CreateTemp(folder, ".holdfast-new-*")
	if err != nil {
		return fmt.Errorf("database %s cannot be made: %w", path, cause(err))
	}
	made := f.Name()
	defer func() {
		f.Close()
		for _, end := range []string{"", "-wal", "-shm", "-journal"} {
			os.Remove(made + end)
		}
		if err != nil {
			err = fmt.Errorf("make database %s: %w", path, err)
		}
	}()
	db, err := sql.Open("sqlite", sqliteDSN(made, "_txlock=immediate"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	if err == nil {
		err = migrate(ctx, sqliteDialect, db, path, false)
	}
	if err := errors.Join(err, db.Close()); err != nil { // closing writes the log back into the file
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Link(made, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(folder)
}

// silent is an error that is there for errors.Is and not to be read.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// cause is an error without the operation and the path that our sentence names itself.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
