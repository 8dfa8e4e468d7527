package directory

import (
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
)

// change is a snapshot that is being made of the one before it.
type change struct {
	base          *Snapshot
	organisations *edit[OrganisationID, *Organisation]
	clients       *edit[ClientID, *Client]
	resources     *edit[string, *Resource]
	scopes        *edit[string, *Resource]
	credentials   *edit[CredentialID, *Credential]
	thumbprints   *edit[cnf.Thumbprint, *Credential]
	dpopKeys      *edit[clientKey, *Credential]
	revoked       *edit[string, time.Time]
	own           map[ClientID]*Client // clients copied already
}

// Apply makes the snapshot after the delta. Revoked tokens that have expired at
// now are dropped a shard at a time: those of the shards that the delta touches,
// and of one more in turn.
func (s *Snapshot) Apply(d Delta, now time.Time) *Snapshot {
	c := &change{
		base:          s,
		organisations: s.organisations.edit(),
		clients:       s.clients.edit(),
		resources:     s.resources.edit(),
		scopes:        s.scopes.edit(),
		credentials:   s.credentials.edit(),
		thumbprints:   s.thumbprints.edit(),
		dpopKeys:      s.dpopKeys.edit(),
		revoked:       s.revoked.edit(),
		own:           map[ClientID]*Client{},
	}
	for i := range d.Resources {
		c.resource(d.Resources[i])
	}
	c.setOrganisations(d.Organisations)
	for i := range d.Applications {
		c.application(d.Applications[i])
	}
	for i := range d.Credentials {
		c.credential(d.Credentials[i])
	}
	c.revoke(d.Revoked, uint8(d.Sequence), now)
	return &Snapshot{
		sequence:      d.Sequence,
		organisations: c.organisations.table,
		clients:       c.clients.table,
		resources:     c.resources.table,
		scopes:        c.scopes.table,
		credentials:   c.credentials.table,
		thumbprints:   c.thumbprints.table,
		dpopKeys:      c.dpopKeys.table,
		revoked:       c.revoked.table,
	}
}

// client is a copy that may be changed; of an application not seen yet, a new one.
func (c *change) client(id ClientID) *Client {
	if own := c.own[id]; own != nil {
		return own
	}
	own := &Client{}
	if old, ok := c.clients.get(id); ok {
		*own = *old
		own.Credentials = slices.Clone(old.Credentials)
	}
	c.own[id] = own
	c.clients.set(id, own)
	return own
}

func (c *change) live(a *Application) bool {
	o, ok := c.organisations.get(a.Organisation)
	return ok && o.State == Active && a.State == Active
}

// setOrganisations touches the clients of those whose state changed.
func (c *change) setOrganisations(changed []Organisation) {
	moved := map[OrganisationID]bool{}
	for _, o := range changed {
		if old, ok := c.organisations.get(o.ID); ok && old.State != o.State {
			moved[o.ID] = true
		}
		c.organisations.set(o.ID, &o)
	}
	if len(moved) == 0 {
		return
	}
	for client := range c.base.clients.all() {
		if moved[client.Organisation] {
			own := c.client(client.ClientID)
			own.Live = c.live(&own.Application)
		}
	}
}

func (c *change) resource(r Resource) {
	if old, ok := c.resources.get(r.URI); ok {
		for _, scope := range old.Scopes {
			c.scopes.delete(scope)
		}
	}
	c.resources.set(r.URI, &r)
	for _, scope := range r.Scopes {
		c.scopes.set(scope, &r)
	}
}

func (c *change) application(a Application) {
	own := c.client(a.ClientID)
	own.Application = a
	own.Live = c.live(&a)
}

func (c *change) credential(credential Credential) {
	cr := &credential
	c.credentials.set(cr.ID, cr)
	if cr.Kind == DPoPKey {
		c.dpopKeys.set(clientKey{cr.ClientID, cr.Thumbprint}, cr)
	} else {
		c.thumbprints.set(cr.Thumbprint, cr)
	}
	own := c.client(cr.ClientID)
	for i, old := range own.Credentials {
		if old.ID == cr.ID {
			own.Credentials[i] = cr
			return
		}
	}
	own.Credentials = append(own.Credentials, cr)
}

func (c *change) revoke(tokens []RevokedToken, turn uint8, now time.Time) {
	for _, t := range tokens {
		c.revoked.set(t.ID, t.Expires)
	}
	for i, own := range c.revoked.own {
		if !own && (uint8(i) != turn || len(c.revoked.shards[i]) == 0) {
			continue
		}
		shard := c.revoked.writable(uint8(i))
		for id, expires := range shard {
			if !now.Before(expires) {
				delete(shard, id)
			}
		}
	}
}
