// Package clientauth turns the credentials of a request into an authenticated
// client. It is the only place that does, for the token, introspection and
// revocation endpoints alike.
//
// RFC 6749 section 2.3, RFC 7521 section 4.2, RFC 7523 sections 2.2 and 3,
// RFC 8705 section 2; draft-ietf-oauth-rfc7523bis (audience).
package clientauth

import (
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/token"
	"github.com/holdfast-auth/holdfast/mtls"
)

// Authenticator knows what assertions must be addressed to and whom to trust.
type Authenticator struct {
	Issuer      string // the only accepted aud
	TrustDomain string
	// Pool finds the CAs that an organisation's applications chain to; nil means
	// that the organisation has none.
	Pool func(directory.OrganisationID) *mtls.Pool
}

// Attempt is what a request shows.
type Attempt struct {
	Form          oauth.Form
	Authorization []string   // every field line
	Peer          *mtls.Peer // nil: no client certificate
	PeerErr       error      // the peer showed something unusable
}

// Authenticated is who calls, and by which credential.
type Authenticated struct {
	Client     *directory.Client
	Credential *directory.Credential
	Method     directory.AuthMethod
	// Use is the single use of the assertion; the caller records it last, with
	// everything else that the request consumes, in one write. Nil for mTLS.
	Use *token.Use
}

// Authenticate decides by the snapshot and now alone; it consumes nothing.
// Every refusal is an *oauth.Error.
func (a *Authenticator) Authenticate(now time.Time, s *directory.Snapshot, t Attempt) (*Authenticated, error) {
	panic("not written")
}

// RecogniseCertificate finds the credential that the peer's certificate is: one
// of this client's, usable at now, and where our CA issued it, with a chain to
// the pool and the client's URI SAN. Used for authentication and for binding.
func (a *Authenticator) RecogniseCertificate(now time.Time, s *directory.Snapshot, c *directory.Client, p *mtls.Peer) (*directory.Credential, error) {
	panic("not written")
}
