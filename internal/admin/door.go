package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-auth/holdfast/internal/directory"
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
	faults []error // of operations that are not described well enough
	underWay
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
	who, _ := op.Metadata[accessKey].(access)
	guarded := d.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, f := d.admit(w, r, who)
		if f != nil {
			writeFault(w, f)
			return
		}
		if !isText(r.URL.Path) { // no id is like that, and PostgreSQL does not take it
			writeFault(w, faultOf(fmt.Errorf("what the path names: %w", directory.ErrNotFound)))
			return
		}
		operate(humago.NewContext(op, r.WithContext(context.WithValue(r.Context(), visitKey{}, &visit{caller: caller, request: r})), w))
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

// isText tells whether all of it is printable UTF-8.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// ServeHTTP completes huma's adapter; requests come through the table instead.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// accessKey is where an operation's metadata has its access.
const accessKey = "access"

// admit looks at the caller, whose token is good, and tells the event who it is.
func (d *door) admit(w http.ResponseWriter, r *http.Request, who access) (Caller, *fault) {
	caller, ok := d.Caller(r.Context())
	if !ok || caller.Ended == nil {
		return caller, newFault(http.StatusInternalServerError, "no_caller", "internal error")
	}
	e := web.EventOf(w)
	e.ClientID, e.Organisation, e.CredentialID = string(caller.ClientID), string(caller.Organisation), caller.CredentialID
	e.Binding, e.Resource, e.TokenID = caller.Binding, caller.Resource, caller.TokenID
	return d.identify(d.Directory.Current(), caller, who)
}

// register adds an operation and says who may call it. Its function gets the
// caller and the decoded input, and returns domain errors. Whose the thing is that
// the input names was looked at before: addressed.
func register[I, O any](d *door, op huma.Operation, who access, do func(context.Context, Caller, *I) (*O, error)) {
	op.OperationID = strings.ReplaceAll(strings.ToLower(op.Summary), " ", "-")
	if err := checkAccess(op.OperationID, who, any(new(I))); err != nil {
		d.faults = append(d.faults, err)
	}
	op.Security = []map[string][]string{{scheme: {}}}
	op.Description = strings.TrimSpace(op.Description + "\n\nFor the operator roles " + strings.Join(who.roles(), ", ") + ".")
	op.Extensions = map[string]any{"x-operator-roles": who.roles()}
	op.Metadata = map[string]any{accessKey: who}
	op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict)
	_, tags := any(new(O)).(tagged)
	describeHeaders(&op, tags)
	op.MaxBodyBytes = 2 * maxBody // ours binds: strictBody
	op.BodyReadTimeout = 10 * time.Second
	huma.Register(d.huma, op, func(ctx context.Context, in *I) (*O, error) {
		v := visitOf(ctx)
		if err := d.admits(d.Directory.Current(), op.Method, v.caller, in); err != nil {
			return nil, faultOf(err)
		}
		ctx = directory.Guarded(ctx, d.still(op.Method, v.caller, who, in))
		if op.Method == http.MethodPatch && v.request.Header.Get("If-Match") == "" {
			return nil, newFault(http.StatusPreconditionRequired, "no_if_match", "send If-Match with the ETag of what you saw")
		}
		if op.Method == http.MethodPost && !isDryRun(in) {
			switch r, err := d.once(ctx, v, statusOf(op), func(ctx context.Context) (any, error) { return do(ctx, v.caller, in) }); {
			case err != nil:
				return nil, faultOf(err)
			case r != nil:
				return nil, r
			}
		}
		out, err := do(ctx, v.caller, in)
		if err != nil {
			return nil, faultOf(err)
		}
		if t, ok := any(out).(tagged); ok && op.Method == http.MethodGet && matches(v.request.Header.Values("If-None-Match"), t.etag()) {
			return nil, &reply{Status: http.StatusNotModified, Header: http.Header{"Etag": {t.etag()}}}
		}
		return out, nil
	})
}

// describeHeaders documents the header fields that the door itself reads.
func describeHeaders(op *huma.Operation, tags bool) {
	header := func(name, text string, required bool, limit int) {
		one := 1
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: name, In: "header", Description: text, Required: required,
			Schema: &huma.Schema{Type: huma.TypeString, MinLength: &one, MaxLength: &limit},
		})
	}
	switch {
	case op.Method == http.MethodPost:
		header(idempotencyHeader, "1 to 255 printable characters of ASCII. The same request with the same key has the same answer for 24 h and is carried out once.", false, maxIdempotencyKey)
	case op.Method == http.MethodPatch:
		header("If-Match", "ETag of what the change was decided on", true, 1000)
		op.Errors = append(op.Errors, http.StatusPreconditionFailed, http.StatusPreconditionRequired)
	case op.Method == http.MethodGet && tags:
		header("If-None-Match", "ETag of what is known", false, 1000)
		if op.Responses == nil {
			op.Responses = map[string]*huma.Response{}
		}
		op.Responses["304"] = &huma.Response{Description: "Not Modified"}
	}
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
