package directory_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

func TestUpdateApplication(t *testing.T) {
	ctx := t.Context()
	w := filled(t)
	before := w.Current().Client("jwt").Application
	t.Run("what may change changes, and what may not stays", func(t *testing.T) {
		got, err := w.UpdateApplication(ctx, "op", "jwt", func(a *directory.Application) error {
			a.Name, a.RequireNonce, a.Grants = "Renamed", true, []directory.Grant{{Resource: reports, Scopes: []string{"report"}}}
			a.ClientID, a.Organisation, a.State = "other", "other", directory.Revoked
			return nil
		})
		must(t, err)
		want := before
		want.Name, want.RequireNonce, want.Grants = "Renamed", true, []directory.Grant{{Resource: reports, Scopes: []string{"report"}}}
		want.Changed = w.Current().Sequence()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want, w.Current().Client("jwt").Application); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want.Grants, w.Current().Client("jwt").Allowed); diff != "" {
			t.Error(diff)
		}
		if e := w.last(t); e.Action != "application.updated" || e.Subject != "jwt" {
			t.Errorf("%+v", e)
		}
	})
	_, err := w.RegisterKey(ctx, "op", "jwt", publicKey(t, 1, "k1"), time.Time{})
	must(t, err)
	for name, c := range map[string]struct {
		id    directory.ClientID
		field string
		want  error
		edit  func(*directory.Application)
	}{
		"advisory 89: every rule of creation holds for an update: a grant of a scope that is not there": {"jwt", "grants", nil, func(a *directory.Application) { a.Grants[0].Scopes = []string{"none"} }},
		"advisory 89: a method that is not known":                                                       {"jwt", "auth_method", nil, func(a *directory.Application) { a.AuthMethod = "client_secret_basic" }},
		"advisory 89: a role that the organisation does not hold":                                       {"jwt", "roles", nil, func(a *directory.Application) { a.Roles = []directory.RoleID{"none"} }},
		"an operator role that is not known":                                                            {"jwt", "operator_role", nil, func(a *directory.Application) { a.OperatorRole = "root" }},
		"a jwks_uri that is no https URL":                                                               {"jwt", "jwks_uri", nil, func(a *directory.Application) { a.JWKSURI = "http://keys.example" }},
		"a jwks_uri with user information":                                                              {"jwt", "jwks_uri", nil, func(a *directory.Application) { a.JWKSURI = "https://good@evil.example" }},
		"another method while keys of the one before are accepted":                                      {"jwt", "", directory.ErrState, func(a *directory.Application) { a.AuthMethod = directory.TLSClientAuth }},
		"an application that is not there":                                                              {"none", "", directory.ErrNotFound, func(*directory.Application) {}},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			w.unchanged(t, func() {
				_, err := w.UpdateApplication(ctx, "op", c.id, func(a *directory.Application) error { c.edit(a); return nil })
				if c.want != nil {
					is(t, err, c.want)
				} else {
					at(t, err, c.field)
				}
			})
		})
	}
	t.Run("an error of the edit, or of a guard, is handed on", func(t *testing.T) {
		own := errors.New("own")
		w.unchanged(t, func() {
			_, err := w.UpdateApplication(ctx, "op", "jwt", func(*directory.Application) error { return own })
			is(t, err, own)
			_, err = w.UpdateApplication(ctx, "op", "jwt", func(*directory.Application) error { return nil }, func(*directory.Snapshot, time.Time) error { return own })
			is(t, err, own)
		})
	})
	t.Run("what is revoked changes no more", func(t *testing.T) {
		must(t, w.SetApplicationState(ctx, "op", "self", directory.Revoked))
		w.unchanged(t, func() {
			_, err := w.UpdateApplication(ctx, "op", "self", func(*directory.Application) error { return nil })
			is(t, err, directory.ErrState)
		})
	})
}

func TestTLSNames(t *testing.T) {
	ctx := t.Context()
	w := filled(t)
	set := func(id directory.ClientID, n directory.TLSName) error {
		_, err := w.UpdateApplication(ctx, "op", id, func(a *directory.Application) error { a.TLSName = n; return nil })
		return err
	}
	for _, n := range []directory.TLSName{
		{Kind: directory.NameURI, Value: "spiffe://example.org/ns/a"}, {Kind: directory.NameDNS, Value: "client.example.org"}, {Kind: directory.NameIP, Value: "192.0.2.7"},
		{Kind: directory.NameIP, Value: "2001:db8::1"}, {Kind: directory.NameEmail, Value: "Ops+x@example.org"},
	} {
		must(t, set("tls", n))
	}
	for _, n := range []directory.TLSName{
		{Kind: "subject_dn", Value: "CN=x"}, {Kind: directory.NameDNS, Value: "*.example.org"}, {Kind: directory.NameDNS, Value: "Example.org"}, {Kind: directory.NameDNS, Value: "a..b"},
		{Kind: directory.NameDNS, Value: "a."}, {Kind: directory.NameDNS, Value: "a\x00.evil"}, {Kind: directory.NameURI, Value: "no-scheme"}, {Kind: directory.NameURI, Value: "https://u@h/"},
		{Kind: directory.NameIP, Value: "192.0.2.007"}, {Kind: directory.NameIP, Value: "::ffff:192.0.2.1"}, {Kind: directory.NameIP, Value: "2001:DB8::1"}, {Kind: directory.NameIP, Value: "fe80::1%eth0"},
		{Kind: directory.NameEmail, Value: "nobody"}, {Kind: directory.NameEmail, Value: "@x.example"}, {Kind: directory.NameEmail, Value: "a@b@c.example"}, {Kind: directory.NameDNS, Value: ""},
	} {
		w.unchanged(t, func() { at(t, set("tls", n), "tls_client_auth_san_"+string(n.Kind)) })
	}
	must(t, set("tls", directory.TLSName{Kind: directory.NameDNS, Value: "client.example.org"}))
	t.Run("only tls_client_auth has one", func(t *testing.T) {
		w.unchanged(t, func() {
			at(t, set("self", directory.TLSName{Kind: directory.NameDNS, Value: "other.example.org"}), "tls_client_auth_san_dns")
		})
	})
	t.Run("a name is one application's in its organisation", func(t *testing.T) {
		_, err := w.CreateApplication(ctx, "op", directory.Application{
			Organisation: "acme", Name: "Twin", AuthMethod: directory.TLSClientAuth, Binding: "mtls", TLSName: directory.TLSName{Kind: directory.NameDNS, Value: "client.example.org"},
		})
		at(t, err, "tls_client_auth_san_dns")
	})
}

// TestRoles: an application has the scopes of those of its roles that its
// organisation holds, and loses them at the next token.
func TestRoles(t *testing.T) {
	ctx := t.Context()
	w := filled(t)
	role, err := w.PutRole(ctx, "op", directory.Role{ID: "reporter", Name: "Reporter", Grants: []directory.Grant{{Resource: reports, Scopes: []string{"report"}}, {Resource: payments, Scopes: []string{"pay", "refund"}}}}, true)
	must(t, err)
	allowed := func(want ...directory.Grant) {
		t.Helper()
		if diff := cmp.Diff(want, w.Current().Client("jwt").Allowed); diff != "" {
			t.Error(diff)
		}
	}
	own := directory.Grant{Resource: payments, Scopes: []string{"pay"}}
	both := []directory.Grant{{Resource: payments, Scopes: []string{"pay", "refund"}}, {Resource: reports, Scopes: []string{"report"}}}
	take := func() error {
		_, err := w.UpdateApplication(ctx, "op", "jwt", func(a *directory.Application) error { a.Roles = []directory.RoleID{"reporter"}; return nil })
		return err
	}
	hold := func(roles ...directory.RoleID) {
		t.Helper()
		_, err := w.UpdateOrganisation(ctx, "op", "acme", func(o *directory.Organisation) error { o.Roles = roles; return nil })
		must(t, err)
	}
	w.unchanged(t, func() { at(t, take(), "roles") })
	hold("reporter")
	must(t, take())
	allowed(both...)
	hold()
	allowed(own)
	hold("reporter")
	allowed(both...)
	must(t, w.SetRoleState(ctx, "op", "reporter", directory.Suspended))
	allowed(own)
	must(t, w.SetRoleState(ctx, "op", "reporter", directory.Active))
	role.Grants = role.Grants[:1]
	_, err = w.PutRole(ctx, "op", role, false)
	must(t, err)
	allowed(own, directory.Grant{Resource: reports, Scopes: []string{"report"}})
	must(t, w.SetRoleState(ctx, "op", "reporter", directory.Revoked))
	allowed(own)
	if got := w.Current().Client("jwt").Grants; !cmp.Equal(got, []directory.Grant{own}) {
		t.Errorf("its own grants became %v", got)
	}
	w.unchanged(t, func() {
		_, err := w.PutRole(ctx, "op", role, true)
		is(t, err, directory.ErrExists)
		_, err = w.PutRole(ctx, "op", role, false)
		is(t, err, directory.ErrState)
		_, err = w.PutRole(ctx, "op", directory.Role{ID: "none", Name: "None"}, false)
		is(t, err, directory.ErrNotFound)
		_, err = w.PutRole(ctx, "op", directory.Role{ID: "bad", Name: "Bad", Grants: []directory.Grant{{Resource: reports, Scopes: []string{"pay"}}}}, true)
		at(t, err, "grants")
	})
}

func TestUpdateResource(t *testing.T) {
	ctx := t.Context()
	w := filled(t)
	set := func(scopes ...string) error {
		_, err := w.UpdateResource(ctx, "op", payments, func(r *directory.Resource) error { r.Scopes = scopes; return nil })
		return err
	}
	must(t, set("new", "pay"))
	if r := w.Current().Resource(payments); !cmp.Equal(r.Scopes, []string{"new", "pay"}) || w.Current().ResourceOfScope("refund") != nil || w.Current().ResourceOfScope("new") != r {
		t.Errorf("%+v", r)
	}
	w.unchanged(t, func() {
		at(t, set("new"), "scopes") // pay is granted
		is(t, set("new", "pay", "report"), directory.ErrExists)
	})
	t.Run("what is suspended opens nothing and comes back", func(t *testing.T) {
		token := directory.Token{ClientID: "jwt", Audience: payments, IssuedAt: start}
		for _, step := range []struct {
			to    directory.State
			ended string
		}{{directory.Suspended, "resource_suspended"}, {directory.Active, ""}, {directory.Revoked, "resource_revoked"}} {
			must(t, w.SetResourceState(ctx, "op", payments, step.to))
			if got := w.Current().Ended(token); got != step.ended {
				t.Errorf("%s: %q", step.to, got)
			}
		}
		w.unchanged(t, func() {
			is(t, w.SetResourceState(ctx, "op", payments, directory.Active), directory.ErrState)
			is(t, set("pay"), directory.ErrState)
		})
	})
}

func TestInstances(t *testing.T) {
	ctx := t.Context()
	w := filled(t)
	one, err := w.CreateInstance(ctx, "op", directory.Instance{ClientID: "jwt", Name: "one"})
	must(t, err)
	if one.State != directory.Active || !one.Created.Equal(start) || len(w.Current().Client("jwt").Instances) != 1 {
		t.Errorf("%+v", one)
	}
	w.unchanged(t, func() {
		_, err := w.CreateInstance(ctx, "op", directory.Instance{ClientID: "jwt", Name: "one"})
		is(t, err, directory.ErrExists)
		_, err = w.CreateInstance(ctx, "op", directory.Instance{ClientID: "none", Name: "one"})
		is(t, err, directory.ErrNotFound)
	})
	c, err := w.RegisterKey(ctx, "op", "jwt", publicKey(t, 1, "k1"), time.Time{})
	must(t, err)
	c.Instance = one.ID
	t.Run("revoking one ends the credentials that name it and no others", func(t *testing.T) {
		other, err := w.RegisterKey(ctx, "op", "jwt", publicKey(t, 2, "k2"), time.Time{})
		must(t, err)
		e := w.last(t)
		e.Sequence = 0
		must(t, w.store.Put(ctx, e, directory.Delta{Credentials: []directory.Credential{c}}))
		must(t, w.Refresh(ctx))
		must(t, w.RevokeInstance(ctx, "op", one.ID))
		if w.Current().Credential(c.ID).State != directory.Revoked || w.Current().Credential(other.ID).State != directory.Active || w.Current().Instance(one.ID).State != directory.Revoked {
			t.Errorf("%+v", w.Current().Client("jwt"))
		}
		w.unchanged(t, func() {
			is(t, w.RevokeInstance(ctx, "op", one.ID), directory.ErrState)
			is(t, w.RevokeInstance(ctx, "op", "none"), directory.ErrNotFound)
		})
	})
}

// authority is a self-signed CA certificate with the key.
func authority(t *testing.T, key *ecdsa.PrivateKey, edit func(*x509.Certificate)) []byte {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Acme CA"}, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if edit != nil {
		edit(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	must(t, err)
	return der
}

func TestTrustAnchors(t *testing.T) {
	ctx := t.Context()
	w := filled(t)
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		return key
	}
	first, second := newKey(), newKey()
	one, err := w.AddTrustAnchor(ctx, "op", "acme", "First", authority(t, first, nil))
	must(t, err)
	two, err := w.AddTrustAnchor(ctx, "op", "acme", "First", authority(t, second, nil)) // one name, two keys: two anchors
	must(t, err)
	if one.SPKI == two.SPKI || len(w.Current().Organisation("acme").Anchors) != 2 {
		t.Fatalf("%+v", w.Current().Organisation("acme"))
	}
	w.unchanged(t, func() {
		_, err := w.AddTrustAnchor(ctx, "op", "acme", "Again", authority(t, first, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(2) }))
		is(t, err, directory.ErrExists)
		for name, der := range map[string][]byte{
			"advisory 31: a certificate that is no CA's": authority(t, newKey(), func(c *x509.Certificate) { c.IsCA = false }),
			"a key that may not sign certificates":       authority(t, newKey(), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }),
			"one that has expired":                       authority(t, newKey(), func(c *x509.Certificate) { c.NotAfter = start }),
			"garbage":                                    []byte("garbage"),
			"too large":                                  make([]byte, 65<<10),
		} {
			if _, err := w.AddTrustAnchor(ctx, "op", "acme", "Bad", der); !errors.Is(err, directory.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err = w.AddTrustAnchor(ctx, "op", "none", "None", authority(t, newKey(), nil))
		is(t, err, directory.ErrNotFound)
	})
	set := func(id string, to directory.State) error {
		_, err := w.SetTrustAnchorState(ctx, "op", "acme", id, to)
		return err
	}
	old := directory.Token{ClientID: "tls", IssuedAt: start}
	must(t, set(one.ID, directory.Retiring))
	must(t, set(one.ID, directory.Retired))
	if got := w.Current().Ended(old); got != "" {
		t.Errorf("retiring ended %q", got)
	}
	w.clock.advance(time.Second)
	must(t, set(two.ID, directory.Revoked))
	if got := w.Current().Ended(old); got != "organisation_tokens_revoked" {
		t.Errorf("revoking ended %q", got)
	}
	w.unchanged(t, func() {
		is(t, set(two.ID, directory.Active), directory.ErrState)
		is(t, set("none", directory.Retired), directory.ErrNotFound)
		_, err := w.AddTrustAnchor(ctx, "op", "acme", "Back", authority(t, second, nil))
		at(t, err, "certificate")
	})
}
