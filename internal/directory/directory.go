package directory

import (
	"errors"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// Ids are [A-Za-z0-9._-]{1,64}, never "." or "..", and never used again.
type (
	OrganisationID string
	ClientID       string
	CredentialID   string
)

// Faults of a change, for errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	ErrState    = errors.New("not possible in this state")
	ErrInvalid  = errors.New("not valid")
	// ErrStale is a change that was decided on a state that is no longer the
	// newest. A Directory decides again, and hands it on only when others keep
	// coming first.
	ErrStale = errors.New("the directory has changed meanwhile")
)

// InvalidError names the field that is at fault. It is ErrInvalid.
type InvalidError struct{ Field, Reason string }

func (e *InvalidError) Error() string        { return e.Field + ": " + e.Reason }
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// State of an organisation, an application or a credential.
type State string

// The states. Organisations and applications are active, suspended or revoked.
const (
	Created     State = "created"
	Published   State = "published"
	Active      State = "active"
	Retiring    State = "retiring"
	Retired     State = "retired"
	Suspended   State = "suspended"
	Revoked     State = "revoked"
	Compromised State = "compromised"
	Expired     State = "expired"
)

// Accepted tells whether a verifier accepts a credential in this state.
func (s State) Accepted() bool { return s == Published || s == Active || s == Retiring }

// AuthMethod is a token_endpoint_auth_method.
type AuthMethod string

// The methods that applications may be registered with.
const (
	PrivateKeyJWT           AuthMethod = "private_key_jwt"
	TLSClientAuth           AuthMethod = "tls_client_auth"
	SelfSignedTLSClientAuth AuthMethod = "self_signed_tls_client_auth"
)

// Organisation owns applications, resources and the CAs it trusts.
type Organisation struct {
	ID    OrganisationID
	Name  string // for people
	State State
}

// Application is an OAuth client.
type Application struct {
	ClientID     ClientID
	Organisation OrganisationID
	Name         string // for people
	AuthMethod   AuthMethod
	Binding      cnf.Method // what its tokens are bound to
	// RequireNonce demands a DPoP nonce at the token endpoint.
	RequireNonce bool
	State        State
	Grants       []Grant
}

// Grant lets an application ask for scopes of one resource.
type Grant struct {
	Resource string // audience URI
	Scopes   []string
}

// Resource is an API: its audience URI (absolute, no fragment) and its scopes.
// A scope belongs to one resource.
type Resource struct {
	URI          string
	Organisation OrganisationID
	Name         string
	Scopes       []string
	// Servers may introspect tokens for this resource.
	Servers []ClientID
}

// Kind of a credential.
type Kind string

// The kinds.
const (
	SigningKey  Kind = "signing_key" // signs client assertions
	Certificate Kind = "certificate" // client certificate, issued by us or registered
	DPoPKey     Kind = "dpop_key"    // named by its jkt, needs no registration; a row exists once revoked
)

// Credential is one key or certificate of one application.
type Credential struct {
	ID       CredentialID
	ClientID ClientID
	Kind     Kind
	State    State
	// Key is the public half: for a signing key always, for a certificate nil.
	Key *jose.PublicKey
	// Thumbprint is x5t#S256 of a certificate, RFC 7638 of a key.
	Thumbprint cnf.Thumbprint
	// Certificate is the DER of a certificate credential.
	Certificate []byte
	// Issued tells that our own CA issued the certificate.
	Issued    bool
	Created   time.Time
	NotBefore time.Time // zero: no bound
	NotAfter  time.Time // zero: no bound
}

// UsableAt tells whether the credential may authenticate or bind at now: its
// state is accepted and now lies in its window.
func (c *Credential) UsableAt(now time.Time) bool {
	return c.State.Accepted() && !now.Before(c.NotBefore) && (c.NotAfter.IsZero() || now.Before(c.NotAfter))
}

// SPIFFEID is the URI SAN of the application's certificates.
func SPIFFEID(trustDomain string, organisation OrganisationID, client ClientID) string {
	return "spiffe://" + trustDomain + "/organisation/" + string(organisation) + "/application/" + string(client)
}
