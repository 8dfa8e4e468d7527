package store_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/token"
)

func TestSmoke(t *testing.T) {
	ctx := t.Context()
	s, err := store.Open(ctx, filepath.Join(t.TempDir(), "x.db"), store.Options{Create: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, err := directory.Open(ctx, s, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	o, err := d.CreateOrganisation(ctx, "system", directory.Organisation{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.CreateResource(ctx, "system", directory.Resource{URI: "https://localhost/payments", Organisation: o.ID, Name: "Payments", Scopes: []string{"payments", "p2"}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := d.CreateApplication(ctx, "system", directory.Application{Organisation: o.ID, Name: "App", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP,
		Grants: []directory.Grant{{Resource: "https://localhost/payments", Scopes: []string{"p2", "payments"}}}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := jose.GenerateKey(jose.ES256, nil)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := jose.NewPublicKey(key.Public(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.RegisterKey(ctx, "system", a.ClientID, pub, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", d.Current().Client(a.ClientID))
	t.Logf("%+v", d.SetCredentialState(ctx, "system", c.ID, directory.Retired))
	t.Logf("%+v", d.SetCredentialState(ctx, "system", c.ID, directory.Revoked))
	t.Logf("%+v", d.Current().Ended(directory.Token{ClientID: a.ClientID, CredentialID: c.ID}))
	t.Log(s.FirstUse(ctx, token.Use{Key: [32]byte{1}, Until: time.Now()}))
	t.Log(s.FirstUse(ctx, token.Use{Key: [32]byte{2}, Until: time.Now()}, token.Use{Key: [32]byte{1}, Until: time.Now()}))
	t.Log(s.VerifyChain(ctx))
	_ = context.Background
}
