package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// sealed is a keyring.Store whose issuing keys do not open.
type sealed struct{ keyring.Store }

func (s sealed) Keys(ctx context.Context, p keyring.Purpose) ([]keyring.StoredKey, error) {
	keys, err := s.Store.Keys(ctx, p)
	if p == keyring.Issuing {
		for i := range keys {
			keys[i].Sealed = append(bytes.Clone(keys[i].Sealed), 0)
		}
	}
	return keys, err
}

// withoutIssuingKey is the same authority on a node that cannot open the CA's key.
func (w *world) withoutIssuingKey() *ca.Authority {
	w.t.Helper()
	a, err := ca.Open(w.t.Context(), ca.Config{
		Ring: &keyring.Ring{Store: sealed{w.store}, KEK: w.ring.KEK, Now: w.clock}, Store: w.store,
		TrustDomain: trustDomain, CRLBase: crlBase, Now: w.clock,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// list publishes and reads the issuing CA's list as a stranger would.
func (w *world) list(a *ca.Authority) *x509.RevocationList {
	w.t.Helper()
	if err := a.Publish(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	by := a.Issuers()[0]
	c := a.CRL(by.ID)
	if c == nil {
		w.t.Fatal("no list")
	}
	l, err := x509.ParseRevocationList(c.DER)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := l.CheckSignatureFrom(by.Certificate); err != nil {
		w.t.Fatal(err)
	}
	if l.Number.Int64() != c.Number || !l.NextUpdate.Equal(l.ThisUpdate.Add(ca.ListLife)) || !bytes.Equal(l.AuthorityKeyId, by.Certificate.SubjectKeyId) {
		w.t.Errorf("number %v, next %v", l.Number, l.NextUpdate)
	}
	return l
}

func listed(l *x509.RevocationList, serial string) (reason int, ok bool) {
	for _, e := range l.RevokedCertificateEntries {
		if e.SerialNumber.Text(16) == strings.TrimLeft(serial, "0") {
			return e.ReasonCode, true
		}
	}
	return 0, false
}

func TestList(t *testing.T) {
	w := newWorld(t)
	issued, err := w.issue(csr(t, newKey(t, jose.ES256)), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	leaf := parse(t, issued.Chain[0])
	if want := crlBase + "/" + w.ca.Issuers()[0].ID + ".crl"; len(leaf.CRLDistributionPoints) != 1 || leaf.CRLDistributionPoints[0] != want {
		t.Errorf("points to %q", leaf.CRLDistributionPoints)
	}
	w.refresh()
	first := w.list(w.ca)
	if len(first.RevokedCertificateEntries) != 0 || first.Number.Int64() < w.now.UnixMicro() {
		t.Errorf("first list: number %v", first.Number)
	}
	number := first.Number
	step := func(name string, want int, change func() error) {
		t.Helper()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		l := w.list(w.ca)
		if reason, ok := listed(l, issued.Serial); ok != (want >= 0) || ok && reason != want {
			t.Errorf("%s: listed %t, reason %d", name, ok, reason)
		}
		if l.Number.Cmp(number) <= 0 {
			t.Errorf("%s: number %v after %v", name, l.Number, number)
		}
		number = l.Number
	}
	state := func(to directory.State) func() error {
		return func() error { return w.dir.SetCredentialState(t.Context(), "operator", issued.Credential.ID, to) }
	}
	step("suspended is held", 6, state(directory.Suspended))
	step("resumed is off the list", -1, state(directory.Active))
	step("application suspended", 6, func() error { return w.dir.SetApplicationState(t.Context(), "operator", w.app, directory.Suspended) })
	step("application resumed", -1, func() error { return w.dir.SetApplicationState(t.Context(), "operator", w.app, directory.Active) })
	step("compromised", 1, state(directory.Compromised))
	t.Run("nothing new, no new list, until it is an hour old", func(t *testing.T) {
		if l := w.list(w.ca); l.Number.Cmp(number) != 0 {
			t.Errorf("number %v", l.Number)
		}
		w.now = w.now.Add(time.Hour + time.Second)
		if l := w.list(w.ca); l.Number.Cmp(number) <= 0 || !l.ThisUpdate.Equal(w.now) {
			t.Errorf("number %v of %v", l.Number, l.ThisUpdate)
		}
	})
	t.Run("advisory 69: after a restart the list is there before anybody asks, and goes on from its number", func(t *testing.T) {
		again := w.open(w.store)
		before := again.CRL(again.Issuers()[0].ID)
		if before == nil {
			t.Fatal("no list")
		}
		w.now = w.now.Add(-48 * time.Hour) // a clock that went back
		if err := w.dir.SetOrganisationState(t.Context(), "operator", w.client().Organisation, directory.Suspended); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(50 * time.Hour)
		if l := w.list(again); l.Number.Int64() <= before.Number {
			t.Errorf("number %v after %d", l.Number, before.Number)
		}
	})
}

// older is a ca.Store that was restored from a backup of before.
type older struct {
	ca.Store
	number int64
}

func (o *older) CRLNumbers(ctx context.Context) (map[string]int64, error) {
	numbers, err := o.Store.CRLNumbers(ctx)
	for issuer := range numbers {
		if o.number > 0 {
			numbers[issuer] = o.number
		}
	}
	return numbers, err
}

func (o *older) DraftCRL(ctx context.Context, issuer string, now, fresh time.Time, least, looked int64) (ca.Draft, bool, error) {
	if o.number > 0 {
		return ca.Draft{Number: o.number + 1}, true, nil
	}
	return o.Store.DraftCRL(ctx, issuer, now, fresh, least, looked)
}

func TestListOfAStoreThatIsBehind(t *testing.T) {
	w := newWorld(t)
	o := &older{Store: w.store}
	a := w.open(o)
	good := w.list(a)
	o.number = 7
	if err := a.Publish(t.Context()); !errors.Is(err, ca.ErrBehind) {
		t.Errorf("got %v", err)
	}
	if c := a.CRL(a.Issuers()[0].ID); c.Number != good.Number.Int64() {
		t.Errorf("the number went back to %d", c.Number)
	}
}

func TestKeyIsAway(t *testing.T) {
	w := newWorld(t)
	request := csr(t, newKey(t, jose.ES256))
	issued, err := w.issue(request, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	last := w.list(w.ca)
	lost := w.withoutIssuingKey()
	if _, err := w.issueBy(lost, csr(t, newKey(t, jose.ES256)), time.Hour); !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("issue: %v", err)
	}
	if err := lost.Publish(t.Context()); !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("publish: %v", err)
	}
	if c := lost.CRL(lost.Issuers()[0].ID); c == nil || c.Number != last.Number.Int64() || lost.Issuers()[0].Available {
		t.Errorf("the last list: %+v", c)
	}
	chain := x509.NewCertPool()
	chain.AddCert(parse(t, issued.Chain[1]))
	roots := x509.NewCertPool()
	roots.AddCert(lost.Roots()[0])
	if _, err := parse(t, issued.Chain[0]).Verify(x509.VerifyOptions{Roots: roots, Intermediates: chain, CurrentTime: w.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("what it signed: %v", err)
	}
	t.Run("an alarm before the list ends", func(t *testing.T) {
		if alarms := lost.Alarms(last.NextUpdate.Add(-13 * time.Hour)); len(alarms) != 0 {
			t.Errorf("%+v", alarms)
		}
		alarms := lost.Alarms(last.NextUpdate.Add(-12 * time.Hour))
		if len(alarms) != 1 || alarms[0].Name != "crl_ends" || !alarms[0].Ends.Equal(last.NextUpdate) {
			t.Errorf("%+v", alarms)
		}
	})
}

func TestReconcile(t *testing.T) {
	w := newWorld(t)
	died := &recording{Store: w.store, finish: errDown}
	if _, err := w.issueBy(w.open(died), csr(t, newKey(t, jose.ES256)), time.Hour); !errors.Is(err, errDown) {
		t.Fatal(err)
	}
	serial := died.intents[0].Serial
	w.now = w.now.Add(time.Minute - time.Second)
	if n, err := w.ca.Reconcile(t.Context()); n != 0 || err != nil || len(w.openSerials()) != 1 {
		t.Errorf("too early: %d, %v", n, err)
	}
	w.now = w.now.Add(time.Second)
	if n, err := w.ca.Reconcile(t.Context()); n != 1 || err != nil || len(w.openSerials()) != 0 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := w.open(w.store).Reconcile(t.Context()); n != 0 || err != nil {
		t.Errorf("on another node: %d, %v", n, err)
	}
	events, err := w.store.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if last := events[len(events)-1]; last.Action != "certificate.abandoned" || last.Subject != serial || !strings.Contains(last.Detail, serial) {
		t.Errorf("event %+v", last)
	}
	if _, ok := listed(w.list(w.ca), serial); !ok {
		t.Error("the serial is not on the list")
	}
}

func TestRenewal(t *testing.T) {
	w := newWorld(t)
	begin, old := w.now, w.ca.Issuers()[0]
	leaf, err := w.issue(csr(t, newKey(t, jose.ES256)), ca.MaxClientLife)
	if err != nil {
		t.Fatal(err)
	}
	renew := func(nodes ...*ca.Authority) {
		t.Helper()
		for _, a := range nodes {
			if err := a.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	other := w.open(w.store)
	w.now = begin.Add(ca.IssuingLife - 120*24*time.Hour - time.Second)
	if renew(w.ca, other); len(w.ca.Issuers()) != 1 {
		t.Error("too early")
	}
	w.now = w.now.Add(time.Second)
	renew(w.ca, other)
	renew(w.ca, other)
	issuers := w.ca.Issuers()
	if len(issuers) != 2 || issuers[1].ID != old.ID || len(other.Issuers()) != 2 || other.Issuers()[0].ID != issuers[0].ID {
		t.Fatalf("%+v", issuers)
	}
	if issuers[0].Certificate.CheckSignatureFrom(w.ca.Roots()[0]) != nil || issuers[0].Certificate.NotAfter.Sub(w.now) != ca.IssuingLife {
		t.Errorf("until %v", issuers[0].Certificate.NotAfter)
	}
	by := func() string {
		t.Helper()
		i, err := w.issue(csr(t, newKey(t, jose.ES256)), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range w.ca.Issuers() {
			if bytes.Equal(by.Certificate.Raw, i.Chain[1]) {
				return by.ID
			}
		}
		return ""
	}
	if by() != old.ID {
		t.Error("the new CA signs before all know it")
	}
	w.now = w.now.Add(7 * 24 * time.Hour)
	if by() != issuers[0].ID {
		t.Error("the new CA does not sign")
	}
	w.list(w.ca)
	if w.ca.CRL(old.ID) == nil || w.ca.CRL(issuers[0].ID) == nil {
		t.Error("a CA in its time has no list")
	}
	if again, err := w.ca.Issue(t.Context(), ca.Request{Client: w.client(), Profile: ca.ClientTransport, CSR: csr(t, newKey(t, jose.ES256))}); err != nil || again.Again {
		t.Error(err)
	}
	if len(w.ca.Alarms(old.Certificate.NotAfter.Add(-time.Hour))) != 2 { // the lists, which nobody made since
		t.Errorf("%+v", w.ca.Alarms(old.Certificate.NotAfter.Add(-time.Hour)))
	}
	_ = leaf
}

func TestAdvisory95Alarms(t *testing.T) {
	w := newWorld(t)
	own := newAuthorities(t, w.now)
	fresh := freshRing(t, w)
	if err := ca.Adopt(t.Context(), fresh, own.issuing, own.issuingKey, own.root); err != nil {
		t.Fatal(err)
	}
	a, err := ca.Open(t.Context(), ca.Config{Ring: fresh, Store: fresh.Store.(*store.Store), TrustDomain: trustDomain, CRLBase: crlBase, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	end := a.Issuers()[0].Certificate.NotAfter
	events := func() (days []string) {
		all, err := fresh.Store.(*store.Store).Events(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if e.Action == "authority.expiring" {
				days = append(days, e.Detail)
			}
		}
		return days
	}
	for n, left := range []time.Duration{31 * 24 * time.Hour, 30 * 24 * time.Hour, 29 * 24 * time.Hour, 7 * 24 * time.Hour, 24 * time.Hour, time.Hour} {
		w.now = end.Add(-left)
		if err := a.Renew(t.Context()); err != nil { // the root's key is elsewhere
			t.Fatal(err)
		}
		for range 2 {
			alarms, err := a.Warn(t.Context())
			if err != nil || (n > 0) != (len(alarms) == 1) {
				t.Errorf("advisory 95: %v before the end: %+v, %v", left, alarms, err)
			}
		}
		if want := []int{0, 1, 1, 2, 3, 3}[n]; len(events()) != want {
			t.Errorf("advisory 95: %v before the end: events %q", left, events())
		}
	}
	w.now = end
	if _, err := a.IssueListener(t.Context(), newKey(t, jose.ES256).Public(), []string{"localhost"}); !errors.Is(err, ca.ErrClosed) {
		t.Errorf("advisory 95: an issuer that has ended: %v", err)
	}
}

// authorities are an operator's own root and issuing CA, in PEM.
type authorities struct {
	rootKey, key              crypto.Signer
	rootTemplate, template    *x509.Certificate
	root, issuing, issuingKey []byte
}

func newAuthorities(t testing.TB, now time.Time, edit ...func(*authorities)) *authorities {
	t.Helper()
	a := &authorities{rootKey: newKey(t, jose.ES256), key: newKey(t, jose.ES256)}
	a.rootTemplate = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Corporate root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1, 2, 3, 4},
	}
	a.template = &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Corporate API clients"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{5, 6, 7, 8},
	}
	for _, e := range edit {
		e(a)
	}
	sign := func(template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	a.root = sign(a.rootTemplate, a.rootTemplate, a.rootKey.Public(), a.rootKey)
	a.issuing = sign(a.template, a.rootTemplate, a.key.Public(), a.rootKey)
	var err error
	if a.issuingKey, err = jose.MarshalPrivateKeyPEM(a.key); err != nil {
		t.Fatal(err)
	}
	return a
}

// freshRing is a keyring over an empty database.
func freshRing(t testing.TB, w *world) *keyring.Ring {
	t.Helper()
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "fresh.db"), store.Options{Create: true, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return &keyring.Ring{Store: st, KEK: w.ring.KEK, Now: w.clock}
}

func TestAdopt(t *testing.T) {
	w := newWorld(t)
	good := newAuthorities(t, w.now)
	t.Run("an operator's own CA issues, and the root's key is not here", func(t *testing.T) {
		ring := freshRing(t, w)
		if err := ca.Adopt(t.Context(), ring, good.issuing, good.issuingKey, good.root); err != nil {
			t.Fatal(err)
		}
		a, err := ca.Open(t.Context(), ca.Config{Ring: ring, Store: ring.Store.(*store.Store), TrustDomain: trustDomain, Now: w.clock})
		if err != nil {
			t.Fatal(err)
		}
		chain, err := a.IssueListener(t.Context(), newKey(t, jose.ES256).Public(), []string{"localhost"})
		if err != nil {
			t.Fatal(err)
		}
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AppendCertsFromPEM(good.root)
		between.AddCert(parse(t, chain[1]))
		if _, err := parse(t, chain[0]).Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots, Intermediates: between, CurrentTime: w.now}); err != nil {
			t.Error(err)
		}
		if err := ca.Adopt(t.Context(), ring, good.issuing, good.issuingKey, good.root); !errors.Is(err, directory.ErrExists) {
			t.Errorf("twice: %v", err)
		}
	})
	stranger := newAuthorities(t, w.now)
	for name, c := range map[string]struct {
		field string
		own   *authorities
	}{
		"the key of another certificate":    {"key", &authorities{issuing: good.issuing, issuingKey: stranger.issuingKey, root: good.root}},
		"a key that is none":                {"key", &authorities{issuing: good.issuing, issuingKey: good.issuing, root: good.root}},
		"another root":                      {"certificate", &authorities{issuing: good.issuing, issuingKey: good.issuingKey, root: stranger.root}},
		"no root":                           {"root", &authorities{issuing: good.issuing, issuingKey: good.issuingKey}},
		"two roots":                         {"root", &authorities{issuing: good.issuing, issuingKey: good.issuingKey, root: append(bytes.Clone(good.root), stranger.root...)}},
		"garbage for a certificate":         {"certificate", &authorities{issuing: []byte("hello"), issuingKey: good.issuingKey, root: good.root}},
		"garbage after a certificate":       {"certificate", &authorities{issuing: append(bytes.Clone(good.issuing), "x"...), issuingKey: good.issuingKey, root: good.root}},
		"six certificates":                  {"certificate", &authorities{issuing: bytes.Repeat(good.issuing, 6), issuingKey: good.issuingKey, root: good.root}},
		"no CA":                             {"certificate", newAuthorities(t, w.now, func(a *authorities) { a.template.IsCA, a.template.MaxPathLenZero = false, false })},
		"no cRLSign":                        {"certificate", newAuthorities(t, w.now, func(a *authorities) { a.template.KeyUsage = x509.KeyUsageCertSign })},
		"an extended key usage":             {"certificate", newAuthorities(t, w.now, func(a *authorities) { a.template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })},
		"ended":                             {"certificate", newAuthorities(t, w.now, func(a *authorities) { a.template.NotAfter = w.now })},
		"not begun":                         {"certificate", newAuthorities(t, w.now, func(a *authorities) { a.template.NotBefore = w.now.Add(time.Second) })},
		"advisory 95: it outlives the root": {"certificate", newAuthorities(t, w.now, func(a *authorities) { a.template.NotAfter = w.now.AddDate(11, 0, 0) })},
		"a root that allows none below":     {"certificate", newAuthorities(t, w.now, func(a *authorities) { a.rootTemplate.MaxPathLenZero = true })},
		"a root that has ended":             {"root", newAuthorities(t, w.now, func(a *authorities) { a.rootTemplate.NotAfter = w.now.Add(-time.Second) })},
		"a root that is no CA":              {"certificate", newAuthorities(t, w.now, func(a *authorities) { a.rootTemplate.IsCA = false })},
		"name constraints":                  {"certificate", newAuthorities(t, w.now, func(a *authorities) { a.template.PermittedDNSDomains = []string{"example.com"} })},
		"no subject":                        {"certificate", newAuthorities(t, w.now, func(a *authorities) { a.template.Subject = pkix.Name{} })},
	} {
		t.Run(name, func(t *testing.T) {
			ring := freshRing(t, w)
			var invalid *directory.InvalidError
			if err := ca.Adopt(t.Context(), ring, c.own.issuing, c.own.issuingKey, c.own.root); !errors.As(err, &invalid) || invalid.Field != c.field {
				t.Errorf("got %v", err)
			}
			for _, p := range []keyring.Purpose{keyring.Root, keyring.Issuing} {
				if keys, err := ring.Store.Keys(t.Context(), p); err != nil || len(keys) != 0 {
					t.Errorf("%d %s keys are stored, %v", len(keys), p, err)
				}
			}
		})
	}
}

func TestImport(t *testing.T) {
	w := newWorld(t)
	corporate := newAuthorities(t, w.now)
	id, request, err := w.ca.Request(t.Context(), "operator")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(request)
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || parsed.CheckSignature() != nil {
		t.Fatal(err)
	}
	certified := func(edit func(*x509.Certificate)) []byte {
		template := *corporate.template
		edit(&template)
		der, err := x509.CreateCertificate(rand.Reader, &template, corporate.rootTemplate, parsed.PublicKey, corporate.rootKey)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	as := func(text []byte) error {
		_, _, err := w.ca.Import(t.Context(), "operator", text)
		return err
	}
	good := certified(func(*x509.Certificate) {})
	for name, text := range map[string][]byte{
		"of a key that was not made here":  append(bytes.Clone(corporate.issuing), corporate.root...),
		"without the root that signed it":  good,
		"with a root that did not sign it": append(bytes.Clone(good), newAuthorities(t, w.now).root...),
		"no CA":                            append(certified(func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false }), corporate.root...),
		"nothing":                          nil,
	} {
		if err := as(text); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.ca.Issuers()) != 1 {
		t.Fatal("something was installed")
	}
	both := append(bytes.Clone(good), corporate.root...)
	would, err := w.ca.ForeseeImport(t.Context(), both)
	if err != nil || len(w.ca.Issuers()) != 1 || would.Root == nil {
		t.Fatalf("foreseen: %+v, %v", would, err)
	}
	if err := as(both); err != nil {
		t.Fatal(err)
	}
	issuers := w.ca.Issuers()
	if issuers[0].ID != would.Issuer.ID || !issuers[0].SignsFrom.Equal(would.Issuer.SignsFrom) || !issuers[0].Certificate.Equal(would.Issuer.Certificate) {
		t.Errorf("foreseen %+v, installed %+v", would.Issuer, issuers[0])
	}
	if _, err := w.ca.ForeseeImport(t.Context(), both); !errors.Is(err, directory.ErrExists) {
		t.Errorf("foreseen once more: %v", err)
	}
	if len(issuers) != 2 || len(w.ca.Roots()) != 2 || !strings.HasPrefix(issuers[0].ID, id) || !issuers[0].SignsFrom.Equal(w.now.Add(2*time.Minute)) {
		t.Fatalf("%+v", issuers)
	}
	if err := as(append(bytes.Clone(good), corporate.root...)); !errors.Is(err, directory.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	w.now = w.now.Add(2 * time.Minute)
	for name, a := range map[string]*ca.Authority{"here": w.ca, "on a node that starts": w.open(w.store)} {
		issued, err := w.issueBy(a, csr(t, newKey(t, jose.ES256)), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if c := parse(t, issued.Chain[1]); c.Subject.CommonName != "Corporate API clients" {
			t.Errorf("%s: signed by %v", name, c.Subject)
		}
	}
}

// TestListIsInForce: a revocation on one node is on the list that another serves
// within two seconds.
func TestListIsInForce(t *testing.T) {
	i := newInstallation(t)
	second, err := store.Open(t.Context(), filepath.Join(i.folder, "holdfast.db"), store.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Close() })
	other := i.open(second)
	there, err := directory.Open(t.Context(), second, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := i.issue(csr(t, newKey(t, jose.ES256)), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	i.refresh()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	failed := func(err error) { t.Error(err) }
	running.Go(func() { _ = i.ca.Run(ctx, i.dir, failed) })
	running.Go(func() { _ = other.Run(ctx, there, failed) })
	running.Go(func() { _ = there.Run(ctx) })
	defer running.Wait()
	defer stop()
	lists := func(a *ca.Authority) bool {
		c := a.CRL(a.Issuers()[0].ID)
		if c == nil {
			return false
		}
		l, err := x509.ParseRevocationList(c.DER)
		if err != nil {
			t.Fatal(err)
		}
		_, ok := listed(l, issued.Serial)
		return ok
	}
	if err := i.dir.SetCredentialState(t.Context(), "operator", issued.Credential.ID, directory.Revoked); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for !lists(i.ca) || !lists(other) {
		if time.Since(start) > 2*time.Second {
			t.Fatalf("after 2 s: here %t, there %t", lists(i.ca), lists(other))
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
	t.Logf("after %v", time.Since(start))
}
