package directory

import (
	"hash/maphash"
	"iter"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
)

// MaxAge is how old a snapshot may be that decisions are made on. A node that is
// cut off from its database for longer answers 503: it would not know of revocations.
const MaxAge = 10 * time.Second

// Snapshot is the directory as of one change. It is immutable; a change makes a
// new one that shares what did not change. Looking something up allocates nothing.
type Snapshot struct {
	sequence      int64
	organisations table[OrganisationID, *Organisation]
	clients       table[ClientID, *Client]
	resources     table[string, *Resource]
	scopes        table[string, *Resource]
	credentials   table[CredentialID, *Credential]
	thumbprints   table[cnf.Thumbprint, *Credential] // registered: signing keys and certificates
	dpopKeys      table[clientKey, *Credential]
	revoked       table[string, time.Time] // jti to exp
}

// Client is an application joined with what a request needs to know of it.
type Client struct {
	Application
	// Live: the application and its organisation are both active.
	Live        bool
	Credentials []*Credential
}

// SigningKey finds the credential with this kid, in whatever state; nil if none.
func (c *Client) SigningKey(kid string) *Credential {
	for _, credential := range c.Credentials {
		if credential.Kind == SigningKey && credential.Key.KeyID() == kid {
			return credential
		}
	}
	return nil
}

// Certificate finds the credential with this thumbprint, in whatever state; nil if none.
func (c *Client) Certificate(t cnf.Thumbprint) *Credential {
	for _, credential := range c.Credentials {
		if credential.Kind == Certificate && credential.Thumbprint == t {
			return credential
		}
	}
	return nil
}

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
func Empty() *Snapshot {
	seed := maphash.MakeSeed()
	return &Snapshot{
		organisations: newTable[OrganisationID, *Organisation](byText[OrganisationID](seed)),
		clients:       newTable[ClientID, *Client](byText[ClientID](seed)),
		resources:     newTable[string, *Resource](byText[string](seed)),
		scopes:        newTable[string, *Resource](byText[string](seed)),
		credentials:   newTable[CredentialID, *Credential](byText[CredentialID](seed)),
		thumbprints:   newTable[cnf.Thumbprint, *Credential](byDigest),
		dpopKeys:      newTable[clientKey, *Credential](byClientKey),
		revoked:       newTable[string, time.Time](byText[string](seed)),
	}
}

// Sequence is the number of the last change in s.
func (s *Snapshot) Sequence() int64 { return s.sequence }

// Organisation finds an organisation in whatever state; nil if none.
func (s *Snapshot) Organisation(id OrganisationID) *Organisation {
	o, _ := s.organisations.get(id)
	return o
}

// Client finds an application in whatever state; nil if none.
func (s *Snapshot) Client(id ClientID) *Client {
	c, _ := s.clients.get(id)
	return c
}

// Resource finds a resource by audience URI; nil if none.
func (s *Snapshot) Resource(uri string) *Resource {
	r, _ := s.resources.get(uri)
	return r
}

// ResourceOfScope finds the resource that owns a scope; nil if none.
func (s *Snapshot) ResourceOfScope(scope string) *Resource {
	r, _ := s.scopes.get(scope)
	return r
}

// Credential finds any application's credential by id; nil if none.
func (s *Snapshot) Credential(id CredentialID) *Credential {
	c, _ := s.credentials.get(id)
	return c
}

// CredentialByThumbprint finds any application's signing key or certificate; nil
// if none. A DPoP key may serve several applications and is not found here.
func (s *Snapshot) CredentialByThumbprint(t cnf.Thumbprint) *Credential {
	c, _ := s.thumbprints.get(t)
	return c
}

// Organisations are all of them, in no order.
func (s *Snapshot) Organisations() iter.Seq[*Organisation] { return s.organisations.all() }

// Clients are all applications, in no order.
func (s *Snapshot) Clients() iter.Seq[*Client] { return s.clients.all() }

// Resources are all of them, in no order.
func (s *Snapshot) Resources() iter.Seq[*Resource] { return s.resources.all() }
