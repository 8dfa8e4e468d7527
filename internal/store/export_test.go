package store

import (
	"context"
	"errors"
	"io/fs"
	"testing/fstest"
)

// NextVersion is the schema version after ours.
const NextVersion = "00099"

// MigrateNext brings a database to a schema of which this holdfast knows nothing:
// ours, and one step more.
func MigrateNext(ctx context.Context, dsn, step string) error {
	if IsPostgres(dsn) {
		to, err := newSessions(dsn, Options{})
		if err != nil {
			return err
		}
		db := to.with(migrationPatience).open(2)
		err = to.locked(ctx, db, func() error {
			return migrateWith(ctx, postgresDialect, db, to.name, withNext(postgresDialect, step))
		})
		return errors.Join(err, db.Close())
	}
	db, err := openWriters(dsn, "")
	if err != nil {
		return err
	}
	return errors.Join(migrateWith(ctx, sqliteDialect, db, dsn, withNext(sqliteDialect, step)), db.Close())
}

func withNext(d dialect, step string) fstest.MapFS {
	files := fstest.MapFS{NextVersion + "_next.sql": &fstest.MapFile{Data: []byte("-- +goose Up\n" + step)}}
	err := fs.WalkDir(schema, d.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := schema.ReadFile(path)
		files[entry.Name()] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		panic(err)
	}
	return files
}
