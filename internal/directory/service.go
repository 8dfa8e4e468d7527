package directory

import (
	"context"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// Store keeps the directory. Each method but Load is one transaction that takes
// the next number of the chain, seals and appends the event, and makes the
// change; none happens without the others.
type Store interface {
	// Load reads what changed after the sequence; after 0, everything.
	Load(ctx context.Context, after int64) (Delta, error)
	CreateOrganisation(ctx context.Context, e audit.Event, o Organisation) error
	CreateResource(ctx context.Context, e audit.Event, r Resource) error
	// CreateApplication stores the application with its grants.
	CreateApplication(ctx context.Context, e audit.Event, a Application) error
	// CreateCredential stores a credential; ErrExists if the thumbprint is
	// registered already for this or any other application.
	CreateCredential(ctx context.Context, e audit.Event, c Credential) error
	// SetCredentialState moves a credential to a state; ErrState unless it is in one of from.
	SetCredentialState(ctx context.Context, e audit.Event, id CredentialID, from []State, to State) error
	// SetApplicationState and SetOrganisationState do the same for theirs.
	SetApplicationState(ctx context.Context, e audit.Event, id ClientID, from []State, to State) error
	SetOrganisationState(ctx context.Context, e audit.Event, id OrganisationID, from []State, to State) error
	RevokeToken(ctx context.Context, e audit.Event, t RevokedToken) error
}

// Directory is the rules over a store, and the snapshot that requests decide on.
type Directory struct{}

// Open loads the first snapshot.
func Open(ctx context.Context, store Store, now func() time.Time) (*Directory, error) {
	panic("not written")
}

// Current is the snapshot now in force.
func (d *Directory) Current() *Snapshot { panic("not written") }

// Age is how long ago the snapshot was last known to be the newest.
func (d *Directory) Age() time.Duration { panic("not written") }

// Changed is closed when a newer snapshot than s is in force (at once, if one is already).
func (d *Directory) Changed(s *Snapshot) <-chan struct{} { panic("not written") }

// Delta reads what changed after the sequence, for the feed.
func (d *Directory) Delta(ctx context.Context, after int64) (Delta, error) { panic("not written") }

// Run keeps the snapshot fresh until ctx ends: it asks the store every 500 ms,
// and at once after a change made through d.
func (d *Directory) Run(ctx context.Context) error { panic("not written") }

// The changes. actor is the operator's client_id or "system"; ids are made here
// when the value has none. Each returns after the change is on disk and in
// force in this process.

func (d *Directory) CreateOrganisation(ctx context.Context, actor string, o Organisation) (Organisation, error) {
	panic("not written")
}
func (d *Directory) CreateResource(ctx context.Context, actor string, r Resource) (Resource, error) {
	panic("not written")
}
func (d *Directory) CreateApplication(ctx context.Context, actor string, a Application) (Application, error) {
	panic("not written")
}

// RegisterKey makes an active signing-key credential of a public key.
func (d *Directory) RegisterKey(ctx context.Context, actor string, client ClientID, key *jose.PublicKey, notAfter time.Time) (Credential, error) {
	panic("not written")
}

// RegisterCertificate makes an active certificate credential of a certificate
// that the application made itself (self_signed_tls_client_auth, or the binding
// certificate of a private_key_jwt client).
func (d *Directory) RegisterCertificate(ctx context.Context, actor string, client ClientID, der []byte) (Credential, error) {
	panic("not written")
}

// SetCredentialState suspends, resumes, retires, revokes or marks as compromised.
func (d *Directory) SetCredentialState(ctx context.Context, actor string, id CredentialID, to State) error {
	panic("not written")
}

// RevokeDPoPKey revokes a DPoP key of an application by its jkt.
func (d *Directory) RevokeDPoPKey(ctx context.Context, actor string, client ClientID, jkt cnf.Thumbprint) (Credential, error) {
	panic("not written")
}
func (d *Directory) SetApplicationState(ctx context.Context, actor string, id ClientID, to State) error {
	panic("not written")
}
func (d *Directory) SetOrganisationState(ctx context.Context, actor string, id OrganisationID, to State) error {
	panic("not written")
}

// RevokeToken ends one access token.
func (d *Directory) RevokeToken(ctx context.Context, actor string, client ClientID, t RevokedToken) error {
	panic("not written")
}
