package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/enrol"
	"github.com/holdfast-auth/holdfast/internal/idempotency"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// Caller is the application that a request's token was issued to.
type Caller struct {
	ClientID     directory.ClientID
	Organisation directory.OrganisationID
	CredentialID string
	Binding      string // "mtls" or "dpop"
	Resource     string
	TokenID      string
	// Ended tells why the request's token is good no more on a snapshot; "" when it is.
	Ended func(*directory.Snapshot) string
	// Role is the operator role that the directory gives the application; found by
	// the API itself.
	Role directory.OperatorRole
}

// actor is how the audit names the caller.
func (c Caller) actor() string { return string(c.ClientID) }

// Token is what revoking an access token needs to know of it.
type Token struct {
	ID       string
	ClientID directory.ClientID
	Expires  time.Time
}

// Config is what the API needs. Every field but Routes is required.
type Config struct {
	Directory *directory.Directory
	Authority *ca.Authority
	Enrolment *enrol.Service
	// Registration is what lets applications register themselves.
	Registration *registration.Service
	// Events reads at most limit audit events that follow the sequence.
	Events func(ctx context.Context, after int64, limit int) ([]audit.Event, error)
	// SelectEvents reads those of them that the selection fits.
	SelectEvents func(ctx context.Context, after int64, limit int, by audit.Selection) ([]audit.Event, error)
	// Checkpoints reads at most limit checkpoints that follow the sequence.
	Checkpoints func(ctx context.Context, after int64, limit int) ([]audit.SignedCheckpoint, error)
	// LastUsed is when the credentials of an application were last used, those that
	// were not left out.
	LastUsed func(ctx context.Context, client directory.ClientID) (map[directory.CredentialID]time.Time, error)
	// Answers keeps what was answered under an Idempotency-Key.
	Answers interface {
		Remembered(ctx context.Context, key [32]byte, now time.Time) (idempotency.Record, error)
		Remember(ctx context.Context, p *idempotency.Pending) error
	}
	// Secrets seals those answers, and makes the key that signs cursors: the
	// key-encryption key.
	Secrets interface {
		Seal(name string, plaintext []byte) ([]byte, error)
		Open(name string, sealed []byte) ([]byte, error)
		Derive(purpose string) [32]byte
	}
	// SigningKeys are the token signing keys that are not forgotten, and those that
	// were revoked.
	SigningKeys func() []SigningKey
	// ReadToken reads an access token that this server signed; nil if it did not.
	ReadToken func(text string) *Token
	// Require lets through to next only requests whose token is good for this
	// API and has its scope; it answers the others itself, and their event says why.
	Require func(next http.Handler) http.Handler
	// Caller finds, in the context that Require made, who calls.
	Caller func(ctx context.Context) (Caller, bool)
	// OperatorOrganisation is the one whose applications may have the roles owner,
	// security and auditor.
	OperatorOrganisation directory.OrganisationID
	// Resource is the audience URI of this API.
	Resource string
	// Scope is the one that opens it.
	Scope string
	// URL of the API, without trailing slash, for its description.
	URL     string
	Version string
	// Table is the listener's; its Render is ours.
	Table web.Options
	// Routes stand beside the API and need no token: Status.Routes.
	Routes []web.Route
}

// api is the operations' state.
type api struct {
	Config
	cursors [32]byte // signs cursors
}

// New builds the handler of the admin listener.
func New(c Config) (http.Handler, error) {
	switch {
	case c.Directory == nil, c.Authority == nil, c.Enrolment == nil, c.Registration == nil, c.Events == nil, c.SelectEvents == nil, c.Checkpoints == nil, c.LastUsed == nil,
		c.Answers == nil, c.Secrets == nil, c.SigningKeys == nil, c.ReadToken == nil,
		c.Require == nil, c.Caller == nil, c.OperatorOrganisation == "", c.Resource == "", c.Scope == "", c.Table.Now == nil, c.Table.Log == nil:
		return nil, errors.New("admin: a required field of Config is missing")
	}
	door := newDoor(c)
	describe(door, &api{c, c.Secrets.Derive("admin cursors")})
	if err := errors.Join(door.faults...); err != nil {
		return nil, err
	}
	c.Directory.KeepOwner(c.OperatorOrganisation, c.Resource, c.Scope)
	description, err := door.description()
	if err != nil {
		return nil, err
	}
	routes := append(door.routes, description)
	c.Table.Render = renderTable
	return web.NewTable(c.Table, append(routes, c.Routes...)), nil
}
