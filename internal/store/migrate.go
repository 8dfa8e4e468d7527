package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed schema
var schema embed.FS

// ErrNewerSchema is a database that a newer version of holdfast has written.
var ErrNewerSchema = errors.New("newer schema")

// NewerSchemaError says how much newer. It is ErrNewerSchema.
type NewerSchemaError struct {
	Path       string
	Has, Known int64 // schema versions
}

func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("database %s has schema version %d and this holdfast knows versions up to %d; use a newer holdfast", e.Path, e.Has, e.Known)
}

// Is tells ErrNewerSchema.
func (e *NewerSchemaError) Is(target error) bool { return target == ErrNewerSchema }

// ErrOlderSchema is a database that is yet to be brought up to date.
var ErrOlderSchema = errors.New("older schema")

// OlderSchemaError says how much older. It is ErrOlderSchema.
type OlderSchemaError struct {
	Path       string
	Has, Known int64 // schema versions
}

func (e *OlderSchemaError) Error() string {
	return fmt.Sprintf("database %s has schema version %d and this holdfast wants %d", e.Path, e.Has, e.Known)
}

// Is tells ErrOlderSchema.
func (e *OlderSchemaError) Is(target error) bool { return target == ErrOlderSchema }

// dialect is where the schema of one kind of database is.
type dialect struct {
	goose  goose.Dialect
	folder string
}

var (
	sqliteDialect   = dialect{goose.DialectSQLite3, "schema/sqlite"}
	postgresDialect = dialect{goose.DialectPostgres, "schema/postgres"}
)

// migrate brings the schema up to date, each step in a transaction with its
// number, and only forwards; with readOnly it only looks.
func migrate(ctx context.Context, d dialect, db *sql.DB, name string, readOnly bool) error {
	files, err := fs.Sub(schema, d.folder)
	if err != nil {
		return err
	}
	if !readOnly {
		return migrateWith(ctx, d, db, name, files)
	}
	_, has, known, err := versions(ctx, d, db, name, files)
	if err == nil && has < known {
		return &OlderSchemaError{name, has, known}
	}
	return err
}

func migrateWith(ctx context.Context, d dialect, db *sql.DB, name string, files fs.FS) error {
	p, has, known, err := versions(ctx, d, db, name, files)
	for err == nil && has < known {
		_, failed := p.Up(ctx)
		if failed == nil {
			return nil
		}
		before := has
		// Another process may have made the same step. (On PostgreSQL a lock is held.)
		if p, has, known, err = versions(ctx, d, db, name, files); err == nil && has == before {
			err = fmt.Errorf("bring database %s from schema version %d to %d: %w", name, has, known, failed)
		}
	}
	return err
}

// queryOldest asks a database of a newer schema from which version on a holdfast
// may run on it.
const queryOldest = `SELECT oldest FROM compatibility WHERE id = 1`

// versions are the database's and ours. The database's is the newer one only where
// it says that ours may run on it.
func versions(ctx context.Context, d dialect, db *sql.DB, name string, files fs.FS) (p *goose.Provider, has, known int64, err error) {
	p, err = goose.NewProvider(d.goose, db, files,
		goose.WithTableName("schema_version"), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return nil, 0, 0, fmt.Errorf("read the schema of database %s: %w", name, err)
	}
	if has, known, err = p.GetVersions(ctx); err != nil {
		return nil, 0, 0, fmt.Errorf("read the schema version of database %s: %w", name, err)
	}
	if has > known {
		var oldest int64
		if err := db.QueryRowContext(ctx, queryOldest).Scan(&oldest); err != nil || oldest > known {
			return nil, 0, 0, &NewerSchemaError{name, has, known}
		}
	}
	return p, has, known, nil
}
