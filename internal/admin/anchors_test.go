package admin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// newAuthority is the PEM of a CA certificate that edit may change.
func newAuthority(t testing.TB, now time.Time, edit ...func(*x509.Certificate)) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Acme CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	for _, e := range edit {
		e(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	return certificatePEM(tls.Certificate{Certificate: [][]byte{der}})
}

func TestTrustAnchors(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	o, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{Name: "Acme"})
	check(t, err)
	first, err := w.admin.AddTrustAnchor(ctx, o.ID, admin.NewTrustAnchor{Name: "2025", Certificate: newAuthority(t, w.clock.Now())})
	check(t, err)
	if first.State != "active" || first.Organisation != o.ID || first.Name != "2025" || len(first.SPKI) != 43 || first.NotAfter == nil || !strings.HasPrefix(first.Certificate, "-----BEGIN CERTIFICATE") {
		t.Errorf("%+v", first)
	}
	second, err := w.admin.AddTrustAnchor(ctx, o.ID, admin.NewTrustAnchor{Name: "2026, of the same name, with another key", Certificate: newAuthority(t, w.clock.Now())})
	check(t, err)
	all, err := w.admin.TrustAnchors(ctx, o.ID, adminclient.Page{})
	check(t, err)
	if len(all.Items) != 2 {
		t.Errorf("%+v", all)
	}
	end := func(id, verb string, want directory.State) admin.TrustAnchorChange {
		t.Helper()
		c, err := w.admin.EndTrustAnchor(ctx, o.ID, id, verb, false)
		check(t, err)
		if got := w.directory.Current().Organisation(directory.OrganisationID(o.ID)).Anchors; c.State != string(want) || got[0].ID != first.ID && got[1].ID != first.ID {
			t.Errorf("%s: %+v", verb, c)
		}
		return c
	}
	end(first.ID, adminclient.StartRetirement, directory.Retiring)
	end(first.ID, adminclient.Retire, directory.Retired)
	end(second.ID, adminclient.Suspend, directory.Suspended)
	end(second.ID, adminclient.Resume, directory.Active)
	dry, err := w.admin.EndTrustAnchor(ctx, o.ID, second.ID, adminclient.Compromise, true)
	check(t, err)
	if now, err := w.admin.TrustAnchor(ctx, o.ID, second.ID); err != nil || now.State != "active" || dry.State != "compromised" || dry.Ends == nil || dry.Ends.TokensIssued == nil {
		t.Errorf("dry run: %+v %+v %v", dry, now, err)
	}
	end(second.ID, adminclient.Compromise, directory.Compromised)
	end(first.ID, adminclient.Revoke, directory.Revoked)

	refused := func(name string, err error, status int, location string) {
		t.Helper()
		e, ok := errors.AsType[*adminclient.Error](err)
		if !ok || e.Status != status || location != "" && !strings.Contains(e.Error(), location) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"no CA":                   newAuthority(t, w.clock.Now(), func(c *x509.Certificate) { c.IsCA = false }),
		"expired":                 newAuthority(t, w.clock.Now(), func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Minute) }),
		"no PEM":                  "CN=acme",
		"two":                     newAuthority(t, w.clock.Now()) + newAuthority(t, w.clock.Now()),
		"a compromised key again": second.Certificate,
	} {
		_, err := w.admin.AddTrustAnchor(ctx, o.ID, admin.NewTrustAnchor{Name: "x", Certificate: text})
		refused(name, err, 422, "certificate")
	}
	again := newAuthority(t, w.clock.Now())
	third, err := w.admin.AddTrustAnchor(ctx, o.ID, admin.NewTrustAnchor{Name: "x", Certificate: again})
	check(t, err)
	_, err = w.admin.AddTrustAnchor(ctx, o.ID, admin.NewTrustAnchor{Name: "x", Certificate: again})
	refused("a key that is there", err, 409, "")
	_, err = w.admin.EndTrustAnchor(ctx, o.ID, second.ID, adminclient.Resume, false)
	refused("what is compromised does not come back", err, 409, "")
	other, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{Name: "Globex"})
	check(t, err)
	_, err = w.admin.TrustAnchor(ctx, other.ID, third.ID)
	refused("advisory 98: under another organisation's path", err, 404, "")
	_, err = w.admin.EndTrustAnchor(ctx, other.ID, third.ID, adminclient.Revoke, false)
	refused("advisory 98: under another organisation's path", err, 404, "")
	_, err = w.admin.TrustAnchors(ctx, "org-nobody", adminclient.Page{})
	refused("an organisation that is not there", err, 404, "")
}

func TestNamesOfTrustAnchors(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	o, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{Name: "Acme"})
	check(t, err)
	ask := func(members string) answer {
		return w.ask("POST", "/v1/applications", w.token(nil), `{"name":"x","organisation":"`+o.ID+`","binding":"mtls",`+members+`}`)
	}
	for _, members := range []string{
		`"auth_method":"tls_client_auth","tls_client_auth_san_uri":"https://a.example/x"`, `"auth_method":"tls_client_auth","tls_client_auth_san_dns":"a.example"`,
		`"auth_method":"tls_client_auth","tls_client_auth_san_ip":"192.0.2.1"`, `"auth_method":"tls_client_auth","tls_client_auth_san_email":"a@a.example"`,
		`"auth_method":"private_key_jwt","tls_client_auth_san_dns":"b.example"`,
	} {
		if got := ask(members); got.status != 201 || !strings.Contains(got.body, members[strings.Index(members, ",")+1:]) {
			t.Errorf("%s: %d %s", members, got.status, got.body)
		}
	}
	for members, status := range map[string]int{
		`"auth_method":"tls_client_auth","tls_client_auth_san_dns":"c.example","tls_client_auth_san_uri":"https://c.example/"`: 422,
		`"auth_method":"tls_client_auth","tls_client_auth_san_dns":"*.example"`:                                                422,
		`"auth_method":"self_signed_tls_client_auth","tls_client_auth_san_dns":"c.example"`:                                    422,
		`"auth_method":"tls_client_auth","tls_client_auth_subject_dn":"CN=c"`:                                                  400,
		`"auth_method":"private_key_jwt","jwks_uri":"https://169.254.169.254/latest/meta-data"`:                                422,
		`"auth_method":"private_key_jwt","jwks_uri":"http://keys.example/"`:                                                    422,
		`"auth_method":"private_key_jwt","jwks_uri":"https://localhost/"`:                                                      422,
		`"auth_method":"tls_client_auth","jwks_uri":"https://keys.example/"`:                                                   422,
	} {
		got := ask(members)
		p := got.problem(t)
		if got.status != status || len(p.Errors) == 0 || !strings.HasPrefix(p.Errors[0].Location, "body.") {
			t.Errorf("%s: %d %s", members, got.status, got.body)
		}
	}
	if got := ask(`"auth_method":"private_key_jwt","jwks_uri":"https://keys.example/jwks"`); got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestRegisterKeyWithItsCertificate(t *testing.T) {
	w := newWorld(t)
	a := w.application("self_signed_tls_client_auth", "mtls")
	leaf := w.client.Certificate.Leaf
	public, err := jose.NewPublicKey(leaf.PublicKey, "", "")
	check(t, err)
	var members map[string]any
	check(t, json.Unmarshal(public.JWK(), &members))
	bare, err := json.Marshal(members)
	check(t, err)
	members["x5c"] = []string{base64.StdEncoding.EncodeToString(leaf.Raw)}
	with, err := json.Marshal(members)
	check(t, err)
	if _, err := w.admin.RegisterKey(t.Context(), a.ClientID, admin.NewSigningKey{JWK: with, NotAfter: &leaf.NotAfter}); err == nil {
		t.Error("an end beside the certificate's own")
	}
	c, err := w.admin.RegisterKey(t.Context(), a.ClientID, admin.NewSigningKey{JWK: with})
	check(t, err)
	if c.Kind != "certificate" || c.Certificate == "" {
		t.Errorf("RFC 8705 §2.2.2: x5c: %+v", c)
	}
	c, err = w.admin.RegisterKey(t.Context(), a.ClientID, admin.NewSigningKey{JWK: bare})
	check(t, err)
	if c.Kind != "signing_key" {
		t.Errorf("without x5c: %+v", c)
	}
	members["x5c"] = []string{"AAAA"}
	bad, err := json.Marshal(members)
	check(t, err)
	if _, err := w.admin.RegisterKey(t.Context(), a.ClientID, admin.NewSigningKey{JWK: bad}); err == nil {
		t.Error("an x5c that is no certificate")
	}
}
