package directory_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

func p256(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// made is a certificate of key, self-signed unless there is an issuer.
func made(t *testing.T, key crypto.Signer, issuer *x509.Certificate, issuerKey crypto.Signer, change func(c *x509.Certificate)) []byte {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"}, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour)}
	if change != nil {
		change(c)
	}
	if issuer == nil {
		issuer, issuerKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, key.Public(), issuerKey)
	must(t, err)
	return der
}

func TestRegisterKey(t *testing.T) {
	w := filled(t)
	ctx := t.Context()
	key := publicKey(t, 1, "k1")
	t.Run("a key becomes an active credential", func(t *testing.T) {
		c, err := w.RegisterKey(ctx, "op", "jwt", key, start.Add(time.Hour))
		must(t, err)
		if c.Kind != directory.SigningKey || c.State != directory.Active || c.ClientID != "jwt" || string(c.Key.JWK()) != string(key.JWK()) || c.Thumbprint != key.Thumbprint() ||
			!c.Created.Equal(start) || !c.NotBefore.IsZero() || !c.NotAfter.Equal(start.Add(time.Hour)) || len(c.ID) != 31 || c.ID[:5] != "cred-" || c.Issued || c.Certificate != nil {
			t.Errorf("%+v", c)
		}
		found := w.Current().Client("jwt").SigningKey("k1")
		if found == nil || found.ID != c.ID || string(found.Key.JWK()) != string(key.JWK()) || !found.UsableAt(start) {
			t.Errorf("%+v", found)
		}
		e := w.last(t)
		if want := `{"alg":"EdDSA","client_id":"jwt","kid":"k1","kind":"signing_key","not_after":1795438800,"thumbprint":"` + c.Thumbprint.String() + `"}`; e.Action != "credential.registered" || e.Subject != string(c.ID) || e.Organisation != "acme" || e.Detail != want {
			t.Errorf("%+v, want detail %s", e, want)
		}
	})
	t.Run("what is not a key to register is refused", func(t *testing.T) {
		w.unchanged(t, func() {
			_, err := w.RegisterKey(ctx, "op", "jwt", nil, time.Time{})
			at(t, err, "key")
			_, err = w.RegisterKey(ctx, "op", "tls", publicKey(t, 2, ""), time.Time{})
			at(t, err, "key")
			_, err = w.RegisterKey(ctx, "op", "jwt", publicKey(t, 2, ""), start)
			at(t, err, "not_after")
			_, err = w.RegisterKey(ctx, "op", "none", publicKey(t, 2, ""), time.Time{})
			is(t, err, directory.ErrNotFound)
		})
	})
	t.Run("advisory 16: two keys of one kid are refused", func(t *testing.T) {
		w.unchanged(t, func() {
			_, err := w.RegisterKey(ctx, "op", "jwt", publicKey(t, 2, "k1"), time.Time{})
			is(t, err, directory.ErrExists)
		})
	})
	t.Run("a key is registered once for an application, and for others as well: who has the public key ends nothing of theirs", func(t *testing.T) {
		_, err := w.CreateApplication(ctx, "op", directory.Application{ClientID: "jwt2", Organisation: "acme", Name: "A", AuthMethod: directory.PrivateKeyJWT, Binding: cnf.DPoP})
		must(t, err)
		w.unchanged(t, func() {
			_, err := w.RegisterKey(ctx, "op", "jwt", publicKey(t, 1, "k9"), time.Time{})
			is(t, err, directory.ErrExists)
		})
		other, err := w.RegisterKey(ctx, "op", "jwt2", publicKey(t, 1, "k9"), time.Time{})
		must(t, err)
		must(t, w.SetCredentialState(ctx, "op", other.ID, directory.Compromised))
		if c := w.Current().Client("jwt").SigningKey("k1"); c == nil || !c.UsableAt(start) || w.Current().Client("jwt").EndedThumbprint(c.Thumbprint) {
			t.Errorf("after the other's was compromised: %+v", c)
		}
	})
	t.Run("a revoked application gets no new credential, a suspended one does", func(t *testing.T) {
		must(t, w.SetApplicationState(ctx, "op", "jwt2", directory.Suspended))
		_, err := w.RegisterKey(ctx, "op", "jwt2", publicKey(t, 3, "k3"), time.Time{})
		must(t, err)
		must(t, w.SetApplicationState(ctx, "op", "jwt2", directory.Revoked))
		w.unchanged(t, func() {
			_, err = w.RegisterKey(ctx, "op", "jwt2", publicKey(t, 4, "k4"), time.Time{})
			is(t, err, directory.ErrState)
		})
	})
}

func TestRegisterCertificate(t *testing.T) {
	w := filled(t)
	ctx := t.Context()
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	authority := p256(t)
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: "another CA"}}
	for _, c := range []struct {
		name   string
		client directory.ClientID
		der    []byte
	}{
		{"P-256", "self", made(t, p256(t), nil, nil, nil)},
		{"RSA of 2048 bits", "self", made(t, rsa2048, nil, nil, nil)},
		{"Ed25519", "self", made(t, edwards, nil, nil, nil)},
		{"one of a private_key_jwt application, to bind its tokens", "jwt", made(t, p256(t), nil, nil, nil)},
		{"a self-signed one that says it is a CA", "self", made(t, p256(t), nil, nil, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })},
		{"one that another CA issued", "self", made(t, p256(t), issuer, authority, nil)},
		{"one for client authentication", "self", made(t, p256(t), nil, nil, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		})},
		{"one for any use", "self", made(t, p256(t), nil, nil, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })},
		{"one that is valid later", "self", made(t, p256(t), nil, nil, func(c *x509.Certificate) { c.NotBefore = start.Add(time.Minute) })},
	} {
		t.Run(c.name+" is accepted", func(t *testing.T) {
			parsed, err := x509.ParseCertificate(c.der)
			must(t, err)
			got, err := w.RegisterCertificate(ctx, "op", c.client, c.der)
			must(t, err)
			if got.Kind != directory.Certificate || got.State != directory.Active || got.Key != nil || got.Issued || got.Thumbprint != cnf.CertificateThumbprint(c.der) ||
				string(got.Certificate) != string(c.der) || !got.NotBefore.Equal(parsed.NotBefore) || !got.NotAfter.Equal(parsed.NotAfter) {
				t.Errorf("%+v", got)
			}
			if found := w.Current().Client(c.client).Certificate(got.Thumbprint); found == nil || found.ID != got.ID || string(found.Certificate) != string(c.der) {
				t.Errorf("%+v", found)
			}
			w.unchanged(t, func() {
				_, err = w.RegisterCertificate(ctx, "op", c.client, c.der)
				is(t, err, directory.ErrExists)
			})
		})
	}
	refuseCertificates(t, w, issuer, authority)
}

func refuseCertificates(t *testing.T, w *world, issuer *x509.Certificate, authority crypto.Signer) {
	rsa1024 := weakRSA(t)
	large := made(t, p256(t), nil, nil, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, 64<<10)}}
	})
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	good := made(t, p256(t), nil, nil, nil)
	forged := append([]byte(nil), good...)
	forged[len(forged)-1] ^= 1
	for _, c := range []struct {
		name string
		der  []byte
	}{
		{"nothing", nil},
		{"more than 64 KiB", large},
		{"what is no certificate", []byte("certificate")},
		{"a certificate with something after it", append(append([]byte(nil), good...), 0)},
		{"a certificate cut short", good[:len(good)-1]},
		{"RSA of 1024 bits", made(t, rsa1024, nil, nil, nil)},
		{"P-384", made(t, p384, nil, nil, nil)},
		{"one that does not bear its own signature", forged},
		{"one that bears another key's signature", made(t, p256(t), &x509.Certificate{Subject: pkix.Name{CommonName: "app"}}, authority, nil)},
		{"one that has expired", made(t, p256(t), nil, nil, func(c *x509.Certificate) { c.NotAfter = start })},
		{"one that is never valid", made(t, p256(t), nil, nil, func(c *x509.Certificate) { c.NotBefore = c.NotAfter })},
		{"that of a CA under another", made(t, p256(t), issuer, authority, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })},
		{"one for servers only", made(t, p256(t), nil, nil, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })},
		{"one for a use that we do not know", made(t, p256(t), nil, nil, func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}} })},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			w.unchanged(t, func() {
				_, err := w.RegisterCertificate(t.Context(), "op", "self", c.der)
				at(t, err, "certificate")
			})
		})
	}
	t.Run("a tls_client_auth application brings no certificate of its own", func(t *testing.T) {
		w.unchanged(t, func() {
			_, err := w.RegisterCertificate(t.Context(), "op", "tls", good)
			at(t, err, "certificate")
		})
	})
	t.Run("an application that does not exist is not found", func(t *testing.T) {
		_, err := w.RegisterCertificate(t.Context(), "op", "none", good)
		is(t, err, directory.ErrNotFound)
	})
}

// weakRSA makes a key that the standard library would not make any more.
func weakRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	return key
}

func TestCredentialStates(t *testing.T) {
	w := filled(t)
	ctx := t.Context()
	one, err := w.RegisterKey(ctx, "op", "jwt", publicKey(t, 1, "k1"), start.Add(time.Hour))
	must(t, err)
	token := directory.Token{ClientID: "jwt", CredentialID: one.ID, IssuedAt: start}
	t.Run("promise 7: the last usable credential is not retired", func(t *testing.T) {
		w.unchanged(t, func() {
			is(t, w.SetCredentialState(ctx, "op", one.ID, directory.Retired), directory.ErrState)
			is(t, w.SetCredentialState(ctx, "op", one.ID, directory.Retiring), directory.ErrState)
			is(t, w.SetCredentialState(ctx, "op", one.ID, directory.Expired), directory.ErrState)
			is(t, w.SetCredentialState(ctx, "op", one.ID, directory.Created), directory.ErrState)
		})
	})
	t.Run("suspension is taken back, and what it ended stays ended", func(t *testing.T) {
		w.clock.advance(time.Millisecond)
		must(t, w.SetCredentialState(ctx, "op-2", one.ID, directory.Suspended))
		if got := w.Current().Ended(token); got != "credential_suspended" {
			t.Errorf("ended %q", got)
		}
		if e := w.last(t); e.Action != "credential.suspended" || e.Actor != "op-2" || e.Subject != string(one.ID) || e.Organisation != "acme" ||
			e.Detail != `{"client_id":"jwt","from":"active","kind":"signing_key","thumbprint":"`+one.Thumbprint.String()+`"}` {
			t.Errorf("%+v", e)
		}
		must(t, w.SetCredentialState(ctx, "op", one.ID, directory.Active))
		if got := w.Current().Ended(token); got != "credential_tokens_revoked" || w.last(t).Action != "credential.resumed" {
			t.Errorf("ended %q", got)
		}
		token.IssuedAt = start.Add(time.Second)
		if got := w.Current().Ended(token); got != "" {
			t.Errorf("a new token: ended %q", got)
		}
	})
	t.Run("with a successor it is retired", func(t *testing.T) {
		_, err := w.RegisterKey(ctx, "op", "jwt", publicKey(t, 2, "k2"), start.Add(2*time.Hour))
		must(t, err)
		must(t, w.SetCredentialState(ctx, "op", one.ID, directory.Retiring))
		if got := w.Current().Ended(token); got != "" {
			t.Errorf("ended %q", got)
		}
		must(t, w.SetCredentialState(ctx, "op", one.ID, directory.Retired))
		if got := w.Current().Ended(token); got != "credential_retired" {
			t.Errorf("ended %q", got)
		}
		w.unchanged(t, func() { is(t, w.SetCredentialState(ctx, "op", one.ID, directory.Active), directory.ErrState) })
	})
	t.Run("the last one is revoked when an operator says so, and for good", func(t *testing.T) {
		two := w.Current().Client("jwt").SigningKey("k2")
		must(t, w.SetCredentialState(ctx, "op", two.ID, directory.Compromised))
		if got := w.Current().Ended(directory.Token{ClientID: "jwt", CredentialID: two.ID}); got != "credential_compromised" {
			t.Errorf("ended %q", got)
		}
		w.unchanged(t, func() {
			for _, to := range []directory.State{directory.Active, directory.Revoked, directory.Compromised, directory.Retired, directory.Suspended} {
				is(t, w.SetCredentialState(ctx, "op", two.ID, to), directory.ErrState)
			}
		})
	})
	t.Run("what is over is marked so once its date has come", func(t *testing.T) {
		three, err := w.RegisterKey(ctx, "op", "jwt", publicKey(t, 3, "k3"), start.Add(time.Hour))
		must(t, err)
		w.clock.advance(time.Hour)
		must(t, w.SetCredentialState(ctx, "system", three.ID, directory.Expired))
		must(t, w.SetCredentialState(ctx, "system", three.ID, directory.Retired))
	})
}

func TestRevokeDPoPKey(t *testing.T) {
	w := filled(t)
	ctx := t.Context()
	jkt := cnf.Thumbprint{1}
	bound := func(client directory.ClientID) directory.Token {
		return directory.Token{ClientID: client, Binding: cnf.ToKey(jkt)}
	}
	c, err := w.RevokeDPoPKey(ctx, "op", "jwt", jkt)
	must(t, err)
	t.Run("a key that was never registered is revoked by its jkt", func(t *testing.T) {
		if c.Kind != directory.DPoPKey || c.State != directory.Revoked || c.ClientID != "jwt" || c.Thumbprint != jkt || !c.Created.Equal(start) {
			t.Errorf("%+v", c)
		}
		if e := w.last(t); e.Action != "credential.revoked" || e.Subject != string(c.ID) || e.Organisation != "acme" {
			t.Errorf("%+v", e)
		}
		if got := w.Current().Ended(bound("jwt")); got != "credential_revoked" {
			t.Errorf("ended %q", got)
		}
	})
	t.Run("another application's tokens with the same key go on", func(t *testing.T) {
		if got := w.Current().Ended(bound("self")); got != "" {
			t.Errorf("ended %q", got)
		}
		_, err := w.RevokeDPoPKey(ctx, "op", "self", jkt)
		must(t, err)
		if got := w.Current().Ended(bound("self")); got != "credential_revoked" {
			t.Errorf("ended %q", got)
		}
	})
	t.Run("a second time changes nothing", func(t *testing.T) {
		w.unchanged(t, func() {
			again, err := w.RevokeDPoPKey(ctx, "op", "jwt", jkt)
			if err != nil || again.ID != c.ID {
				t.Errorf("%+v, %v", again, err)
			}
		})
	})
	t.Run("revoked is final", func(t *testing.T) {
		is(t, w.SetCredentialState(ctx, "op", c.ID, directory.Active), directory.ErrState)
	})
	t.Run("an application that does not exist is not found", func(t *testing.T) {
		_, err := w.RevokeDPoPKey(ctx, "op", "none", jkt)
		is(t, err, directory.ErrNotFound)
	})
	t.Run("the key of a revoked application can be revoked", func(t *testing.T) {
		must(t, w.SetApplicationState(ctx, "op", "tls", directory.Revoked))
		_, err := w.RevokeDPoPKey(ctx, "op", "tls", jkt)
		must(t, err)
	})
}
