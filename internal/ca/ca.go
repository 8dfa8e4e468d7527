// Package ca is the certificate authority of the applications: a root, an
// issuing CA, and the profile of a client certificate. The intent to issue is on
// disk before the key signs, so that there is a record of whatever was signed.
//
// RFC 5280, RFC 2986; RFC 8705 section 2.1.2 (the URI SAN).
package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/keyring"
	"github.com/holdfast-auth/holdfast/mtls"
)

// Intent is a certificate that is about to be signed.
type Intent struct {
	Serial       string // hexadecimal
	ClientID     directory.ClientID
	CredentialID directory.CredentialID
	CSRHash      [32]byte
	TBSHash      [32]byte
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

// Authority issues certificates.
type Authority struct{}

// Create makes root and issuing CA at first start.
func Create(ctx context.Context, ring *keyring.Ring, trustDomain string) error { panic("not written") }

// Open loads them.
func Open(ctx context.Context, ring *keyring.Ring, store Store, trustDomain string, now func() time.Time) (*Authority, error) {
	panic("not written")
}

// Root is the root certificate.
func (a *Authority) Root() *x509.Certificate { panic("not written") }

// Pool verifies client certificates that this authority issued.
func (a *Authority) Pool() *mtls.Pool { panic("not written") }

// IssueClient issues a certificate to an application for the key in csr (PEM or
// DER, PKCS#10, its signature proves possession of the key). Subject and SANs
// come from the directory, never from the CSR; a CSR that asks for a name other
// than the application's own is refused. The chain is leaf first, without the root.
func (a *Authority) IssueClient(ctx context.Context, actor string, c *directory.Client, csr []byte, life time.Duration) (directory.Credential, [][]byte, error) {
	panic("not written")
}

// IssueServer signs a server certificate for our own listeners: DNS names and IP
// addresses, 90 days, ExtKeyUsage serverAuth. It is not stored.
func (a *Authority) IssueServer(key crypto.PublicKey, names []string) (chain [][]byte, err error) {
	panic("not written")
}
