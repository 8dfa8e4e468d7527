package adminclient

import (
	"context"

	"github.com/holdfast-auth/holdfast/internal/admin"
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

// SuspendOrganisation stops every application of it until it is resumed.
func (c *Client) SuspendOrganisation(ctx context.Context, id string) (admin.Organisation, error) {
	return post[admin.Organisation](ctx, c, "/organisations"+segment(id)+"/suspend", nil)
}

// ResumeOrganisation ends a suspension.
func (c *Client) ResumeOrganisation(ctx context.Context, id string) (admin.Organisation, error) {
	return post[admin.Organisation](ctx, c, "/organisations"+segment(id)+"/resume", nil)
}

// RevokeOrganisation ends it for good.
func (c *Client) RevokeOrganisation(ctx context.Context, id string) (admin.Organisation, error) {
	return post[admin.Organisation](ctx, c, "/organisations"+segment(id)+"/revoke", nil)
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

// SuspendApplication stops it until it is resumed.
func (c *Client) SuspendApplication(ctx context.Context, clientID string) (admin.Application, error) {
	return post[admin.Application](ctx, c, "/applications"+segment(clientID)+"/suspend", nil)
}

// ResumeApplication ends a suspension.
func (c *Client) ResumeApplication(ctx context.Context, clientID string) (admin.Application, error) {
	return post[admin.Application](ctx, c, "/applications"+segment(clientID)+"/resume", nil)
}

// RevokeApplication ends it for good.
func (c *Client) RevokeApplication(ctx context.Context, clientID string) (admin.Application, error) {
	return post[admin.Application](ctx, c, "/applications"+segment(clientID)+"/revoke", nil)
}

// Credentials lists those of an application.
func (c *Client) Credentials(ctx context.Context, clientID string, p Page) (admin.Page[admin.Credential], error) {
	return get[admin.Page[admin.Credential]](ctx, c, "/applications"+segment(clientID)+"/credentials", p.query())
}

// Credential shows one.
func (c *Client) Credential(ctx context.Context, id string) (admin.Credential, error) {
	return get[admin.Credential](ctx, c, "/credentials"+segment(id), nil)
}

// RegisterKey registers the public half of a signing key.
func (c *Client) RegisterKey(ctx context.Context, clientID string, k admin.NewSigningKey) (admin.Credential, error) {
	return post[admin.Credential](ctx, c, "/applications"+segment(clientID)+"/signing-keys", k)
}

// RegisterCertificate registers a certificate, in PEM, that the application made itself.
func (c *Client) RegisterCertificate(ctx context.Context, clientID, certificate string) (admin.Credential, error) {
	return post[admin.Credential](ctx, c, "/applications"+segment(clientID)+"/certificates", admin.NewCertificate{Certificate: certificate})
}

// IssueCertificate has a certificate issued for a CSR.
func (c *Client) IssueCertificate(ctx context.Context, clientID string, r admin.NewRequest) (admin.IssuedCertificate, error) {
	return post[admin.IssuedCertificate](ctx, c, "/applications"+segment(clientID)+"/certificate-requests", r)
}

// SuspendCredential stops it until it is resumed.
func (c *Client) SuspendCredential(ctx context.Context, id string) (admin.Credential, error) {
	return c.moveCredential(ctx, id, "suspend")
}

// ResumeCredential ends a suspension.
func (c *Client) ResumeCredential(ctx context.Context, id string) (admin.Credential, error) {
	return c.moveCredential(ctx, id, "resume")
}

// RetireCredential ends it because it is not needed any more.
func (c *Client) RetireCredential(ctx context.Context, id string) (admin.Credential, error) {
	return c.moveCredential(ctx, id, "retire")
}

// RevokeCredential ends it, and every token that names it or is bound to it.
func (c *Client) RevokeCredential(ctx context.Context, id string) (admin.Credential, error) {
	return c.moveCredential(ctx, id, "revoke")
}

// CompromiseCredential revokes it because somebody else has its key.
func (c *Client) CompromiseCredential(ctx context.Context, id string) (admin.Credential, error) {
	return c.moveCredential(ctx, id, "compromise")
}

func (c *Client) moveCredential(ctx context.Context, id, verb string) (admin.Credential, error) {
	return post[admin.Credential](ctx, c, "/credentials"+segment(id)+"/"+verb, nil)
}

// RevokeDPoPKey ends every token of the application that is bound to the key
// with this RFC 7638 thumbprint.
func (c *Client) RevokeDPoPKey(ctx context.Context, clientID, jkt string) (admin.Credential, error) {
	return post[admin.Credential](ctx, c, "/applications"+segment(clientID)+"/dpop-keys"+segment(jkt)+"/revoke", nil)
}
