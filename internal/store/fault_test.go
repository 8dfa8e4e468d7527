package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/token"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "holdfast.db"), Options{Create: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// lite is the engine of a SQLite file.
func lite(s *Store) *sqlite { return s.engine.(*sqlite) }

func use(name string) token.Use {
	u := token.Use{Until: time.Now().Add(time.Minute)}
	copy(u.Key[:], name)
	return u
}

func replayed(err error) bool {
	var r *token.ReplayedError
	return errors.As(err, &r)
}

func create(ctx context.Context, s *Store, id string) error {
	e := audit.Event{At: time.Now(), Actor: "system", Action: "organisation.created", Subject: id, Detail: "{}"}
	return s.CreateOrganisation(ctx, e, directory.Organisation{ID: directory.OrganisationID(id), Name: id, State: directory.Active})
}

func TestWriterSettings(t *testing.T) {
	s := newStore(t)
	for pragma, want := range map[string]int{"synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000} {
		var got int
		if err := lite(s).writer.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %d, want %d; %v", pragma, got, want, err)
		}
	}
	if _, err := s.readers.ExecContext(t.Context(), "DELETE FROM head"); err == nil {
		t.Error("a reader writes")
	}
}

// coded is an error of SQLite.
type coded int

func (c coded) Error() string { return fmt.Sprint("code ", int(c)) }
func (c coded) Code() int     { return int(c) }

func TestFailedCommit(t *testing.T) {
	for _, code := range []coded{1034, 1290} {
		t.Run(fmt.Sprintf("after a failed fsync (%d) nothing is written or acknowledged until a restart", code), func(t *testing.T) {
			s := newStore(t)
			if err := lite(s).commitFailed(code); !errors.Is(err, code) || !strings.Contains(err.Error(), "until a restart") {
				t.Fatal(err)
			}
			for name, err := range map[string]error{
				"use": s.FirstUse(t.Context(), use("a")), "change": create(t.Context(), s, "a"), "prune": s.Prune(t.Context(), time.Now()), "ping": s.Ping(t.Context()),
			} {
				if !errors.Is(err, code) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if _, err := s.Load(t.Context(), 0); err != nil {
				t.Errorf("what is known is not read any more: %v", err)
			}
		})
	}
	t.Run("another failure is only that transaction's", func(t *testing.T) {
		s := newStore(t)
		for _, code := range []coded{13, 10, 5} { // full, input or output, busy
			if err := lite(s).commitFailed(code); !errors.Is(err, code) {
				t.Fatal(err)
			}
		}
		if err := errors.Join(s.FirstUse(t.Context(), use("a")), create(t.Context(), s, "a"), s.Ping(t.Context())); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDiskFull(t *testing.T) {
	s := newStore(t)
	limit := func(pages string) {
		t.Helper()
		if _, err := lite(s).writer.ExecContext(t.Context(), "PRAGMA max_page_count = "+pages); err != nil {
			t.Fatal(err)
		}
	}
	limit("1") // what it has already
	acknowledged := map[string]bool{}
	var useErr, changeErr error
	for i := 0; (useErr == nil || changeErr == nil) && i < 10000; i++ {
		name := fmt.Sprintf("%08d", i)
		if err := s.FirstUse(t.Context(), use(name)); err != nil {
			useErr = err
		} else {
			acknowledged[name] = true
		}
		if err := create(t.Context(), s, name); err != nil {
			changeErr = err
		}
	}
	if useErr == nil || changeErr == nil || replayed(useErr) {
		t.Fatalf("use: %v, change: %v", useErr, changeErr)
	}
	if _, err := s.VerifyChain(t.Context()); err != nil {
		t.Fatalf("while the disk is full: %v", err)
	}
	limit("1000000")
	if err := errors.Join(s.FirstUse(t.Context(), use("after")), create(t.Context(), s, "after")); err != nil {
		t.Fatalf("once there is room: %v", err)
	}
	for name := range acknowledged {
		if err := s.FirstUse(t.Context(), use(name)); !replayed(err) {
			t.Fatalf("%s was acknowledged and may be used again: %v", name, err)
		}
	}
	if _, err := s.VerifyChain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWaiting(t *testing.T) {
	t.Run("who waits for a busy writer goes when its context ends, and the use may count all the same", func(t *testing.T) {
		s := newStore(t)
		lite(s).turn.keep() // somebody writes
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			if err := s.FirstUse(ctx, use("a")); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if err := create(ctx, s, "a"); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			cancel()
		}
		lite(s).turn.give()
		if err := s.FirstUse(t.Context(), use("b")); err != nil {
			t.Fatal(err)
		}
		if err := s.FirstUse(t.Context(), use("a")); !replayed(err) {
			t.Fatal(err)
		}
		if head, err := s.Head(t.Context()); err != nil || head.Sequence != 0 {
			t.Fatalf("a change that was given up was made: %v, %v", head, err)
		}
	})
	t.Run("a full queue lets go when the context ends", func(t *testing.T) {
		s := newStore(t)
		lite(s).turn.keep()
		defer func() { lite(s).turn.give() }()
		ctx, cancel := context.WithCancel(t.Context())
		const n = claimsWaiting + claimsAtOnce + 100
		done := make(chan error, n)
		for i := range n {
			go func() { done <- s.FirstUse(ctx, use(fmt.Sprint(i))) }()
		}
		cancel()
		for range n {
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
	})
	t.Run("another process that writes is waited for", func(t *testing.T) {
		s := newStore(t)
		var path string
		if err := s.readers.QueryRow("SELECT file FROM pragma_database_list").Scan(&path); err != nil {
			t.Fatal(err)
		}
		other, err := Open(t.Context(), path, Options{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		tx, err := lite(other).writer.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := s.FirstUse(ctx, use("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if _, err := s.Load(t.Context(), 0); err != nil {
			t.Fatalf("readers wait too: %v", err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.FirstUse(t.Context(), use("b")), create(t.Context(), s, "b")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestChainFaults(t *testing.T) {
	for _, c := range []struct {
		name, query string
		at          int64
		says        string
	}{
		{"a changed event", "UPDATE events SET detail = '{\"x\":1}' WHERE sequence = 2", 2, "was changed after it was sealed"},
		{"a removed event", "DELETE FROM events WHERE sequence = 2", 2, "event 3 stands in its place"},
		{"a chain that was cut off", "DELETE FROM events WHERE sequence = 3", 3, "the head of the chain is at 3"},
		{"events in another order", "UPDATE events SET sequence = CASE sequence WHEN 1 THEN 20 WHEN 2 THEN 10 ELSE 30 END", 1, "event 10 stands in its place"},
	} {
		t.Run(c.name+" is found", func(t *testing.T) {
			s := newStore(t)
			for _, id := range []string{"a", "b", "c"} {
				if err := create(t.Context(), s, id); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := lite(s).writer.ExecContext(t.Context(), c.query); err != nil {
				t.Fatal(err)
			}
			_, err := s.VerifyChain(t.Context())
			var fault *audit.ChainError
			if !errors.As(err, &fault) || fault.Sequence != c.at || !strings.Contains(fault.Reason, c.says) {
				t.Fatalf("error %v, want one at %d", err, c.at)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, query := range map[string]string{
		"a key that is none":                  "UPDATE credentials SET jwk = '{}'",
		"a thumbprint of another size":        "UPDATE credentials SET thumbprint = x'00'",
		"a hash of the chain that is no hash": "UPDATE head SET hash = x'00'",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			for _, q := range []string{
				"INSERT INTO organisations (id, name, state, changed) VALUES ('o', 'O', 'active', 1)",
				"INSERT INTO applications (client_id, organisation, name, auth_method, binding, require_nonce, state, changed) VALUES ('a', 'o', 'A', 'private_key_jwt', 'dpop', 0, 'active', 1)",
				"INSERT INTO credentials (id, client_id, kind, state, kid, jwk, thumbprint, certificate, issued, created, not_before, not_after, changed) VALUES ('c', 'a', 'certificate', 'active', '', '', zeroblob(32), x'', 0, 0, 0, 0, 1)",
				"UPDATE head SET sequence = 1",
			} {
				if _, err := lite(s).writer.ExecContext(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
			if d, err := s.Load(t.Context(), 0); err != nil || len(d.Credentials) != 1 {
				t.Fatalf("%v, %v", d, err)
			}
			if _, err := lite(s).writer.ExecContext(t.Context(), query); err != nil {
				t.Fatal(err)
			}
			if d, err := s.Load(t.Context(), 0); err == nil {
				t.Fatalf("loaded %+v", d)
			}
		})
	}
}

func unmigrated(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", sqliteDSN(filepath.Join(t.TempDir(), "x.db"), "_txlock=immediate"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestMigrate(t *testing.T) {
	first := "-- +goose Up\nCREATE TABLE one (x INTEGER) STRICT;\n"
	second := "-- +goose Up\nCREATE TABLE two (x INTEGER) STRICT;\n"
	steps := func(texts ...string) fstest.MapFS {
		files := fstest.MapFS{}
		for i, text := range texts {
			files[fmt.Sprintf("%05d_step.sql", i+1)] = &fstest.MapFile{Data: []byte(text)}
		}
		return files
	}
	tables := func(t *testing.T, db *sql.DB) (n int) {
		t.Helper()
		if err := db.QueryRow("SELECT COUNT(*) FROM sqlite_schema WHERE name IN ('one', 'two')").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	t.Run("an older database is brought up to date, once", func(t *testing.T) {
		db := unmigrated(t)
		if err := migrateWith(t.Context(), sqliteDialect, db, "x", steps(first)); err != nil || tables(t, db) != 1 {
			t.Fatal(err)
		}
		for range 2 {
			if err := migrateWith(t.Context(), sqliteDialect, db, "x", steps(first, second)); err != nil {
				t.Fatal(err)
			}
		}
		if n := tables(t, db); n != 2 {
			t.Fatalf("%d tables", n)
		}
		if err := migrateWith(t.Context(), sqliteDialect, db, "x", steps(first)); !errors.Is(err, ErrNewerSchema) {
			t.Fatal(err)
		}
	})
	t.Run("a step that fails leaves nothing of itself", func(t *testing.T) {
		db := unmigrated(t)
		if err := migrateWith(t.Context(), sqliteDialect, db, "x", steps(first, second+"CREATE TABLE one (x INTEGER) STRICT;\n")); err == nil {
			t.Fatal("migrated")
		}
		if n := tables(t, db); n != 1 {
			t.Fatalf("%d tables, want that of the step before", n)
		}
		if err := migrateWith(t.Context(), sqliteDialect, db, "x", steps(first, second)); err != nil {
			t.Fatal(err)
		}
	})
}
