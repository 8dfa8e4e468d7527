package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/verify"
	"github.com/holdfast-auth/holdfast/verify/httpmw"
)

// Config is what the API needs. Every field but Routes is required.
type Config struct {
	Directory *directory.Directory
	Authority *ca.Authority
	// Events reads at most limit audit events that follow the sequence.
	Events func(ctx context.Context, after int64, limit int) ([]audit.Event, error)
	// Verifier, with the Policy of this API (its resource, the scope "admin")
	// and the Edge of this listener, decides on the token of each request.
	Verifier *verify.Verifier
	Policy   *verify.Policy
	Edge     *httpmw.Edge
	// OperatorOrganisation is the one whose applications may call.
	OperatorOrganisation directory.OrganisationID
	// URL of the API, without trailing slash, for its description.
	URL     string
	Version string
	// Table is the listener's; its Render is ours.
	Table web.Options
	// Routes stand beside the API and need no token: Status.Routes.
	Routes []web.Route
}

// api is the operations' state.
type api struct{ Config }

// New builds the handler of the admin listener.
func New(c Config) (http.Handler, error) {
	switch {
	case c.Directory == nil, c.Authority == nil, c.Events == nil, c.Verifier == nil, c.Policy == nil, c.Edge == nil,
		c.OperatorOrganisation == "", c.Table.Now == nil, c.Table.Log == nil:
		return nil, errors.New("admin: a required field of Config is missing")
	}
	door := newDoor(c)
	describe(door, &api{c})
	description, err := door.description()
	if err != nil {
		return nil, err
	}
	routes := append(door.routes, description)
	c.Table.Render = renderTable
	return web.NewTable(c.Table, append(routes, c.Routes...)), nil
}

// defaultLife of a certificate that is issued by hand.
const defaultLife = 90 * 24 * time.Hour
