package interop

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"net"
	"path/filepath"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// rfcLints are zlint's without those of browsers' root programmes, which are for
// public servers, and of CT.
func rfcLints(t *testing.T) lint.Registry {
	t.Helper()
	r, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: []lint.LintSource{
		lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC8813,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Names()); n < 100 {
		t.Fatalf("only %d lints", n)
	}
	return r
}

// different are the notices that we mean to give, with the reason.
var different = map[string]string{
	"w_distribution_point_missing_ldap_or_uri": "the list is at an https URL: there is no listener without TLS, and whoever trusts it has our root",
}

func judge(t *testing.T, what string, results *zlint.ResultSet, noticed map[string]bool) {
	t.Helper()
	passed := 0
	for name, r := range results.Results {
		switch {
		case r.Status == lint.Pass:
			passed++
		case r.Status > lint.Pass && different[name] != "":
			noticed[name] = true
		case r.Status > lint.Pass:
			t.Errorf("%s: %s: %v %s", what, name, r.Status, r.Details)
		}
	}
	if passed < 10 {
		t.Errorf("%s: only %d lints applied", what, passed)
	}
	t.Logf("%s: %d lints passed", what, passed)
}

// issuer is a certificate authority over a database of its own.
type issuer struct {
	*ca.Authority
	dir *directory.Directory
	now func() time.Time
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	i := &issuer{now: func() time.Time { return time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC) }}
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "holdfast.db"), store.Options{Create: true, Now: i.now})
	must(err)
	t.Cleanup(func() { _ = st.Close() })
	kek, err := envelope.CreateKeyFile(filepath.Join(t.TempDir(), "kek"))
	must(err)
	ring := &keyring.Ring{Store: st, KEK: kek, Now: i.now}
	must(ca.Create(t.Context(), ring, "holdfast.example"))
	i.Authority, err = ca.Open(t.Context(), ca.Config{
		Ring: ring, Store: st, TrustDomain: "holdfast.example", CRLBase: "https://as.example/crl", Now: i.now,
	})
	must(err)
	i.dir, err = directory.Open(t.Context(), st, i.now)
	must(err)
	return i
}

func (i *issuer) application(t *testing.T, name string) *directory.Client {
	t.Helper()
	o, err := i.dir.CreateOrganisation(t.Context(), "system", directory.Organisation{Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := i.dir.CreateApplication(t.Context(), "system", directory.Application{
		Organisation: o.ID, Name: name, AuthMethod: directory.PrivateKeyJWT, Binding: cnf.MTLS,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"api.example.com", "192.0.2.7", "2001:db8::1"} {
		if _, err := i.AddName(t.Context(), "system", o.ID, name); err != nil {
			_ = i.RemoveName(t.Context(), "system", o.ID, name)
		}
	}
	return i.dir.Current().Client(a.ClientID)
}

// TestZlint: what we issue passes every lint of RFC 5280 and its kin.
func TestZlint(t *testing.T) {
	i, lints, noticed := newIssuer(t), rfcLints(t), map[string]bool{}
	certificate := func(what string, der []byte) {
		t.Helper()
		c, err := zx509.ParseCertificate(der)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		judge(t, what, zlint.LintCertificateEx(c, lints), noticed)
	}
	certificate("root", i.Roots()[0].Raw)
	certificate("issuing CA", i.Issuers()[0].Certificate.Raw)
	client := i.application(t, "Ledger, production \u00e9")
	for _, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA, jose.PS256} {
		for _, profile := range []ca.Profile{ca.ClientTransport, ca.ClientSigning, ca.ServerTLS} {
			template := &x509.CertificateRequest{}
			if profile == ca.ServerTLS {
				template.DNSNames = []string{"api.example.com"}
				template.IPAddresses = []net.IP{net.ParseIP("192.0.2.7"), net.ParseIP("2001:db8::1")}
			}
			key, err := jose.GenerateKey(alg, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			csr, err := x509.CreateCertificateRequest(rand.Reader, template, key)
			if err != nil {
				t.Fatal(err)
			}
			issued, err := i.Issue(t.Context(), ca.Request{Actor: "operator", Client: client, Profile: profile, CSR: csr})
			if err != nil {
				t.Fatal(err)
			}
			certificate(string(profile)+" "+string(alg), issued.Chain[0])
			if alg == jose.ES256 {
				if err := i.dir.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := i.dir.SetCredentialState(t.Context(), "operator", issued.Credential.ID, directory.Compromised); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	var key crypto.Signer
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := i.IssueListener(t.Context(), key.Public(), []string{"as.example.com", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	certificate("our own listener", chain[0])
	_, request, err := i.Request(t.Context(), "operator")
	if err != nil || len(request) == 0 {
		t.Fatal(err)
	}
	if err := i.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := zx509.ParseRevocationList(i.CRL(i.Issuers()[0].ID).DER)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.RevokedCertificates) != 3 {
		t.Errorf("%d entries", len(list.RevokedCertificates))
	}
	for name, r := range zlint.LintRevocationListEx(list, lints).Results {
		if r.Status > lint.Pass {
			t.Errorf("list: %s: %v %s", name, r.Status, r.Details)
		}
	}
	for name := range different {
		if !noticed[name] {
			t.Errorf("%s is noticed nowhere", name)
		}
	}
}
