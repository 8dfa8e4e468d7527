package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

var sameKey = cmp.Comparer(func(a, b *jose.PublicKey) bool {
	return (a == nil) == (b == nil) && (a == nil || string(a.JWK()) == string(b.JWK()))
})

// everything is one of each record with each of its fields set.
func everything(t *testing.T) directory.Delta {
	app := application("full")
	app.Binding, app.AuthMethod, app.TLSName = "dpop", directory.TLSClientAuth, directory.TLSName{Kind: directory.NameDNS, Value: "full.example"}
	app.JWKSURI, app.OperatorRole, app.RequireNonce, app.TokensAfter = "https://full.example/jwks", directory.Auditor, true, at.Truncate(time.Second)
	app.Grants, app.Roles = []directory.Grant{{Resource: resourceURI, Scopes: []string{"read"}}}, []directory.RoleID{"payer", "reader"}
	key := signingKey(t, "full-key", "full", 7, "k")
	key.Instance, key.TokensAfter = "full-1", at.Truncate(time.Second)
	return directory.Delta{
		Organisations: []directory.Organisation{{
			ID: "org", Name: "Acme Ltd", State: directory.Suspended, Roles: []directory.RoleID{"reader", "payer"}, TokensAfter: at.Truncate(time.Second),
			Anchors: []directory.TrustAnchor{
				{ID: "ca-2", Name: "Second", Certificate: []byte("der 2"), SPKI: [32]byte{2}, State: directory.Active, Created: at},
				{ID: "ca-1", Name: "First", Certificate: []byte("der 1"), SPKI: [32]byte{1}, State: directory.Retiring, Created: at},
			},
		}},
		Resources: []directory.Resource{{
			URI: resourceURI, Organisation: "org", Name: "Money", Scopes: []string{"read", "admin", "write"}, Servers: []directory.ClientID{"app", "server"},
			RequireNonce: true, State: directory.Suspended, TokensAfter: at.Truncate(time.Second),
		}},
		Roles: []directory.Role{
			{ID: "payer", Name: "Payer", State: directory.Active, Grants: []directory.Grant{{Resource: resourceURI, Scopes: []string{"write", "read"}}}},
			{ID: "reader", Name: "Reader", State: directory.Suspended, Grants: []directory.Grant{{Resource: resourceURI, Scopes: []string{"read"}}}},
		},
		Applications: []directory.Application{app},
		Instances: []directory.Instance{
			{ID: "full-1", ClientID: "full", Name: "one", State: directory.Active, Created: at},
			{ID: "full-2", ClientID: "full", Name: "two", State: directory.Revoked, Created: at},
		},
		Credentials: []directory.Credential{
			{ID: directory.UnregisteredCertificate("full", [32]byte{9}), ClientID: "full", Kind: directory.TrustedCertificate, State: directory.Revoked, Thumbprint: [32]byte{9}, Created: at},
			key,
		},
		RevokedKeys: []directory.RevokedKey{{KeyID: "kid-1", At: at}},
	}
}

// changedBy sets what Load says of the change that made the records.
func changedBy(d directory.Delta, sequence int64) directory.Delta {
	d.Sequence = sequence
	for i := range d.Organisations {
		d.Organisations[i].Changed = sequence
	}
	for i := range d.Resources {
		d.Resources[i].Changed = sequence
	}
	for i := range d.Roles {
		d.Roles[i].Changed = sequence
	}
	for i := range d.Applications {
		d.Applications[i].Changed = sequence
	}
	for i := range d.Instances {
		d.Instances[i].Changed = sequence
	}
	for i := range d.Credentials {
		d.Credentials[i].Changed = sequence
	}
	return d
}

func runPut(t *testing.T, fresh func(t *testing.T) Database) {
	ctx := context.Background()
	t.Run("records that are put come back as they were, new and changed alike", func(t *testing.T) {
		w := newWorld(t, fresh)
		must(t, w.Put(ctx, event("x", "y"), everything(t)))
		first, err := w.Load(ctx, 4)
		must(t, err)
		sortCredentials(&first)
		want := changedBy(everything(t), 5)
		sortCredentials(&want)
		if diff := cmp.Diff(want, first, sameKey); diff != "" {
			t.Fatal(diff)
		}
		again := everything(t)
		again.RevokedKeys = nil // once and for all
		again.Organisations[0].Roles, again.Organisations[0].Anchors[1].State = []directory.RoleID{"payer"}, directory.Revoked
		again.Applications[0].Grants, again.Applications[0].Roles = nil, nil
		again.Roles[0].Grants[0].Scopes = []string{"read"}
		again.Resources[0].Scopes, again.Resources[0].Servers = []string{"write", "read"}, nil
		again.Instances[0].State, again.Credentials[1].State = directory.Revoked, directory.Retired
		must(t, w.Put(ctx, event("x", "y"), again))
		second, err := w.Load(ctx, 5)
		must(t, err)
		sortCredentials(&second)
		want = changedBy(again, 6)
		sortCredentials(&want)
		if diff := cmp.Diff(want, second, sameKey); diff != "" {
			t.Fatal(diff)
		}
		if _, err := w.VerifyChain(ctx); err != nil {
			t.Fatal(err)
		}
	})
	for name, c := range map[string]struct {
		target error
		spoil  func(d *directory.Delta)
	}{
		"a thumbprint of another credential": {directory.ErrExists, func(d *directory.Delta) { d.Credentials[1].ID, d.Credentials[1].Key = "other", nil }},
		"a name of another instance":         {directory.ErrExists, func(d *directory.Delta) { d.Instances[1].ID, d.Instances[1].Name = "other", "one" }},
		"a scope of another resource": {directory.ErrExists, func(d *directory.Delta) {
			d.Resources = append(d.Resources, directory.Resource{URI: "https://other.example", Organisation: "org", Name: "O", Scopes: []string{"read"}, State: directory.Active})
		}},
		"a scope that its resource does not have": {directory.ErrNotFound, func(d *directory.Delta) {
			d.Applications[0].Grants = []directory.Grant{{Resource: resourceURI, Scopes: []string{"none"}}}
		}},
		"a key that is revoked already": {directory.ErrExists, func(d *directory.Delta) { d.RevokedKeys = []directory.RevokedKey{{KeyID: "kid-1", At: at}} }},
		"an older state":                {directory.ErrStale, nil},
	} {
		t.Run(name+" is refused, and nothing of the change stays", func(t *testing.T) {
			w := newWorld(t, fresh)
			must(t, w.Put(ctx, event("x", "y"), everything(t)))
			d, e := everything(t), event("x", "y")
			d.RevokedKeys, d.Organisations[0].Name = nil, "Nobody"
			if c.spoil != nil {
				c.spoil(&d)
			} else {
				e.Sequence = 5
			}
			w.refused(t, c.target, func() error { return w.Put(ctx, e, d) })
		})
	}
}

func sortCredentials(d *directory.Delta) {
	if len(d.Credentials) == 2 && d.Credentials[0].ID > d.Credentials[1].ID {
		d.Credentials[0], d.Credentials[1] = d.Credentials[1], d.Credentials[0]
	}
}
