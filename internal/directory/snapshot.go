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
	registered    table[clientKey, *Credential]      // signing keys and certificates
	thumbprints   table[cnf.Thumbprint, *Credential] // the same, of any one application that has them
	unregistered  table[clientKey, *Credential]
	revoked       table[tokenKey, time.Time] // to exp
	roles         table[RoleID, *Role]
	instances     table[InstanceID, *Instance]
	revokedKeys   table[string, time.Time] // kid to when
}

// Client is an application joined with what a request needs to know of it.
type Client struct {
	Application
	// Live: the application and its organisation are both active.
	Live        bool
	Credentials []*Credential
	Instances   []*Instance
	// Allowed is what it may ask for: its own grants and those of its roles.
	Allowed []Grant
	// TokensAfter is the later of its own and its organisation's: tokens issued
	// before it have ended.
	TokensAfter time.Time
	// ended are the keys (RFC 7638) and certificates (x5t#S256) that were revoked or
	// compromised, in whatever shape the application had them.
	ended map[cnf.Thumbprint]State
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
	Roles         []Role
	Instances     []Instance
	RevokedKeys   []RevokedKey
}

// RevokedKey is a token signing key whose tokens have all ended.
type RevokedKey struct {
	KeyID string
	At    time.Time
}

// RevokedToken is an access token that was revoked, by jti within the application
// that it was issued to. It is forgotten once the token has expired.
type RevokedToken struct {
	ClientID ClientID
	ID       string
	Expires  time.Time
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
		registered:    newTable[clientKey, *Credential](byClientKey),
		thumbprints:   newTable[cnf.Thumbprint, *Credential](byDigest),
		unregistered:  newTable[clientKey, *Credential](byClientKey),
		revoked:       newTable[tokenKey, time.Time](byTokenKey(seed)),
		roles:         newTable[RoleID, *Role](byText[RoleID](seed)),
		instances:     newTable[InstanceID, *Instance](byText[InstanceID](seed)),
		revokedKeys:   newTable[string, time.Time](byText[string](seed)),
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

// Registered finds the application's signing key (by its RFC 7638 thumbprint) or
// certificate (by its x5t#S256), in whatever state; nil if none.
func (s *Snapshot) Registered(client ClientID, t cnf.Thumbprint) *Credential {
	c, _ := s.registered.get(clientKey{client, t})
	return c
}

// CredentialByThumbprint names an application that registered this signing key or
// certificate, any one where several did; nil if none. Public keys and certificates
// are public: what one application registers says nothing of another, so nothing
// but the wording of a refusal may depend on this. A decision asks Registered.
func (s *Snapshot) CredentialByThumbprint(t cnf.Thumbprint) *Credential {
	c, _ := s.thumbprints.get(t)
	return c
}

// Classify tells whose the certificate with this x5t#S256 is: clientID's where that
// application registered it, any one's that did otherwise.
func (s *Snapshot) Classify(t cnf.Thumbprint, clientID string) (of string, known bool) {
	c := s.Registered(ClientID(clientID), t)
	if c == nil {
		c = s.CredentialByThumbprint(t)
	}
	if c == nil || c.Kind != Certificate {
		return "", false
	}
	return string(c.ClientID), true
}

// Role finds a role in whatever state; nil if none.
func (s *Snapshot) Role(id RoleID) *Role {
	r, _ := s.roles.get(id)
	return r
}

// Instance finds an instance in whatever state; nil if none.
func (s *Snapshot) Instance(id InstanceID) *Instance {
	i, _ := s.instances.get(id)
	return i
}

// RevokedKey tells whether the token signing key with this kid was revoked.
func (s *Snapshot) RevokedKey(kid string) bool {
	_, ok := s.revokedKeys.get(kid)
	return ok
}

// RevokedKeyIDs are the kids of the token signing keys that were revoked.
func (s *Snapshot) RevokedKeyIDs() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, shard := range s.revokedKeys.shards {
			for kid := range shard {
				if !yield(kid) {
					return
				}
			}
		}
	}
}

// RevokedKeys counts them.
func (s *Snapshot) RevokedKeys() (n int) {
	for range s.revokedKeys.all() {
		n++
	}
	return n
}

// Roles are all of them, in no order.
func (s *Snapshot) Roles() iter.Seq[*Role] { return s.roles.all() }

// Organisations are all of them, in no order.
func (s *Snapshot) Organisations() iter.Seq[*Organisation] { return s.organisations.all() }

// Clients are all applications, in no order.
func (s *Snapshot) Clients() iter.Seq[*Client] { return s.clients.all() }

// Resources are all of them, in no order.
func (s *Snapshot) Resources() iter.Seq[*Resource] { return s.resources.all() }
