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
		Formats: map[string]huma.Format{
			"application/json": huma.DefaultJSONFormat,
			"json":             huma.DefaultJSONFormat, // of application/problem+json
		},
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
	guarded := d.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := d.admit(w, r); f != nil {
			writeFault(w, f)
			return
		}
		operate(humago.NewContext(op, r, w))
	}))
	d.routes = append(d.routes, web.Route{
		Pattern: op.Method + " " + op.Path,
		Handler: func(w http.ResponseWriter, r *web.Request) error {
			w.Header().Set("Cache-Control", "no-store")
			if d.origin.Check(r.Request) != nil {
				return newFault(http.StatusForbidden, "cross_origin", "requests from another origin are refused")
			}
			guarded.ServeHTTP(w, r.Request)
			return nil
		},
	})
}

// ServeHTTP completes huma's adapter; requests come through the table instead.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// admit looks at the caller, whose token is good, and tells the event who it is.
func (d *door) admit(w http.ResponseWriter, r *http.Request) *fault {
	caller, ok := d.Caller(r.Context())
	if !ok {
		return newFault(http.StatusInternalServerError, "no_caller", "internal error")
	}
	e := web.EventOf(w)
	e.ClientID, e.Organisation, e.CredentialID = string(caller.ClientID), string(caller.Organisation), caller.CredentialID
	e.Binding, e.Resource, e.TokenID = caller.Binding, caller.Resource, caller.TokenID
	if caller.ClientID == "" || caller.Organisation != d.OperatorOrganisation {
		return newFault(http.StatusForbidden, "not_operator", "only applications of the operator's organisation may do this")
	}
	return nil
}

// register adds an operation. Its function gets the caller and the decoded
// input, and returns domain errors.
func register[I, O any](d *door, op huma.Operation, do func(context.Context, Caller, *I) (*O, error)) {
	op.OperationID = strings.ReplaceAll(strings.ToLower(op.Summary), " ", "-")
	op.Security = []map[string][]string{{scheme: {}}}
	op.Errors = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict}
	op.MaxBodyBytes = 2 * maxBody // ours binds: strictBody
	op.BodyReadTimeout = 10 * time.Second
	huma.Register(d.huma, op, func(ctx context.Context, in *I) (*O, error) {
		caller, _ := d.Caller(ctx) // admit saw it
		out, err := do(ctx, caller, in)
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
