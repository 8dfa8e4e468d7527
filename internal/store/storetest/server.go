package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
