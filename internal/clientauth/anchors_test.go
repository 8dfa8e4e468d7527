package clientauth_test

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
)

// corporate is a world in which acme has a CA of its own, and "tls" is who has
// the DNS name client.acme.example there.
type corporate struct {
	*authtest.World
	ca *authtest.CA
}

func newCorporate(t testing.TB) *corporate {
	w := &corporate{World: world(t)}
	w.ca = w.NewCA("Acme Corporate CA")
	w.Trust(authtest.Acme, w.ca.Certificate)
	w.name("tls", directory.NameDNS, "client.acme.example")
	return w
}

func (w *corporate) name(id directory.ClientID, kind directory.NameKind, value string) {
	w.Edit(id, func(a *directory.Application) { a.TLSName = directory.TLSName{Kind: kind, Value: value} })
}

func dns(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

// alternativeNames is a SAN extension of any names, as (tag, value) pairs.
func alternativeNames(t testing.TB, pairs ...any) func(*x509.Certificate) {
	var names []asn1.RawValue
	for i := 0; i < len(pairs); i += 2 {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: pairs[i].(int), Bytes: []byte(pairs[i+1].(string))})
	}
	value, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}
	}
}

func TestTrustAnchorAccepted(t *testing.T) {
	uri, err := url.Parse("https://client.acme.example/Payments")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name  string
		kind  directory.NameKind
		value string
		edit  func(*x509.Certificate)
	}{
		{"RFC 8705 §2.1.2: tls_client_auth_san_dns", directory.NameDNS, "client.acme.example", dns("client.acme.example")},
		{"RFC 4343 §3: a DNS name in another case", directory.NameDNS, "client.acme.example", dns("Client.ACME.example")},
		{"RFC 8705 §2.1.2: tls_client_auth_san_uri", directory.NameURI, uri.String(), func(c *x509.Certificate) { c.URIs = []*url.URL{uri} }},
		{"RFC 8705 §2.1.2: tls_client_auth_san_ip, IPv4", directory.NameIP, "192.0.2.7", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 7)} }},
		{"RFC 8705 §2.1.2: tls_client_auth_san_ip, IPv6", directory.NameIP, "2001:db8::7", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("2001:db8::7")} }},
		{"RFC 8705 §2.1.2: tls_client_auth_san_email", directory.NameEmail, "Ops@acme.example", func(c *x509.Certificate) { c.EmailAddresses = []string{"Ops@acme.example"} }},
		{"RFC 5280 §7.5: the host of an e-mail address in another case", directory.NameEmail, "ops@acme.example", func(c *x509.Certificate) { c.EmailAddresses = []string{"ops@ACME.example"} }},
		{"the name is one of several, of several kinds", directory.NameDNS, "client.acme.example", func(c *x509.Certificate) {
			c.DNSNames, c.URIs, c.EmailAddresses = []string{"other.acme.example", "client.acme.example"}, []*url.URL{uri}, []string{"x@y.example"}
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newCorporate(t)
			w.name("tls", c.kind, c.value)
			shown := w.Sign(w.ca, "anything", c.edit)
			got, err := connect(w.World, "tls", shown.Certificate)
			if err != nil {
				t.Fatal(err)
			}
			thumbprint := cnf.CertificateThumbprint(shown.Raw)
			k := got.Credential
			if got.Client.ClientID != "tls" || got.Method != directory.TLSClientAuth || k.ID != directory.UnregisteredCertificate("tls", thumbprint) ||
				k.Kind != directory.TrustedCertificate || k.Thumbprint != thumbprint || !k.NotAfter.Equal(shown.NotAfter) || !k.NotBefore.Equal(shown.NotBefore) {
				t.Errorf("got %+v, %+v", got, k)
			}
		})
	}
}

func TestTrustAnchorRefused(t *testing.T) {
	good := dns("client.acme.example")
	cases := []struct {
		name   string
		reason string
		try    func(w *corporate) []*x509.Certificate
	}{
		{"RFC 8705 §7.3: a CA of the same name with another key", clientauth.ReasonCertificateUntrusted, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.NewCA("Acme Corporate CA"), "x", good))
		}},
		{"the same, which sends its own certificate along", clientauth.ReasonCertificateUntrusted, func(w *corporate) []*x509.Certificate {
			twin := w.NewCA("Acme Corporate CA")
			return chain(w.Sign(twin, "x", good), twin.Certificate)
		}},
		{"another organisation's CA", clientauth.ReasonCertificateUntrusted, func(w *corporate) []*x509.Certificate {
			rival := w.NewCA("Rival Corporate CA")
			w.Trust(authtest.Rival, rival.Certificate)
			return chain(w.Sign(rival, "x", good))
		}},
		{"advisory 30: an organisation without anchors trusts nobody", clientauth.ReasonCertificateUntrusted, func(w *corporate) []*x509.Certificate {
			w.Trust(authtest.Acme)
			return chain(w.Sign(w.ca, "x", good))
		}},
		{"a self-signed certificate with the right name", clientauth.ReasonCertificateUntrusted, func(w *corporate) []*x509.Certificate {
			return chain(w.Stranger("x", good))
		}},
		{"a certificate of our own CA that we did not record", clientauth.ReasonCertificateUntrusted, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.CAOf(authtest.Acme), "x", good))
		}},
		{"an anchor whose pin is another key's", clientauth.ReasonCertificateUntrusted, func(w *corporate) []*x509.Certificate {
			o := *w.Snapshot.Organisation(authtest.Acme)
			o.Anchors[0].SPKI[0] ^= 1
			w.Apply(directory.Delta{Organisations: []directory.Organisation{o}})
			return chain(w.Sign(w.ca, "x", good))
		}},
		{"an intermediate that was not sent", clientauth.ReasonCertificateUntrusted, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.Under(w.ca, "issuing"), "x", good))
		}},
		{"an intermediate that has expired", clientauth.ReasonCertificateUntrusted, func(w *corporate) []*x509.Certificate {
			issuing := w.Under(w.ca, "issuing", func(c *x509.Certificate) { c.NotAfter = w.Now.Add(-time.Second) })
			return chain(w.Sign(issuing, "x", good), issuing.Certificate)
		}},
		{"an anchor that has expired", clientauth.ReasonCertificateUntrusted, func(w *corporate) []*x509.Certificate {
			w.Now = w.ca.Certificate.NotAfter.Add(time.Second)
			return chain(w.Sign(w.ca, "x", good))
		}},
		{"a leaf that signs a leaf", clientauth.ReasonCertificateUntrusted, func(w *corporate) []*x509.Certificate {
			leaf := w.Under(w.ca, "leaf", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
			return chain(w.Sign(leaf, "x", good), leaf.Certificate)
		}},
		{"advisory 33: expired", clientauth.ReasonCertificateExpired, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", good, func(c *x509.Certificate) { c.NotAfter = w.Now.Add(-time.Second) }))
		}},
		{"not yet valid", clientauth.ReasonCertificateExpired, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", good, func(c *x509.Certificate) { c.NotBefore = w.Now.Add(time.Second) }))
		}},
		{"advisory 33: for servers", clientauth.ReasonCertificateUsage, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", good, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }))
		}},
		{"for no use that is named", clientauth.ReasonCertificateUsage, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", good, func(c *x509.Certificate) { c.ExtKeyUsage = nil }))
		}},
		{"for any use", clientauth.ReasonCertificateUsage, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", good, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }))
		}},
		{"a CA as a leaf", clientauth.ReasonCertificateUsage, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", good, func(c *x509.Certificate) {
				c.IsCA, c.KeyUsage = true, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign
			}))
		}},
		{"advisory 27: the name in the subject only", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "client.acme.example"))
		}},
		{"advisory 27: names in the subject, one of them with a NUL", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "a,CN=client.acme.example\x00", func(c *x509.Certificate) { c.Subject.Organization = []string{"client.acme.example", "b"} }))
		}},
		{"another name", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", dns("other.acme.example", "client.acme.example.evil.example", "xclient.acme.example")))
		}},
		{"advisory 28: a NUL after the name", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", alternativeNames(w.T, 2, "client.acme.example\x00.evil.example")))
		}},
		{"advisory 28: the name, and another with a NUL", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", alternativeNames(w.T, 2, "client.acme.example", 1, "a\x00@b.example")))
		}},
		{"the name, and a wildcard", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", dns("client.acme.example", "*.acme.example")))
		}},
		{"a wildcard that would fit", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", dns("*.acme.example")))
		}},
		{"advisory 29: the DNS name as a URI", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", alternativeNames(w.T, 6, "client.acme.example")))
		}},
		{"advisory 29: the DNS name as an e-mail address", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", alternativeNames(w.T, 1, "client.acme.example")))
		}},
		{"the URI in another case", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			w.name("tls", directory.NameURI, "https://client.acme.example/a")
			return chain(w.Sign(w.ca, "x", alternativeNames(w.T, 6, "https://client.acme.example/A")))
		}},
		{"the local part of an e-mail address in another case", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			w.name("tls", directory.NameEmail, "ops@acme.example")
			return chain(w.Sign(w.ca, "x", alternativeNames(w.T, 1, "Ops@acme.example")))
		}},
		{"an e-mail address of the host alone", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			w.name("tls", directory.NameEmail, "ops@acme.example")
			return chain(w.Sign(w.ca, "x", alternativeNames(w.T, 1, "acme.example")))
		}},
		{"an IPv4 address written as IPv6", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			w.name("tls", directory.NameIP, "192.0.2.7")
			return chain(w.Sign(w.ca, "x", alternativeNames(w.T, 7, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x07")))
		}},
		{"an IP address as text in a DNS name", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			w.name("tls", directory.NameIP, "192.0.2.7")
			return chain(w.Sign(w.ca, "x", dns("192.0.2.7")))
		}},
		{"revoked by its thumbprint", clientauth.ReasonCertificateNotAccepted, func(w *corporate) []*x509.Certificate {
			c := w.Sign(w.ca, "x", good)
			thumbprint := cnf.CertificateThumbprint(c.Raw)
			w.Apply(directory.Delta{Credentials: []directory.Credential{{
				ID: directory.UnregisteredCertificate("tls", thumbprint), ClientID: "tls", Kind: directory.TrustedCertificate,
				State: directory.Revoked, Thumbprint: thumbprint,
			}}})
			return chain(c)
		}},
		{"advisory 25: another application's registered certificate, by the organisation's CA", clientauth.ReasonCertificateForeign, func(w *corporate) []*x509.Certificate {
			c := w.Sign(w.ca, "x", dns("other.acme.example"))
			w.Apply(directory.Delta{Credentials: []directory.Credential{{ID: "c1", ClientID: "self", Kind: directory.Certificate,
				State: directory.Active, Thumbprint: cnf.CertificateThumbprint(c.Raw), Certificate: c.Raw}}})
			return chain(c)
		}},
		{"a certificate of another CA that another application registered", clientauth.ReasonCertificateForeign, func(w *corporate) []*x509.Certificate {
			c := w.Stranger("x", good)
			w.Apply(directory.Delta{Credentials: []directory.Credential{{ID: "c1", ClientID: "self", Kind: directory.Certificate,
				State: directory.Active, Thumbprint: cnf.CertificateThumbprint(c.Raw), Certificate: c.Raw}}})
			return chain(c)
		}},
		{"a key that was revoked as a DPoP key", clientauth.ReasonCertificateNotAccepted, func(w *corporate) []*x509.Certificate {
			c := w.Sign(w.ca, "x", good)
			w.Apply(directory.Delta{Credentials: []directory.Credential{{ID: "c1", ClientID: "tls", Kind: directory.DPoPKey,
				State: directory.Revoked, Thumbprint: thumbprintOf(w.T, c.PublicKey)}}})
			return chain(c)
		}},
		{"advisory 25: a stranger's leaf, then the client's certificate", clientauth.ReasonCertificateSAN, func(w *corporate) []*x509.Certificate {
			return chain(w.Sign(w.ca, "x", dns("other.acme.example")), w.Sign(w.ca, "y", good).Certificate)
		}},
		{"a key that was revoked in another certificate", clientauth.ReasonCertificateNotAccepted, func(w *corporate) []*x509.Certificate {
			c := w.Sign(w.ca, "x", good)
			old := w.OwnCertificate(c.Key, "old")
			w.Apply(directory.Delta{Credentials: []directory.Credential{{ID: "c1", ClientID: "tls", Kind: directory.Certificate,
				State: directory.Compromised, Thumbprint: cnf.CertificateThumbprint(old.Raw), Certificate: old.Raw}}})
			return chain(c)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newCorporate(t)
			shown := c.try(w)
			_, err := connect(w.World, "tls", shown...)
			refused(t, err, oauth.InvalidClient, c.reason)
		})
	}
}

func chain(leaf *authtest.Certificate, more ...*x509.Certificate) []*x509.Certificate {
	return append([]*x509.Certificate{leaf.Certificate}, more...)
}

func TestTrustAnchorChains(t *testing.T) {
	w := newCorporate(t)
	good := dns("client.acme.example")
	accepts := func(t *testing.T, shown ...*x509.Certificate) {
		t.Helper()
		if _, err := connect(w.World, "tls", shown...); err != nil {
			t.Error(err)
		}
	}
	issuing := w.Under(w.ca, "issuing")
	deep := w.Under(issuing, "deep")
	t.Run("intermediates that the peer sends are used", func(t *testing.T) {
		accepts(t, chain(w.Sign(deep, "x", good), deep.Certificate, issuing.Certificate)...)
	})
	t.Run("an anchor may be an intermediate, and trust ends at it", func(t *testing.T) {
		w.Trust(authtest.Acme, issuing.Certificate)
		accepts(t, w.Sign(issuing, "x", good).Certificate)
		accepts(t, chain(w.Sign(deep, "x", good), deep.Certificate)...)
		_, err := connect(w.World, "tls", w.Sign(w.ca, "x", good).Certificate)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateUntrusted)
	})
	t.Run("replaced with overlap: both are trusted until the old one is retired, and then no longer", func(t *testing.T) {
		next := w.NewCA("Acme Corporate CA")
		w.Trust(authtest.Acme, w.ca.Certificate)
		before, after := w.Sign(w.ca, "x", good).Certificate, w.Sign(next, "x", good).Certificate
		accepts(t, before)
		w.Trust(authtest.Acme, w.ca.Certificate, next.Certificate)
		w.SetAnchor(authtest.Acme, w.ca.Certificate, directory.Retiring)
		accepts(t, before)
		accepts(t, after)
		old := w.Snapshot
		w.SetAnchor(authtest.Acme, w.ca.Certificate, directory.Retired)
		accepts(t, after)
		for range 2 { // the second time nothing may be remembered either
			_, err := connect(w.World, "tls", before)
			refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateUntrusted)
		}
		w.Snapshot, old = old, w.Snapshot // a request that still decides on the snapshot before
		accepts(t, before)
		w.Snapshot = old
		_, err := connect(w.World, "tls", before)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateUntrusted)
	})
	t.Run("a chain that is remembered is good while it is valid, and no longer", func(t *testing.T) {
		w := newCorporate(t)
		c := w.Sign(w.ca, "x", good)
		for range 2 {
			if _, err := connect(w.World, "tls", c.Certificate); err != nil {
				t.Fatal(err)
			}
		}
		w.Apply(directory.Delta{Organisations: []directory.Organisation{*w.Snapshot.Organisation(authtest.Acme)}}) // another generation of the record, the same anchors
		if _, err := connect(w.World, "tls", c.Certificate); err != nil {
			t.Fatal(err)
		}
		w.Now = c.NotAfter.Add(time.Second)
		_, err := connect(w.World, "tls", c.Certificate)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateExpired)
	})
}

func TestTrustedCertificateBeside(t *testing.T) {
	good := dns("client.acme.example")
	t.Run("a certificate of our own CA is good for the same client: it moves from one to the other", func(t *testing.T) {
		w := newCorporate(t)
		c := w.Issue("tls")
		got, err := connect(w.World, "tls", c.Certificate)
		if err != nil || got.Credential.ID != c.ID {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("it binds the tokens of a private_key_jwt client with a registered name", func(t *testing.T) {
		w := newCorporate(t)
		w.name("jwt", directory.NameDNS, "jwt.acme.example")
		p := w.Peer(w.Sign(w.ca, "x", dns("jwt.acme.example")).Certificate)
		got, err := w.Auth.RecogniseCertificate(w.Now, w.Snapshot, w.Snapshot.Client("jwt"), p)
		if err != nil || got.Kind != directory.TrustedCertificate {
			t.Errorf("%+v, %v", got, err)
		}
		_, err = w.Auth.RecogniseCertificate(w.Now, w.Snapshot, w.Snapshot.Client("jwt"), w.Peer(w.Sign(w.ca, "x", good).Certificate))
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateSAN)
		_, err = connect(w.World, "jwt", p.Leaf())
		refused(t, err, oauth.InvalidClient, clientauth.ReasonMethodNotRegistered)
	})
	t.Run("without a registered name it is nothing", func(t *testing.T) {
		w := newCorporate(t)
		for _, id := range []string{"other", "self", "jwt"} {
			_, err := w.Auth.RecogniseCertificate(w.Now, w.Snapshot, w.Snapshot.Client(directory.ClientID(id)), w.Peer(w.Sign(w.ca, "x", good).Certificate))
			refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateUnknown)
		}
	})
	t.Run("revoked for one application it is still another's, if it has that name too", func(t *testing.T) {
		w := newCorporate(t)
		w.name("other", directory.NameURI, "https://other.acme.example/")
		c := w.Sign(w.ca, "x", alternativeNames(t, 2, "client.acme.example", 6, "https://other.acme.example/"))
		thumbprint := cnf.CertificateThumbprint(c.Raw)
		w.Apply(directory.Delta{Credentials: []directory.Credential{{
			ID: directory.UnregisteredCertificate("tls", thumbprint), ClientID: "tls", Kind: directory.TrustedCertificate, State: directory.Revoked, Thumbprint: thumbprint,
		}}})
		_, err := connect(w.World, "tls", c.Certificate)
		refused(t, err, oauth.InvalidClient, clientauth.ReasonCertificateNotAccepted)
		if _, err := connect(w.World, "other", c.Certificate); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkAuthenticateTrustedCertificate(b *testing.B) {
	w := newCorporate(b)
	a := clientauth.Attempt{Form: w.Form(url.Values{"client_id": {"tls"}}), Peer: w.Peer(w.Sign(w.ca, "x", dns("client.acme.example")).Certificate)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Auth.Authenticate(w.Now, w.Snapshot, a); err != nil {
			b.Fatal(err)
		}
	}
}

func thumbprintOf(t testing.TB, key crypto.PublicKey) cnf.Thumbprint {
	t.Helper()
	public, err := jose.NewPublicKey(key, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return public.Thumbprint()
}

// TestTrustedCertificateElsewhere: a certificate is public. Another application,
// of whatever organisation, that registers it ends nothing with it.
func TestTrustedCertificateElsewhere(t *testing.T) {
	for _, state := range []directory.State{directory.Active, directory.Suspended, directory.Revoked, directory.Compromised} {
		t.Run(string(state), func(t *testing.T) {
			w := newCorporate(t)
			c := w.Sign(w.ca, "x", dns("client.acme.example"))
			w.Apply(directory.Delta{Credentials: []directory.Credential{
				{ID: "c1", ClientID: "self", Kind: directory.Certificate, State: state, Thumbprint: cnf.CertificateThumbprint(c.Raw), Certificate: c.Raw},
				{ID: "c2", ClientID: "self", Kind: directory.DPoPKey, State: state, Thumbprint: thumbprintOf(t, c.PublicKey)},
			}})
			got, err := connect(w.World, "tls", c.Certificate)
			if err != nil || got.Credential.Kind != directory.TrustedCertificate {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
