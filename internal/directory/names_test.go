package directory_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

func TestTLSName(t *testing.T) {
	w := newWorld(t)
	o, err := w.CreateOrganisation(t.Context(), "op", directory.Organisation{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	create := func(m directory.AuthMethod, b cnf.Method, n directory.TLSName) error {
		_, err := w.CreateApplication(t.Context(), "op", directory.Application{Organisation: o.ID, Name: "a", AuthMethod: m, Binding: b, TLSName: n})
		return err
	}
	name := func(kind directory.NameKind, value string) directory.TLSName {
		return directory.TLSName{Kind: kind, Value: value}
	}
	for _, n := range []directory.TLSName{
		name("dns", "a.example"), name("uri", "https://a.example/b"), name("uri", "spiffe://x/y"), name("ip", "192.0.2.1"), name("ip", "2001:db8::1"), name("email", "A.b@c.example"),
	} {
		if err := create(directory.TLSClientAuth, cnf.MTLS, n); err != nil {
			t.Errorf("%v: %v", n, err)
		}
	}
	if err := create(directory.PrivateKeyJWT, cnf.MTLS, name("dns", "b.example")); err != nil {
		t.Errorf("private_key_jwt with tokens bound to a certificate: %v", err)
	}
	for _, n := range []directory.TLSName{
		name("dns", "*.example"), name("dns", "A.example"), name("dns", "a.example."), name("dns", "a b"), name("dns", "a\x00b"), name("dns", ""), name("dns", "ä.example"),
		name("uri", "a.example"), name("uri", "https://u@a.example/"), name("uri", "https://a.example/#f"), name("uri", "mailto:a@b"),
		name("ip", "192.0.2.01"), name("ip", "2001:DB8::1"), name("ip", "::ffff:192.0.2.1"), name("ip", "fe80::1%eth0"), name("ip", "a"),
		name("email", "a"), name("email", "@b.example"), name("email", "a@B.example"), name("email", "a@*.example"),
		name("subject_dn", "CN=a"), name("dns", "a.example"),
	} {
		err := create(directory.TLSClientAuth, cnf.MTLS, n)
		invalid, ok := errors.AsType[*directory.InvalidError](err)
		if !ok || invalid.Field != "tls_client_auth_san_"+string(n.Kind) {
			t.Errorf("%v: %v", n, err)
		}
	}
	if create(directory.PrivateKeyJWT, cnf.DPoP, name("dns", "c.example")) == nil || create(directory.SelfSignedTLSClientAuth, cnf.MTLS, name("dns", "d.example")) == nil {
		t.Error("a name for certificates that nobody would look at")
	}
}

func TestRegisterKeyForOwnCertificates(t *testing.T) {
	w := newWorld(t)
	o, err := w.CreateOrganisation(t.Context(), "op", directory.Organisation{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	seed := byte(0)
	for method, taken := range map[directory.AuthMethod]bool{directory.SelfSignedTLSClientAuth: true, directory.PrivateKeyJWT: true, directory.TLSClientAuth: false} {
		a, err := w.CreateApplication(t.Context(), "op", directory.Application{Organisation: o.ID, Name: "a", AuthMethod: method, Binding: cnf.MTLS})
		if err != nil {
			t.Fatal(err)
		}
		seed++
		if _, err := w.RegisterKey(t.Context(), "op", a.ClientID, publicKey(t, seed, ""), time.Time{}); (err == nil) != taken {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestJWKSURI(t *testing.T) {
	w := filled(t)
	create := func(m directory.AuthMethod, uri string) error {
		_, err := w.CreateApplication(t.Context(), "op", directory.Application{Organisation: "acme", Name: "a", AuthMethod: m, Binding: cnf.MTLS, JWKSURI: uri})
		return err
	}
	for _, m := range []directory.AuthMethod{directory.PrivateKeyJWT, directory.SelfSignedTLSClientAuth} {
		if err := create(m, "https://keys.example/jwks?a=b"); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
	refused := func(t *testing.T, err error) {
		t.Helper()
		if invalid, ok := errors.AsType[*directory.InvalidError](err); !ok || invalid.Field != "jwks_uri" {
			t.Errorf("got %v", err)
		}
	}
	for _, uri := range []string{
		"https://169.254.169.254/latest", "https://127.0.0.1/", "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://localhost:8443/", "https://10.0.0.1/",
		"file:///etc/passwd", "data:,x", "http://keys.example/", "HTTPS:keys.example", "https://good@evil.example/", "https://keys.example/#a", "https://keys.example\\@evil.example/",
		"https:///a", "https://keys.example/ä", "javascript:alert(1)", "JavaScript:alert(1)",
	} {
		t.Run("advisories 84 and 90: "+uri, func(t *testing.T) {
			w.unchanged(t, func() { refused(t, create(directory.PrivateKeyJWT, uri)) })
			w.unchanged(t, func() {
				_, err := w.UpdateApplication(t.Context(), "op", "jwt", func(a *directory.Application) error { a.JWKSURI = uri; return nil })
				refused(t, err)
			})
		})
	}
	refused(t, create(directory.TLSClientAuth, "https://keys.example/"))
	w.Outbound.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	if err := create(directory.PrivateKeyJWT, "https://localhost:8443/"); err != nil {
		t.Errorf("in a network that the operator allows: %v", err)
	}
	if _, err := w.RegisterKey(t.Context(), "op", "jwt", publicKey(t, 1, ""), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.UpdateApplication(t.Context(), "op", "jwt", func(a *directory.Application) error { a.JWKSURI = "https://keys.example/"; return nil }); err != nil {
		t.Errorf("with a registered key, which goes on working: %v", err)
	}
	if _, err := w.RegisterKey(t.Context(), "op", "jwt", publicKey(t, 2, ""), time.Time{}); err == nil {
		t.Error("RFC 7591 §2: jwks and jwks_uri")
	}
}
