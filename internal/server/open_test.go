package server_test

import (
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/server"
	"github.com/holdfast-auth/holdfast/internal/store"
)

func process() server.Process {
	return server.Process{Now: time.Now, Log: slog.New(slog.DiscardHandler), Version: "test"}
}

// execute changes a database behind the server's back.
func execute(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

func isError[E error](err error) bool { _, ok := errors.AsType[E](err); return ok }

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, cfg *config.Serve)
		is    func(error) bool
		says  string
	}{
		"a database that is not there": {func(t *testing.T, cfg *config.Serve) {
			cfg.Database += ".none"
		}, isError[*server.NotInitialisedError], "does not exist"},
		"a database and key-encryption key that are not there: the first start comes first": {func(t *testing.T, cfg *config.Serve) {
			cfg.Database += ".none"
			cfg.KeyEncryptionKeyFile += ".none"
		}, isError[*server.NotInitialisedError], "does not exist"},
		"a database without a first start": {func(t *testing.T, cfg *config.Serve) {
			cfg.Database += ".new"
			s, err := store.Open(t.Context(), cfg.Database, store.Options{Create: true, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}, isError[*server.NotInitialisedError], "holds no installation"},
		"another kind of database": {func(_ *testing.T, cfg *config.Serve) { cfg.Database = "mysql://localhost/x" }, nil, "none that holdfast knows"},
		"PostgreSQL that does not answer": {func(_ *testing.T, cfg *config.Serve) {
			cfg.Database = "postgres://u:secret@127.0.0.1:9/x"
		}, nil, "database postgres://127.0.0.1:9/x does not answer: "},
		"an empty database": {func(t *testing.T, cfg *config.Serve) { write(t, cfg.Database, "", 0o600) }, nil, "is an empty file"},
		"another issuer's database": {func(_ *testing.T, cfg *config.Serve) {
			cfg.Issuer = "https://localhost:9000"
		}, isError[*server.OtherIssuerError], "belongs to the issuer https://localhost:8443"},
		"a newer schema": {func(t *testing.T, cfg *config.Serve) {
			execute(t, cfg.Database, "INSERT INTO schema_version (version_id, is_applied) VALUES (99, 1); UPDATE compatibility SET oldest = 99")
		}, func(err error) bool { return errors.Is(err, store.ErrNewerSchema) }, "schema version 99"},
		"a key-encryption key that is not there": {func(_ *testing.T, cfg *config.Serve) {
			cfg.KeyEncryptionKeyFile += ".none"
		}, isError[*server.KeyMissingError], "does not exist"},
		"a key-encryption key that others may read": {func(t *testing.T, cfg *config.Serve) {
			if err := os.Chmod(cfg.KeyEncryptionKeyFile, 0o644); err != nil {
				t.Fatal(err)
			}
		}, nil, "has mode 0644; it must be 0600"},
		"another key-encryption key": {func(t *testing.T, cfg *config.Serve) {
			write(t, cfg.KeyEncryptionKeyFile, strings.Repeat("0f", 32)+"\n", 0o600)
		}, isError[*server.OtherKeyError], "does not open the keys in"},
		"advisory 30: CAs for jwks_uri that are not there": {func(_ *testing.T, cfg *config.Serve) { cfg.JWKSURI.CAFile = "/none/ca.pem" }, nil, "jwks_uri.ca_file: "},
		"advisory 30: CAs for jwks_uri in an empty file": {func(t *testing.T, cfg *config.Serve) {
			cfg.JWKSURI.CAFile = filepath.Join(filepath.Dir(cfg.Database), "no-ca")
			write(t, cfg.JWKSURI.CAFile, "", 0o600)
		}, nil, "jwks_uri.ca_file: "},
		"a TLS certificate that is not there": {func(_ *testing.T, cfg *config.Serve) {
			cfg.TLS = config.ServeTLS{CertificateFile: "/none/tls.crt", KeyFile: "/none/tls.key"}
		}, nil, "TLS certificate /none/tls.crt"},
		"a TLS certificate of another key": {func(t *testing.T, cfg *config.Serve) {
			cfg.TLS = mismatched(t, filepath.Dir(cfg.Database))
		}, nil, "private key does not match"},
		"a TLS certificate that is empty": {func(t *testing.T, cfg *config.Serve) {
			dir := filepath.Dir(cfg.Database)
			write(t, filepath.Join(dir, "empty"), "", 0o600)
			cfg.TLS = config.ServeTLS{CertificateFile: filepath.Join(dir, "empty"), KeyFile: filepath.Join(dir, "empty")}
		}, nil, "TLS certificate"},
	} {
		t.Run(name+" is refused in one sentence, and nothing changes", func(t *testing.T) {
			cfg := initialised(t)
			c.spoil(t, cfg)
			dir := filepath.Dir(cfg.KeyEncryptionKeyFile)
			before := contents(t, dir)
			for who, err := range map[string]error{"Open": opened(t, cfg), "Check": server.Check(t.Context(), cfg, process())} {
				if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") || c.is != nil && !c.is(err) {
					t.Errorf("%s says %v (%T), want %q", who, err, err, c.says)
				}
			}
			same(t, before, contents(t, dir))
		})
	}
}

func opened(t *testing.T, cfg *config.Serve) error {
	t.Helper()
	s, err := server.Open(t.Context(), cfg, process())
	if err == nil {
		err = s.Close()
	}
	return err
}

// mismatched are a certificate and the key of another.
func mismatched(t *testing.T, dir string) config.ServeTLS {
	t.Helper()
	s, err := server.Open(t.Context(), initialised(t), process())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	chain, _, err := s.IssueTLS(t.Context(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := s.IssueTLS(t.Context(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	files := config.ServeTLS{CertificateFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	write(t, files.CertificateFile, string(chain), 0o600)
	write(t, files.KeyFile, string(key), 0o600)
	return files
}

func TestCheck(t *testing.T) {
	t.Run("it changes nothing", func(t *testing.T) {
		cfg := initialised(t)
		before := contents(t, filepath.Dir(cfg.Database))
		if err := server.Check(t.Context(), cfg, process()); err != nil {
			t.Fatal(err)
		}
		same(t, before, contents(t, filepath.Dir(cfg.Database)))
	})
	t.Run("an older schema is told and stays", func(t *testing.T) {
		cfg := initialised(t)
		execute(t, cfg.Database, "UPDATE schema_version SET version_id = 0 WHERE version_id > 0")
		before := contents(t, filepath.Dir(cfg.Database))
		if err := server.Check(t.Context(), cfg, process()); !errors.Is(err, store.ErrOlderSchema) {
			t.Errorf("got %v", err)
		}
		same(t, before, contents(t, filepath.Dir(cfg.Database)))
	})
	t.Run("beside a server that runs", func(t *testing.T) {
		cfg := initialised(t)
		s, err := server.Open(t.Context(), cfg, process())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := server.Check(t.Context(), cfg, process()); err != nil {
			t.Error(err)
		}
	})
}
