package clientauth_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/mtls"
)

// connect authenticates with a certificate chain.
func connect(w *authtest.World, clientID string, chain ...*x509.Certificate) (*clientauth.Authenticated, error) {
	w.T.Helper()
	a := clientauth.Attempt{Form: w.Form(url.Values{"client_id": {clientID}})}
	if len(chain) > 0 {
		a.Peer = w.Peer(chain...)
	}
	return w.Auth.Authenticate(w.Now, w.Snapshot, a)
}

func world(t testing.TB) *authtest.World {
	w := authtest.New(t)
	w.Application("tls", directory.TLSClientAuth, cnf.MTLS)
	w.Application("other", directory.TLSClientAuth, cnf.MTLS)
	w.Application("self", directory.SelfSignedTLSClientAuth, cnf.MTLS)
	w.Application("jwt", directory.PrivateKeyJWT, cnf.MTLS)
	return w
}

func TestCertificateAccepted(t *testing.T) {
	w := world(t)
	for id, c := range map[directory.ClientID]*authtest.Certificate{"tls": w.Issue("tls"), "self": w.SelfSigned("self")} {
		t.Run(string(id), func(t *testing.T) {
			got, err := connect(w, string(id), c.Certificate)
			if err != nil {
				t.Fatal(err)
			}
			if got.Client.ClientID != id || got.Credential.ID != c.ID || got.Method != got.Client.AuthMethod || got.Use != nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestCertificateRefused(t *testing.T) {
	cases := []struct {
		name   string
		reason string
		try    func(w *authtest.World) error
	}{
		{"unknown client", clientauth.ReasonClientUnknown, func(w *authtest.World) error {
			_, err := connect(w, "nobody", w.Issue("tls").Certificate)
			return err
		}},
		{"advisory 38: application suspended", clientauth.ReasonClientNotLive, func(w *authtest.World) error {
			c := w.Issue("tls")
			w.Edit("tls", func(a *directory.Application) { a.State = directory.Suspended })
			_, err := connect(w, "tls", c.Certificate)
			return err
		}},
		{"advisory 39: organisation revoked", clientauth.ReasonClientNotLive, func(w *authtest.World) error {
			c := w.Issue("tls")
			w.SetOrganisation(authtest.Acme, directory.Revoked)
			_, err := connect(w, "tls", c.Certificate)
			return err
		}},
		{"advisory 33: no certificate", clientauth.ReasonCertificateMissing, func(w *authtest.World) error {
			w.Issue("tls")
			_, err := connect(w, "tls")
			return err
		}},
		{"an unusable certificate", clientauth.ReasonCertificateUnusable, func(w *authtest.World) error {
			_, err := w.Auth.Authenticate(w.Now, w.Snapshot, clientauth.Attempt{Form: w.Form(url.Values{"client_id": {"tls"}}), PeerErr: mtls.ErrUntrusted})
			return err
		}},
		{"a private_key_jwt client with nothing", clientauth.ReasonAssertionMissing, func(w *authtest.World) error {
			_, err := connect(w, "jwt")
			return err
		}},
		{"a private_key_jwt client is not authenticated by its certificate", clientauth.ReasonMethodNotRegistered, func(w *authtest.World) error {
			_, err := connect(w, "jwt", w.SelfSigned("jwt").Certificate)
			return err
		}},
		{"a client of an unknown method", clientauth.ReasonMethodNotRegistered, func(w *authtest.World) error {
			c := w.Issue("tls")
			w.Edit("tls", func(a *directory.Application) { a.AuthMethod = "" })
			_, err := connect(w, "tls", c.Certificate)
			return err
		}},
		{"advisory 25: A's certificate with client_id B", clientauth.ReasonCertificateForeign, func(w *authtest.World) error {
			w.Issue("tls")
			_, err := connect(w, "tls", w.Issue("other").Certificate)
			return err
		}},
		{"a certificate that our CA signed and we did not record", clientauth.ReasonCertificateUnknown, func(w *authtest.World) error {
			_, err := connect(w, "tls", w.Stranger("tls").Certificate)
			return err
		}},
		{"advisory 31: a look-alike with same DN, serial and key id, other key", clientauth.ReasonCertificateUnknown, func(w *authtest.World) error {
			own := w.SelfSigned("self", func(c *x509.Certificate) { c.SubjectKeyId = []byte{1, 2, 3} })
			twin := w.Stranger("self", func(c *x509.Certificate) {
				c.SerialNumber, c.Subject, c.SubjectKeyId = own.SerialNumber, own.Subject, own.SubjectKeyId
			})
			_, err := connect(w, "self", twin.Certificate)
			return err
		}},
		{"advisory 33: expired", clientauth.ReasonCertificateExpired, func(w *authtest.World) error {
			c := w.Issue("tls")
			w.EditCredential(c.ID, func(c *directory.Credential) { c.NotAfter = time.Time{} })
			w.Now = w.Now.Add(25 * time.Hour)
			_, err := connect(w, "tls", c.Certificate)
			return err
		}},
		{"self-signed and expired", clientauth.ReasonCertificateExpired, func(w *authtest.World) error {
			c := w.SelfSigned("self")
			w.EditCredential(c.ID, func(c *directory.Credential) { c.NotAfter = time.Time{} })
			w.Now = w.Now.Add(25 * time.Hour)
			_, err := connect(w, "self", c.Certificate)
			return err
		}},
		{"not yet valid", clientauth.ReasonCertificateExpired, func(w *authtest.World) error {
			c := w.Issue("tls", func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(time.Hour) })
			w.EditCredential(c.ID, func(c *directory.Credential) { c.NotBefore = time.Time{} })
			_, err := connect(w, "tls", c.Certificate)
			return err
		}},
		{"record past its time", clientauth.ReasonCertificateNotAccepted, func(w *authtest.World) error {
			c := w.Issue("tls")
			w.EditCredential(c.ID, func(c *directory.Credential) { c.NotAfter = w.Now })
			_, err := connect(w, "tls", c.Certificate)
			return err
		}},
		{"advisory 38: certificate revoked", clientauth.ReasonCertificateNotAccepted, func(w *authtest.World) error {
			c := w.Issue("tls")
			w.EditCredential(c.ID, func(c *directory.Credential) { c.State = directory.Revoked })
			_, err := connect(w, "tls", c.Certificate)
			return err
		}},
		{"self-signed and revoked", clientauth.ReasonCertificateNotAccepted, func(w *authtest.World) error {
			c := w.SelfSigned("self")
			w.EditCredential(c.ID, func(c *directory.Credential) { c.State = directory.Revoked })
			_, err := connect(w, "self", c.Certificate)
			return err
		}},
		{"advisory 33: untrusted, by another organisation's CA", clientauth.ReasonCertificateUntrusted, func(w *authtest.World) error {
			_, err := connect(w, "tls", w.IssueBy(w.CAOf(authtest.Rival), "tls").Certificate)
			return err
		}},
		{"advisory 30: an organisation without a CA trusts nobody", clientauth.ReasonCertificateUntrusted, func(w *authtest.World) error {
			c := w.Issue("tls")
			w.ForgetCA(authtest.Acme)
			_, err := connect(w, "tls", c.Certificate)
			return err
		}},
		{"advisory 33: wrong extended key usage", clientauth.ReasonCertificateUsage, func(w *authtest.World) error {
			_, err := connect(w, "tls", w.Issue("tls", func(c *x509.Certificate) {
				c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			}).Certificate)
			return err
		}},
		{"no SAN", clientauth.ReasonCertificateSAN, func(w *authtest.World) error {
			_, err := connect(w, "tls", w.Issue("tls", func(c *x509.Certificate) { c.URIs = nil }).Certificate)
			return err
		}},
		{"advisory 27: the name is in the CN only", clientauth.ReasonCertificateSAN, func(w *authtest.World) error {
			_, err := connect(w, "tls", w.Issue("tls", func(c *x509.Certificate) {
				c.Subject.CommonName = w.Name("tls").String()
				c.URIs = []*url.URL{w.Name("other")}
			}).Certificate)
			return err
		}},
		{"two URI SANs", clientauth.ReasonCertificateSAN, func(w *authtest.World) error {
			_, err := connect(w, "tls", w.Issue("tls", func(c *x509.Certificate) { c.URIs = append(c.URIs, w.Name("other")) }).Certificate)
			return err
		}},
		{"advisory 29: a DNS name beside the URI", clientauth.ReasonCertificateSAN, func(w *authtest.World) error {
			_, err := connect(w, "tls", w.Issue("tls", func(c *x509.Certificate) { c.DNSNames = []string{"tls.example"} }).Certificate)
			return err
		}},
		{"advisory 29: our name as a DNS name", clientauth.ReasonCertificateSAN, func(w *authtest.World) error {
			_, err := connect(w, "tls", w.Issue("tls", func(c *x509.Certificate) {
				c.DNSNames, c.URIs = []string{w.Name("tls").String()}, nil
			}).Certificate)
			return err
		}},
		{"advisory 29: our name as an e-mail address", clientauth.ReasonCertificateSAN, func(w *authtest.World) error {
			_, err := connect(w, "tls", w.Issue("tls", func(c *x509.Certificate) {
				c.EmailAddresses, c.URIs = []string{w.Name("tls").String()}, nil
			}).Certificate)
			return err
		}},
		{"advisory 28: more after our name", clientauth.ReasonCertificateSAN, func(w *authtest.World) error {
			_, err := connect(w, "tls", w.Issue("tls", func(c *x509.Certificate) {
				c.URIs[0] = w.Name("tls").JoinPath("evil")
			}).Certificate)
			return err
		}},
		{"an otherName beside the URI", clientauth.ReasonCertificateSAN, func(w *authtest.World) error {
			_, err := connect(w, "tls", w.Issue("tls", withOtherName(w)).Certificate)
			return err
		}},
		{"a self-signed certificate for a tls_client_auth client", clientauth.ReasonMethodNotRegistered, func(w *authtest.World) error {
			_, err := connect(w, "tls", w.SelfSigned("tls").Certificate)
			return err
		}},
		{"an issued certificate for a self_signed_tls_client_auth client", clientauth.ReasonMethodNotRegistered, func(w *authtest.World) error {
			_, err := connect(w, "self", w.Issue("self").Certificate)
			return err
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			refused(t, c.try(world(t)), oauth.InvalidClient, c.reason)
		})
	}
}

// withOtherName puts an otherName (RFC 5280 section 4.2.1.6) beside the URI.
func withOtherName(w *authtest.World) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		names, err := asn1.Marshal([]asn1.RawValue{
			{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(w.Name("tls").String())},
			{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: []byte{0x06, 0x01, 0x2a, 0xa0, 0x02, 0x05, 0x00}},
		})
		if err != nil {
			w.T.Fatal(err)
		}
		c.URIs = nil
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}}
	}
}

func TestAdvisory25LeafDecides(t *testing.T) {
	w := world(t)
	a, b := w.Issue("tls"), w.Issue("other")
	got, err := connect(w, "tls", a.Certificate, b.Certificate)
	if err != nil || got.Client.ClientID != "tls" {
		t.Fatalf("leaf of A, then B's certificate: got %v, %v", got, err)
	}
	_, err = connect(w, "other", a.Certificate, b.Certificate)
	refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateForeign)
}

func TestRefusalNamesTheClient(t *testing.T) {
	w := world(t)
	_, err := connect(w, "tls")
	if r := refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateMissing); r.Client == nil || r.Client.ClientID != "tls" {
		t.Errorf("the refusal names %v", r.Client)
	}
	_, err = connect(w, "nobody")
	if r := refused(t, err, oauth.InvalidClient, clientauth.ReasonClientUnknown); r.Client != nil {
		t.Errorf("the refusal names %v", r.Client)
	}
	_, err = show(w, "jwt", "abc")
	if r := refused(t, err, oauth.InvalidClient, clientauth.ReasonAssertionMalformed); r.Client == nil || r.Client.ClientID != "jwt" {
		t.Errorf("the refusal names %v", r.Client)
	}
}

func TestRecogniseCertificateForBinding(t *testing.T) {
	w := world(t)
	w.Key("jwt", jose.ES256, "k1")
	client := w.Snapshot.Client("jwt")
	for name, c := range map[string]*authtest.Certificate{"registered": w.SelfSigned("jwt"), "issued": w.Issue("jwt")} {
		client = w.Snapshot.Client("jwt")
		got, err := w.Auth.RecogniseCertificate(w.Now, w.Snapshot, client, w.Peer(c.Certificate))
		if err != nil || got.ID != c.ID {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	_, err := w.Auth.RecogniseCertificate(w.Now, w.Snapshot, client, w.Peer(w.Issue("tls").Certificate))
	refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateForeign)
}

func BenchmarkAuthenticateCertificate(b *testing.B) {
	w := world(b)
	a := clientauth.Attempt{Form: w.Form(url.Values{"client_id": {"tls"}}), Peer: w.Peer(w.Issue("tls").Certificate)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Auth.Authenticate(w.Now, w.Snapshot, a); err != nil {
			b.Fatal(err)
		}
	}
}
