package clientauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
)

// registered makes a key and registers it for the client.
func registered(w *authtest.World, id directory.ClientID, kid string) (crypto.Signer, directory.CredentialID) {
	w.T.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		w.T.Fatal(err)
	}
	public, err := jose.NewPublicKey(key.Public(), "", kid)
	if err != nil {
		w.T.Fatal(err)
	}
	c := directory.Credential{ID: directory.CredentialID("key-" + kid), ClientID: id, Kind: directory.SigningKey, State: directory.Active,
		Key: public, Thumbprint: public.Thumbprint(), Created: w.Now}
	w.Apply(directory.Delta{Credentials: []directory.Credential{c}})
	return key, c.ID
}

func TestCertificateOfARegisteredKey(t *testing.T) {
	w := world(t)
	key, id := registered(w, "self", "a")
	second, secondID := registered(w, "self", "b")
	for name, c := range map[string]struct {
		certificate *authtest.Certificate
		want        directory.CredentialID
	}{
		"RFC 8705 §2.2: a certificate of a registered key":        {w.OwnCertificate(key, "x"), id},
		"another certificate of the same key: renewed":            {w.OwnCertificate(key, "y"), id},
		"several keys at once: replaced with overlap":             {w.OwnCertificate(second, "x"), secondID},
		"a certificate that names no use":                         {w.OwnCertificate(key, "x", func(c *x509.Certificate) { c.ExtKeyUsage, c.KeyUsage = nil, 0 }), id},
		"no chain is looked at: somebody else may have signed it": {w.SignKey(w.NewCA("somebody"), key.Public(), "x"), id},
		"a certificate that is registered itself comes before":    {w.SelfSigned("self"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := connect(w, "self", c.certificate.Certificate)
			if err != nil {
				t.Fatal(err)
			}
			want := c.want
			if want == "" {
				want = c.certificate.ID
			}
			if got.Credential.ID != want || !got.Credential.NotAfter.Equal(c.certificate.NotAfter) || got.Method != directory.SelfSignedTLSClientAuth {
				t.Errorf("got %+v", got.Credential)
			}
		})
	}
	t.Run("the record stays as it is", func(t *testing.T) {
		if k := w.Snapshot.Credential(id); !k.NotAfter.IsZero() {
			t.Error("the snapshot was changed")
		}
	})
	t.Run("a key's own end comes first", func(t *testing.T) {
		end := w.Now.Add(time.Minute)
		w.EditCredential(secondID, func(c *directory.Credential) { c.NotAfter = end })
		got, err := connect(w, "self", w.OwnCertificate(second, "x").Certificate)
		if err != nil || !got.Credential.NotAfter.Equal(end) {
			t.Errorf("%+v %v", got, err)
		}
	})
	t.Run("it binds the tokens of a private_key_jwt client", func(t *testing.T) {
		key, id := registered(w, "jwt", "j")
		got, err := w.Auth.RecogniseCertificate(w.Now, w.Snapshot, w.Snapshot.Client("jwt"), w.Peer(w.OwnCertificate(key, "x").Certificate))
		if err != nil || got.ID != id {
			t.Errorf("%+v %v", got, err)
		}
	})
}

func TestCertificateOfARegisteredKeyRefused(t *testing.T) {
	state := func(s directory.State) func(*authtest.World, directory.CredentialID) {
		return func(w *authtest.World, id directory.CredentialID) {
			w.EditCredential(id, func(c *directory.Credential) { c.State = s })
		}
	}
	cases := []struct {
		name   string
		reason string
		edit   func(*x509.Certificate)
		change func(*authtest.World, directory.CredentialID)
	}{
		{"not yet valid", clientauth.ReasonCertificateExpired, func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(time.Hour) }, nil},
		{"expired", clientauth.ReasonCertificateExpired, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Minute) }, nil},
		{"for servers", clientauth.ReasonCertificateUsage, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, nil},
		{"for encryption", clientauth.ReasonCertificateUsage, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, nil},
		{"the key is revoked", clientauth.ReasonCertificateNotAccepted, nil, state(directory.Revoked)},
		{"the key is compromised", clientauth.ReasonCertificateNotAccepted, nil, state(directory.Compromised)},
		{"the key is retired", clientauth.ReasonCertificateNotAccepted, nil, state(directory.Retired)},
		{"the key is suspended", clientauth.ReasonCertificateNotAccepted, nil, state(directory.Suspended)},
		{"the key's time has not come", clientauth.ReasonCertificateNotAccepted, nil, func(w *authtest.World, id directory.CredentialID) {
			w.EditCredential(id, func(c *directory.Credential) { c.NotBefore = w.Now.Add(time.Second) })
		}},
		{"the key's time is over", clientauth.ReasonCertificateNotAccepted, nil, func(w *authtest.World, id directory.CredentialID) {
			w.EditCredential(id, func(c *directory.Credential) { c.NotAfter = w.Now })
		}},
		{"the key is revoked as a DPoP key", clientauth.ReasonCertificateNotAccepted, nil, func(w *authtest.World, id directory.CredentialID) {
			w.Apply(directory.Delta{Credentials: []directory.Credential{{ID: "dpop", ClientID: "self", Kind: directory.DPoPKey,
				State: directory.Revoked, Thumbprint: w.Snapshot.Credential(id).Thumbprint}}})
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := world(t)
			key, id := registered(w, "self", "a")
			if c.edit == nil {
				c.edit = func(*x509.Certificate) {}
			}
			shown := w.OwnCertificate(key, "x", c.edit)
			if c.change != nil {
				c.change(w, id)
			}
			_, err := connect(w, "self", shown.Certificate)
			refused(t, err, oauth.InvalidClient, c.reason)
		})
	}
	t.Run("another application's key", func(t *testing.T) {
		w := world(t)
		registered(w, "self", "other")
		key, _ := registered(w, "jwt", "a")
		_, err := connect(w, "self", w.OwnCertificate(key, "x").Certificate)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateForeign)
	})
	for _, s := range []directory.State{directory.Active, directory.Suspended, directory.Revoked, directory.Compromised} {
		t.Run("another application has the key too, "+string(s)+" there: that is nothing here", func(t *testing.T) {
			w := world(t)
			key, id := registered(w, "self", "a")
			theirs := *w.Snapshot.Credential(id)
			theirs.ID, theirs.ClientID, theirs.State = "theirs", "jwt", s
			w.Apply(directory.Delta{Credentials: []directory.Credential{theirs}})
			if got, err := connect(w, "self", w.OwnCertificate(key, "x").Certificate); err != nil || got.Credential.ID != id {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	t.Run("the certificate alone is revoked", func(t *testing.T) {
		w := world(t)
		key, _ := registered(w, "self", "a")
		shown := w.OwnCertificate(key, "x")
		thumbprint := cnf.CertificateThumbprint(shown.Raw)
		w.Apply(directory.Delta{Credentials: []directory.Credential{{
			ID: directory.UnregisteredCertificate("self", thumbprint), ClientID: "self", Kind: directory.TrustedCertificate, State: directory.Revoked, Thumbprint: thumbprint,
		}}})
		_, err := connect(w, "self", shown.Certificate)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateNotAccepted)
		if _, err := connect(w, "self", w.OwnCertificate(key, "y").Certificate); err != nil {
			t.Error(err)
		}
	})
	t.Run("tls_client_auth has no keys: a certificate of one is nothing there", func(t *testing.T) {
		w := world(t)
		key, _ := registered(w, "tls", "a")
		_, err := connect(w, "tls", w.OwnCertificate(key, "x").Certificate)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateUnknown)
	})
	t.Run("a key of a kind that nobody can register", func(t *testing.T) {
		w := world(t)
		registered(w, "self", "a")
		key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		_, err = connect(w, "self", w.OwnCertificate(key, "x").Certificate)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateUnknown)
	})
	t.Run("advisory 31: a look-alike of another key", func(t *testing.T) {
		w := world(t)
		registered(w, "self", "a")
		_, err := connect(w, "self", w.Stranger("x").Certificate)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateUnknown)
	})
}
