package adminclient

import (
	"context"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// The verbs of the operations that move something to a state.
const (
	Suspend      = "suspend"
	Resume       = "resume"
	Retire       = "retire"
	Revoke       = "revoke"
	Compromise   = "compromise"
	RevokeTokens = "revoke-tokens"
)

// Organisations lists them.
func (c *Client) Organisations(ctx context.Context, p Page) (admin.Page[admin.Organisation], error) {
	return get[admin.Page[admin.Organisation]](ctx, c, "/organisations", p.query())
}

// CreateOrganisation makes one.
func (c *Client) CreateOrganisation(ctx context.Context, o admin.NewOrganisation) (admin.Organisation, error) {
	return post[admin.Organisation](ctx, c, "/organisations", o)
}

// Organisation shows one.
func (c *Client) Organisation(ctx context.Context, id string) (admin.Organisation, error) {
	return get[admin.Organisation](ctx, c, "/organisations"+segment(id), nil)
}

// UpdateOrganisation changes one.
func (c *Client) UpdateOrganisation(ctx context.Context, id string, p admin.OrganisationPatch) (admin.Organisation, error) {
	return patch[admin.Organisation](ctx, c, "/organisations"+segment(id), p)
}

// EndOrganisation does to it what the verb says; with dry it tells what that would end.
func (c *Client) EndOrganisation(ctx context.Context, id, verb string, dry bool) (admin.OrganisationChange, error) {
	return end[admin.OrganisationChange](ctx, c, "/organisations"+segment(id)+"/"+verb, dry)
}

// SuspendOrganisation stops every application of it until it is resumed.
func (c *Client) SuspendOrganisation(ctx context.Context, id string) (admin.Organisation, error) {
	o, err := c.EndOrganisation(ctx, id, Suspend, false)
	return o.Organisation, err
}

// ResumeOrganisation ends a suspension.
func (c *Client) ResumeOrganisation(ctx context.Context, id string) (admin.Organisation, error) {
	o, err := c.EndOrganisation(ctx, id, Resume, false)
	return o.Organisation, err
}

// RevokeOrganisation ends it for good.
func (c *Client) RevokeOrganisation(ctx context.Context, id string) (admin.Organisation, error) {
	o, err := c.EndOrganisation(ctx, id, Revoke, false)
	return o.Organisation, err
}

// Roles lists them.
func (c *Client) Roles(ctx context.Context, p Page) (admin.Page[admin.Role], error) {
	return get[admin.Page[admin.Role]](ctx, c, "/roles", p.query())
}

// CreateRole makes one.
func (c *Client) CreateRole(ctx context.Context, r admin.NewRole) (admin.Role, error) {
	return post[admin.Role](ctx, c, "/roles", r)
}

// Role shows one.
func (c *Client) Role(ctx context.Context, id string) (admin.Role, error) {
	return get[admin.Role](ctx, c, "/roles"+segment(id), nil)
}

// UpdateRole changes one.
func (c *Client) UpdateRole(ctx context.Context, id string, p admin.RolePatch) (admin.Role, error) {
	return patch[admin.Role](ctx, c, "/roles"+segment(id), p)
}

// EndRole does to it what the verb says; with dry it tells what that would end.
func (c *Client) EndRole(ctx context.Context, id, verb string, dry bool) (admin.RoleChange, error) {
	return end[admin.RoleChange](ctx, c, "/roles"+segment(id)+"/"+verb, dry)
}

// Resources lists them.
func (c *Client) Resources(ctx context.Context, p Page) (admin.Page[admin.Resource], error) {
	return get[admin.Page[admin.Resource]](ctx, c, "/resources", p.query())
}

// CreateResource makes one.
func (c *Client) CreateResource(ctx context.Context, r admin.NewResource) (admin.Resource, error) {
	return post[admin.Resource](ctx, c, "/resources", r)
}

// Resource shows the one of this audience URI.
func (c *Client) Resource(ctx context.Context, uri string) (admin.Resource, error) {
	return get[admin.Resource](ctx, c, "/resources"+segment(uri), nil)
}

// UpdateResource changes one.
func (c *Client) UpdateResource(ctx context.Context, uri string, p admin.ResourcePatch) (admin.Resource, error) {
	return patch[admin.Resource](ctx, c, "/resources"+segment(uri), p)
}

// EndResource does to it what the verb says; with dry it tells what that would end.
func (c *Client) EndResource(ctx context.Context, uri, verb string, dry bool) (admin.ResourceChange, error) {
	return end[admin.ResourceChange](ctx, c, "/resources"+segment(uri)+"/"+verb, dry)
}

// Applications lists them; organisation may be "" for all.
func (c *Client) Applications(ctx context.Context, organisation string, p Page) (admin.Page[admin.Application], error) {
	q := p.query()
	if organisation != "" {
		q.Set("organisation", organisation)
	}
	return get[admin.Page[admin.Application]](ctx, c, "/applications", q)
}

// CreateApplication makes one.
func (c *Client) CreateApplication(ctx context.Context, a admin.NewApplication) (admin.Application, error) {
	return post[admin.Application](ctx, c, "/applications", a)
}

// Application shows one.
func (c *Client) Application(ctx context.Context, clientID string) (admin.Application, error) {
	return get[admin.Application](ctx, c, "/applications"+segment(clientID), nil)
}

// UpdateApplication changes one.
func (c *Client) UpdateApplication(ctx context.Context, clientID string, p admin.ApplicationPatch) (admin.Application, error) {
	return patch[admin.Application](ctx, c, "/applications"+segment(clientID), p)
}

// ChangeApplication is UpdateApplication, and tells what that ends.
func (c *Client) ChangeApplication(ctx context.Context, clientID string, p admin.ApplicationPatch) (admin.ApplicationChange, error) {
	return patch[admin.ApplicationChange](ctx, c, "/applications"+segment(clientID), p)
}

// EndApplication does to it what the verb says; with dry it tells what that would end.
func (c *Client) EndApplication(ctx context.Context, clientID, verb string, dry bool) (admin.ApplicationChange, error) {
	return end[admin.ApplicationChange](ctx, c, "/applications"+segment(clientID)+"/"+verb, dry)
}

// SuspendApplication stops it until it is resumed.
func (c *Client) SuspendApplication(ctx context.Context, clientID string) (admin.Application, error) {
	a, err := c.EndApplication(ctx, clientID, Suspend, false)
	return a.Application, err
}

// ResumeApplication ends a suspension.
func (c *Client) ResumeApplication(ctx context.Context, clientID string) (admin.Application, error) {
	a, err := c.EndApplication(ctx, clientID, Resume, false)
	return a.Application, err
}

// RevokeApplication ends it for good.
func (c *Client) RevokeApplication(ctx context.Context, clientID string) (admin.Application, error) {
	a, err := c.EndApplication(ctx, clientID, Revoke, false)
	return a.Application, err
}

// Instances lists those of an application.
func (c *Client) Instances(ctx context.Context, clientID string, p Page) (admin.Page[admin.Instance], error) {
	return get[admin.Page[admin.Instance]](ctx, c, "/applications"+segment(clientID)+"/instances", p.query())
}

// CreateInstance makes one.
func (c *Client) CreateInstance(ctx context.Context, clientID string, i admin.NewInstance) (admin.Instance, error) {
	return post[admin.Instance](ctx, c, "/applications"+segment(clientID)+"/instances", i)
}

// Instance shows one.
func (c *Client) Instance(ctx context.Context, clientID, id string) (admin.Instance, error) {
	return get[admin.Instance](ctx, c, "/applications"+segment(clientID)+"/instances"+segment(id), nil)
}

// RevokeInstance ends it with all credentials that name it; with dry it tells which.
func (c *Client) RevokeInstance(ctx context.Context, clientID, id string, dry bool) (admin.InstanceChange, error) {
	return end[admin.InstanceChange](ctx, c, "/applications"+segment(clientID)+"/instances"+segment(id)+"/revoke", dry)
}

// Operators lists them.
func (c *Client) Operators(ctx context.Context, p Page) (admin.Page[admin.Application], error) {
	return get[admin.Page[admin.Application]](ctx, c, "/operators", p.query())
}

// AddOperator makes one.
func (c *Client) AddOperator(ctx context.Context, o admin.NewOperator) (admin.Application, error) {
	return post[admin.Application](ctx, c, "/operators", o)
}

// Operator shows one.
func (c *Client) Operator(ctx context.Context, clientID string) (admin.Application, error) {
	return get[admin.Application](ctx, c, "/operators"+segment(clientID), nil)
}

// RekeyOperator gives it a new key in place of those of before.
func (c *Client) RekeyOperator(ctx context.Context, clientID string, k admin.NewOperatorKey) (admin.ApplicationChange, error) {
	return post[admin.ApplicationChange](ctx, c, "/operators"+segment(clientID)+"/rekey", k)
}

// EndOperator does to it what the verb says; with dry it tells what that would end.
func (c *Client) EndOperator(ctx context.Context, clientID, verb string, dry bool) (admin.ApplicationChange, error) {
	return end[admin.ApplicationChange](ctx, c, "/operators"+segment(clientID)+"/"+verb, dry)
}

// SigningKeys lists the keys that sign access tokens.
func (c *Client) SigningKeys(ctx context.Context, p Page) (admin.Page[admin.SigningKey], error) {
	return get[admin.Page[admin.SigningKey]](ctx, c, "/signing-keys", p.query())
}

// RevokeSigningKey ends one, and every token that it signed.
func (c *Client) RevokeSigningKey(ctx context.Context, kid string, dry bool) (admin.SigningKey, error) {
	return end[admin.SigningKey](ctx, c, "/signing-keys"+segment(kid)+"/revoke", dry)
}

// RevokeToken ends one access token.
func (c *Client) RevokeToken(ctx context.Context, t admin.TokenRevocation) (admin.RevokedToken, error) {
	return post[admin.RevokedToken](ctx, c, "/tokens/revoke", t)
}
