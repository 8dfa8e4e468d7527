//go:build postgres

package store

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/store/postgrestest"
)

func event(subject string) audit.Event {
	return audit.Event{At: time.Now(), Actor: "system", Action: "x", Subject: subject, Detail: "{}"}
}

func onPostgres(t *testing.T, url string) (*Store, *postgres) {
	t.Helper()
	s, err := Open(t.Context(), url, Options{Create: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, s.engine.(*postgres)
}

func TestPostgresSessions(t *testing.T) {
	pg := postgrestest.Start(t)
	t.Run("every session commits to the disk, whatever the database's own settings say", func(t *testing.T) {
		url := pg.Fresh(t)
		pg.Execute(t, "postgres", "ALTER ROLE holdfast SET synchronous_commit = off", "ALTER ROLE holdfast SET statement_timeout = 0", "ALTER ROLE holdfast SET search_path = public")
		_, p := onPostgres(t, url)
		ask := map[string]func(query string) (value string, err error){
			"readers": func(q string) (v string, err error) { return v, p.readers.QueryRow(q).Scan(&v) },
			"writers": func(q string) (v string, err error) { return v, p.writers.QueryRow(q).Scan(&v) },
			"uses":    func(q string) (v string, err error) { return v, p.uses.conn.QueryRow(t.Context(), q).Scan(&v) },
		}
		for setting, want := range map[string]string{
			"synchronous_commit": "on", "statement_timeout": "2s", "lock_timeout": "2s", "idle_in_transaction_session_timeout": "5s",
			"search_path": "holdfast", "default_transaction_read_only": "off", "application_name": "holdfast",
		} {
			for who, ask := range ask {
				if got, err := ask("SHOW " + setting); err != nil || got != want {
					t.Errorf("%s: %s is %q, want %q; %v", who, setting, got, want, err)
				}
			}
		}
	})
	t.Run("a change that the server takes back is made again, its event with it", func(t *testing.T) {
		s, _ := onPostgres(t, pg.Fresh(t))
		for _, code := range []string{"40001", "40P01"} {
			before, err := s.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			tries := 0
			err = s.change(t.Context(), event("x"), func(tx *sql.Tx, sequence int64) error {
				if tries++; tries < attempts {
					return &pgconn.PgError{Code: code}
				}
				return nil
			})
			if err != nil || tries != attempts {
				t.Errorf("%s: %d tries, %v", code, tries, err)
			}
			if head, err := s.VerifyChain(t.Context()); err != nil || head.Sequence != before.Sequence+1 {
				t.Errorf("%s: %+v, %v", code, head, err)
			}
		}
	})
	t.Run("but not for ever, and nothing else is", func(t *testing.T) {
		s, _ := onPostgres(t, pg.Fresh(t))
		for err, want := range map[error]int{
			&pgconn.PgError{Code: "40001"}: attempts, &pgconn.PgError{Code: "57P01"}: 1, errSilent: 1, context.DeadlineExceeded: 1,
		} {
			tries := 0
			got := s.change(t.Context(), event("x"), func(*sql.Tx, int64) error { tries++; return err })
			if !errors.Is(got, err) || tries != want {
				t.Errorf("%v: %d tries, %v", err, tries, got)
			}
		}
		if head, err := s.VerifyChain(t.Context()); err != nil || head.Sequence != 0 {
			t.Errorf("%+v, %v", head, err)
		}
	})
	t.Run("a read-only store writes nothing", func(t *testing.T) {
		url := pg.Fresh(t)
		onPostgres(t, url)
		s, err := Open(t.Context(), url, Options{ReadOnly: true, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := create(t.Context(), s, "a"); err == nil {
			t.Error("a change was made")
		}
		if err := s.FirstUse(t.Context(), use("a")); err == nil || replayed(err) {
			t.Errorf("a use: %v", err)
		}
	})
}
