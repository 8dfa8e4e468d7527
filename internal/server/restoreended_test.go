package server_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/server"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// installation is the database of a server that does not run.
type installation struct {
	cfg   *config.Serve
	store *store.Store
	dir   *directory.Directory
	owner *directory.Client
}

func openInstallation(t *testing.T, cfg *config.Serve) *installation {
	t.Helper()
	st, err := store.Open(t.Context(), cfg.Database, store.Options{Now: time.Now})
	must(t, err)
	dir, err := directory.Open(t.Context(), st, time.Now)
	must(t, err)
	in := &installation{cfg: cfg, store: st, dir: dir}
	for c := range dir.Current().Clients() {
		if c.OperatorRole == directory.Owner {
			in.owner = c
		}
	}
	return in
}

func (in *installation) export(t *testing.T) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "audit.jsonl"))
	must(t, err)
	_, err = audit.Export(t.Context(), in.store, 0, f)
	must(t, errors.Join(err, f.Close()))
	return f.Name()
}

func (in *installation) update(t *testing.T, id directory.ClientID, edit func(*directory.Application)) {
	t.Helper()
	_, err := in.dir.UpdateApplication(t.Context(), "owner", id, func(a *directory.Application) error { edit(a); return nil })
	must(t, err)
}

// TestRestoreKeepsEnded: whoever has an old key, or an old right, and brings about a
// restore has nothing of it.
func TestRestoreKeepsEnded(t *testing.T) {
	ctx := context.Background()
	cfg := initialised(t)
	backup := filepath.Join(t.TempDir(), "backup")
	in := openInstallation(t, cfg)
	org := in.owner.Organisation
	app, err := in.dir.CreateApplication(ctx, "owner", directory.Application{
		Organisation: org, Name: "App", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP, Grants: in.owner.Grants,
	})
	must(t, err)
	event := func(action, subject, detail string) audit.Event {
		return audit.Event{At: time.Now(), Actor: "owner", Action: action, Organisation: string(org), Subject: subject, Detail: detail}
	}
	must(t, in.store.AddName(ctx, event("organisation.name_added", string(org), `{"name":"api.example"}`), ca.Name{ID: "n", Organisation: org, Name: "api.example", Added: time.Now()}))
	_, err = server.Backup(ctx, cfg, backup, time.Now)
	must(t, err)

	signer, err := jose.GenerateKey(jose.ES256, rand.Reader)
	must(t, err)
	public, err := jose.NewPublicKey(signer.Public(), "", "")
	must(t, err)
	must(t, in.dir.Refresh(ctx))
	must(t, in.dir.RekeyOperator(ctx, "owner", in.owner.ClientID, public))
	in.update(t, app.ClientID, func(a *directory.Application) { a.Grants = nil })
	must(t, in.store.SetSwitch(ctx, event("authority.stopped", "certificate-authority", "{}"), true))
	must(t, in.store.RemoveName(ctx, event("organisation.name_removed", string(org), `{"name":"api.example"}`), org, "api.example"))
	certain := in.export(t)
	must(t, in.dir.Refresh(ctx))
	in.update(t, app.ClientID, func(a *directory.Application) { a.JWKSURI = "https://keys.example/jwks" })
	doubtful := in.export(t)
	must(t, in.store.Close())
	must(t, os.Remove(cfg.Database))

	t.Run("a way to sign in that was replaced refuses the restore, until somebody acknowledges it", func(t *testing.T) {
		from := server.RestoreFrom{Backup: backup, AuditLog: doubtful, Now: time.Now}
		r, err := server.Restore(ctx, cfg, from)
		if !isError[*server.StillInForceError](err) || len(r.StillInForce) != 1 || r.StillInForce[0].Action != "application.updated" || r.StillInForce[0].Subject != string(app.ClientID) {
			t.Fatalf("%v, %+v", err, r.StillInForce)
		}
		if _, err := os.Stat(cfg.Database); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("a database is there: %v", err)
		}
		from.Acknowledged = true
		r, err = server.Restore(ctx, cfg, from)
		must(t, err)
		if len(r.StillInForce) != 1 || r.Sequence == 0 {
			t.Errorf("%+v", r)
		}
		must(t, os.Remove(cfg.Database))
	})
	r, err := server.Restore(ctx, cfg, server.RestoreFrom{Backup: backup, AuditLog: certain, Now: time.Now})
	must(t, err)
	must(t, server.Check(ctx, cfg, process()))
	if !r.NoOwner || len(r.Lost) != 1 || r.Lost[0].Action != "operator.rekeyed" || len(r.StillInForce) != 0 {
		t.Errorf("%+v", r)
	}
	in = openInstallation(t, cfg)
	defer in.store.Close()
	for _, k := range in.owner.Credentials {
		if k.State != directory.Revoked {
			t.Errorf("the key that an owner had before is %s", k.State)
		}
	}
	if len(in.owner.Credentials) == 0 {
		t.Error("the owner had no key")
	}
	if a := in.dir.Current().Client(app.ClientID); len(a.Grants) != 0 {
		t.Errorf("granted: %+v", a.Grants)
	}
	sw, err := in.store.Switch(ctx)
	if err != nil || !sw.Stopped || sw.Actor != "owner" {
		t.Errorf("issuing: %+v, %v", sw, err)
	}
	if names, err := in.store.Names(ctx, org); err != nil || len(names) != 0 {
		t.Errorf("names: %+v, %v", names, err)
	}
	out, err := server.Recover(ctx, cfg, server.Recovery{Key: public, Now: time.Now})
	if err != nil || out.ClientID != string(in.owner.ClientID) {
		t.Errorf("the owner gets its new key again: %+v, %v", out, err)
	}
}
