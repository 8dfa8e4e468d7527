//go:build postgres

package server_test

import (
	"database/sql"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/server"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/store/postgrestest"
)

func onPostgres(t *testing.T, url string) (cfg *config.Serve, first server.FirstStart) {
	dir := t.TempDir()
	cfg = configuration(dir)
	cfg.Database = url
	return cfg, firstStart(dir)
}

// schemas of a database that are ours, finished or not.
func schemas(t *testing.T, url string) (names []string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'holdfast%'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

func TestInitOnPostgres(t *testing.T) {
	pg := postgrestest.Start(t)
	t.Run("a first start makes all that serve and check want, and a second is refused and changes nothing", func(t *testing.T) {
		url := pg.Fresh(t)
		cfg, first := onPostgres(t, url)
		if err := server.Check(t.Context(), cfg, process()); err == nil || !isError[*server.NotInitialisedError](err) || strings.Contains(err.Error(), "sslmode") {
			t.Errorf("before: %v", err)
		}
		if _, err := server.Init(t.Context(), cfg, first); err != nil {
			t.Fatal(err)
		}
		if err := server.Check(t.Context(), cfg, process()); err != nil {
			t.Error(err)
		}
		if err := opened(t, cfg); err != nil {
			t.Error(err)
		}
		if names := schemas(t, url); len(names) != 1 || names[0] != "holdfast" {
			t.Errorf("schemas %q", names)
		}
		first.OperatorKeyFile += ".second"
		before := contents(t, filepath.Dir(first.OperatorKeyFile))
		if _, err := server.Init(t.Context(), cfg, first); !isError[*server.InitialisedError](err) || strings.Contains(err.Error(), "sslmode") {
			t.Errorf("a second: %v", err)
		}
		same(t, before, contents(t, filepath.Dir(first.OperatorKeyFile)))
	})
	t.Run("of many at once one succeeds", func(t *testing.T) {
		url := pg.Fresh(t)
		cfg, _ := onPostgres(t, url)
		dir := filepath.Dir(cfg.KeyEncryptionKeyFile)
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() {
				first := firstStart(dir)
				first.OperatorKeyFile += "." + string(rune('a'+i))
				_, errs[i] = server.Init(t.Context(), cfg, first)
			})
		}
		wg.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
			}
		}
		if done != 1 {
			t.Errorf("%d succeeded: %v", done, errs)
		}
		if names := schemas(t, url); len(names) != 1 {
			t.Errorf("schemas %q", names)
		}
		if names := contents(t, dir); len(names) != 3 { // the folder, key-encryption key and one owner's key
			t.Errorf("files %v", names)
		}
		if err := server.Check(t.Context(), cfg, process()); err != nil {
			t.Error(err)
		}
	})
	t.Run("what a first start left that was killed goes with the next", func(t *testing.T) {
		url := pg.Fresh(t)
		cfg, first := onPostgres(t, url)
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec("CREATE SCHEMA holdfast_draft_left; CREATE TABLE holdfast_draft_left.head (id BIGINT)"); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Init(t.Context(), cfg, first); err != nil {
			t.Fatal(err)
		}
		if names := schemas(t, url); len(names) != 1 || names[0] != "holdfast" {
			t.Errorf("schemas %q", names)
		}
	})
	t.Run("a first start whose server goes away leaves no file", func(t *testing.T) {
		cfg, first := onPostgres(t, pg.Fresh(t))
		once := sync.Once{}
		first.Now = func() time.Time {
			once.Do(func() {
				if err := pg.Restart(true); err != nil {
					t.Error(err)
				}
			})
			return time.Now()
		}
		if _, err := server.Init(t.Context(), cfg, first); err == nil {
			t.Error("no error")
		}
		if names := contents(t, filepath.Dir(cfg.KeyEncryptionKeyFile)); len(names) != 1 {
			t.Errorf("files %v", names)
		}
	})
	t.Run("two nodes open one installation at once", func(t *testing.T) {
		cfg, first := onPostgres(t, pg.Fresh(t))
		if _, err := server.Init(t.Context(), cfg, first); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			s, err := server.Open(t.Context(), cfg, process())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
		}
	})
}

func TestRestoreOnPostgres(t *testing.T) {
	pg := postgrestest.Start(t)
	cfg, first := onPostgres(t, pg.Fresh(t))
	if _, err := server.Init(t.Context(), cfg, first); err != nil {
		t.Fatal(err)
	}
	tool := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(postgrestest.Path(t, name), args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	dump := filepath.Join(t.TempDir(), "holdfast.dump")
	l := loseInstallation(t, cfg, func() { tool("pg_dump", "--format=custom", "--file="+dump, cfg.Database) })
	from := server.RestoreFrom{AuditLog: l.log, Now: time.Now}
	cfg.Database = pg.Fresh(t)
	if _, err := server.Restore(t.Context(), cfg, from); !isError[*server.NotInitialisedError](err) {
		t.Errorf("without a copy: %v", err)
	}
	tool("pg_restore", "--dbname="+cfg.Database, dump)
	node, err := store.Open(t.Context(), cfg.Database, store.Options{Now: time.Now}) // as a node has it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Restore(t.Context(), cfg, from); !errors.Is(err, store.ErrInUse) {
		t.Errorf("while a node runs: %v", err)
	}
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	from.Backup = dump
	if _, err := server.Restore(t.Context(), cfg, from); err == nil {
		t.Error("a file of a SQLite database is put into PostgreSQL")
	}
	from.Backup = ""
	var r server.Restored
	// The server may take a moment to see that the node's sessions have ended.
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if r, err = server.Restore(t.Context(), cfg, from); !errors.Is(err, store.ErrInUse) || time.Since(begun) > 5*time.Second {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	l.check(t, r, true, false)
}
