package registration_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/store"
)

const (
	issuer   = "https://as.example"
	payments = "https://api.example/payments"
	audience = issuer + "/register/app-1"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// world is a service over a database, at a time that stands still until it is moved.
type world struct {
	*registration.Service
	store *store.Store
	ring  *keyring.Ring
	at    time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{at: now}
	clock := func() time.Time { return w.at }
	ctx := t.Context()
	var err error
	w.store, err = store.Open(ctx, filepath.Join(t.TempDir(), "holdfast.db"), store.Options{Create: true, Now: clock})
	must(t, err)
	t.Cleanup(func() { must(t, w.store.Close()) })
	kek, err := envelope.CreateKeyFile(filepath.Join(t.TempDir(), "kek"))
	must(t, err)
	w.ring = &keyring.Ring{Store: w.store, KEK: kek, Now: clock}
	d, err := directory.Open(ctx, w.store, clock)
	must(t, err)
	_, err = d.CreateOrganisation(ctx, "system", directory.Organisation{ID: "acme", Name: "Acme"})
	must(t, err)
	_, err = d.CreateResource(ctx, "system", directory.Resource{URI: payments, Organisation: "acme", Name: "Payments", Scopes: []string{"pay"}})
	must(t, err)
	w.Service = &registration.Service{Issuer: issuer, Directory: d, Store: w.store, Keys: &registration.Keys{Ring: w.ring}, Now: clock}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) statement(t testing.TB, metadata string) string {
	t.Helper()
	_, compact, err := w.CreateStatement(t.Context(), "operator", registration.StatementRequest{Organisation: "acme", Metadata: []byte(metadata), OneTime: true})
	must(t, err)
	return compact
}

func signer(t testing.TB, kid string) *jose.Signer {
	t.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	must(t, err)
	s, err := jose.NewSigner(key, jose.ES256, kid)
	must(t, err)
	return s
}

// proof proves a key for the audience; edit changes its claims.
func proof(t testing.TB, k *jose.Signer, edit map[string]any) string {
	t.Helper()
	claims := map[string]any{"aud": audience, "jti": "j", "iat": now.Unix(), "jkt": registration.KeyText(k.Public())}
	maps.Copy(claims, edit)
	payload, err := json.Marshal(claims)
	must(t, err)
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"key-proof+jwt"}`))
	compact, err := k.Sign(jose.PreparedHeader(header), payload)
	must(t, err)
	return compact
}
