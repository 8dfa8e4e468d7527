package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
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
	return issuer{c, key}
}

func newTestKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestLint(t *testing.T) {
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	by, key := newIssuer(t, now), newTestKey(t)
	client := &directory.Client{Application: directory.Application{ClientID: "c1", Organisation: "acme", Name: "Ledger"}}
	p, err := prepare(by, now, time.Hour, client, uri, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	other, err := url.Parse(uri + "x")
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*x509.Certificate){
		"another name":                func(c *x509.Certificate) { c.URIs = []*url.URL{other} },
		"one name more":               func(c *x509.Certificate) { c.DNSNames = []string{"x.example"} },
		"a CA":                        func(c *x509.Certificate) { c.IsCA = true },
		"no basic constraints":        func(c *x509.Certificate) { c.BasicConstraintsValid = false },
		"another key usage":           func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign },
		"another extended key usage":  func(c *x509.Certificate) { c.ExtKeyUsage[0] = x509.ExtKeyUsageServerAuth },
		"one extended key usage more": func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) },
		"no extended key usage":       func(c *x509.Certificate) { c.ExtKeyUsage = nil },
		"an unknown usage":            func(c *x509.Certificate) { c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, []int{1, 2, 3}) },
		"another serial":              func(c *x509.Certificate) { c.SerialNumber = big.NewInt(7) },
		"another start":               func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(time.Second) },
		"another end":                 func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			changed := *p.template
			changed.ExtKeyUsage = append([]x509.ExtKeyUsage(nil), p.template.ExtKeyUsage...)
			edit(&changed)
			c, err := sign(&changed, by.certificate, key.Public(), by.signer)
			if err != nil {
				t.Fatal(err)
			}
			if err := lint(c, p.template, key.Public(), uri); !errors.Is(err, ErrLint) {
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
		if err := lint(c, p.template, key.Public(), uri); !errors.Is(err, ErrLint) {
			t.Errorf("got %v", err)
		}
		if err := lint(c, p.template, "no key", uri); !errors.Is(err, ErrLint) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an end before its start", func(t *testing.T) {
		if _, err := prepare(by, now, -time.Hour, client, uri, key.Public()); !errors.Is(err, ErrLint) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another issuer's key", func(t *testing.T) {
		if _, err := p.issue(issuer{by.certificate, newTestKey(t)}); err == nil {
			t.Error("signed")
		}
	})
	t.Run("not a URI, not a key", func(t *testing.T) {
		if _, err := prepare(by, now, time.Hour, client, ":", key.Public()); err == nil {
			t.Error("prepared without a name")
		}
		if _, err := prepare(by, now, time.Hour, client, uri, "no key"); err == nil {
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
type counting struct{ begun, finished int }

func (c *counting) BeginIssue(context.Context, Intent) error { c.begun++; return nil }
func (c *counting) FinishIssue(context.Context, audit.Event, string, directory.Credential) error {
	c.finished++
	return nil
}

func TestSigningFails(t *testing.T) {
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	by, store := newIssuer(t, now), &counting{}
	by.signer = broken{by.signer}
	a := &Authority{store: store, trustDomain: "holdfast.example", now: func() time.Time { return now }, issuers: []issuer{by}}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, newTestKey(t))
	if err != nil {
		t.Fatal(err)
	}
	client := &directory.Client{Application: directory.Application{ClientID: "c1", Organisation: "acme", AuthMethod: directory.TLSClientAuth}, Live: true}
	if _, chain, err := a.IssueClient(t.Context(), "operator", client, csr, time.Hour); !errors.Is(err, errGone) || chain != nil {
		t.Errorf("got %v", err)
	}
	if store.begun != 1 || store.finished != 0 {
		t.Errorf("begun %d, finished %d", store.begun, store.finished)
	}
	if _, err := a.IssueServer(newTestKey(t).Public(), []string{"localhost"}); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
}

func TestSerial(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		n := newSerial()
		if n.Sign() <= 0 || n.BitLen() > 159 || seen[n.String()] {
			t.Fatalf("serial %v", n)
		}
		seen[n.String()] = true
	}
}

func FuzzCSR(f *testing.F) {
	key := newTestKey(f)
	own, err := url.Parse(uri)
	if err != nil {
		f.Fatal(err)
	}
	for _, names := range [][]*url.URL{nil, {own}} {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: names}, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// What is accepted proves its key and asks for no name but ours.
		csr, err := parseCSR(data, uri)
		if err != nil {
			if !errors.Is(err, directory.ErrInvalid) {
				t.Fatalf("%v is not the client's fault", err)
			}
			return
		}
		if err := csr.CheckSignature(); err != nil {
			t.Fatal(err)
		}
		if len(csr.DNSNames)+len(csr.EmailAddresses)+len(csr.IPAddresses) != 0 {
			t.Fatal("other names")
		}
		for _, u := range csr.URIs {
			if u.String() != uri {
				t.Fatal("another name")
			}
		}
	})
}
