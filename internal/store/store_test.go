package store_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/store/storetest"
	"github.com/holdfast-auth/holdfast/internal/token"
)

func open(t testing.TB, path string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), path, store.Options{Create: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

func TestCloseLeavesNothingRunning(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := open(t, filepath.Join(t.TempDir(), "holdfast.db"))
	for i := range 10 {
		if err := s.FirstUse(t.Context(), token.Use{Key: [32]byte{byte(i)}, Until: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Load(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database {
		path := filepath.Join(t.TempDir(), "holdfast.db")
		return func(t *testing.T) *store.Store { return open(t, path) }
	})
}
