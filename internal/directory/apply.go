package directory

import (
	"maps"
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
	registered    *edit[clientKey, *Credential]
	thumbprints   *edit[cnf.Thumbprint, *Credential]
	unregistered  *edit[clientKey, *Credential]
	revoked       *edit[tokenKey, time.Time]
	roles         *edit[RoleID, *Role]
	instances     *edit[InstanceID, *Instance]
	revokedKeys   *edit[string, time.Time]
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
		registered:    s.registered.edit(),
		thumbprints:   s.thumbprints.edit(),
		unregistered:  s.unregistered.edit(),
		revoked:       s.revoked.edit(),
		roles:         s.roles.edit(),
		instances:     s.instances.edit(),
		revokedKeys:   s.revokedKeys.edit(),
		own:           map[ClientID]*Client{},
	}
	for i := range d.Resources {
		c.resource(d.Resources[i])
	}
	c.setOwners(d.Organisations, d.Roles)
	for i := range d.Applications {
		c.application(d.Applications[i])
	}
	for i := range d.Instances {
		c.instance(d.Instances[i])
	}
	for i := range d.Credentials {
		c.credential(d.Credentials[i])
	}
	for _, k := range d.RevokedKeys {
		c.revokedKeys.set(k.KeyID, k.At)
	}
	c.revoke(d.Revoked, uint8(d.Sequence), now)
	return &Snapshot{
		sequence:      d.Sequence,
		organisations: c.organisations.table,
		clients:       c.clients.table,
		resources:     c.resources.table,
		scopes:        c.scopes.table,
		credentials:   c.credentials.table,
		registered:    c.registered.table,
		thumbprints:   c.thumbprints.table,
		unregistered:  c.unregistered.table,
		revoked:       c.revoked.table,
		roles:         c.roles.table,
		instances:     c.instances.table,
		revokedKeys:   c.revokedKeys.table,
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
		own.Instances = slices.Clone(old.Instances)
		own.ended = maps.Clone(old.ended)
	}
	c.own[id] = own
	c.clients.set(id, own)
	return own
}

// join works out what a request needs to know of the client: whether it is live,
// what it may ask for, and since when its tokens live.
func (c *change) join(own *Client) {
	o, ok := c.organisations.get(own.Organisation)
	own.Live = ok && o.State == Active && own.State == Active
	own.TokensAfter = own.Application.TokensAfter
	if ok && o.TokensAfter.After(own.TokensAfter) {
		own.TokensAfter = o.TokensAfter
	}
	own.Allowed = own.Grants
	for _, id := range own.Roles {
		role, known := c.roles.get(id)
		if ok && known && role.State == Active && slices.Contains(o.Roles, id) {
			own.Allowed = joinGrants(own.Allowed, role.Grants)
		}
	}
}

// joinGrants is both, each resource once and each scope once; neither is changed.
func joinGrants(a, b []Grant) []Grant {
	all := slices.Clone(a)
	for _, g := range b {
		i := slices.IndexFunc(all, func(have Grant) bool { return have.Resource == g.Resource })
		if i < 0 {
			all = append(all, g)
			continue
		}
		scopes := slices.Clone(all[i].Scopes)
		for _, scope := range g.Scopes {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
		all[i].Scopes = scopes
	}
	return all
}

// setOwners touches the clients of those whose change concerns them.
func (c *change) setOwners(organisations []Organisation, roles []Role) {
	moved := map[OrganisationID]bool{}
	for _, o := range organisations {
		if old, ok := c.organisations.get(o.ID); ok && (old.State != o.State || !slices.Equal(old.Roles, o.Roles) || !old.TokensAfter.Equal(o.TokensAfter)) {
			moved[o.ID] = true
		}
		c.organisations.set(o.ID, &o)
	}
	turned := map[RoleID]bool{}
	for _, r := range roles {
		if _, ok := c.roles.get(r.ID); ok {
			turned[r.ID] = true
		}
		c.roles.set(r.ID, &r)
	}
	if len(moved) == 0 && len(turned) == 0 {
		return
	}
	for client := range c.base.clients.all() {
		if moved[client.Organisation] || slices.ContainsFunc(client.Roles, func(id RoleID) bool { return turned[id] }) {
			c.join(c.client(client.ClientID))
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
	c.join(own)
}

func (c *change) instance(i Instance) {
	in := &i
	c.instances.set(in.ID, in)
	own := c.client(in.ClientID)
	for place, old := range own.Instances {
		if old.ID == in.ID {
			own.Instances[place] = in
			return
		}
	}
	own.Instances = append(own.Instances, in)
}

func (c *change) credential(credential Credential) {
	cr := &credential
	c.credentials.set(cr.ID, cr)
	if cr.Kind.Registered() {
		c.registered.set(clientKey{cr.ClientID, cr.Thumbprint}, cr)
		c.thumbprints.set(cr.Thumbprint, cr)
	} else {
		c.unregistered.set(clientKey{cr.ClientID, cr.Thumbprint}, cr)
	}
	own := c.client(cr.ClientID)
	own.end(cr)
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
		c.revoked.set(tokenKey{t.ClientID, t.ID}, t.Expires)
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
