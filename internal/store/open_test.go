package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// files lists a folder.
func files(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// execute changes a database behind the store's back.
func execute(t *testing.T, path string, queries ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range queries {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	write := func(text string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	ours := func(queries ...string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			s := open(t, path)
			change(t, s, "one")
			change(t, s, "two")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			execute(t, path, queries...)
		}
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		says string
	}{
		{"a directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory, not a file"},
		{"a socket", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "is not a regular file"},
		{"a link to itself, which nobody can read", func(t *testing.T, path string) {
			if err := os.Symlink(path, path); err != nil {
				t.Fatal(err)
			}
		}, "cannot be read: too many levels of symbolic links"},
		{"an empty file", write(""), "is an empty file"},
		{"a text", write(strings.Repeat("not a database\n", 100)), "is not a database"},
		{"a file that is shorter than any database", write("SQLite format 3\x00"), "is not a database"},
		{"a database of something else", func(t *testing.T, path string) { execute(t, path, "CREATE TABLE t (x)") }, "is a database, but not one of holdfast"},
		{"a database with an event more than its head", ours("UPDATE head SET sequence = 1"), "the audit chain does not end at its head"},
		{"a database whose last event was changed", ours("UPDATE events SET actor = 'nobody' WHERE sequence = 2"), "audit event 2 was changed after it was sealed"},
		{"a database without its last event", ours("DELETE FROM events WHERE sequence = 2"), "the audit chain does not end at its head"},
		{"a database without its head", ours("DELETE FROM head"), "read the head of the chain"},
		{"a database without the table of single uses", ours("DROP TABLE used"), "no such table: used"},
		{"a database with a head that is none", ours("UPDATE head SET hash = x'00'"), "a digest of 1 bytes is not one of 32"},
	} {
		t.Run(c.name+" is refused in one sentence and left as it is", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "holdfast.db")
			c.make(t, path)
			before := files(t, filepath.Dir(path))
			s, err := store.Open(t.Context(), path, store.Options{Create: true, Now: time.Now})
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
				t.Errorf("says %q, want one line with %q and the path", err, c.says)
			}
			if after := files(t, filepath.Dir(path)); after != before {
				t.Errorf("the folder had %q and has %q", before, after)
			}
		})
	}
	t.Run("a folder that does not exist is refused", func(t *testing.T) {
		_, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "none", "holdfast.db"), store.Options{Create: true, Now: time.Now})
		if err == nil || !strings.Contains(err.Error(), "none does not exist") {
			t.Fatal(err)
		}
	})
	t.Run("a folder in which nothing can be made is refused", func(t *testing.T) {
		_, err := store.Open(t.Context(), "/proc/self/holdfast.db", store.Options{Create: true, Now: time.Now})
		if err == nil || !strings.Contains(err.Error(), "cannot be made") {
			t.Fatal(err)
		}
	})
	t.Run("a database that does not exist is made only when asked for", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "holdfast.db")
		_, err := store.Open(t.Context(), path, store.Options{Now: time.Now})
		if !errors.Is(err, fs.ErrNotExist) || err.Error() != "database "+path+" does not exist" {
			t.Fatal(err)
		}
		if left := files(t, filepath.Dir(path)); left != "" {
			t.Fatalf("left %q", left)
		}
	})
	t.Run("a database that could not be made leaves nothing", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "holdfast.db")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if s, err := store.Open(ended, path, store.Options{Create: true, Now: time.Now}); err == nil {
			s.Close()
			t.Fatal("opened")
		}
		if left := files(t, filepath.Dir(path)); left != "" {
			t.Fatalf("left %q", left)
		}
	})
}

func change(t testing.TB, s *store.Store, id string) {
	t.Helper()
	e := audit.Event{At: time.Now(), Actor: "system", Action: "organisation.created", Subject: id, Detail: "{}"}
	if err := s.CreateOrganisation(context.Background(), e, directory.Organisation{ID: directory.OrganisationID(id), Name: id, State: directory.Active}); err != nil {
		t.Fatal(err)
	}
}

func TestOpenNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "holdfast.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, path, "INSERT INTO schema_version (version_id, is_applied) VALUES (7000, 1)", "UPDATE compatibility SET oldest = 7000")
	_, err := store.Open(t.Context(), path, store.Options{Now: time.Now})
	if !errors.Is(err, store.ErrNewerSchema) {
		t.Fatal(err)
	}
	want := regexp.MustCompile("^database " + regexp.QuoteMeta(path) + " has schema version 7000 and this holdfast knows versions up to [0-9]+; use a newer holdfast$")
	if !want.MatchString(err.Error()) {
		t.Errorf("says %q", err)
	}
}

func TestOpenReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "holdfast.db")
	s := open(t, path)
	change(t, s, "one")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("what is there is read, and nothing is written", func(t *testing.T) {
		s, err := store.Open(t.Context(), path, store.Options{ReadOnly: true, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		e := audit.Event{At: time.Now(), Actor: "system", Action: "organisation.created", Subject: "two", Detail: "{}"}
		if err := s.CreateOrganisation(t.Context(), e, directory.Organisation{ID: "two", Name: "two", State: directory.Active}); err == nil {
			t.Error("a change was made")
		}
		if err := s.FirstUse(t.Context(), token.Use{Until: time.Now()}); err == nil {
			t.Error("a use was recorded")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) || files(t, filepath.Dir(path)) != "holdfast.db" {
			t.Errorf("the file changed, or others are there: %q, %v", files(t, filepath.Dir(path)), err)
		}
	})
	t.Run("a database that does not exist is not made", func(t *testing.T) {
		none := filepath.Join(t.TempDir(), "none.db")
		if _, err := store.Open(t.Context(), none, store.Options{Create: true, ReadOnly: true, Now: time.Now}); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	})
	t.Run("an older schema is told and stays", func(t *testing.T) {
		execute(t, path, "DELETE FROM schema_version WHERE version_id > 0")
		_, err := store.Open(t.Context(), path, store.Options{ReadOnly: true, Now: time.Now})
		want := regexp.MustCompile("^database " + regexp.QuoteMeta(path) + " has schema version 0 and this holdfast wants [1-9][0-9]*$")
		if !errors.Is(err, store.ErrOlderSchema) || !want.MatchString(err.Error()) {
			t.Errorf("says %v", err)
		}
	})
}

func TestPath(t *testing.T) {
	for _, c := range []struct{ dsn, want, says string }{
		{dsn: "/var/lib/x.db", want: "/var/lib/x.db"},
		{dsn: "x.db", want: "x.db"},
		{dsn: "./odd:name.db", want: "./odd:name.db"},
		{dsn: "sqlite:/var/lib/x.db", want: "/var/lib/x.db"},
		{dsn: "sqlite:x.db", want: "x.db"},
		{dsn: "sqlite:///var/lib/x.db", want: "/var/lib/x.db"},
		{dsn: "mysql://u:secret@h/d", says: "none that holdfast knows"},
		{dsn: "", says: "no path"},
		{dsn: "sqlite:", says: "no path"},
		{dsn: "sqlite://", says: "no path"},
	} {
		t.Run(c.dsn, func(t *testing.T) {
			got, err := store.Path(c.dsn)
			if c.says == "" {
				if err != nil || got != c.want {
					t.Fatalf("%q, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("error %v, want one with %q", err, c.says)
			}
			if _, err := store.Open(t.Context(), c.dsn, store.Options{Create: true, Now: time.Now}); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("open: %v", err)
			}
		})
	}
}

func TestCreate(t *testing.T) {
	t.Run("a new database is whole, mode 0600, and all there is", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "holdfast.db")
		if err := open(t, "sqlite:"+path).Close(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Fatalf("%v, %v", info.Mode(), err)
		}
		if got := files(t, filepath.Dir(path)); got != "holdfast.db" {
			t.Fatalf("the folder has %q", got)
		}
	})
	t.Run("a path may have any character", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a?mode=memory&x#y %41.db")
		change(t, open(t, path), "one")
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("of many that make it at once all use one", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "holdfast.db")
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				s, err := store.Open(t.Context(), path, store.Options{Create: true, Now: time.Now})
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				if err := s.FirstUse(t.Context(), token.Use{Key: [32]byte{byte(i)}, Until: time.Now()}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s := open(t, path)
		for i := range 8 {
			if err := s.FirstUse(t.Context(), token.Use{Key: [32]byte{byte(i)}, Until: time.Now()}); err == nil {
				t.Errorf("use %d was forgotten", i)
			}
		}
	})
}

func TestSettings(t *testing.T) {
	// What a commit promises rests on these.
	path := filepath.Join(t.TempDir(), "holdfast.db")
	open(t, path)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var mode string
	if err := db.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %q, %v", mode, err)
	}
	rows, err := db.Query("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'schema_version'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	tables := 0
	for rows.Next() {
		var name string
		var strict bool
		if err := rows.Scan(&name, &strict); err != nil {
			t.Fatal(err)
		}
		if tables++; !strict {
			t.Errorf("table %s is not strict", name)
		}
	}
	if err := rows.Err(); err != nil || tables < 10 {
		t.Errorf("%d tables, %v", tables, err)
	}
}
