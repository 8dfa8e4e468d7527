package feed

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/verify"
)

var (
	_ verify.RevocationSource = (*State)(nil)
	_ verify.Certificates     = (*State)(nil)
)

// mirror is a State that follows a book by hand.
type mirror struct {
	*State
	t   *testing.T
	now time.Time
}

func newMirror(t *testing.T) *mirror {
	m := &mirror{t: t, now: time.Unix(2000, 0)}
	m.State = NewState(func() time.Time { return m.now })
	return m
}

// follow takes what the book has, as all of it or as a delta.
func (m *mirror) follow(b *book, full bool) {
	m.t.Helper()
	at := m.Current().Sequence()
	after := at
	if full {
		after = 0
	}
	d, err := b.Delta(m.t.Context(), after)
	if err == nil {
		err = m.Apply(&Document{Full: full, Delta: d}, at, m.now)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *mirror) ends(token *verify.Token, want verify.Reason) {
	m.t.Helper()
	if got, _ := m.Ended(token); got != want {
		m.t.Errorf("ended: %q, want %q", got, want)
	}
}

// bound is a token of billing, got with its key and bound to its certificate.
func bound() *verify.Token {
	return &verify.Token{
		ID: "t", ClientID: "billing", CredentialID: "key",
		Confirmation: cnf.Confirmation{Certificate: thumbprint("certificate"), HasCertificate: true},
	}
}

func TestEnded(t *testing.T) {
	for _, c := range []struct {
		name   string
		change directory.Delta
		token  func(t *verify.Token)
		want   verify.Reason
	}{
		{"nothing", directory.Delta{}, nil, ""},
		{"the token is revoked", revoked("t"), nil, "token_revoked"},
		{"another token is revoked", revoked("u"), nil, ""},
		{"the credential that got it is revoked", credential("key", "billing", directory.SigningKey, directory.Revoked), nil, "credential_revoked"},
		{"the certificate that it is bound to is compromised", credential("certificate", "billing", directory.Certificate, directory.Compromised), nil, "credential_compromised"},
		{"the certificate retires but is still accepted", credential("certificate", "billing", directory.Certificate, directory.Retiring), nil, ""},
		{"advisory 38: the application is suspended", application("billing", "acme", directory.Suspended), nil, "application_suspended"},
		{"advisory 39: the organisation is revoked", organisation("acme", directory.Revoked), nil, "organisation_revoked"},
		{"another application is revoked", application("other", "acme", directory.Revoked), nil, ""},
		{"a state that a newer server has is not accepted", credential("key", "billing", directory.SigningKey, "frozen"), nil, "credential_revoked"},
		{"an application that nobody knows", directory.Delta{}, func(t *verify.Token) { t.ClientID = "stranger" }, "application_unknown"},
		{"a credential that nobody knows", directory.Delta{}, func(t *verify.Token) { t.CredentialID = "x" }, "credential_unknown"},
		{"the DPoP key that it is bound to is revoked", credential("dpop", "billing", directory.DPoPKey, directory.Revoked),
			func(t *verify.Token) { t.Confirmation = cnf.Confirmation{Key: thumbprint("dpop"), HasKey: true} }, "credential_revoked"},
		{"bound twice: the key is good, the certificate is revoked", credential("certificate", "billing", directory.Certificate, directory.Revoked),
			func(t *verify.Token) { t.Confirmation.Key, t.Confirmation.HasKey = thumbprint("dpop"), true }, "credential_revoked"},
		{"bound twice: the certificate is good, the key is revoked", credential("dpop", "billing", directory.DPoPKey, directory.Revoked),
			func(t *verify.Token) { t.Confirmation.Key, t.Confirmation.HasKey = thumbprint("dpop"), true }, "credential_revoked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, m, token := newBook(world()...), newMirror(t), bound()
			m.follow(b, true)
			b.append(c.change)
			m.follow(b, false)
			if c.token != nil {
				c.token(token)
			}
			m.ends(token, c.want)
		})
	}
	for name, c := range map[string]struct {
		id    directory.CredentialID
		kind  directory.Kind
		print string
	}{
		"a certificate of the organisation's own CA, revoked by thumbprint": {directory.UnregisteredCertificate("billing", thumbprint("theirs")), directory.TrustedCertificate, "theirs"},
		"a key at a jwks_uri, revoked by thumbprint":                        {directory.UnregisteredKey("billing", thumbprint("theirs")), directory.PublishedKey, "theirs"},
	} {
		t.Run(name, func(t *testing.T) {
			b, m, token := newBook(world()...), newMirror(t), bound()
			token.CredentialID = string(c.id)
			m.follow(b, true)
			m.ends(token, "") // it has no record, and needs none
			d := credential(c.id, "billing", c.kind, directory.Revoked)
			d.Credentials[0].Thumbprint = thumbprint(c.print)
			b.append(d)
			m.follow(b, false)
			m.ends(token, "credential_revoked")
			other := bound()
			other.Confirmation.Certificate = thumbprint(c.print)
			m.ends(other, "credential_revoked")
		})
	}
	t.Run("a suspension that ends", func(t *testing.T) {
		b, m := newBook(world()...), newMirror(t)
		b.append(organisation("acme", directory.Suspended))
		m.follow(b, true)
		m.ends(bound(), "organisation_suspended")
		b.append(organisation("acme", directory.Active))
		m.follow(b, false)
		m.ends(bound(), "")
	})
}

func TestAge(t *testing.T) {
	m := newMirror(t)
	if reason, age := m.Ended(bound()); reason != "" || age < 100*365*24*time.Hour {
		t.Errorf("a state that knows nothing is %v old and says %q", age, reason)
	}
	b := newBook(world()...)
	m.follow(b, true)
	m.now = m.now.Add(3 * time.Second)
	if _, age := m.Ended(bound()); age != 3*time.Second || m.Age() != age {
		t.Errorf("%v old", age)
	}
	if err := m.Apply(&Document{Age: 2 * time.Second, Delta: directory.Delta{Sequence: 4}}, 4, m.now); err != nil {
		t.Fatal(err)
	}
	if got := m.Age(); got != 2*time.Second {
		t.Errorf("%v old after an answer that nothing changed for 2 s", got)
	}
	m.ends(bound(), "")
}

// TestEndedCertificateKey: a gateway has no certificates, and hears of the key of one
// that was revoked or compromised all the same, of its application alone.
func TestEndedCertificateKey(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<31, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jose.NewPublicKey(public, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for state, want := range map[directory.State]verify.Reason{
		directory.Active: "", directory.Retired: "", directory.Revoked: "credential_revoked", directory.Compromised: "credential_compromised",
	} {
		t.Run(string(state), func(t *testing.T) {
			b, m, token := newBook(append(world(), application("other", "acme", directory.Active))...), newMirror(t), bound()
			d := credential("with-der", "billing", directory.Certificate, state)
			d.Credentials[0].Thumbprint, d.Credentials[0].Certificate = cnf.CertificateThumbprint(der), der
			b.append(d)
			read, err := read(t.Context(), b, 0)
			if err != nil {
				t.Fatal(err)
			}
			heard, err := ParseDocument(text(t, read))
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Apply(heard, 0, m.now); err != nil {
				t.Fatal(err)
			}
			token.Confirmation = cnf.Confirmation{HasKey: true, Key: key.Thumbprint()}
			m.ends(token, want)
			token.ClientID, token.CredentialID = "other", ""
			m.ends(token, "") // what ended at one application says nothing of another's
		})
	}
}

func TestClassify(t *testing.T) {
	b, m := newBook(world()...), newMirror(t)
	m.follow(b, true)
	if client, known := m.Classify(thumbprint("certificate"), "nobody"); client != "billing" || !known {
		t.Errorf("got %q, %v", client, known)
	}
	for _, of := range []string{"key", "nobody"} {
		if client, known := m.Classify(thumbprint(of), "billing"); client != "" || known {
			t.Errorf("%s: got %q, %v", of, client, known)
		}
	}
	b.append(credential("certificate", "billing", directory.Certificate, directory.Revoked))
	m.follow(b, false)
	if client, known := m.Classify(thumbprint("certificate"), "nobody"); client != "billing" || !known {
		t.Errorf("a revoked one: got %q, %v", client, known)
	}
}

func TestApplyOrder(t *testing.T) {
	for name, c := range map[string]struct {
		document Document
		after    int64
	}{
		"a delta of another question":         {Document{Delta: directory.Delta{Sequence: 6}}, 5},
		"a delta that goes back":              {Document{Delta: directory.Delta{Sequence: 3}}, 4},
		"all of it, but of another question":  {Document{Full: true, Delta: directory.Delta{Sequence: 9}}, 0},
		"a delta that answers an older state": {Document{Delta: directory.Delta{Sequence: 4}}, 3},
	} {
		t.Run(name+" is refused and changes nothing", func(t *testing.T) {
			m := newMirror(t)
			m.follow(newBook(world()...), true)
			before := m.current.Load()
			if err := m.Apply(&c.document, c.after, m.now); !errors.Is(err, errOutOfOrder) || m.current.Load() != before {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRestoredServer(t *testing.T) {
	// restored is the server's book as the backup has it.
	restored := func(t *testing.T, lost ...directory.Delta) (*book, *mirror) {
		m := newMirror(t)
		m.follow(newBook(append(world(), lost...)...), true)
		b := newBook(world()...)
		m.follow(b, true)
		if got := m.Current().Sequence(); got != 4 {
			t.Fatalf("at change %d", got)
		}
		return b, m
	}
	for _, c := range []struct {
		name string
		lost directory.Delta
		want verify.Reason
	}{
		{"a revoked token", revoked("t"), "token_revoked"},
		{"a revoked credential", credential("key", "billing", directory.SigningKey, directory.Revoked), "credential_revoked"},
		{"a compromised certificate", credential("certificate", "billing", directory.Certificate, directory.Compromised), "credential_compromised"},
		{"a retired certificate", credential("certificate", "billing", directory.Certificate, directory.Retired), "credential_retired"},
		{"an expired certificate", credential("certificate", "billing", directory.Certificate, directory.Expired), "credential_expired"},
		{"a revoked application", application("billing", "acme", directory.Revoked), "application_revoked"},
		{"a revoked organisation", organisation("acme", directory.Revoked), "organisation_revoked"},
		{"a suspended application, which the operator may have resumed", application("billing", "acme", directory.Suspended), ""},
	} {
		t.Run("fault 27: what was lost in the restore: "+c.name, func(t *testing.T) {
			b, m := restored(t, c.lost)
			m.ends(bound(), c.want)
			b.append(revoked("u"))
			m.follow(b, false)
			m.ends(bound(), c.want)
			m.follow(newBook(), true) // restored once more, to nothing
			if c.want != "" {
				m.follow(newBook(world()...), false)
				m.ends(bound(), c.want)
			}
		})
	}
	t.Run("what came after the restore is good, although the old server did not know it", func(t *testing.T) {
		b, m := restored(t, revoked("u"))
		b.append(application("new", "acme", directory.Active))
		m.follow(b, false)
		m.ends(&verify.Token{ID: "n", ClientID: "new"}, "")
	})
	t.Run("what is kept is bounded", func(t *testing.T) {
		m := newMirror(t)
		for range 3 * maxKept {
			m.follow(newBook(append(world(), revoked("t"))...), true)
			m.follow(newBook(world()...), true)
		}
		if n := len(m.current.Load().kept); n != maxKept {
			t.Errorf("%d snapshots", n)
		}
		m.ends(bound(), "token_revoked")
	})
}

func BenchmarkEnded(b *testing.B) {
	s := NewState(time.Now)
	book := newBook(world()...)
	d, err := book.Delta(b.Context(), 0)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Apply(&Document{Full: true, Delta: d}, 0, time.Now()); err != nil {
		b.Fatal(err)
	}
	token := bound()
	b.ReportAllocs()
	for b.Loop() {
		if reason, _ := s.Ended(token); reason != "" {
			b.Fatal(reason)
		}
	}
}
