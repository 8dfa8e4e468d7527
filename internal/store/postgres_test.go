//go:build postgres

package store_test

import (
	"cmp"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/store/postgrestest"
	"github.com/holdfast-auth/holdfast/internal/store/storetest"
)

func TestPostgres(t *testing.T) {
	server := postgrestest.Start(t)
	storetest.Run(t, func(t *testing.T) storetest.Database {
		url := server.Fresh(t)
		return func(t *testing.T) *store.Store { return open(t, url) }
	})
}

// column is what a column is in both schemas.
type column struct{ Table, Name, Type string }

func rows[T any](t *testing.T, db *sql.DB, query string, scan func(*sql.Rows, *T) error) []T {
	t.Helper()
	answer, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	var all []T
	for answer.Next() {
		var one T
		if err := scan(answer, &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := answer.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func scanColumn(r *sql.Rows, c *column) error { return r.Scan(&c.Table, &c.Name, &c.Type) }

// unique is the columns of a key that a table has once.
type unique struct{ Table, Columns, Where string }

func scanUnique(r *sql.Rows, u *unique) error { return r.Scan(&u.Table, &u.Columns, &u.Where) }

func TestSchemasAreOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "holdfast.db")
	open(t, path)
	lite, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer lite.Close()
	url := postgrestest.Start(t).Fresh(t)
	open(t, url)
	server, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()

	t.Run("both have the same columns, of types that mean the same, and text is compared byte by byte", func(t *testing.T) {
		want := rows(t, lite, `SELECT t.name, c.name, c.type FROM sqlite_schema t, pragma_table_info(t.name) c
			WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'schema_version'`, scanColumn)
		got := rows(t, server, `SELECT table_name, column_name, data_type || COALESCE(' ' || collation_name, '') FROM information_schema.columns
			WHERE table_schema = 'holdfast' AND table_name <> 'schema_version'`, scanColumn)
		for _, all := range [][]column{want, got} {
			slices.SortFunc(all, func(a, b column) int {
				return cmp.Or(strings.Compare(a.Table, b.Table), strings.Compare(a.Name, b.Name))
			})
		}
		for i := range want {
			want[i].Type = map[string]string{"INTEGER": "bigint", "TEXT": "text C", "BLOB": "bytea"}[want[i].Type]
		}
		for i := range got {
			if got[i].Type == "boolean" { // SQLite has none
				got[i].Type = "bigint"
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if len(got) < 50 {
			t.Errorf("only %d columns", len(got))
		}
	})
	t.Run("both have the same keys", func(t *testing.T) {
		want := rows(t, lite, `SELECT t.name, (SELECT group_concat(name, ',') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)), i.partial
			FROM sqlite_schema t, pragma_index_list(t.name) i WHERE t.type = 'table' AND i."unique" AND t.name <> 'schema_version'
			UNION SELECT t.name, c.name, 0 FROM sqlite_schema t, pragma_table_info(t.name) c
			WHERE t.type = 'table' AND c.pk = 1 AND c.type = 'INTEGER' AND t.name NOT IN ('schema_version', 'sqlite_sequence')`, scanUnique)
		got := rows(t, server, `SELECT c.relname, (SELECT string_agg(a.attname, ',' ORDER BY k.place) FROM unnest(i.indkey) WITH ORDINALITY k (number, place)
			JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number), (i.indpred IS NOT NULL)::int
			FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = 'holdfast' AND i.indisunique AND c.relname <> 'schema_version'`, scanUnique)
		for _, all := range [][]unique{want, got} {
			slices.SortFunc(all, func(a, b unique) int {
				return cmp.Or(strings.Compare(a.Table, b.Table), strings.Compare(a.Columns, b.Columns), strings.Compare(a.Where, b.Where))
			})
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("both have the same references", func(t *testing.T) {
		want := rows(t, lite, `SELECT t.name, f."from", f."table" || '(' || f."to" || ')' FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'`, scanColumn)
		got := rows(t, server, `SELECT c.relname, a.attname, f.relname || '(' || b.attname || ')' FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid
			JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1] JOIN pg_attribute b ON b.attrelid = f.oid AND b.attnum = k.confkey[1]
			WHERE k.contype = 'f'`, scanColumn)
		for _, all := range [][]column{want, got} {
			slices.SortFunc(all, func(a, b column) int {
				return cmp.Or(strings.Compare(a.Table, b.Table), strings.Compare(a.Name, b.Name))
			})
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPostgresVersions(t *testing.T) {
	pg := postgrestest.Start(t)
	runVersions(t, func(t *testing.T) string { return pg.Fresh(t) })
}

func TestPostgresAlone(t *testing.T) {
	url := postgrestest.Start(t).Fresh(t)
	s := open(t, url)
	if err := store.Alone(t.Context(), url, store.Options{}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	if _, err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "backup")); !errors.Is(err, store.ErrNotSQLite) {
		t.Errorf("backup: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Alone(t.Context(), url, store.Options{}); err != nil {
		t.Errorf("not in use: %v", err)
	}
}
