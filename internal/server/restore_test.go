package server_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/enrol"
	"github.com/holdfast-auth/holdfast/internal/feed"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/server"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

// lost is an installation that somebody made a copy of, and that went on after it.
type lost struct {
	cfg         *config.Serve
	log, feed   string // files: the audit log of all of it, the status feed's document
	copied, end int64
	app, other  directory.ClientID
	newApp      directory.ClientID
	consumed    token.Use // after the copy
	hash        [32]byte  // of the code
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// loseInstallation works with an installation; makeCopy is called in the middle of it.
func loseInstallation(t *testing.T, cfg *config.Serve, makeCopy func()) *lost {
	t.Helper()
	ctx := t.Context()
	l := &lost{cfg: cfg, log: filepath.Join(t.TempDir(), "audit.jsonl"), feed: filepath.Join(t.TempDir(), "feed.json"), hash: [32]byte{1}}
	st, err := store.Open(ctx, cfg.Database, store.Options{Now: time.Now})
	must(t, err)
	dir, err := directory.Open(ctx, st, time.Now)
	must(t, err)
	org, err := dir.CreateOrganisation(ctx, "owner", directory.Organisation{Name: "Acme"})
	must(t, err)
	create := func() directory.ClientID {
		t.Helper()
		a, err := dir.CreateApplication(ctx, "owner", directory.Application{Organisation: org.ID, Name: "App", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP})
		must(t, err)
		return a.ClientID
	}
	l.app, l.other = create(), create()
	e := audit.Event{At: time.Now(), Actor: "owner", Action: "enrolment_code.created", Organisation: string(org.ID), Subject: "code", Detail: "{}"}
	must(t, st.AddCode(ctx, e, enrol.Code{ID: "code", ClientID: l.app, Actor: "owner", Created: time.Now(), Expires: time.Now().Add(24 * time.Hour)}, l.hash))
	must(t, st.CreateInitialToken(ctx, e, registration.InitialToken{ID: "initial", Hash: l.hash, Organisation: org.ID, Uses: 5, Created: time.Now(), Expires: time.Now().Add(time.Hour)}))
	must(t, st.CreateStatement(ctx, e, registration.StatementRecord{ID: "statement", Organisation: org.ID, Claims: []byte("{}"), Uses: 1, Created: time.Now(), Expires: time.Now().Add(time.Hour)}))
	registered := directory.Application{ClientID: "registered", Organisation: org.ID, Name: "App", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP, State: directory.Active}
	must(t, st.Register(ctx, e, registration.Creation{
		Delta: directory.Delta{Applications: []directory.Application{registered}}, Now: time.Now(),
		Registration: registration.Registration{ClientID: "registered", InitialToken: "initial", Token: l.hash},
	}))
	must(t, dir.Refresh(ctx))
	head, err := st.Head(ctx)
	must(t, err)
	l.copied = head.Sequence
	makeCopy()

	l.consumed = token.AssertionUse(string(l.app), "after the copy", time.Now().Add(-30*time.Second), time.Now().Add(5*time.Minute))
	must(t, st.FirstUse(ctx, l.consumed))
	must(t, dir.SetApplicationState(ctx, "owner", l.app, directory.Revoked))
	must(t, dir.RevokeToken(ctx, "owner", l.other, directory.RevokedToken{ID: "token", Expires: time.Now().Add(time.Hour)}))
	l.newApp = create()
	head, err = st.Head(ctx)
	must(t, err)
	l.end = head.Sequence
	f, err := os.Create(l.log)
	must(t, err)
	_, err = audit.Export(ctx, st, 0, f)
	must(t, errors.Join(err, f.Close()))
	document := fmt.Sprintf(`{"sequence":%d,"full":true,"age_ms":0,"applications":[{"client_id":%q,"organisation":%q,"state":"revoked","tokens_after":%d}],"revoked_tokens":[{"client_id":%q,"jti":"token","exp":%d}]}`,
		l.end, l.app, org.ID, time.Now().Unix(), l.other, time.Now().Add(time.Hour).Unix())
	if _, err := feed.ParseDocument([]byte(document)); err != nil {
		t.Fatal(err)
	}
	must(t, os.WriteFile(l.feed, []byte(document), 0o600))
	must(t, st.Close())
	return l
}

// check looks at what was restored; imported tells whether the later changes were known.
func (l *lost) check(t *testing.T, r server.Restored, log, snapshot bool) {
	t.Helper()
	ctx := context.Background()
	known := l.copied
	if log {
		known = l.end
	}
	from := known
	if snapshot {
		from = l.end
	}
	if r.Copy != l.copied || r.Known != known || r.Sequence != from+server.Ahead || r.Sequence <= l.end || r.KnownAt.IsZero() {
		t.Errorf("got %+v", r)
	}
	wantLost := ""
	if log {
		wantLost = "application.created " + string(l.newApp)
	}
	gotLost := ""
	for _, c := range r.Lost {
		gotLost += c.Action + " " + c.Subject
	}
	if gotLost != wantLost {
		t.Errorf("lost %q, want %q", gotLost, wantLost)
	}
	st, err := store.Open(ctx, l.cfg.Database, store.Options{Now: time.Now})
	must(t, err)
	defer st.Close()
	dir, err := directory.Open(ctx, st, time.Now)
	must(t, err)
	now := dir.Current()
	t.Run("fault 27: a consumed jti cannot be used again", func(t *testing.T) {
		if err := st.FirstUse(ctx, l.consumed); !errors.Is(err, token.ErrRestored) {
			t.Errorf("got %v", err)
		}
		later := l.consumed
		later.From, later.Until = r.At.Add(time.Minute), r.At.Add(time.Hour)
		later.Key[0]++
		if err := st.FirstUse(ctx, later); err != nil {
			t.Errorf("nor can one of after it: %v", err)
		}
	})
	t.Run("fault 27: a code of before is void", func(t *testing.T) {
		code, err := st.CodeByHash(ctx, l.hash)
		if err != nil || code.State(time.Now()) != "revoked" {
			t.Errorf("got %+v, %v", code, err)
		}
	})
	t.Run("fault 27: so is every token that registers", func(t *testing.T) {
		initial, err := st.InitialToken(ctx, l.hash)
		if err != nil || !initial.Revoked.Equal(r.At.Truncate(time.Microsecond)) {
			t.Errorf("initial access token: %+v, %v", initial, err)
		}
		statement, err := st.Statement(ctx, "statement")
		if err != nil || statement.Revoked.IsZero() {
			t.Errorf("software statement: %+v, %v", statement, err)
		}
		registered, err := st.Registration(ctx, "registered")
		if err != nil || registered.Token != (registration.Hash{}) || registered.Previous != (registration.Hash{}) {
			t.Errorf("registration access token: %+v, %v", registered, err)
		}
		for _, what := range []string{"enrolment codes", "initial access tokens", "software statements", "registration access tokens"} {
			if r.Voided[what] != 1 {
				t.Errorf("%d %s are void", r.Voided[what], what)
			}
		}
	})
	t.Run("fault 27: what was revoked is revoked again", func(t *testing.T) {
		if known := log || snapshot; (now.Client(l.app).State == directory.Revoked) != known || (r.Ended == 2) != known {
			t.Errorf("the application is %s, %d ended", now.Client(l.app).State, r.Ended)
		}
		ended := now.Ended(directory.Token{ID: "token", ClientID: l.other, IssuedAt: time.Now().Add(time.Minute), Binding: cnf.ToKey(cnf.Thumbprint{1})})
		if (ended == "token_revoked") != (log || snapshot) {
			t.Errorf("the token ended: %q", ended)
		}
	})
	t.Run("the chain holds, says what happened, and goes on", func(t *testing.T) {
		head, err := st.VerifyChain(ctx)
		if err != nil || head.Sequence != r.Sequence {
			t.Fatalf("%v, %v", head, err)
		}
		events, err := st.Events(ctx, known, 10)
		if err != nil || len(events) != 1 || events[0].Action != audit.ActionRestored || !strings.Contains(events[0].Detail, fmt.Sprintf(`"after":%d`, known)) {
			t.Errorf("%+v, %v", events, err)
		}
		if _, err := dir.CreateOrganisation(ctx, "owner", directory.Organisation{Name: "New"}); err != nil {
			t.Error(err)
		}
	})
}

func TestRestore(t *testing.T) {
	for _, c := range []struct {
		name          string
		log, snapshot bool
	}{{"with the audit log", true, false}, {"with a gateway's snapshot", false, true}, {"with both", true, true}, {"with nothing else", false, false}} {
		t.Run(c.name, func(t *testing.T) {
			cfg := initialised(t)
			backup := filepath.Join(t.TempDir(), "backup")
			l := loseInstallation(t, cfg, func() {
				last, err := server.Backup(t.Context(), cfg, backup, time.Now)
				must(t, err)
				if last == 0 {
					t.Error("an empty backup")
				}
			})
			from := server.RestoreFrom{Backup: backup, Now: time.Now}
			if c.log {
				from.AuditLog = l.log
			}
			if c.snapshot {
				from.Snapshot = l.feed
			}
			_, err := server.Restore(t.Context(), cfg, from)
			if !errors.Is(err, fs.ErrExist) {
				t.Fatalf("where a database is: %v", err)
			}
			must(t, os.Remove(cfg.Database))
			r, err := server.Restore(t.Context(), cfg, from)
			must(t, err)
			if entries, err := filepath.Glob(filepath.Join(filepath.Dir(cfg.Database), ".*")); err != nil || len(entries) > 0 {
				t.Errorf("left %q, %v", entries, err)
			}
			must(t, server.Check(t.Context(), cfg, process()))
			l.check(t, r, c.log, c.snapshot)
		})
	}
	t.Run("in place", func(t *testing.T) {
		cfg := initialised(t)
		backup := filepath.Join(t.TempDir(), "backup")
		l := loseInstallation(t, cfg, func() {
			_, err := server.Backup(t.Context(), cfg, backup, time.Now)
			must(t, err)
		})
		text, err := os.ReadFile(backup)
		must(t, err)
		must(t, os.WriteFile(cfg.Database, text, 0o600))
		st, err := store.Open(t.Context(), cfg.Database, store.Options{Now: time.Now})
		must(t, err)
		from := server.RestoreFrom{AuditLog: l.log, Now: time.Now}
		if _, err := server.Restore(t.Context(), cfg, from); !errors.Is(err, store.ErrInUse) {
			t.Errorf("while a node runs: %v", err)
		}
		must(t, st.Close())
		r, err := server.Restore(t.Context(), cfg, from)
		must(t, err)
		l.check(t, r, true, false)
	})
}

func TestRestoreRefuses(t *testing.T) {
	cfg := initialised(t)
	folder := t.TempDir()
	backup := filepath.Join(folder, "backup")
	l := loseInstallation(t, cfg, func() {
		_, err := server.Backup(t.Context(), cfg, backup, time.Now)
		must(t, err)
	})
	must(t, os.Remove(cfg.Database))
	foreign := loseInstallation(t, initialised(t), func() {})
	text, err := os.ReadFile(l.log)
	must(t, err)
	lines := strings.SplitAfter(strings.TrimSpace(string(text)), "\n")
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	gap := file("gap", strings.Join(lines[l.copied+1:], ""))
	changed := file("changed", strings.Replace(string(text), "application.revoked", "application.resumed", 1))
	for _, c := range []struct {
		name   string
		change func(cfg *config.Serve, from *server.RestoreFrom)
		says   string
	}{
		{"a backup that is not there", func(_ *config.Serve, from *server.RestoreFrom) { from.Backup += ".none" }, "backup.none does not exist"},
		{"a backup of another issuer", func(cfg *config.Serve, _ *server.RestoreFrom) { cfg.Issuer = "https://other.example" }, "belongs to the issuer https://localhost:8443"},
		{"a log that is not there", func(_ *config.Serve, from *server.RestoreFrom) { from.AuditLog += ".none" }, "read the audit log: open"},
		{"the log of another installation", func(_ *config.Serve, from *server.RestoreFrom) { from.AuditLog = foreign.log }, "is not of this database"},
		{"a log that begins later", func(_ *config.Serve, from *server.RestoreFrom) { from.AuditLog = gap }, "does not continue the copy: audit event"},
		{"a log that somebody changed", func(_ *config.Serve, from *server.RestoreFrom) { from.AuditLog = changed }, "was changed after it was sealed"},
		{"a log that is none", func(_ *config.Serve, from *server.RestoreFrom) { from.AuditLog = backup }, "line 1: "},
		{"a snapshot that is not there", func(_ *config.Serve, from *server.RestoreFrom) { from.Snapshot += ".none" }, "read the snapshot: open"},
		{"a snapshot that is none", func(_ *config.Serve, from *server.RestoreFrom) { from.Snapshot = l.log }, "is no document of a status feed"},
		{"a database in place that is not there", func(_ *config.Serve, from *server.RestoreFrom) { from.Backup = "" }, "does not exist"},
		{"a folder that is not there", func(cfg *config.Serve, _ *server.RestoreFrom) { cfg.Database = "/none/holdfast.db" }, "make a folder beside the database"},
	} {
		t.Run(c.name+" is refused in one sentence, and nothing is left", func(t *testing.T) {
			one, from := *cfg, server.RestoreFrom{Backup: backup, AuditLog: l.log, Snapshot: l.feed, Now: time.Now}
			c.change(&one, &from)
			before := contents(t, filepath.Dir(cfg.Database))
			_, err := server.Restore(t.Context(), &one, from)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("says %v, want %q", err, c.says)
			}
			same(t, before, contents(t, filepath.Dir(cfg.Database)))
		})
	}
	t.Run("PostgreSQL is copied by its own tools", func(t *testing.T) {
		one := *cfg
		one.Database = "postgres://u@127.0.0.1:9/x"
		if _, err := server.Backup(t.Context(), &one, filepath.Join(folder, "b"), time.Now); !errors.Is(err, store.ErrNotSQLite) {
			t.Errorf("says %v", err)
		}
	})
	t.Run("a database that is not there has no backup", func(t *testing.T) {
		if _, err := server.Backup(t.Context(), cfg, filepath.Join(folder, "b"), time.Now); !isError[*server.NotInitialisedError](err) {
			t.Errorf("says %v", err)
		}
	})
}
