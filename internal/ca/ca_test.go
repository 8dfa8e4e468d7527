package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/mtls"
)

const (
	trustDomain = "holdfast.example"
	crlBase     = "https://as.example/crl"
)

// world is an authority over a real database, and its clock.
type world struct {
	t     *testing.T
	now   time.Time
	store *store.Store
	ring  *keyring.Ring
	ca    *ca.Authority
	dir   *directory.Directory
	app   directory.ClientID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)}
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "holdfast.db"), store.Options{Create: true, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	kek, err := envelope.CreateKeyFile(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	w.fill(st, kek)
	return w
}

// fill makes the authority, and an application that may have its certificates.
func (w *world) fill(st *store.Store, kek *envelope.Key) {
	w.t.Helper()
	w.store, w.ring = st, &keyring.Ring{Store: st, KEK: kek, Now: w.clock}
	ctx := w.t.Context()
	if err := ca.Create(ctx, w.ring, trustDomain); err != nil {
		w.t.Fatal(err)
	}
	w.ca = w.open(w.store)
	var err error
	if w.dir, err = directory.Open(ctx, w.store, w.clock); err != nil {
		w.t.Fatal(err)
	}
	o, err := w.dir.CreateOrganisation(ctx, "system", directory.Organisation{Name: "Acme"})
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := w.dir.CreateApplication(ctx, "system", directory.Application{Organisation: o.ID, Name: "Ledger", AuthMethod: directory.TLSClientAuth, Binding: cnf.MTLS})
	if err != nil {
		w.t.Fatal(err)
	}
	w.app = a.ClientID
}

func (w *world) clock() time.Time { return w.now }

func (w *world) open(s ca.Store) *ca.Authority {
	w.t.Helper()
	a, err := ca.Open(w.t.Context(), ca.Config{Ring: w.ring, Store: s, TrustDomain: trustDomain, CRLBase: crlBase, Now: w.clock})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) client() *directory.Client { return w.dir.Current().Client(w.app) }

func (w *world) uri() string {
	return directory.SPIFFEID(trustDomain, w.client().Organisation, w.app)
}

// issue asks for a client_transport certificate for the application.
func (w *world) issue(csr []byte, life time.Duration) (ca.Issued, error) {
	return w.issueBy(w.ca, csr, life)
}

func (w *world) issueBy(a *ca.Authority, csr []byte, life time.Duration) (ca.Issued, error) {
	return a.Issue(w.t.Context(), ca.Request{Actor: "operator", Client: w.client(), Profile: ca.ClientTransport, CSR: csr, Life: life})
}

func newKey(t testing.TB, alg jose.Algorithm) crypto.Signer {
	t.Helper()
	key, err := jose.GenerateKey(alg, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// csr is a request by key; edit changes it.
func csr(t testing.TB, key crypto.Signer, edit ...func(*x509.CertificateRequest)) []byte {
	t.Helper()
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "whatever"}}
	for _, e := range edit {
		e(template)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAuthority(t *testing.T) {
	w := newWorld(t)
	root := w.ca.Roots()[0]
	if !root.IsCA || root.MaxPathLen != 1 || root.NotAfter.Sub(w.now) != ca.RootLife || root.CheckSignatureFrom(root) != nil {
		t.Errorf("root %v until %v", root.Subject, root.NotAfter)
	}
	issuing, err := w.ring.Keys(t.Context(), keyring.Issuing)
	if err != nil || len(issuing) != 1 {
		t.Fatalf("%v, %v", issuing, err)
	}
	c := issuing[0].Certificate
	if !c.IsCA || c.MaxPathLen != 0 || !c.MaxPathLenZero || c.NotAfter.Sub(w.now) != ca.IssuingLife || c.CheckSignatureFrom(root) != nil || c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("issuing %v until %v", c.Subject, c.NotAfter)
	}
	t.Run("made once", func(t *testing.T) {
		if err := ca.Create(t.Context(), w.ring, trustDomain); !errors.Is(err, directory.ErrExists) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the same after a restart", func(t *testing.T) {
		if again := w.open(w.store); !again.Roots()[0].Equal(root) {
			t.Error("another root")
		}
	})
	t.Run("no trust domain", func(t *testing.T) {
		if a, err := ca.Open(t.Context(), ca.Config{Ring: w.ring, Store: w.store, Now: w.clock}); err == nil || a != nil {
			t.Errorf("got %v, %v", a, err)
		}
	})
}

func TestIssueClient(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA, jose.PS256} {
		t.Run(string(alg), func(t *testing.T) {
			w := newWorld(t)
			key := newKey(t, alg)
			request := csr(t, key, func(r *x509.CertificateRequest) {
				own, _ := url.Parse(w.uri())
				r.URIs = []*url.URL{own}
			})
			issued, err := w.issue(request, 7*24*time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			credential, chain := issued.Credential, issued.Chain
			leaf := parse(t, chain[0])
			if len(chain) != 2 || leaf.CheckSignatureFrom(parse(t, chain[1])) != nil {
				t.Error("chain is not leaf and issuing CA")
			}
			if len(leaf.URIs) != 1 || leaf.URIs[0].String() != w.uri() || len(leaf.DNSNames)+len(leaf.EmailAddresses)+len(leaf.IPAddresses) != 0 {
				t.Errorf("names %v", leaf.URIs)
			}
			if leaf.Subject.CommonName != "Ledger" || leaf.Subject.Organization[0] != string(w.client().Organisation) {
				t.Errorf("subject %v", leaf.Subject)
			}
			if leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature || len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
				t.Errorf("usage %v %v", leaf.KeyUsage, leaf.ExtKeyUsage)
			}
			if !leaf.NotBefore.Equal(w.now.Add(-5*time.Minute)) || !leaf.NotAfter.Equal(w.now.Add(7*24*time.Hour)) {
				t.Errorf("from %v until %v", leaf.NotBefore, leaf.NotAfter)
			}
			if len(leaf.SubjectKeyId) != 20 || !bytes.Equal(leaf.AuthorityKeyId, parse(t, chain[1]).SubjectKeyId) {
				t.Error("key identifiers")
			}
			if n := leaf.SerialNumber; n.Sign() <= 0 || n.BitLen() > 159 {
				t.Errorf("serial %v", n)
			}
			if err := w.dir.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			stored := w.dir.Current().CredentialByThumbprint(cnf.CertificateThumbprint(leaf.Raw))
			if stored == nil || stored.ID != credential.ID || !stored.Issued || stored.State != directory.Active || stored.ClientID != w.app ||
				!bytes.Equal(stored.Certificate, leaf.Raw) || !stored.NotAfter.Equal(leaf.NotAfter) {
				t.Errorf("stored %+v", stored)
			}
			peer, err := mtls.FromState(&tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{leaf}})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.ca.Pool().Verify(w.now, peer); err != nil {
				t.Errorf("the pool: %v", err)
			}
		})
	}
}

func TestAuditEvent(t *testing.T) {
	w := newWorld(t)
	issued, err := w.issue(csr(t, newKey(t, jose.ES256)), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	credential, chain := issued.Credential, issued.Chain
	events, err := w.store.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	last := events[len(events)-1]
	if last.Action != "certificate.issued" || last.Actor != "operator" || last.Subject != string(credential.ID) || last.Organisation != string(w.client().Organisation) {
		t.Errorf("event %+v", last)
	}
	var detail struct {
		ClientID string `json:"client_id"`
		Serial   string `json:"serial"`
		Print    string `json:"x5t#S256"`
		NotAfter int64  `json:"not_after"`
	}
	if err := json.Unmarshal([]byte(last.Detail), &detail); err != nil {
		t.Fatal(err)
	}
	if detail.ClientID != string(w.app) || detail.Print != credential.Thumbprint.String() || detail.NotAfter != parse(t, chain[0]).NotAfter.Unix() || detail.Serial == "" {
		t.Errorf("detail %+v", detail)
	}
}

func TestCSRRefused(t *testing.T) {
	w := newWorld(t)
	key := newKey(t, jose.ES256)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := csr(t, key)
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	names := func(raw ...asn1.RawValue) func(*x509.CertificateRequest) {
		return func(r *x509.CertificateRequest) {
			value, err := asn1.Marshal(raw)
			if err != nil {
				t.Fatal(err)
			}
			r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}
		}
	}
	own := asn1.RawValue{Class: 2, Tag: 6, Bytes: []byte(w.uri())}
	cases := map[string][]byte{
		"empty":                     nil,
		"advisory 93: empty PEM":    block("CERTIFICATE REQUEST", nil),
		"not DER":                   []byte("hello"),
		"PEM of another kind":       block("CERTIFICATE", good),
		"PEM that ends early":       []byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA"),
		"two PEM blocks":            append(block("CERTIFICATE REQUEST", good), block("CERTIFICATE REQUEST", good)...),
		"more after DER":            append(bytes.Clone(good), 0),
		"larger than 64 KiB":        append(bytes.Repeat([]byte("\n"), ca.MaxCSR), block("CERTIFICATE REQUEST", good)...),
		"a signature by nobody":     forged,
		"P-384":                     csr(t, p384),
		"a DNS name":                csr(t, key, func(r *x509.CertificateRequest) { r.DNSNames = []string{"x.example"} }),
		"an e-mail address":         csr(t, key, func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@x.example"} }),
		"another URI":               csr(t, key, names(asn1.RawValue{Class: 2, Tag: 6, Bytes: []byte(w.uri() + "x")})),
		"advisory 28: NUL in a URI": csr(t, key, names(asn1.RawValue{Class: 2, Tag: 6, Bytes: []byte(w.uri() + "\x00.evil")})),
		"our URI and another":       csr(t, key, names(own, asn1.RawValue{Class: 2, Tag: 6, Bytes: []byte("spiffe://x/y")})),
		"our URI and an otherName":  csr(t, key, names(own, asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: []byte{6, 1, 42, 0xa0, 2, 5, 0}})),
		"our name as a DNS name":    csr(t, key, names(asn1.RawValue{Class: 2, Tag: 2, Bytes: []byte(w.uri())})),
	}
	for name, data := range cases {
		t.Run(name, func(t *testing.T) {
			issued, err := w.issue(data, time.Hour)
			chain := issued.Chain
			var invalid *directory.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != "csr" || chain != nil {
				t.Errorf("got %v", err)
			}
		})
	}
	if open, err := w.store.OpenIntents(t.Context(), "", w.now); err != nil || len(open) != 0 {
		t.Errorf("a refused CSR left an intent: %v, %v", open, err)
	}
	t.Run("advisory 3: white space around PEM is nothing, whatever else is there is refused", func(t *testing.T) {
		text := string(block("CERTIFICATE REQUEST", csr(t, newKey(t, jose.ES256))))
		for name, c := range map[string]struct {
			text string
			good bool
		}{
			"blanks before": {" \n\t\n" + text, true}, "CRLF": {strings.ReplaceAll(text, "\n", "\r\n"), true}, "line breaks after": {text + "\r\n\n", true},
			"BOM": {"\ufeff" + text, false}, "text after": {text + "x", false}, "base64 without its lines": {strings.ReplaceAll(text, "-----", ""), false},
		} {
			if _, err := w.issue([]byte(c.text), time.Hour); (err == nil) != c.good || err != nil && !errors.Is(err, directory.ErrInvalid) {
				t.Errorf("advisory 3: %s: %v", name, err)
			}
		}
	})
	t.Run("PEM, with what an extension request asks beside names", func(t *testing.T) {
		request := csr(t, key, func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}}
		})
		issued, err := w.issue(append([]byte("\n"), block("NEW CERTIFICATE REQUEST", request)...), time.Hour)
		chain := issued.Chain
		if err != nil {
			t.Fatal(err)
		}
		if leaf := parse(t, chain[0]); leaf.IsCA {
			t.Error("a CSR made a CA")
		}
	})
}

func TestIssueClientRefused(t *testing.T) {
	request := csr(t, newKey(t, jose.ES256))
	issue := func(w *world, life time.Duration) error {
		issued, err := w.issue(request, life)
		if err != nil && issued.Chain != nil {
			t.Error("a chain with an error")
		}
		return err
	}
	t.Run("life", func(t *testing.T) {
		w := newWorld(t)
		var invalid *directory.InvalidError
		for _, life := range []time.Duration{-1, ca.MaxClientLife + 1} {
			if err := issue(w, life); !errors.As(err, &invalid) || invalid.Field != "life_seconds" {
				t.Errorf("%v: got %v", life, err)
			}
		}
		if err := issue(w, ca.MaxClientLife); err != nil {
			t.Error(err)
		}
	})
	t.Run("application suspended", func(t *testing.T) {
		w := newWorld(t)
		if err := w.dir.SetApplicationState(t.Context(), "operator", w.app, directory.Suspended); err != nil {
			t.Fatal(err)
		}
		if err := issue(w, time.Hour); !errors.Is(err, directory.ErrState) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("self_signed_tls_client_auth uses no certificate of ours", func(t *testing.T) {
		w := newWorld(t)
		c := *w.client()
		c.AuthMethod = directory.SelfSignedTLSClientAuth
		if _, err := w.ca.Issue(t.Context(), ca.Request{Actor: "operator", Client: &c, Profile: ca.ClientTransport, CSR: request}); !errors.Is(err, directory.ErrState) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("advisory 95: never beyond the issuing CA", func(t *testing.T) {
		w := newWorld(t)
		w.now = w.now.Add(ca.IssuingLife - 24*time.Hour)
		issued, err := w.issue(request, 7*24*time.Hour)
		chain := issued.Chain
		if err != nil {
			t.Fatal(err)
		}
		if leaf, by := parse(t, chain[0]), parse(t, chain[1]); leaf.NotAfter.After(by.NotAfter) {
			t.Errorf("until %v, the CA until %v", leaf.NotAfter, by.NotAfter)
		}
	})
	t.Run("advisory 95: the issuing CA has ended, or not begun", func(t *testing.T) {
		w := newWorld(t)
		begin := w.now
		for _, at := range []time.Time{begin.Add(ca.IssuingLife), begin.Add(-6 * time.Minute)} {
			w.now = at
			if err := issue(w, time.Hour); !errors.Is(err, ca.ErrClosed) {
				t.Errorf("got %v", err)
			}
			if _, err := w.ca.IssueListener(t.Context(), newKey(t, jose.ES256).Public(), []string{"localhost"}); !errors.Is(err, ca.ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
	})
}

var errDown = errors.New("the store is down")

// recording is a ca.Store that fails where it is told, and keeps what it was told.
type recording struct {
	ca.Store
	begin, finish error
	intents       []ca.Intent
	finished      int
}

func (r *recording) BeginIssue(ctx context.Context, i ca.Intent) (*ca.Earlier, error) {
	r.intents = append(r.intents, i)
	if r.begin != nil {
		return nil, r.begin
	}
	return r.Store.BeginIssue(ctx, i)
}

func (r *recording) FinishIssue(ctx context.Context, e audit.Event, serial string, certificate []byte, c directory.Credential) error {
	r.finished++
	if r.finish != nil {
		return r.finish
	}
	return r.Store.FinishIssue(ctx, e, serial, certificate, c)
}

func (r *recording) AbandonIssue(ctx context.Context, e audit.Event, serial string, at time.Time) error {
	if r.finish != nil {
		return r.finish
	}
	return r.Store.AbandonIssue(ctx, e, serial, at)
}

func TestIntentBeforeSignature(t *testing.T) {
	w := newWorld(t)
	request := csr(t, newKey(t, jose.ES256))
	t.Run("the intent names what will be signed", func(t *testing.T) {
		s := &recording{Store: w.store}
		issued, err := w.issueBy(w.open(s), request, time.Hour)
		credential, chain := issued.Credential, issued.Chain
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificateRequest(request)
		if err != nil {
			t.Fatal(err)
		}
		leaf, i := parse(t, chain[0]), s.intents[0]
		if i.TBSHash != sha256.Sum256(leaf.RawTBSCertificate) || i.RequestHash != sha256.Sum256(parsed.RawTBSCertificateRequest) || i.CredentialID != credential.ID || i.ClientID != w.app || !i.At.Equal(w.now) {
			t.Errorf("intent %+v", i)
		}
		if open, err := w.store.OpenIntents(t.Context(), "", w.now); err != nil || len(open) != 0 {
			t.Errorf("left open: %v, %v", open, err)
		}
	})
	t.Run("no intent, no signature", func(t *testing.T) {
		s, request := &recording{Store: w.store, begin: errDown}, csr(t, newKey(t, jose.ES256))
		if issued, err := w.issueBy(w.open(s), request, time.Hour); !errors.Is(err, errDown) || issued.Chain != nil || s.finished != 0 {
			t.Errorf("got %v, finished %d", err, s.finished)
		}
	})
	t.Run("signed and not stored is not given out, and the intent stays", func(t *testing.T) {
		s, request := &recording{Store: w.store, finish: errDown}, csr(t, newKey(t, jose.ES256))
		if issued, err := w.issueBy(w.open(s), request, time.Hour); !errors.Is(err, errDown) || issued.Chain != nil {
			t.Errorf("got %v", err)
		}
		if open, err := w.store.OpenIntents(t.Context(), "", w.now); err != nil || len(open) != 1 || open[0].Serial != s.intents[0].Serial {
			t.Errorf("open intents %v, %v", open, err)
		}
	})
}

func TestIssueServer(t *testing.T) {
	w := newWorld(t)
	key := newKey(t, jose.ES256)
	chain, err := w.ca.IssueListener(t.Context(), key.Public(), []string{"localhost", "127.0.0.1", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	leaf := parse(t, chain[0])
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(w.ca.Roots()[0])
	intermediates.AddCert(parse(t, chain[1]))
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: intermediates, CurrentTime: w.now}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if leaf.NotAfter.Sub(w.now) != ca.ServerLife || len(leaf.URIs) != 0 {
		t.Errorf("until %v, %v", leaf.NotAfter, leaf.URIs)
	}
	t.Run("it authenticates no client", func(t *testing.T) {
		peer, err := mtls.FromState(&tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{leaf}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.ca.Pool().Verify(w.now, peer); !errors.Is(err, mtls.ErrUsage) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("never beyond the issuing CA", func(t *testing.T) {
		w.now = w.now.Add(ca.IssuingLife - time.Hour)
		chain, err := w.ca.IssueListener(t.Context(), key.Public(), []string{"localhost"})
		if err != nil {
			t.Fatal(err)
		}
		if parse(t, chain[0]).NotAfter.After(parse(t, chain[1]).NotAfter) {
			t.Error("beyond")
		}
	})
	t.Run("refused", func(t *testing.T) {
		if chain, err := w.ca.IssueListener(t.Context(), key.Public(), nil); err == nil || chain != nil {
			t.Error("without names")
		}
		p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.ca.IssueListener(t.Context(), p384.Public(), []string{"localhost"}); !errors.Is(err, jose.ErrKey) {
			t.Errorf("P-384: got %v", err)
		}
		if _, err := w.ca.IssueListener(t.Context(), key.Public(), []string{"é"}); err == nil {
			t.Error("a name that is no DNS name")
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	w := newWorld(t)
	open := func(s keyring.Store) error {
		a, err := ca.Open(t.Context(), ca.Config{
			Ring: &keyring.Ring{Store: s, KEK: w.ring.KEK, Now: w.clock}, Store: w.store, TrustDomain: trustDomain, Now: w.clock,
		})
		if err == nil || a != nil {
			t.Errorf("got %v, %v", a, err)
		}
		return err
	}
	t.Run("without keys", func(t *testing.T) {
		_ = open(&part{Store: w.store, without: keyring.Root})
		_ = open(&part{Store: w.store, without: keyring.Issuing})
	})
	t.Run("a store that is down", func(t *testing.T) {
		for _, p := range []keyring.Purpose{keyring.Root, keyring.Issuing} {
			if err := open(&part{Store: w.store, without: p, err: errDown}); !errors.Is(err, errDown) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("an issuing CA of another root", func(t *testing.T) {
		other := newWorld(t)
		keys, err := other.ring.Keys(t.Context(), keyring.Issuing)
		if err != nil {
			t.Fatal(err)
		}
		keys[0].ID = ""
		if err := w.ring.Create(t.Context(), "system", false, keys...); err != nil {
			t.Fatal(err)
		}
		_ = open(w.store)
	})
}

// part is a keyring.Store that lacks a purpose, or fails on it.
type part struct {
	keyring.Store
	without keyring.Purpose
	err     error
}

func (p *part) Keys(ctx context.Context, purpose keyring.Purpose) ([]keyring.StoredKey, error) {
	if purpose == p.without {
		return nil, p.err
	}
	return p.Store.Keys(ctx, purpose)
}
