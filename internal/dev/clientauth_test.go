package dev_test

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/dev"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// TestCredentialsWithoutRecord: certificates of an organisation's own CA and keys at
// a jwks_uri open APIs through the gateway, and revoked by thumbprint they do not.
func TestCredentialsWithoutRecord(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dev.Options{Dir: dir})
	f := s.File()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	organisation, err := s.Admin().CreateOrganisation(t.Context(), admin.NewOrganisation{Name: "west"})
	must(err)
	application := func(a admin.NewApplication, scope string) dev.FileClient {
		t.Helper()
		c := dev.FileClient{AuthMethod: a.AuthMethod, Binding: a.Binding, Scope: scope, Resource: f.GatewayURL + "/" + scope}
		a.Organisation, a.Name, a.Grants = organisation.ID, "x", []admin.Grant{{Resource: c.Resource, Scopes: []string{scope}}}
		made, err := s.Admin().CreateApplication(t.Context(), a)
		must(err)
		c.ClientID = made.ClientID
		return c
	}
	privateKey := func(name string) (crypto.Signer, string) {
		t.Helper()
		key, err := jose.GenerateKey(jose.ES256, rand.Reader)
		must(err)
		data, err := jose.MarshalPrivateKeyPEM(key)
		must(err)
		write(t, filepath.Join(dir, name), string(data))
		return key, filepath.Join(dir, name)
	}
	// A change is in force at the gateway within 2 s.
	opens := func(t *testing.T, c dev.FileClient, want bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			status, err := tryOpen(t, f, c)
			if (err == nil && status == http.StatusOK) == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s opens its API: %d, %v", c.ClientID, status, err)
			}
		}
	}

	t.Run("a certificate of the organisation's own CA", func(t *testing.T) {
		sign := func(parent *x509.Certificate, by crypto.Signer, key crypto.Signer, template *x509.Certificate) *x509.Certificate {
			template.SerialNumber, template.BasicConstraintsValid = big.NewInt(time.Now().UnixNano()), true
			template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
			if parent == nil {
				parent = template
			}
			der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
			must(err)
			c, err := x509.ParseCertificate(der)
			must(err)
			return c
		}
		text := func(c *x509.Certificate) string {
			return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
		}
		caKey, _ := privateKey("west-ca.key")
		ca := sign(nil, caKey, caKey, &x509.Certificate{Subject: pkix.Name{CommonName: "West CA"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign})
		anchor, err := s.Admin().AddTrustAnchor(t.Context(), organisation.ID, admin.NewTrustAnchor{Name: "West CA", Certificate: text(ca)})
		must(err)
		c := application(admin.NewApplication{AuthMethod: "tls_client_auth", Binding: "mtls", SANDNS: "client.west.example"}, "reports")
		key, file := privateKey("west.crt.key")
		leaf := sign(ca, caKey, key, &x509.Certificate{
			DNSNames: []string{"client.west.example"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		c.CertFile, c.CertKeyFile = filepath.Join(dir, "west.crt"), file
		write(t, c.CertFile, text(leaf))
		opens(t, c, true)
		_, err = s.Admin().EndTrustAnchor(t.Context(), organisation.ID, anchor.ID, adminclient.Suspend, false)
		must(err)
		opens(t, c, false)
		_, err = s.Admin().EndTrustAnchor(t.Context(), organisation.ID, anchor.ID, adminclient.Resume, false)
		must(err)
		opens(t, c, true)
	})

	t.Run("a key at a jwks_uri", func(t *testing.T) {
		certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "gateway.crt"), filepath.Join(dir, "gateway.key"))
		must(err)
		var set atomic.Pointer[[]byte]
		shelf := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*set.Load()) }))
		shelf.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		shelf.Config.ErrorLog = log.New(io.Discard, "", 0)
		key, file := privateKey("west.key")
		public, err := jose.NewPublicKey(key.Public(), jose.ES256, "")
		must(err)
		body := jose.JWKSet([]*jose.PublicKey{public})
		set.Store(&body)
		shelf.StartTLS()
		defer shelf.Close()
		at, err := url.Parse(shelf.URL)
		must(err)
		c := application(admin.NewApplication{AuthMethod: "private_key_jwt", Binding: "dpop", JWKSURI: "https://localhost:" + at.Port() + "/keys"}, "payments")
		c.KeyFile, c.KeyID, c.Algorithm = file, public.KeyID(), "ES256"
		opens(t, c, true)
		jkt := public.KeyID() // without a name of its own a key has its thumbprint
		_, err = s.Admin().RevokePublishedKey(t.Context(), c.ClientID, jkt)
		must(err)
		opens(t, c, false)
	})
}
