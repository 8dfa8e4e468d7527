package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/keyring"
)

func spoil(t *testing.T, s *Store, queries ...string) {
	t.Helper()
	for _, q := range queries {
		if _, err := lite(s).writer.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// statement fails with err.
type statement struct {
	driver.Stmt
	err error
}

func (s statement) ExecContext(context.Context, []driver.NamedValue) (driver.Result, error) {
	return nil, s.err
}

func TestUseFails(t *testing.T) {
	for _, c := range []struct {
		name   string
		where  func(in *inserter) *driver.Stmt
		err    coded
		broken bool
	}{
		{"no transaction", func(in *inserter) *driver.Stmt { return &in.begin }, 5, false},
		{"no insert", func(in *inserter) *driver.Stmt { return &in.insertRow }, 13, false},
		{"no commit", func(in *inserter) *driver.Stmt { return &in.commit }, 13, false},
		{"no sync", func(in *inserter) *driver.Stmt { return &in.commit }, codeSyncFile, true},
	} {
		t.Run(c.name+" means that nobody was the first, and nothing is left", func(t *testing.T) {
			s := newStore(t)
			at := c.where(lite(s).insert)
			good := *at
			*at = statement{good, c.err}
			if err := s.FirstUse(t.Context(), use("a")); !errors.Is(err, c.err) || replayed(err) {
				t.Fatal(err)
			}
			*at = good
			err := s.FirstUse(t.Context(), use("a"))
			if c.broken != errors.Is(err, c.err) || !c.broken && err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCommitFails(t *testing.T) {
	s := newStore(t)
	// A reference that is looked at only by the commit, which then leaves the
	// transaction open.
	err := s.change(t.Context(), audit.Event{At: time.Now(), Detail: "{}"}, func(tx *sql.Tx, sequence int64) error {
		if _, err := tx.Exec("PRAGMA defer_foreign_keys = 1"); err != nil {
			return err
		}
		return add(tx, queryAddApplication, applicationRow(directory.Application{ClientID: "app", Organisation: "none"}, sequence)...)
	})
	if err == nil || !strings.Contains(err.Error(), "commit") {
		t.Fatal(err)
	}
	if err := errors.Join(s.FirstUse(t.Context(), use("a")), create(t.Context(), s, "a"), s.Ping(t.Context())); err != nil {
		t.Fatalf("after a commit that failed: %v", err)
	}
	if head, err := s.VerifyChain(t.Context()); err != nil || head.Sequence != 1 {
		t.Fatalf("%v, %v", head, err)
	}
}

func TestBeginFails(t *testing.T) {
	s := newStore(t)
	spoil(t, s, "BEGIN")
	if err := s.FirstUse(t.Context(), use("a")); err == nil {
		t.Error("a use joined another transaction")
	}
	if err := create(t.Context(), s, "a"); err == nil {
		t.Error("a change joined another transaction")
	}
}

func TestReadFails(t *testing.T) {
	filled := func(t *testing.T) *Store {
		s := newStore(t)
		if err := create(t.Context(), s, "o"); err != nil {
			t.Fatal(err)
		}
		return s
	}
	load := func(s *Store) error { _, err := s.Load(context.Background(), 0); return err }
	verify := func(s *Store) error { _, err := s.VerifyChain(context.Background()); return err }
	for _, c := range []struct {
		table string
		empty bool // before any change
		read  func(s *Store) error
	}{
		{"head", false, load},
		{"organisations", false, load},
		{"resources", false, load},
		{"scopes", false, load},
		{"resources RENAME COLUMN name", false, load},
		{"scopes RENAME COLUMN place", false, load},
		{"applications RENAME COLUMN name", false, load},
		{"servers", false, load},
		{"applications", false, load},
		{"grants", false, load},
		{"credentials", false, load},
		{"revoked_tokens", false, load},
		{"head", true, verify},
		{"events", true, verify},
		{"head", true, func(s *Store) error { return s.checkHead(context.Background()) }},
		{"events", true, func(s *Store) error { return s.checkHead(context.Background()) }},
		{"used", true, func(s *Store) error { return s.Prune(context.Background(), time.Now()) }},
		{"revoked_tokens", true, func(s *Store) error { return s.Prune(context.Background(), time.Now()) }},
		{"meta", true, func(s *Store) error { return s.InitMeta(context.Background(), audit.Event{At: time.Now()}, nil) }},
		{"keys", true, func(s *Store) error { _, err := s.Keys(context.Background(), keyring.Root); return err }},
		{"certificates", true, func(s *Store) error { _, err := s.OpenIntents(context.Background(), "ca1", time.Time{}); return err }},
		{"head", true, func(s *Store) error { return s.Ping(context.Background()) }},
	} {
		t.Run("without "+c.table, func(t *testing.T) {
			s := newStore(t)
			if !c.empty {
				s = filled(t)
			}
			if err := c.read(s); err != nil {
				t.Fatal(err)
			}
			rename := "ALTER TABLE " + c.table + " RENAME TO gone"
			if strings.Contains(c.table, " ") {
				rename = "ALTER TABLE " + c.table + " TO gone"
			}
			if c.table == "meta" {
				s = newStore(t) // its read is a change, which is made once
			}
			spoil(t, s, rename)
			if err := c.read(s); err == nil {
				t.Error("what cannot be read is taken for nothing")
			}
		})
	}
}

func TestChangeFails(t *testing.T) {
	refuse := func(when, table string) string {
		return "CREATE TRIGGER refuse BEFORE " + when + " ON " + table + " BEGIN SELECT RAISE(ABORT, 'refused'); END"
	}
	suspend := func(s *Store) error {
		return s.Put(context.Background(), audit.Event{At: time.Now()}, directory.Delta{Organisations: []directory.Organisation{{ID: "o", Name: "O", State: directory.Suspended}}})
	}
	for _, c := range []struct {
		name, query string
		change      func(s *Store) error
	}{
		{"a record that cannot be stored", refuse("INSERT", "organisations"), func(s *Store) error { return create(context.Background(), s, "p") }},
		{"an event that cannot be stored", refuse("INSERT", "events"), func(s *Store) error { return create(context.Background(), s, "p") }},
		{"a state that cannot be set", refuse("UPDATE", "organisations"), suspend},
		{"a list that cannot be replaced", "DROP TABLE organisation_roles", suspend},
		{"a head that cannot be taken", "DELETE FROM head", func(s *Store) error { return create(context.Background(), s, "p") }},
		{"a hash that cannot be set", "CREATE TRIGGER refuse BEFORE UPDATE OF hash ON head BEGIN SELECT RAISE(ABORT, 'refused'); END",
			func(s *Store) error { return create(context.Background(), s, "p") }},
		{"a fact that cannot be stored", refuse("INSERT", "meta"), func(s *Store) error {
			return s.InitMeta(context.Background(), audit.Event{At: time.Now()}, map[string]string{"a": "b"})
		}},
	} {
		t.Run(c.name+" is an error of its own, and there is no event of it", func(t *testing.T) {
			s := newStore(t)
			if err := create(t.Context(), s, "o"); err != nil {
				t.Fatal(err)
			}
			spoil(t, s, c.query)
			err := c.change(s)
			if err == nil || errors.Is(err, directory.ErrExists) || errors.Is(err, directory.ErrState) || errors.Is(err, directory.ErrNotFound) {
				t.Errorf("error %v", err)
			}
			if events, err := s.Events(t.Context(), 0, 10); err != nil || len(events) != 1 {
				t.Errorf("%d events, %v", len(events), err)
			}
		})
	}
}

func TestMigrateFails(t *testing.T) {
	db := unmigrated(t)
	if err := migrateWith(t.Context(), sqliteDialect, db, "x", fstest.MapFS{}); err == nil {
		t.Error("a holdfast without a schema migrates")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := migrateWith(t.Context(), sqliteDialect, db, "x", fstest.MapFS{"00001_a.sql": &fstest.MapFile{Data: []byte("-- +goose Up\nSELECT 1;\n")}}); err == nil {
		t.Error("a database that does not answer is up to date")
	}
}
