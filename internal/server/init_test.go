package server_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configuration of an installation in the folder.
func configuration(dir string) *config.Serve {
	return &config.Serve{
		Issuer: "https://localhost:8443", MTLSURL: "https://localhost:8444", AdminURL: "https://localhost:8445",
		Listen:               config.ServeListen{Public: "127.0.0.1:0", MTLS: "127.0.0.1:0", Admin: "127.0.0.1:0"},
		Database:             filepath.Join(dir, "holdfast.db"),
		KeyEncryptionKeyFile: filepath.Join(dir, "kek"),
		Token:                config.Token{Life: 5 * time.Minute},
	}
}

func firstStart(dir string) server.FirstStart {
	return server.FirstStart{TrustDomain: "example.test", OperatorKeyFile: filepath.Join(dir, "owner.key"), Now: time.Now}
}

// initialised is the configuration of a folder after its first start.
func initialised(t *testing.T) *config.Serve {
	t.Helper()
	dir := t.TempDir()
	cfg := configuration(dir)
	if _, err := server.Init(t.Context(), cfg, firstStart(dir)); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// contents are the files below the folder and what is in them.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			all[path] = "folder"
			return nil
		}
		if d.Type() == fs.ModeSymlink {
			all[path], err = os.Readlink(path)
			return err
		}
		data, err := os.ReadFile(path)
		all[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t *testing.T, before, after map[string]string) {
	t.Helper()
	for path, text := range after {
		if was, ok := before[path]; !ok || was != text {
			t.Errorf("%s is new or changed", path)
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok {
			t.Errorf("%s is gone", path)
		}
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestInit(t *testing.T) {
	dir := t.TempDir()
	cfg := configuration(dir)
	op, err := server.Init(t.Context(), cfg, firstStart(dir))
	if err != nil {
		t.Fatal(err)
	}
	if op.ClientID == "" || op.KeyID == "" || op.Organisation == "" || op.Scope != "admin" || op.Resource != cfg.Issuer+"/admin" || op.KeyFile != filepath.Join(dir, "owner.key") {
		t.Errorf("got %+v", op)
	}
	t.Run("database, key-encryption key and the owner's key are there, for their owner alone, and nothing else", func(t *testing.T) {
		var names []string
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
			if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
				t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
			}
		}
		if want := []string{"holdfast.db", "kek", "owner.key"}; !slices.Equal(names, want) {
			t.Errorf("got %q", names)
		}
	})
	t.Run("the server opens", func(t *testing.T) {
		s, err := server.Open(t.Context(), cfg, process())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a second first start is refused and changes nothing", func(t *testing.T) {
		before := contents(t, dir)
		_, err := server.Init(t.Context(), cfg, server.FirstStart{TrustDomain: "example.test", OperatorKeyFile: filepath.Join(dir, "second.key"), Now: time.Now})
		if _, ok := errors.AsType[*server.InitialisedError](err); !ok {
			t.Errorf("got %v", err)
		}
		same(t, before, contents(t, dir))
	})
	t.Run("a key-encryption key that is there is used", func(t *testing.T) {
		other := t.TempDir()
		kek, err := os.ReadFile(cfg.KeyEncryptionKeyFile)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(other, "kek"), string(kek), 0o600)
		if _, err := server.Init(t.Context(), configuration(other), firstStart(other)); err != nil {
			t.Fatal(err)
		}
		if after, err := os.ReadFile(filepath.Join(other, "kek")); err != nil || string(after) != string(kek) {
			t.Errorf("it was changed: %v", err)
		}
	})
}

func TestInitRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string, cfg *config.Serve, first *server.FirstStart)
		says  string
	}{
		"a database of anybody": {func(t *testing.T, _ string, cfg *config.Serve, _ *server.FirstStart) {
			write(t, cfg.Database, "somebody's", 0o600)
		}, "exists"},
		"a database that is a broken link": {func(t *testing.T, _ string, cfg *config.Serve, _ *server.FirstStart) {
			if err := os.Symlink("/nowhere/at/all", cfg.Database); err != nil {
				t.Fatal(err)
			}
		}, "exists"},
		"a folder that is a file": {func(t *testing.T, dir string, cfg *config.Serve, _ *server.FirstStart) {
			write(t, filepath.Join(dir, "file"), "", 0o600)
			cfg.Database = filepath.Join(dir, "file", "holdfast.db")
		}, "look for database "},
		"a folder that is not there": {func(_ *testing.T, dir string, cfg *config.Serve, _ *server.FirstStart) {
			cfg.Database = filepath.Join(dir, "none", "holdfast.db")
		}, "make a folder beside the database"},
		"a folder in which nothing can be made": {func(_ *testing.T, _ string, cfg *config.Serve, _ *server.FirstStart) {
			cfg.Database = "/proc/self/holdfast.db"
		}, "make a folder beside the database"},
		"another kind of database": {func(_ *testing.T, _ string, cfg *config.Serve, _ *server.FirstStart) {
			cfg.Database = "mysql://localhost/holdfast"
		}, "none that holdfast knows"},
		"PostgreSQL that does not answer": {func(_ *testing.T, _ string, cfg *config.Serve, _ *server.FirstStart) {
			cfg.Database = "postgres://u:secret@127.0.0.1:9/x"
		}, "database postgres://127.0.0.1:9/x does not answer: "},
		"an operator's key that is there": {func(t *testing.T, _ string, _ *config.Serve, first *server.FirstStart) {
			write(t, first.OperatorKeyFile, "somebody's", 0o600)
		}, "an operator's key is never replaced"},
		"an operator's key in a folder that is not there": {func(_ *testing.T, dir string, _ *config.Serve, first *server.FirstStart) {
			first.OperatorKeyFile = filepath.Join(dir, "none", "owner.key")
		}, "write the operator's key"},
		"a key-encryption key that others may read": {func(t *testing.T, _ string, cfg *config.Serve, _ *server.FirstStart) {
			write(t, cfg.KeyEncryptionKeyFile, strings.Repeat("0f", 32)+"\n", 0o644)
		}, "mode 0644"},
		"a key-encryption key that is none": {func(t *testing.T, _ string, cfg *config.Serve, _ *server.FirstStart) {
			write(t, cfg.KeyEncryptionKeyFile, "x\n", 0o600)
		}, "is not 64 hexadecimal characters"},
		"a key-encryption key in a folder that is not there": {func(_ *testing.T, dir string, cfg *config.Serve, _ *server.FirstStart) {
			cfg.KeyEncryptionKeyFile = filepath.Join(dir, "none", "kek")
		}, "write the key-encryption key"},
		"a trust domain in capitals": {func(_ *testing.T, _ string, _ *config.Serve, first *server.FirstStart) {
			first.TrustDomain = "Example.test"
		}, `trust domain "Example.test"`},
		"no trust domain": {func(_ *testing.T, _ string, _ *config.Serve, first *server.FirstStart) {
			first.TrustDomain = ""
		}, "trust domain"},
		"a trust domain that is too long": {func(_ *testing.T, _ string, _ *config.Serve, first *server.FirstStart) {
			first.TrustDomain = strings.Repeat("a", 256)
		}, "trust domain"},
	} {
		t.Run(name+" is refused in one sentence, and nothing is left", func(t *testing.T) {
			dir := t.TempDir()
			cfg, first := configuration(dir), firstStart(dir)
			c.spoil(t, dir, cfg, &first)
			before := contents(t, dir)
			_, err := server.Init(t.Context(), cfg, first)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("says %v, want %q", err, c.says)
			}
			same(t, before, contents(t, dir))
		})
	}
	t.Run("a first start that is called off leaves nothing", func(t *testing.T) {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := server.Init(ctx, configuration(dir), firstStart(dir)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		same(t, map[string]string{dir: "folder"}, contents(t, dir))
	})
	t.Run("a database that somebody else makes meanwhile stays, and so does its key-encryption key", func(t *testing.T) {
		dir := t.TempDir()
		cfg, first := configuration(dir), firstStart(dir)
		once := sync.Once{}
		first.Now = func() time.Time {
			once.Do(func() { write(t, cfg.Database, "somebody's", 0o600) })
			return time.Now()
		}
		_, err := server.Init(t.Context(), cfg, first)
		if _, ok := errors.AsType[*server.InitialisedError](err); !ok {
			t.Errorf("got %v", err)
		}
		after := contents(t, dir)
		if after[cfg.Database] != "somebody's" || after[cfg.KeyEncryptionKeyFile] == "" || after[first.OperatorKeyFile] != "" || len(after) != 3 {
			t.Errorf("got %d files", len(after))
		}
	})
}

func TestInitAtOnce(t *testing.T) {
	dir := t.TempDir()
	cfg := configuration(dir)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			first := firstStart(dir)
			if i%2 == 0 { // some have a file of their own, some share one
				first.OperatorKeyFile += "." + string(rune('a'+i))
			}
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
		t.Errorf("%d of 8 succeeded: %v", done, errs)
	}
	if names := contents(t, dir); len(names) != 4 { // the folder, database, key-encryption key and one owner's key
		t.Errorf("%d files", len(names))
	}
	if err := server.Check(t.Context(), cfg, process()); err != nil {
		t.Error(err)
	}
}

func TestRemoveUnfinished(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "other"), "", 0o600)
	before := contents(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, ".holdfast-init-1", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := server.RemoveUnfinished(dir); err != nil {
		t.Error(err)
	}
	same(t, before, contents(t, dir))
}
