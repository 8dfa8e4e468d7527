package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/keyring"
)

func runKeys(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	root := keyring.StoredKey{ID: "r", Purpose: keyring.Root, Sealed: []byte{1}, Certificate: []byte{2}, Created: at, NotBefore: at, NotAfter: at.AddDate(10, 0, 0)}
	token := keyring.StoredKey{ID: "t1", Purpose: keyring.TokenSigning, Sealed: []byte{3}, Created: at, NotBefore: at}
	t.Run("keys come back as they were, newest first, by purpose", func(t *testing.T) {
		w := newWorld(t, fresh)
		newer := token
		newer.ID, newer.NotBefore = "t2", at.Add(time.Hour)
		must(t, w.CreateKeys(ctx, event("key.created", "r"), true, root, token))
		must(t, w.CreateKeys(ctx, event("key.created", "t2"), false, newer))
		for purpose, want := range map[keyring.Purpose][]keyring.StoredKey{keyring.Root: {root}, keyring.TokenSigning: {newer, token}, keyring.Issuing: nil} {
			got, err := w.Keys(ctx, purpose)
			must(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
	})
	t.Run("keys are stored all or none", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.CreateKeys(ctx, event("key.created", "t1"), true, token))
		w.refused(t, directory.ErrExists, func() error { return w.CreateKeys(ctx, event("key.created", "r"), true, root, token) })
		w.refused(t, directory.ErrExists, func() error { return w.CreateKeys(ctx, event("key.created", "r"), false, root, token) })
		got, err := w.Keys(ctx, keyring.Root)
		must(t, err)
		if len(got) != 0 {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("the only key of a purpose has no second", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.CreateKeys(ctx, event("key.created", "r"), true, root))
		second := root
		second.ID = "r2"
		w.refused(t, directory.ErrExists, func() error { return w.CreateKeys(ctx, event("key.created", "r2"), true, second) })
		must(t, w.CreateKeys(ctx, event("key.created", "r2"), false, second))
	})
}

func runIssue(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	intent := ca.Intent{Serial: "0a", ClientID: "app", CredentialID: "c", CSRHash: [32]byte{1}, TBSHash: [32]byte{2}, At: at}
	issued := certificate("c", "app", "issued")
	finish := func(w *world, serial string, c directory.Credential) error {
		return w.FinishIssue(ctx, event("certificate.issued", serial), serial, c)
	}
	t.Run("an intent is open until its certificate is stored", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.BeginIssue(ctx, intent))
		open, err := w.OpenIntents(ctx)
		must(t, err)
		if diff := cmp.Diff([]ca.Intent{intent}, open); diff != "" {
			t.Fatal(diff)
		}
		must(t, w.Close())
		w.Store = w.open(t)
		if open, err := w.OpenIntents(ctx); err != nil || len(open) != 1 {
			t.Fatalf("after a restart: %v, %v", open, err)
		}
		must(t, finish(w, "0a", issued))
		if open, err = w.OpenIntents(ctx); err != nil || len(open) != 0 {
			t.Fatalf("%v, %v", open, err)
		}
		stored := issued
		stored.Changed = 5
		if diff := cmp.Diff([]directory.Credential{stored}, w.loaded(t).Credentials); diff != "" {
			t.Fatal(diff)
		}
	})
	t.Run("an intent by itself is no change", func(t *testing.T) {
		w := newWorld(t, fresh)
		w.refused(t, nil, func() error { return w.BeginIssue(ctx, intent) })
	})
	t.Run("a serial or a credential begins once", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.BeginIssue(ctx, intent))
		again := intent
		again.CredentialID = "c2"
		is(t, w.BeginIssue(ctx, again), directory.ErrExists)
		again = intent
		again.Serial = "0b"
		is(t, w.BeginIssue(ctx, again), directory.ErrExists)
	})
	t.Run("a certificate without its intent is refused and leaves nothing", func(t *testing.T) {
		w := newWorld(t, fresh)
		w.refused(t, directory.ErrState, func() error { return finish(w, "0a", issued) })
		must(t, w.BeginIssue(ctx, intent))
		other := issued
		other.ID = "another"
		w.refused(t, directory.ErrState, func() error { return finish(w, "0a", other) })
		w.refused(t, directory.ErrState, func() error { return finish(w, "0b", issued) })
		must(t, finish(w, "0a", issued))
		w.refused(t, directory.ErrState, func() error { return finish(w, "0a", issued) })
	})
	t.Run("a certificate that is known keeps its intent open", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.CreateCredential(ctx, event("credential.registered", "x"), certificate("x", "server", "issued")))
		must(t, w.BeginIssue(ctx, intent))
		w.refused(t, directory.ErrExists, func() error { return finish(w, "0a", issued) })
		if open, err := w.OpenIntents(ctx); err != nil || len(open) != 1 {
			t.Fatalf("%v, %v", open, err)
		}
	})
}

func runMeta(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("facts of the first start are set once", func(t *testing.T) {
		w := newWorld(t, fresh)
		_, err := w.Meta(ctx, "trust_domain")
		is(t, err, directory.ErrNotFound)
		must(t, w.InitMeta(ctx, event("installation.initialised", "x"), map[string]string{"trust_domain": "example", "issuer": "https://x"}))
		for name, want := range map[string]string{"trust_domain": "example", "issuer": "https://x"} {
			if got, err := w.Meta(ctx, name); err != nil || got != want {
				t.Fatalf("%s is %q, %v", name, got, err)
			}
		}
		w.refused(t, directory.ErrExists, func() error {
			return w.InitMeta(ctx, event("installation.initialised", "x"), map[string]string{"other": "fact"})
		})
		_, err = w.Meta(ctx, "other")
		is(t, err, directory.ErrNotFound)
	})
}
