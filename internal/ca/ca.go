// Package ca is the certificate authority of the applications: roots, issuing
// CAs, the profiles of certificates, and the lists of those that were revoked.
// The intent to issue is on disk before the key signs, so that there is a record
// of whatever was signed.
//
//	CSR -> names and key -> template -> twin, linted -> intent on disk -> signed -> stored
//
// RFC 5280, RFC 2986; RFC 8705 section 2.1.2 (the URI SAN). Left out: OCSP, delta
// and indirect lists, partitioned lists. Nothing here parses a list: whether one
// of our own certificates is good is decided by the directory.
package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/mtls"
)

// Lives of certificates.
const (
	RootLife    = 10 * 365 * 24 * time.Hour
	IssuingLife = 365 * 24 * time.Hour
	ServerLife  = 90 * 24 * time.Hour
	// MaxClientLife is the most that a client certificate is asked for.
	MaxClientLife = 90 * 24 * time.Hour
	// backdate allows for clocks that are behind.
	backdate = 5 * time.Minute
)

// Config of an authority. Every field but CRLBase is required.
type Config struct {
	Ring        *keyring.Ring
	Store       Store
	TrustDomain string
	// CRLBase is the URL below which lists are served as <id of the CA key>.crl,
	// without trailing slash: certificates name it. "" names none.
	CRLBase string
	Now     func() time.Time
}

// Authority issues certificates. Safe for concurrent use.
type Authority struct {
	Config
	state    atomic.Pointer[state]
	lists    atomic.Pointer[map[string]*CRL] // by issuer: the newest that was seen
	changing sync.Mutex                      // held while state or lists are replaced

	publishing sync.Mutex       // held while lists are looked at and signed
	looked     map[string]int64 // guarded by publishing; by issuer: the change up to which its list is true
}

// state is what the keyring held when it was looked at last.
type state struct {
	roots   []*x509.Certificate // newest first
	issuers []issuer            // the one that begins to sign last comes first
	pool    *mtls.Pool
}

// issuer is an issuing CA.
type issuer struct {
	id          string
	certificate *x509.Certificate
	signer      crypto.Signer // nil: not available
	twin        crypto.Signer // nobody trusts it: what it signs is only looked at
	from        time.Time     // from when it signs
	crl         string        // URL of its list; "" for none
}

// Create makes root and issuing CA at first start, in one transaction. It is
// directory.ErrExists when there are some.
func Create(ctx context.Context, ring *keyring.Ring, trustDomain string) error {
	if err := checkTrustDomain(trustDomain); err != nil {
		return err
	}
	now := ring.Now()
	root, err := newKey(keyring.Root)
	if err != nil {
		return err
	}
	template, err := authorityTemplate(trustDomain, "root", 1, now, RootLife, root.Signer.Public())
	if err != nil {
		return err
	}
	if err := certify(&root, template, template, root.Signer); err != nil {
		return fmt.Errorf("sign root certificate: %w", err)
	}
	issuing, err := newIssuing(trustDomain, now, root)
	if err != nil {
		return err
	}
	return ring.Create(ctx, "system", true, root, issuing)
}

// newIssuing makes an issuing CA of the root, which it does not outlive.
func newIssuing(trustDomain string, now time.Time, root keyring.Key) (keyring.Key, error) {
	issuing, err := newKey(keyring.Issuing)
	if err != nil {
		return keyring.Key{}, err
	}
	life := min(IssuingLife, root.Certificate.NotAfter.Sub(now))
	template, err := authorityTemplate(trustDomain, "issuing", 0, now, life, issuing.Signer.Public())
	if err != nil {
		return keyring.Key{}, err
	}
	if err := certify(&issuing, template, root.Certificate, root.Signer); err != nil {
		return keyring.Key{}, fmt.Errorf("sign issuing certificate: %w", err)
	}
	return issuing, lintAuthority(now, issuing.Certificate, root.Certificate)
}

// ValidTrustDomain tells whether certificates can name the trust domain: section
// 2.1 of the SPIFFE ID specification.
func ValidTrustDomain(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return name != "" && len(name) <= 255
}

func checkTrustDomain(name string) error {
	if !ValidTrustDomain(name) {
		return &directory.InvalidError{Field: "trust domain", Reason: "is 1 to 255 lower-case letters, digits, dots, hyphens and underscores"}
	}
	return nil
}

func newKey(p keyring.Purpose) (keyring.Key, error) {
	signer, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return keyring.Key{}, fmt.Errorf("make %s key: %w", p, err)
	}
	return keyring.Key{Purpose: p, Signer: signer}, nil
}

// certify signs template for the key and sets its certificate and time.
func certify(k *keyring.Key, template, parent *x509.Certificate, signer crypto.Signer) error {
	c, err := sign(template, parent, k.Signer.Public(), signer)
	if err != nil {
		return err
	}
	k.Certificate, k.NotBefore, k.NotAfter = c, c.NotBefore, c.NotAfter
	return nil
}

// Open loads the authority that Create or Import made, and the lists it signed. A
// CA key that does not open is no error: its certificate still verifies what it
// signed, and issuing answers ErrUnavailable.
func Open(ctx context.Context, c Config) (*Authority, error) {
	if err := checkTrustDomain(c.TrustDomain); err != nil {
		return nil, err
	}
	a := &Authority{Config: c, looked: map[string]int64{}}
	if err := a.Reload(ctx); err != nil {
		return nil, err
	}
	a.lists.Store(&map[string]*CRL{})
	return a, a.loadLists(ctx)
}

// Reload looks at the keyring again, for CAs that another node made.
func (a *Authority) Reload(ctx context.Context) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	roots, err := a.Ring.Certified(ctx, keyring.Root)
	if err != nil {
		return fmt.Errorf("open root: %w", err)
	}
	issuing, err := a.Ring.Certified(ctx, keyring.Issuing)
	if err != nil {
		return fmt.Errorf("open issuing CA: %w", err)
	}
	if len(roots) == 0 || len(issuing) == 0 {
		return errors.New("there is no certificate authority: the first start did not make one")
	}
	s := &state{}
	for _, k := range roots {
		s.roots = append(s.roots, k.Certificate)
	}
	intermediates := make([]*x509.Certificate, 0, len(issuing))
	for _, k := range issuing {
		if rootOf(k.Certificate, s.roots) == nil {
			return fmt.Errorf("issuing CA %s is not the root's", k.ID)
		}
		twin, err := twinOf(k.Certificate.PublicKey)
		if err != nil {
			return fmt.Errorf("issuing CA %s: %w", k.ID, err)
		}
		s.issuers = append(s.issuers, issuer{k.ID, k.Certificate, k.Signer, twin, k.NotBefore, a.listURL(k.ID)})
		intermediates = append(intermediates, k.Certificate)
	}
	if old := a.state.Load(); old != nil && old.same(s) {
		return nil // and the pool goes on knowing what it has verified
	}
	if s.pool, err = mtls.NewPool(s.roots, intermediates); err != nil {
		return fmt.Errorf("pool of the certificate authority: %w", err)
	}
	a.state.Store(s)
	return nil
}

// twinOf makes a key of the issuer's kind: the algorithm of the signature is
// among what is signed.
func twinOf(key crypto.PublicKey) (crypto.Signer, error) {
	public, err := jose.NewPublicKey(key, "", "")
	if err != nil {
		return nil, err
	}
	return jose.GenerateKey(public.Algorithm(), rand.Reader)
}

// same tells whether both hold the same CAs, available alike.
func (s *state) same(other *state) bool {
	if len(s.roots) != len(other.roots) || len(s.issuers) != len(other.issuers) {
		return false
	}
	for i := range s.roots {
		if !s.roots[i].Equal(other.roots[i]) {
			return false
		}
	}
	for i := range s.issuers {
		if s.issuers[i].id != other.issuers[i].id || (s.issuers[i].signer == nil) != (other.issuers[i].signer == nil) {
			return false
		}
	}
	return true
}

// rootOf finds the root that signed c; nil if none did.
func rootOf(c *x509.Certificate, roots []*x509.Certificate) *x509.Certificate {
	for _, root := range roots {
		if bytes.Equal(c.RawIssuer, root.RawSubject) && c.CheckSignatureFrom(root) == nil {
			return root
		}
	}
	return nil
}

func (a *Authority) listURL(id string) string {
	if a.CRLBase == "" {
		return ""
	}
	return a.CRLBase + "/" + id + ".crl"
}

// Roots are the root certificates, newest first; at least one.
func (a *Authority) Roots() []*x509.Certificate { return a.state.Load().roots }

// Issuer is an issuing CA, for people.
type Issuer struct {
	ID          string // of its key
	Certificate *x509.Certificate
	SignsFrom   time.Time
	Available   bool
	CRL         string // URL of its list; "" for none
}

// Issuers are the issuing CAs, the one that begins to sign last first.
func (a *Authority) Issuers() []Issuer {
	s := a.state.Load()
	all := make([]Issuer, len(s.issuers))
	for i, by := range s.issuers {
		all[i] = Issuer{ID: by.id, Certificate: by.certificate, SignsFrom: by.from, Available: by.signer != nil, CRL: by.crl}
	}
	return all
}

// Pool verifies client certificates that this authority issued. It is another
// one when there is a CA more.
func (a *Authority) Pool() *mtls.Pool { return a.state.Load().pool }

// issuerAt is the newest issuing CA in its time: one whose key does not open
// only when there is no other.
func (a *Authority) issuerAt(now time.Time) (issuer, error) {
	err := ErrClosed
	for _, i := range a.state.Load().issuers {
		switch {
		case now.Before(i.from) || now.Before(i.certificate.NotBefore) || !now.Before(i.certificate.NotAfter):
		case i.signer == nil:
			err = ErrUnavailable
		default:
			return i, nil
		}
	}
	return issuer{}, err
}

// issuerBy finds an issuing CA by the id of its key, in its time or not.
func (s *state) issuerBy(id string) (issuer, bool) {
	for _, i := range s.issuers {
		if i.id == id {
			return i, true
		}
	}
	return issuer{}, false
}
