package directory

import (
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
)

// Snapshot is the directory as of one change. It is immutable; a change makes a
// new one that shares what did not change.
type Snapshot struct{}

// Client is an application joined with what a request needs to know of it.
type Client struct {
	Application
	// Live: the application and its organisation are both active.
	Live        bool
	Credentials []*Credential
}

// SigningKey finds the credential with this kid, in whatever state; nil if none.
func (c *Client) SigningKey(kid string) *Credential { panic("not written") }

// Certificate finds the credential with this thumbprint, in whatever state; nil if none.
func (c *Client) Certificate(t cnf.Thumbprint) *Credential { panic("not written") }

// Delta is what changed since a sequence: each record as it is now.
type Delta struct {
	Sequence      int64
	Organisations []Organisation
	Applications  []Application
	Resources     []Resource
	Credentials   []Credential
	Revoked       []RevokedToken
}

// RevokedToken is an access token that was revoked, by jti. It is forgotten
// once the token has expired.
type RevokedToken struct {
	ID      string
	Expires time.Time
}

// Empty is the snapshot before the first change.
func Empty() *Snapshot { panic("not written") }

// Apply makes the snapshot after the delta. now drops revoked tokens that have expired.
func (s *Snapshot) Apply(d Delta, now time.Time) *Snapshot { panic("not written") }

// Sequence is the number of the last change in s.
func (s *Snapshot) Sequence() int64 { panic("not written") }

// Client finds an application in whatever state; nil if none.
func (s *Snapshot) Client(id ClientID) *Client { panic("not written") }

// Resource finds a resource by audience URI; nil if none.
func (s *Snapshot) Resource(uri string) *Resource { panic("not written") }

// ResourceOfScope finds the resource that owns a scope; nil if none.
func (s *Snapshot) ResourceOfScope(scope string) *Resource { panic("not written") }

// CredentialByThumbprint finds any application's credential; nil if none.
func (s *Snapshot) CredentialByThumbprint(t cnf.Thumbprint) *Credential { panic("not written") }

// Token is what the snapshot needs to know of a token to say whether it ended.
type Token struct {
	ID           string
	ClientID     ClientID
	CredentialID CredentialID
	Binding      cnf.Binding
}

// Ended tells why a token that was good when issued is good no more:
// "token_revoked", "credential_revoked", "application_revoked",
// "application_suspended", "organisation_revoked" ... ; "" when it is still good. A credential named in
// the token or bound to in cnf counts.
func (s *Snapshot) Ended(t Token) string { panic("not written") }
