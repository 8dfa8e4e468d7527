// Package clientauth turns the credentials of a request into an authenticated
// client. It is the only place that does, for the token, introspection and
// revocation endpoints alike.
//
// RFC 6749 section 2.3, RFC 7521 section 4.2, RFC 7523 sections 2.2 and 3,
// RFC 8705 section 2; draft-ietf-oauth-rfc7523bis (audience).
package clientauth

import (
	"sync"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/token"
	"github.com/holdfast-auth/holdfast/mtls"
)

// AssertionType is the one client_assertion_type (RFC 7523 section 2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Authenticator knows what assertions must be addressed to and whom to trust.
// Use it by pointer.
type Authenticator struct {
	Issuer      string // the only accepted aud
	TrustDomain string
	// Pool finds those of our own CAs that an organisation's applications chain to;
	// nil means that it has none. The CAs of its own are in the snapshot.
	Pool func(directory.OrganisationID) *mtls.Pool
	// Published are the keys at applications' jwks_uri; nil means that none can be had.
	Published Published

	anchors    anchors
	decoysOnce sync.Once
	decoys     map[jose.Algorithm]*jose.PublicKey
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

// Refusal is what Authenticate returns: the *oauth.Error, and the client that
// the request named, which it did not prove to be.
type Refusal struct {
	Client  *directory.Client // nil when it named nobody we know
	err     error
	missing *missing // what a jwks_uri may have by now; nil for nothing
}

func (r *Refusal) Error() string { return r.err.Error() }

// Unwrap is the *oauth.Error.
func (r *Refusal) Unwrap() error { return r.err }

// Authenticate decides by the snapshot and now alone; it consumes nothing.
// Every refusal is a *Refusal that wraps an *oauth.Error.
func (a *Authenticator) Authenticate(now time.Time, s *directory.Snapshot, t Attempt) (*Authenticated, error) {
	used, err := methodUsed(t)
	if err != nil {
		return nil, err
	}
	switch used {
	case byAssertion:
		return a.authenticateAssertion(now, s, t.Form)
	case byCertificate:
		return a.authenticateCertificate(now, s, t)
	case bySecret:
		return nil, unauthenticated(nil, ReasonMethodNotOffered, nil)
	default:
		return nil, unauthenticated(nil, ReasonNoCredential, nil)
	}
}

// method is how a request tries to authenticate.
type method int

const (
	byNothing method = iota
	byAssertion
	byCertificate
	bySecret // client_secret_basic, client_secret_post, or any other Authorization
)

// methodUsed finds the one method of the request. A certificate counts only when
// nothing else is there: beside an assertion it is what the token is bound to.
func methodUsed(t Attempt) (method, error) {
	assertion, kind := t.Form.Value("client_assertion"), t.Form.Value("client_assertion_type")
	shown := len(t.Authorization)
	if t.Form.Value("client_secret") != "" {
		shown++
	}
	secret := shown > 0
	if assertion != "" || kind != "" {
		shown++
	}
	switch {
	case shown > 1: // RFC 6749 section 2.3
		return byNothing, malformed(ReasonTwoMethods, "more than one client authentication method")
	case secret:
		return bySecret, nil
	case shown == 1:
		switch {
		case assertion == "":
			return byNothing, malformed(ReasonHalfPair, "client_assertion is missing")
		case kind == "":
			return byNothing, malformed(ReasonHalfPair, "client_assertion_type is missing")
		case kind != AssertionType:
			return byNothing, malformed(ReasonAssertionType, "client_assertion_type is not known")
		}
		return byAssertion, nil
	case t.Form.Value("client_id") != "":
		return byCertificate, nil
	case t.Peer != nil || t.PeerErr != nil: // RFC 8705 section 2 requires client_id
		return byNothing, malformed(ReasonClientIDMissing, "client_id is missing")
	}
	return byNothing, nil
}

// malformed is a request that no client authentication can be read from.
func malformed(reason, description string) error {
	return &Refusal{err: oauth.Refuse(oauth.InvalidRequest, reason, description, nil)}
}

// unauthenticated is the one answer to whoever did not prove who they are; only
// the reason, which stays inside, differs.
func unauthenticated(named *directory.Client, reason string, cause error) error {
	f := fault{reason: reason, cause: cause}
	return f.refuse(named)
}

// fault is why a credential is none.
type fault struct {
	reason  string
	cause   error
	missing *missing
}

func (f *fault) refuse(named *directory.Client) error {
	return &Refusal{
		Client: named, missing: f.missing,
		err: oauth.Refuse(oauth.InvalidClient, f.reason, "client authentication failed", f.cause),
	}
}
