package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

const uri = "spiffe://holdfast.example/organisation/acme/application/c1"

const listURL = "https://as.example/crl/ca1.crl"

// newIssuer is an issuing CA of its own.
func newIssuer(t testing.TB, now time.Time) issuer {
	t.Helper()
	key := newTestKey(t)
	template, err := authorityTemplate("holdfast.example", "issuing", 0, now, IssuingLife, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	c, err := sign(template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{id: "ca1", certificate: c, signer: key, twin: newTestKey(t), from: c.NotBefore, crl: listURL}
}

func newTestKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// subjects are one of each profile.
func subjects() []subject {
	person := pkix.Name{CommonName: "Ledger", Organization: []string{"acme"}}
	return []subject{
		{profile: ClientTransport, name: person, uri: uri},
		{profile: ClientSigning, name: person, uri: uri},
		{profile: ServerTLS, name: person, hosts: []string{"api.example", "192.0.2.7", "b.example", "2001:db8::1"}},
	}
}

func TestLint(t *testing.T) {
	for _, s := range subjects() {
		t.Run(string(s.profile), func(t *testing.T) { lintProfile(t, s) })
	}
}

func lintProfile(t *testing.T, s subject) {
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	by, key := newIssuer(t, now), newTestKey(t)
	p, err := prepare(by, now, time.Hour, s, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	other, err := url.Parse(uri + "x")
	if err != nil {
		t.Fatal(err)
	}
	same := ""
	if s.profile == ServerTLS {
		same = "another extended key usage"
	}
	for name, edit := range map[string]func(*x509.Certificate){
		"another name":                    func(c *x509.Certificate) { c.URIs, c.DNSNames = []*url.URL{other}, nil },
		"one name more":                   func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "x.example") },
		"no name":                         func(c *x509.Certificate) { c.URIs, c.DNSNames, c.IPAddresses = nil, nil, nil },
		"a CA":                            func(c *x509.Certificate) { c.IsCA = true },
		"no basic constraints":            func(c *x509.Certificate) { c.BasicConstraintsValid = false },
		"another key usage":               func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign },
		"no key usage":                    func(c *x509.Certificate) { c.KeyUsage = 0 },
		"another extended key usage":      func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
		"no extended key usage":           func(c *x509.Certificate) { c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, nil },
		"one extended key usage more":     func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) },
		"an unknown usage":                func(c *x509.Certificate) { c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, []int{1, 2, 3}) },
		"another serial":                  func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Add(c.SerialNumber, big.NewInt(1)) },
		"another start":                   func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(time.Second) },
		"another end":                     func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(time.Second) },
		"another subject":                 func(c *x509.Certificate) { c.Subject.CommonName = "Ledgers" },
		"no subject":                      func(c *x509.Certificate) { c.Subject = pkix.Name{} },
		"another subject key identifier":  func(c *x509.Certificate) { c.SubjectKeyId = []byte{1} },
		"another CRL distribution point":  func(c *x509.Certificate) { c.CRLDistributionPoints = []string{listURL + "x"} },
		"no CRL distribution point":       func(c *x509.Certificate) { c.CRLDistributionPoints = nil },
		"one CRL distribution point more": func(c *x509.Certificate) { c.CRLDistributionPoints = append(c.CRLDistributionPoints, listURL) },
		"an extension that nobody asked for": func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: []byte{5, 0}}}
		},
		"a SAN that is critical": func(c *x509.Certificate) {
			names, _ := s.generalNames()
			c.ExtraExtensions = []pkix.Extension{{Id: oidSubjectAltName, Critical: true, Value: names}}
		},
		"a key usage that is not critical": func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: oidKeyUsage, Value: []byte{3, 2, 7, 0x80}}}
		},
	} {
		if name == same {
			continue
		}
		t.Run(name, func(t *testing.T) {
			changed := *p.template
			changed.ExtKeyUsage = append([]x509.ExtKeyUsage(nil), p.template.ExtKeyUsage...)
			edit(&changed)
			c, err := sign(&changed, by.certificate, key.Public(), by.signer)
			if err != nil {
				t.Fatal(err)
			}
			if err := lint(c, p.template, by, key.Public(), s); !errors.Is(err, ErrLint) {
				t.Errorf("lint: got %v", err)
			}
			q := p
			q.template = &changed
			if c, err := q.issue(by); !errors.Is(err, ErrLint) || c != nil {
				t.Errorf("what was not prepared was signed and given out: %v", err)
			}
		})
	}
	t.Run("another key", func(t *testing.T) {
		c, err := sign(p.template, by.certificate, newTestKey(t).Public(), by.signer)
		if err != nil {
			t.Fatal(err)
		}
		if err := lint(c, p.template, by, key.Public(), s); !errors.Is(err, ErrLint) {
			t.Errorf("got %v", err)
		}
		if err := lint(c, p.template, by, "no key", s); err == nil {
			t.Error("no key")
		}
	})
	t.Run("another issuer", func(t *testing.T) {
		c, err := sign(p.template, by.certificate, key.Public(), by.signer)
		if err != nil {
			t.Fatal(err)
		}
		stranger := newIssuer(t, now)
		if err := lint(c, p.template, stranger, key.Public(), s); !errors.Is(err, ErrLint) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a serial of 64 bits or one that is negative", func(t *testing.T) {
		for _, serial := range []*big.Int{new(big.Int).SetUint64(1 << 63), new(big.Int).Lsh(big.NewInt(1), 160)} {
			short := *p.template
			short.SerialNumber = serial
			c, err := sign(&short, by.certificate, key.Public(), by.signer)
			if err != nil {
				continue // crypto/x509 does not make it
			}
			if err := lint(c, &short, by, key.Public(), s); !errors.Is(err, ErrLint) {
				t.Errorf("%v: got %v", serial, err)
			}
		}
	})
	t.Run("an end before its start, or too late", func(t *testing.T) {
		for _, life := range []time.Duration{-time.Hour, s.profile.maxLife() + time.Second} {
			if _, err := prepare(by, now, life, s, key.Public()); !errors.Is(err, ErrLint) {
				t.Errorf("%v: got %v", life, err)
			}
		}
	})
	t.Run("another issuer's key", func(t *testing.T) {
		false := by
		false.signer = newTestKey(t)
		if _, err := p.issue(false); !errors.Is(err, ErrUnavailable) {
			t.Errorf("signed: %v", err)
		}
	})
	t.Run("not a URI, not a key", func(t *testing.T) {
		bad := s
		bad.uri = ":"
		if _, err := prepare(by, now, time.Hour, bad, key.Public()); err == nil {
			t.Error("prepared without a name")
		}
		if _, err := prepare(by, now, time.Hour, s, "no key"); err == nil {
			t.Error("prepared without a key")
		}
	})
}

func TestCommonName(t *testing.T) {
	for name, want := range map[string]string{
		"Ledger":                 "Ledger",
		strings.Repeat("é", 64):  strings.Repeat("é", 64),
		strings.Repeat("é", 200): strings.Repeat("é", 64),
	} {
		if got := commonName(name); got != want {
			t.Errorf("got %q", got)
		}
	}
}

// broken is a key that cannot sign, as an HSM that is gone.
type broken struct{ crypto.Signer }

var errGone = errors.New("the HSM is gone")

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errGone }

// counting is a Store that counts.
type counting struct {
	Store
	begun, finished, abandoned int
}

func (c *counting) BeginIssue(context.Context, Intent) (*Earlier, error) { c.begun++; return nil, nil }
func (c *counting) FinishIssue(context.Context, audit.Event, string, []byte, directory.Credential) error {
	c.finished++
	return nil
}
func (c *counting) AbandonIssue(context.Context, audit.Event, string, time.Time) error {
	c.abandoned++
	return nil
}

func TestSigningFails(t *testing.T) {
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	by, store := newIssuer(t, now), &counting{}
	by.signer = broken{by.signer}
	a := &Authority{Config: Config{Store: store, TrustDomain: "holdfast.example", Now: func() time.Time { return now }}}
	a.state.Store(&state{issuers: []issuer{by}})
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, newTestKey(t))
	if err != nil {
		t.Fatal(err)
	}
	client := &directory.Client{Application: directory.Application{ClientID: "c1", Organisation: "acme", AuthMethod: directory.TLSClientAuth}, Live: true}
	issued, err := a.Issue(t.Context(), Request{Actor: "operator", Client: client, Profile: ClientTransport, CSR: csr, Life: time.Hour})
	if !errors.Is(err, errGone) || !errors.Is(err, ErrUnavailable) || issued.Chain != nil {
		t.Errorf("got %v", err)
	}
	if store.begun != 1 || store.finished != 0 || store.abandoned != 1 {
		t.Errorf("%+v", store)
	}
	if _, err := a.IssueListener(t.Context(), newTestKey(t).Public(), []string{"localhost"}); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
}

func TestSerial(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		n := newSerial()
		if n.Sign() <= 0 || n.BitLen() != 159 || seen[n.String()] {
			t.Fatalf("serial %v", n)
		}
		seen[n.String()] = true
	}
}
