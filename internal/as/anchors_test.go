package as_test

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// authority is a CA of an organisation's own.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// sign makes a certificate of the key by the CA, or self-signed without one.
func (s *stack) sign(parent *authority, chain [][]byte, key crypto.Signer, edit ...func(*x509.Certificate)) *tls.Certificate {
	s.t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	s.must(err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Acme"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(2 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	for _, e := range edit {
		e(template)
	}
	by, signer := template, key
	if parent != nil {
		by, signer = parent.certificate, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), signer)
	s.must(err)
	leaf, err := x509.ParseCertificate(der)
	s.must(err)
	return &tls.Certificate{Certificate: append([][]byte{der}, chain...), PrivateKey: key, Leaf: leaf}
}

func (s *stack) authority(parent *authority) *authority {
	s.t.Helper()
	key := s.privateKey()
	c := s.sign(parent, nil, key, func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.ExtKeyUsage, c.NotAfter = true, x509.KeyUsageCertSign, nil, time.Now().Add(time.Hour)
	})
	return &authority{c.Leaf, key}
}

func (s *stack) privateKey() crypto.Signer {
	s.t.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	s.must(err)
	return key
}

func (s *stack) trust(a *authority) directory.TrustAnchor {
	s.t.Helper()
	anchor, err := s.dir.AddTrustAnchor(s.t.Context(), "operator", s.org, "CA", a.certificate.Raw)
	s.must(err)
	return anchor
}

func (s *stack) named(method directory.AuthMethod, binding cnf.Method, kind directory.NameKind, value string) directory.ClientID {
	s.t.Helper()
	id := s.application(method, binding)
	_, err := s.dir.UpdateApplication(s.t.Context(), "operator", id, func(a *directory.Application) error {
		a.TLSName = directory.TLSName{Kind: kind, Value: value}
		return nil
	})
	s.must(err)
	return id
}

// get asks for a token at the mTLS listener.
func (s *stack) get(c *http.Client, id directory.ClientID) (status int, token string) {
	s.t.Helper()
	status, body, err := post(c, s.mtls+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {string(id)}}, "")
	s.must(err)
	token, _ = body["access_token"].(string)
	return status, token
}

func (s *stack) wants(t *testing.T, c *http.Client, id directory.ClientID, reason string) {
	t.Helper()
	status, _ := s.get(c, id)
	switch {
	case reason == "" && status != http.StatusOK:
		t.Errorf("refused: %d %s", status, s.reason())
	case reason != "" && (status != http.StatusUnauthorized || s.reason() != reason):
		t.Errorf("%d %s, want %s", status, s.reason(), reason)
	}
}

func TestTrustAnchorsOverTLS(t *testing.T) {
	s := newStack(t)
	root := s.authority(nil)
	anchor := s.trust(root)
	uri, err := url.Parse("https://client.acme.example/a")
	s.must(err)
	for name, c := range map[string]struct {
		kind  directory.NameKind
		value string
		edit  func(*x509.Certificate)
	}{
		"RFC 8705 §2.1.2: tls_client_auth_san_uri":   {directory.NameURI, uri.String(), func(c *x509.Certificate) { c.URIs = []*url.URL{uri} }},
		"RFC 8705 §2.1.2: tls_client_auth_san_dns":   {directory.NameDNS, "client.acme.example", func(c *x509.Certificate) { c.DNSNames = []string{"client.acme.example"} }},
		"RFC 8705 §2.1.2: tls_client_auth_san_ip":    {directory.NameIP, "192.0.2.1", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }},
		"RFC 8705 §2.1.2: tls_client_auth_san_email": {directory.NameEmail, "a@acme.example", func(c *x509.Certificate) { c.EmailAddresses = []string{"a@acme.example"} }},
	} {
		t.Run(name, func(t *testing.T) {
			id := s.named(directory.TLSClientAuth, cnf.MTLS, c.kind, c.value)
			shown := s.sign(root, nil, s.privateKey(), c.edit)
			status, token := s.get(s.client(shown), id)
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, s.reason())
			}
			claims, err := s.keys.At(time.Now()).Parse(s.issuer, token)
			thumbprint := cnf.CertificateThumbprint(shown.Certificate[0])
			if err != nil || claims.Binding != cnf.ToCertificate(thumbprint) || claims.CredentialID != string(directory.UnregisteredCertificate(id, thumbprint)) || claims.Expires.After(shown.Leaf.NotAfter) {
				t.Errorf("%+v %v", claims, err)
			}
			ended := func() string {
				return s.dir.Current().Ended(directory.Token{ID: claims.ID, ClientID: id, CredentialID: directory.CredentialID(claims.CredentialID), Binding: claims.Binding, IssuedAt: claims.IssuedAt})
			}
			if got := ended(); got != "" {
				t.Errorf("the token has ended: %s", got)
			}
			s.wants(t, s.client(s.sign(root, nil, s.privateKey())), id, clientauth.ReasonCertificateSAN)
			s.wants(t, s.client(s.sign(s.authority(nil), nil, s.privateKey(), c.edit)), id, clientauth.ReasonCertificateUntrusted)
			open := s.client(shown)
			s.wants(t, open, id, "")
			_, err = s.dir.RevokeCertificate(t.Context(), "operator", id, thumbprint)
			s.must(err)
			s.wants(t, open, id, clientauth.ReasonCertificateNotAccepted)
			if got := ended(); got != "credential_revoked" {
				t.Errorf("after the revocation its token says %q", got)
			}
			s.wants(t, s.client(s.sign(root, nil, s.privateKey(), c.edit)), id, "")
		})
	}
	id := s.named(directory.TLSClientAuth, cnf.MTLS, directory.NameDNS, "other.acme.example")
	good := func(c *x509.Certificate) { c.DNSNames = []string{"other.acme.example"} }
	t.Run("chains, usages and windows", func(t *testing.T) {
		issuing := s.authority(root)
		s.wants(t, s.client(s.sign(issuing, [][]byte{issuing.certificate.Raw}, s.privateKey(), good)), id, "")
		s.wants(t, s.client(s.sign(issuing, nil, s.privateKey(), good)), id, clientauth.ReasonCertificateUntrusted)
		for reason, edit := range map[string]func(*x509.Certificate){
			clientauth.ReasonCertificateUsage: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
			clientauth.ReasonCertificateExpired: func(c *x509.Certificate) {
				c.NotBefore = time.Now().Add(time.Hour)
				c.NotAfter = time.Now().Add(2 * time.Hour)
			},
		} {
			s.wants(t, s.client(s.sign(root, nil, s.privateKey(), good, edit)), id, reason)
		}
		long := [][]byte{}
		for range 5 {
			long = append(long, issuing.certificate.Raw)
		}
		s.wants(t, s.client(s.sign(issuing, long, s.privateKey(), good)), id, clientauth.ReasonCertificateUnusable)
	})
	t.Run("advisory 26: a certificate beside an assertion binds and does not authenticate", func(t *testing.T) {
		k := s.keyed()
		form := s.form(k)
		form.Set("client_id", string(id))
		status, body, err := post(s.client(s.sign(root, nil, s.privateKey(), good)), s.mtls+"/token", form, "")
		if err != nil || status != http.StatusUnauthorized {
			t.Errorf("%d %v %v", status, body, err)
		}
	})
	t.Run("a private_key_jwt client binds its tokens to a certificate of its organisation's CA with its name", func(t *testing.T) {
		k := s.keyedWithoutKey(directory.PrivateKeyJWT, cnf.MTLS)
		_, err := s.dir.UpdateApplication(t.Context(), "operator", k.id, func(a *directory.Application) error {
			a.TLSName = directory.TLSName{Kind: directory.NameDNS, Value: "jwt.acme.example"}
			return nil
		})
		s.must(err)
		k.signer = s.newSigner("k")
		_, err = s.dir.RegisterKey(t.Context(), "operator", k.id, k.signer.Public(), time.Time{})
		s.must(err)
		shown := s.sign(root, nil, s.privateKey(), func(c *x509.Certificate) { c.DNSNames = []string{"jwt.acme.example"} })
		status, body, err := post(s.client(shown), s.mtls+"/token", s.form(k), "")
		if err != nil || status != http.StatusOK {
			t.Fatalf("%d %v %v (%s)", status, body, err, s.reason())
		}
		claims, err := s.keys.At(time.Now()).Parse(s.issuer, body["access_token"].(string))
		if err != nil || claims.Binding != cnf.ToCertificate(cnf.CertificateThumbprint(shown.Certificate[0])) {
			t.Errorf("%+v %v", claims, err)
		}
		if status, body, err := post(s.client(s.sign(root, nil, s.privateKey(), good)), s.mtls+"/token", s.form(k), ""); err != nil || status != http.StatusBadRequest || body["error"] != "invalid_request" || s.reason() != clientauth.ReasonCertificateSAN {
			t.Errorf("another's name: %d %v %v (%s)", status, body, err, s.reason())
		}
	})
	t.Run("replaced with overlap, on connections that stay open", func(t *testing.T) {
		next := s.authority(nil)
		before, after := s.client(s.sign(root, nil, s.privateKey(), good)), s.client(s.sign(next, nil, s.privateKey(), good))
		s.wants(t, before, id, "")
		s.wants(t, after, id, clientauth.ReasonCertificateUntrusted)
		s.trust(next)
		move := func(to directory.State) {
			_, err := s.dir.SetTrustAnchorState(t.Context(), "operator", s.org, anchor.ID, to)
			s.must(err)
		}
		move(directory.Retiring)
		s.wants(t, before, id, "")
		s.wants(t, after, id, "")
		move(directory.Retired)
		s.wants(t, before, id, clientauth.ReasonCertificateUntrusted)
		s.wants(t, after, id, "")
	})
}

func TestCertificateOfARegisteredKeyOverTLS(t *testing.T) {
	s := newStack(t)
	id := s.application(directory.SelfSignedTLSClientAuth, cnf.MTLS)
	register := func() (crypto.Signer, directory.CredentialID) {
		key := s.privateKey()
		public, err := jose.NewPublicKey(key.Public(), "", "")
		s.must(err)
		c, err := s.dir.RegisterKey(t.Context(), "operator", id, public, time.Time{})
		s.must(err)
		return key, c.ID
	}
	first, firstID := register()
	second, _ := register()
	old, renewed, next := s.client(s.own(first)), s.client(s.own(first)), s.client(s.own(second))
	for name, c := range map[string]*http.Client{"the first": old, "renewed, of the same key": renewed, "of the second key: with overlap": next} {
		t.Run(name, func(t *testing.T) { s.wants(t, c, id, "") })
	}
	s.wants(t, s.client(s.own(s.privateKey())), id, clientauth.ReasonCertificateUnknown)
	s.wants(t, s.client(s.own(first, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })), id, clientauth.ReasonCertificateExpired)
	s.wants(t, s.client(s.own(first, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), id, clientauth.ReasonCertificateUsage)
	s.must(s.dir.SetCredentialState(t.Context(), "operator", firstID, directory.Revoked))
	s.wants(t, old, id, clientauth.ReasonCertificateNotAccepted)
	s.wants(t, next, id, "")
}
