package adminclient

import (
	"context"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// StartRetirement is the verb of a trust anchor that is being replaced: it is
// trusted still.
const StartRetirement = "start-retirement"

// TrustAnchors lists the certificate authorities of an organisation's own.
func (c *Client) TrustAnchors(ctx context.Context, organisation string, p Page) (admin.Page[admin.TrustAnchor], error) {
	return get[admin.Page[admin.TrustAnchor]](ctx, c, anchors(organisation), p.query())
}

// AddTrustAnchor lets the organisation's applications show certificates of a CA.
func (c *Client) AddTrustAnchor(ctx context.Context, organisation string, a admin.NewTrustAnchor) (admin.TrustAnchor, error) {
	return post[admin.TrustAnchor](ctx, c, anchors(organisation), a)
}

// TrustAnchor shows one.
func (c *Client) TrustAnchor(ctx context.Context, organisation, id string) (admin.TrustAnchor, error) {
	return get[admin.TrustAnchor](ctx, c, anchors(organisation)+segment(id), nil)
}

// EndTrustAnchor does to it what the verb says; with dry it tells what that would end.
func (c *Client) EndTrustAnchor(ctx context.Context, organisation, id, verb string, dry bool) (admin.TrustAnchorChange, error) {
	return end[admin.TrustAnchorChange](ctx, c, anchors(organisation)+segment(id)+"/"+verb, dry)
}

func anchors(organisation string) string {
	return "/organisations" + segment(organisation) + "/trust-anchors"
}

// RevokeTrustedCertificate revokes a certificate of a trust anchor for one
// application, by its x5t#S256.
func (c *Client) RevokeTrustedCertificate(ctx context.Context, clientID, x5t string) (admin.CredentialChange, error) {
	return post[admin.CredentialChange](ctx, c, "/applications"+segment(clientID)+"/trusted-certificates"+segment(x5t)+"/revoke", nil)
}

// RevokePublishedKey revokes a key at the application's jwks_uri, by its RFC 7638
// thumbprint.
func (c *Client) RevokePublishedKey(ctx context.Context, clientID, jkt string) (admin.CredentialChange, error) {
	return post[admin.CredentialChange](ctx, c, "/applications"+segment(clientID)+"/published-keys"+segment(jkt)+"/revoke", nil)
}
