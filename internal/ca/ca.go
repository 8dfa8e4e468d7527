// Package ca is the certificate authority of the applications: a root, an
// issuing CA, and the profile of a client certificate. The intent to issue is on
// disk before the key signs, so that there is a record of whatever was signed.
//
//	CSR -> names and key -> template -> twin, linted -> intent on disk -> signed -> stored
//
// RFC 5280, RFC 2986; RFC 8705 section 2.1.2 (the URI SAN).
package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
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

// Faults, for errors.Is.
var (
	// ErrClosed says that no issuing CA is in its time.
	ErrClosed = errors.New("no issuing CA is in force")
	// ErrLint is a certificate that would not have come out as meant. It was not
	// signed, or not given out.
	ErrLint = errors.New("certificate is not as meant")
)

// Intent is a certificate that is about to be signed.
type Intent struct {
	Serial       string // hexadecimal
	ClientID     directory.ClientID
	CredentialID directory.CredentialID
	CSRHash      [32]byte // SHA-256 of the CSR's DER
	TBSHash      [32]byte // SHA-256 of the TBSCertificate that will be signed
	At           time.Time
}

// Store keeps intents and what came of them.
type Store interface {
	// BeginIssue is durable on return.
	BeginIssue(ctx context.Context, i Intent) error
	// FinishIssue stores the credential with its certificate and the event, and
	// closes the intent, in one transaction.
	FinishIssue(ctx context.Context, e audit.Event, serial string, c directory.Credential) error
}

// Authority issues certificates. Safe for concurrent use.
type Authority struct {
	store       Store
	trustDomain string
	now         func() time.Time
	root        *x509.Certificate
	issuers     []issuer // newest first
	pool        *mtls.Pool
}

// issuer is an issuing CA.
type issuer struct {
	certificate *x509.Certificate
	signer      crypto.Signer
}

// Create makes root and issuing CA at first start, in one transaction. It is
// directory.ErrExists when there are some.
func Create(ctx context.Context, ring *keyring.Ring, trustDomain string) error {
	if !ValidTrustDomain(trustDomain) {
		return &directory.InvalidError{Field: "trust domain", Reason: "is 1 to 255 lower-case letters, digits, dots, hyphens and underscores"}
	}
	now := ring.Now()
	root, err := newKey(keyring.Root)
	if err != nil {
		return err
	}
	issuing, err := newKey(keyring.Issuing)
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
	template, err = authorityTemplate(trustDomain, "issuing", 0, now, IssuingLife, issuing.Signer.Public())
	if err != nil {
		return err
	}
	if err := certify(&issuing, template, root.Certificate, root.Signer); err != nil {
		return fmt.Errorf("sign issuing certificate: %w", err)
	}
	return ring.Create(ctx, "system", true, root, issuing)
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

// Open loads the authority that Create made. It refuses another trust domain
// than the one that it was made for: that is fixed for ever.
func Open(ctx context.Context, ring *keyring.Ring, store Store, trustDomain string, now func() time.Time) (*Authority, error) {
	roots, err := ring.Keys(ctx, keyring.Root)
	if err != nil {
		return nil, fmt.Errorf("open root: %w", err)
	}
	issuing, err := ring.Keys(ctx, keyring.Issuing)
	if err != nil {
		return nil, fmt.Errorf("open issuing CA: %w", err)
	}
	if len(roots) == 0 || len(issuing) == 0 {
		return nil, errors.New("there is no certificate authority: the first start did not make one")
	}
	a := &Authority{store: store, trustDomain: trustDomain, now: now, root: roots[0].Certificate}
	if o := a.root.Subject.Organization; len(o) != 1 || o[0] != trustDomain {
		return nil, errors.New("the certificate authority was made for another trust domain")
	}
	intermediates := make([]*x509.Certificate, 0, len(issuing))
	for _, k := range issuing {
		if err := k.Certificate.CheckSignatureFrom(a.root); err != nil {
			return nil, fmt.Errorf("issuing CA %s is not the root's: %w", k.ID, err)
		}
		a.issuers = append(a.issuers, issuer{k.Certificate, k.Signer})
		intermediates = append(intermediates, k.Certificate)
	}
	if a.pool, err = mtls.NewPool([]*x509.Certificate{a.root}, intermediates); err != nil {
		return nil, fmt.Errorf("pool of the certificate authority: %w", err)
	}
	return a, nil
}

// Root is the root certificate.
func (a *Authority) Root() *x509.Certificate { return a.root }

// Pool verifies client certificates that this authority issued.
func (a *Authority) Pool() *mtls.Pool { return a.pool }

// issuerAt is the newest issuing CA in its time.
func (a *Authority) issuerAt(now time.Time) (issuer, error) {
	for _, i := range a.issuers {
		if !now.Before(i.certificate.NotBefore) && now.Before(i.certificate.NotAfter) {
			return i, nil
		}
	}
	return issuer{}, ErrClosed
}
