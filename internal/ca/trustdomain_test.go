package ca_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
)

func TestTrustDomain(t *testing.T) {
	w := newWorld(t)
	fresh := func() *keyring.Ring {
		st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "fresh.db"), store.Options{Create: true, Now: w.clock})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		return &keyring.Ring{Store: st, KEK: w.ring.KEK, Now: w.clock}
	}
	for _, bad := range []string{"", "Foo", "foo bar", "foo/bar", "f\u00f6o", strings.Repeat("a", 256)} {
		if err := ca.Create(t.Context(), fresh(), bad); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, good := range []string{"a-z_0.9", strings.Repeat("a", 255)} {
		if err := ca.Create(t.Context(), fresh(), good); err != nil {
			t.Error(err)
		}
	}
}
