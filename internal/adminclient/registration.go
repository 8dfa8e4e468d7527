package adminclient

import (
	"context"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// CreateInitialToken makes an initial access token of the organisation; the answer
// alone has the token.
func (c *Client) CreateInitialToken(ctx context.Context, organisation string, t admin.NewInitialAccessToken) (admin.MadeInitialAccessToken, error) {
	return post[admin.MadeInitialAccessToken](ctx, c, "/organisations"+segment(organisation)+"/initial-access-tokens", t)
}

// InitialTokens lists those of an organisation.
func (c *Client) InitialTokens(ctx context.Context, organisation string, p Page) (admin.Page[admin.InitialAccessToken], error) {
	return get[admin.Page[admin.InitialAccessToken]](ctx, c, "/organisations"+segment(organisation)+"/initial-access-tokens", p.query())
}

// RevokeInitialToken ends one.
func (c *Client) RevokeInitialToken(ctx context.Context, organisation, id string) (admin.InitialAccessToken, error) {
	return post[admin.InitialAccessToken](ctx, c, "/organisations"+segment(organisation)+"/initial-access-tokens"+segment(id)+"/revoke", nil)
}

// CreateStatement has a software statement signed for the organisation; the answer
// alone has the statement.
func (c *Client) CreateStatement(ctx context.Context, organisation string, s admin.NewSoftwareStatement) (admin.MadeSoftwareStatement, error) {
	return post[admin.MadeSoftwareStatement](ctx, c, "/organisations"+segment(organisation)+"/software-statements", s)
}

// Statements lists those of an organisation.
func (c *Client) Statements(ctx context.Context, organisation string, p Page) (admin.Page[admin.SoftwareStatement], error) {
	return get[admin.Page[admin.SoftwareStatement]](ctx, c, "/organisations"+segment(organisation)+"/software-statements", p.query())
}

// RevokeStatement ends one: nobody registers with it any more.
func (c *Client) RevokeStatement(ctx context.Context, organisation, id string) (admin.SoftwareStatement, error) {
	return post[admin.SoftwareStatement](ctx, c, "/organisations"+segment(organisation)+"/software-statements"+segment(id)+"/revoke", nil)
}
