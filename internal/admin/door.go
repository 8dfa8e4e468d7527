package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/verify"
	"github.com/holdfast-auth/holdfast/verify/httpmw"
)

// scheme is the name of our way of authentication in the description.
const scheme = "bound_token"

// door is what lies between the listener's table and the operations: it turns
// each operation into a route, lets in who may come in, and puts what it knows
// of the caller into the event. It is huma's adapter.
type door struct {
	Config
	huma   huma.API
	routes []web.Route
	origin *http.CrossOriginProtection
}

func newDoor(c Config) *door {
	d := &door{Config: c, origin: http.NewCrossOriginProtection()}
	d.huma = huma.NewAPI(huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Holdfast administration", Version: c.Version},
			Servers: []*huma.Server{{URL: c.URL}},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{scheme: {
					Type: "http", Scheme: "DPoP",
					Description: "An access token bound to a key: DPoP (RFC 9449), or Bearer over mutual TLS (RFC 8705)",
				}},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{tidy},
	}, d)
	d.huma.UseMiddleware(d.strictBody)
	return d
}

// Handle makes the route of one operation. A browser's request from another
// origin is refused before anything else is looked at.
func (d *door) Handle(op *huma.Operation, operate func(huma.Context)) {
	d.routes = append(d.routes, web.Route{
		Pattern: op.Method + " " + op.Path,
		Handler: func(w http.ResponseWriter, r *web.Request) error {
			w.Header().Set("Cache-Control", "no-store")
			if d.origin.Check(r.Request) != nil {
				return newFault(http.StatusForbidden, "cross_origin", "requests from another origin are refused")
			}
			grant, err := d.authorise(r)
			if err != nil {
				return err
			}
			httpmw.OfferNonce(w.Header(), grant)
			ctx := context.WithValue(r.Context(), callerKey{}, caller(grant.ClientID))
			operate(humago.NewContext(op, r.WithContext(ctx), w))
			return nil
		},
	})
}

// ServeHTTP completes huma's adapter; requests come through the table instead.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// authorise verifies the token and tells the event whose it is.
func (d *door) authorise(r *web.Request) (*verify.Grant, error) {
	facts, err := d.Edge.Collect(r.Request)
	if err != nil {
		return nil, err
	}
	grant, err := d.Verifier.Verify(r.Context(), &facts, d.Policy)
	if err != nil {
		return nil, err
	}
	describeToken(r.Event, grant.Token)
	r.Event.Resource = d.Policy.Rules().Resource
	if grant.Organisation != string(d.OperatorOrganisation) {
		return nil, newFault(http.StatusForbidden, "not_operator", "only applications of the operator's organisation may do this")
	}
	return grant, nil
}

func describeToken(e *web.Event, t *verify.Token) {
	e.ClientID, e.Organisation, e.CredentialID, e.TokenID = t.ClientID, t.Organisation, t.CredentialID, t.ID
	e.Binding = string(t.Binding().Method())
}

// caller is the client_id of the application whose token it was: the actor in
// the audit.
type caller string

// callerKey carries the caller through the framework, which passes nothing else on.
type callerKey struct{}

// register adds an operation. Its function gets the caller and the decoded
// input, and returns domain errors.
func register[I, O any](d *door, op huma.Operation, do func(context.Context, caller, *I) (*O, error)) {
	op.OperationID = strings.ReplaceAll(strings.ToLower(op.Summary), " ", "-")
	op.Security = []map[string][]string{{scheme: {}}}
	op.Errors = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict}
	op.MaxBodyBytes = 2 * maxBody // ours binds: strictBody
	op.BodyReadTimeout = 10 * time.Second
	huma.Register(d.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, ctx.Value(callerKey{}).(caller), in)
		if err != nil {
			return nil, faultOf(err)
		}
		return out, nil
	})
}

// description is the route of the OpenAPI document, which needs no token.
func (d *door) description() (web.Route, error) {
	document, err := json.Marshal(d.huma.OpenAPI())
	return web.Route{Pattern: "GET /openapi.json", Handler: func(w http.ResponseWriter, _ *web.Request) error {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, err := w.Write(document)
		return err
	}}, err
}
