package directory_test

import (
	"errors"
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
