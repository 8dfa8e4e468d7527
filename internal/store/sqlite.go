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

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const (
	readConnections = 4
	// applicationID is "Hold": it marks our files in the header of a SQLite file.
	applicationID = 0x486f6c64
	headerSize    = 100
	queryOnly     = "_pragma=query_only(1)"
)

func (s *Store) openSQLite(ctx context.Context, path string, o Options) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("find database %s: %w", path, err)
	}
	switch err := inspectSQLite(path); {
	case errors.Is(err, fs.ErrNotExist) && o.Create && !o.ReadOnly:
		if err := createSQLite(ctx, path); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	writing := "_txlock=immediate&_pragma=cache_size(-16000)&_pragma=wal_autocheckpoint(4000)"
	if o.ReadOnly {
		writing += "&" + queryOnly
	}
	if s.writers, err = sql.Open("sqlite", sqliteDSN(path, writing)); err != nil {
		return fmt.Errorf("open database %s: %w", path, err)
	}
	s.writers.SetMaxOpenConns(1)
	if err := migrate(ctx, s.writers, path, o.ReadOnly); err != nil {
		return err
	}
	if s.readers, err = sql.Open("sqlite", sqliteDSN(path, queryOnly)); err != nil {
		return fmt.Errorf("open database %s: %w", path, err)
	}
	s.readers.SetMaxOpenConns(readConnections)
	s.readers.SetMaxIdleConns(readConnections)
	if s.writer, err = s.writers.Conn(ctx); err != nil {
		return fmt.Errorf("open database %s: %w", path, err)
	}
	if s.insert, err = newInserter(s.writer); err != nil {
		return fmt.Errorf("open database %s: %w", path, err)
	}
	if err := s.checkHead(ctx); err != nil {
		return fmt.Errorf("open database %s: %w", path, err)
	}
	return nil
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
		err = migrate(ctx, db, path, false)
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
