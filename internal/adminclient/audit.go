package adminclient

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// AuditFilter chooses events. What is empty chooses all.
type AuditFilter struct {
	Actor, Action, Organisation, Subject string
	Since, Until                         time.Time
}

// AuditEvents reads changes after the sequence, at most limit (0: 100).
func (c *Client) AuditEvents(ctx context.Context, after int64, limit int) (admin.EventPage, error) {
	return c.SelectAuditEvents(ctx, AuditFilter{}, after, limit)
}

// SelectAuditEvents reads those that the filter fits.
func (c *Client) SelectAuditEvents(ctx context.Context, f AuditFilter, after int64, limit int) (admin.EventPage, error) {
	q := numbered(after, limit)
	for name, value := range map[string]string{"actor": f.Actor, "action": f.Action, "organisation": f.Organisation, "subject": f.Subject} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	return get[admin.EventPage](ctx, c, "/audit", q)
}

// Checkpoints reads those after the sequence, at most limit (0: 100).
func (c *Client) Checkpoints(ctx context.Context, after int64, limit int) (admin.CheckpointPage, error) {
	return get[admin.CheckpointPage](ctx, c, "/audit/checkpoints", numbered(after, limit))
}

// OrganisationHistory is all events of one, in order.
func (c *Client) OrganisationHistory(ctx context.Context, id string, after int64, limit int) (admin.EventPage, error) {
	return get[admin.EventPage](ctx, c, "/organisations"+segment(id)+"/history", numbered(after, limit))
}

// ApplicationHistory is all events of one, in order.
func (c *Client) ApplicationHistory(ctx context.Context, clientID string, after int64, limit int) (admin.EventPage, error) {
	return get[admin.EventPage](ctx, c, "/applications"+segment(clientID)+"/history", numbered(after, limit))
}

// CredentialHistory is all events of one, in order.
func (c *Client) CredentialHistory(ctx context.Context, id string, after int64, limit int) (admin.EventPage, error) {
	return get[admin.EventPage](ctx, c, "/credentials"+segment(id)+"/history", numbered(after, limit))
}

func numbered(after int64, limit int) url.Values {
	q := Page{Limit: limit}.query()
	if after > 0 {
		q.Set("after", strconv.FormatInt(after, 10))
	}
	return q
}
