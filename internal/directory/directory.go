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
	InstanceID     string
	RoleID         string
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
	// Roles that it holds: its applications may have them.
	Roles []RoleID
	// Anchors are the CAs of its own whose certificates its applications may show.
	Anchors []TrustAnchor
	// TokensAfter is a whole second: tokens issued before it have ended.
	TokensAfter time.Time
	Changed     int64 // the change that made it what it is
}

// TrustAnchor is a CA of an organisation, pinned by its key (RFC 8705 section
// 7.3: names are not unique). Active and retiring ones are trusted.
type TrustAnchor struct {
	ID          string
	Name        string   // for people
	Certificate []byte   // DER
	SPKI        [32]byte // SHA-256 of the SubjectPublicKeyInfo
	State       State
	Created     time.Time
}

// Role is a name for scopes of resources. An application has those of its roles
// that its organisation holds and that are active.
type Role struct {
	ID      RoleID
	Name    string // for people
	State   State
	Grants  []Grant
	Changed int64
}

// Instance is one replica of an application: a record, not a name in a
// certificate. Its credentials name it.
type Instance struct {
	ID       InstanceID
	ClientID ClientID
	Name     string // unique in its application
	State    State  // active or revoked
	Created  time.Time
	Changed  int64
}

// OperatorRole is what an application may do through the admin API.
type OperatorRole string

// The roles of operators. The first three are for applications of the operator's
// organisation; an organisation operator is one of any organisation and sees and
// changes that organisation alone.
const (
	Owner                OperatorRole = "owner"
	Security             OperatorRole = "security"
	Auditor              OperatorRole = "auditor"
	OrganisationOperator OperatorRole = "organisation_operator"
)

// TLSName is the one registered name by which tls_client_auth recognises a
// certificate of an organisation's own CA (RFC 8705 section 2.1.2). The zero
// TLSName is an application whose certificates our own CA issues.
type TLSName struct {
	Kind  NameKind
	Value string
}

// NameKind is the kind of a subject alternative name.
type NameKind string

// The kinds. A distinguished name is none: a name is not an identity.
const (
	NameURI   NameKind = "uri"
	NameDNS   NameKind = "dns"
	NameIP    NameKind = "ip"
	NameEmail NameKind = "email"
)

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
	Roles        []RoleID
	// TLSName is for tls_client_auth by certificates that are not ours.
	TLSName TLSName
	// JWKSURI is where the application publishes its keys, "" for registered ones.
	JWKSURI string
	// OperatorRole lets it use the admin API; "" does not.
	OperatorRole OperatorRole
	// TokensAfter is a whole second: tokens issued before it have ended.
	TokensAfter time.Time
	Changed     int64
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
	// RequireNonce demands a DPoP nonce for its tokens at the token endpoint.
	RequireNonce bool
	State        State
	// TokensAfter is a whole second: tokens issued before it have ended.
	TokensAfter time.Time
	Changed     int64
}

// Kind of a credential.
type Kind string

// The kinds.
const (
	SigningKey  Kind = "signing_key" // signs client assertions
	Certificate Kind = "certificate" // client certificate, issued by us or registered
	// ServerCertificate is that of a TLS server of the application, issued by us. It
	// authenticates no client and binds no token.
	ServerCertificate Kind = "server_certificate"
	// These need no registration: they are named by their thumbprint within one
	// application, and a record exists once revoked.
	DPoPKey            Kind = "dpop_key"            // by its jkt
	TrustedCertificate Kind = "trusted_certificate" // of a trust anchor of the organisation, by its x5t#S256
	PublishedKey       Kind = "published_key"       // at the application's jwks_uri, by its RFC 7638 thumbprint
)

// Registered tells whether credentials of this kind have a record all their life;
// their thumbprints are one application's alone.
func (k Kind) Registered() bool { return k == SigningKey || k == Certificate || k == ServerCertificate }

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
	// Instance is the replica that has it, "" when none is named.
	Instance InstanceID
	// TokensAfter is a whole second: tokens that it got, or that are bound to it,
	// and were issued before have ended.
	TokensAfter time.Time
	Changed     int64
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
