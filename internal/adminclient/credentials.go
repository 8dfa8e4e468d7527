package adminclient

import (
	"context"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// Credentials lists those of an application.
func (c *Client) Credentials(ctx context.Context, clientID string, p Page) (admin.Page[admin.Credential], error) {
	return get[admin.Page[admin.Credential]](ctx, c, "/applications"+segment(clientID)+"/credentials", p.query())
}

// AllCredentials lists those of every application.
func (c *Client) AllCredentials(ctx context.Context, p Page) (admin.Page[admin.Credential], error) {
	return get[admin.Page[admin.Credential]](ctx, c, "/credentials", p.query())
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

// EndCredential does to it what the verb says; with dry it tells what that would end.
func (c *Client) EndCredential(ctx context.Context, id, verb string, dry bool) (admin.CredentialChange, error) {
	return end[admin.CredentialChange](ctx, c, "/credentials"+segment(id)+"/"+verb, dry)
}

// SuspendCredential stops it until it is resumed.
func (c *Client) SuspendCredential(ctx context.Context, id string) (admin.Credential, error) {
	return c.moveCredential(ctx, id, Suspend)
}

// ResumeCredential ends a suspension.
func (c *Client) ResumeCredential(ctx context.Context, id string) (admin.Credential, error) {
	return c.moveCredential(ctx, id, Resume)
}

// RetireCredential ends it because it is not needed any more.
func (c *Client) RetireCredential(ctx context.Context, id string) (admin.Credential, error) {
	return c.moveCredential(ctx, id, Retire)
}

// RevokeCredential ends it, and every token that names it or is bound to it.
func (c *Client) RevokeCredential(ctx context.Context, id string) (admin.Credential, error) {
	return c.moveCredential(ctx, id, Revoke)
}

// CompromiseCredential revokes it because somebody else has its key.
func (c *Client) CompromiseCredential(ctx context.Context, id string) (admin.Credential, error) {
	return c.moveCredential(ctx, id, Compromise)
}

func (c *Client) moveCredential(ctx context.Context, id, verb string) (admin.Credential, error) {
	k, err := c.EndCredential(ctx, id, verb, false)
	return k.Credential, err
}

// RevokeDPoPKey ends every token of the application that is bound to the key
// with this RFC 7638 thumbprint.
func (c *Client) RevokeDPoPKey(ctx context.Context, clientID, jkt string) (admin.CredentialChange, error) {
	return post[admin.CredentialChange](ctx, c, "/applications"+segment(clientID)+"/dpop-keys"+segment(jkt)+"/revoke", nil)
}
