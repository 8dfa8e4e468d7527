package store_test

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/store/storetest"
)

// The steps of a version that is yet to come.
const (
	additive = "CREATE TABLE yet_to_come (id TEXT PRIMARY KEY);\nALTER TABLE applications ADD COLUMN yet_to_come TEXT NOT NULL DEFAULT '';\n"
	breaking = "ALTER TABLE applications DROP COLUMN name;\nUPDATE compatibility SET oldest = 99;\n"
)

func TestSQLiteVersions(t *testing.T) {
	runVersions(t, func(t *testing.T) string { return filepath.Join(t.TempDir(), "holdfast.db") })
}

// runVersions looks at databases whose schema is newer than ours; fresh names a
// place for one.
func runVersions(t *testing.T, fresh func(t *testing.T) string) {
	next := func(t *testing.T, dsn, step string) {
		t.Helper()
		if err := store.MigrateNext(t.Context(), dsn, step); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("one version back still runs: everything works on a schema that the next version has extended", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Database {
			dsn := fresh(t)
			if err := open(t, dsn).Close(); err != nil {
				t.Fatal(err)
			}
			next(t, dsn, additive)
			return func(t *testing.T) *store.Store { return open(t, dsn) }
		})
	})
	t.Run("a node of this version goes on while one of the next brings the schema up to date", func(t *testing.T) {
		dsn := fresh(t)
		s := open(t, dsn)
		change(t, s, "before")
		next(t, dsn, additive)
		change(t, s, "after")
		if err := s.FirstUse(t.Context(), crashUse("after")); err != nil {
			t.Error(err)
		}
		if d, err := s.Load(t.Context(), 0); err != nil || len(d.Organisations) != 2 {
			t.Errorf("%v, %v", d, err)
		}
	})
	t.Run("a schema that took something away is refused in plain words, read-only too", func(t *testing.T) {
		dsn := fresh(t)
		if err := open(t, dsn).Close(); err != nil {
			t.Fatal(err)
		}
		next(t, dsn, breaking)
		for _, o := range []store.Options{{Now: time.Now}, {Now: time.Now, ReadOnly: true}, {Now: time.Now, Create: true}} {
			_, err := store.Open(t.Context(), dsn, o)
			if !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), "has schema version 99 and this holdfast knows versions up to ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("says %v", err)
			}
		}
	})
	t.Run("nodes that bring one database up to date at once do it once", func(t *testing.T) {
		dsn := fresh(t)
		if err := open(t, dsn).Close(); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() { next(t, dsn, additive) })
		}
		wg.Wait()
		change(t, open(t, dsn), "after")
	})
	t.Run("nodes that make one database at once make one", func(t *testing.T) {
		dsn := fresh(t)
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() { change(t, open(t, dsn), string(rune('a'+i))) })
		}
		wg.Wait()
		if head, err := open(t, dsn).VerifyChain(t.Context()); err != nil || head.Sequence != 6 {
			t.Errorf("%+v, %v", head, err)
		}
	})
}
