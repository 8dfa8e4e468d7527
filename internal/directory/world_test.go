package directory_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/store"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// clock is a time that a test moves.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return start.Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// world is a directory over a real store, through a gate that a test may close.
type world struct {
	*directory.Directory
	clock *clock
	gate  *gate
	store *store.Store
	path  string
}

// gate is a store that can be made to fail, and to be overtaken.
type gate struct {
	directory.Store
	fault  atomic.Pointer[error] // what every change fails with
	load   atomic.Pointer[error] // what Load fails with
	before atomic.Pointer[func()]
}

func (g *gate) pass() error {
	if f := g.before.Load(); f != nil {
		(*f)()
	}
	if err := g.fault.Load(); err != nil {
		return *err
	}
	return nil
}

func (g *gate) Load(ctx context.Context, after int64) (directory.Delta, error) {
	if err := g.load.Load(); err != nil {
		return directory.Delta{}, *err
	}
	return g.Store.Load(ctx, after)
}

func (g *gate) CreateOrganisation(ctx context.Context, e audit.Event, o directory.Organisation) error {
	if err := g.pass(); err != nil {
		return err
	}
	return g.Store.CreateOrganisation(ctx, e, o)
}

func (g *gate) Put(ctx context.Context, e audit.Event, d directory.Delta) error {
	if err := g.pass(); err != nil {
		return err
	}
	return g.Store.Put(ctx, e, d)
}

func (g *gate) RevokeToken(ctx context.Context, e audit.Event, t directory.RevokedToken) error {
	if err := g.pass(); err != nil {
		return err
	}
	return g.Store.RevokeToken(ctx, e, t)
}

func openStore(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), path, store.Options{Create: true, Now: time.Now})
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{clock: &clock{}, path: filepath.Join(t.TempDir(), "holdfast.db")}
	w.store = openStore(t, w.path)
	w.gate = &gate{Store: w.store}
	var err error
	w.Directory, err = directory.Open(t.Context(), w.gate, w.clock.now)
	must(t, err)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

// at fails unless err is about the field.
func at(t *testing.T, err error, field string) {
	t.Helper()
	var invalid *directory.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != field || !errors.Is(err, directory.ErrInvalid) || invalid.Reason == "" {
		t.Fatalf("error %v, want one at %s", err, field)
	}
}

const (
	payments = "https://api.example/payments"
	reports  = "https://api.example/reports"
)

// filled has an organisation with two resources and an application of each method.
func filled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	ctx := t.Context()
	_, err := w.CreateOrganisation(ctx, "op", directory.Organisation{ID: "acme", Name: "Acme"})
	must(t, err)
	_, err = w.CreateResource(ctx, "op", directory.Resource{URI: payments, Organisation: "acme", Name: "Payments", Scopes: []string{"pay", "refund"}})
	must(t, err)
	_, err = w.CreateResource(ctx, "op", directory.Resource{URI: reports, Organisation: "acme", Name: "Reports", Scopes: []string{"report"}})
	must(t, err)
	for id, method := range map[directory.ClientID]directory.AuthMethod{"jwt": directory.PrivateKeyJWT, "tls": directory.TLSClientAuth, "self": directory.SelfSignedTLSClientAuth} {
		_, err = w.CreateApplication(ctx, "op", directory.Application{
			ClientID: id, Organisation: "acme", Name: "App", AuthMethod: method, Binding: cnf.MTLS, Grants: []directory.Grant{{Resource: payments, Scopes: []string{"pay"}}},
		})
		must(t, err)
	}
	return w
}

func publicKey(t *testing.T, seed byte, kid string) *jose.PublicKey {
	t.Helper()
	key, err := jose.NewPublicKey(ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)).Public(), jose.EdDSA, kid)
	must(t, err)
	return key
}

// last is the newest event.
func (w *world) last(t *testing.T) audit.Event {
	t.Helper()
	events, err := w.store.Events(t.Context(), w.Current().Sequence()-1, 10)
	must(t, err)
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	return events[0]
}

// unchanged runs f and fails if it made a change.
func (w *world) unchanged(t *testing.T, f func()) {
	t.Helper()
	before, err := w.store.Head(t.Context())
	must(t, err)
	f()
	after, err := w.store.Head(t.Context())
	must(t, err)
	if before != after {
		t.Fatal("a change was made")
	}
}
