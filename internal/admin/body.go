package admin

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// Limits of a body.
const (
	maxBody   = 1 << 20
	maxDepth  = 32
	maxFaults = 20
)

// strictBody reads the body before the framework does, to rules that the
// framework does not have: names match to the letter, none is unknown and none
// occurs twice.
func (d *door) strictBody(ctx huma.Context, next func(huma.Context)) {
	body := ctx.Operation().RequestBody
	if body == nil {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	media, schema := onlyOf(body.Content)
	data, f := readBody(r, media)
	if f == nil {
		f = d.checkNames(data, schema)
	}
	if f != nil {
		writeFault(w, f)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	r.Header.Set("Content-Type", media) // in the one spelling that the framework knows
	if v := visitOf(r.Context()); v != nil {
		v.body = sha256.Sum256(data)
	}
	next(ctx)
}

// onlyOf is the one media type of a body.
func onlyOf(content map[string]*huma.MediaType) (string, *huma.Schema) {
	for media, c := range content {
		return media, c.Schema
	}
	return "", nil
}

func readBody(r *http.Request, wanted string) ([]byte, *fault) {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != wanted || (parameters["charset"] != "" && !strings.EqualFold(parameters["charset"], "utf-8")) {
		return nil, newFault(http.StatusUnsupportedMediaType, "media_type", "the body must be "+wanted)
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, newFault(http.StatusBadRequest, "body_unreadable", "the body could not be read")
	case len(data) > maxBody:
		return nil, newFault(http.StatusBadRequest, "body_too_large", "the body is larger than 1 MiB")
	}
	return data, nil
}

// checkNames reads the whole body strictly and compares its names with the schema's.
func (d *door) checkNames(data []byte, schema *huma.Schema) *fault {
	err := strictjson.Members(data, maxDepth, func(string, strictjson.Value) error { return nil })
	if err != nil {
		return newFault(http.StatusBadRequest, "malformed_json", err.Error())
	}
	w := nameWalk{schemas: d.huma.OpenAPI().Components.Schemas}
	w.value(schema, data, "body")
	if len(w.unknown) == 0 && len(w.null) > 0 {
		return newFault(http.StatusUnprocessableEntity, "not_valid", "validation failed", w.null...)
	}
	if len(w.unknown) > 0 {
		return newFault(http.StatusBadRequest, "unknown_member", "the body has members that this operation does not know", w.unknown...)
	}
	return nil
}

// nameWalk collects the members that a schema does not know, and those that are
// null where the framework would take that for absence.
type nameWalk struct {
	schemas       huma.Registry
	unknown, null []*huma.ErrorDetail
}

// object walks text that is known to be well formed, so errors cannot occur in it.
func (w *nameWalk) object(schema *huma.Schema, object strictjson.Value, path string) {
	_ = strictjson.Members(object, maxDepth, func(name string, v strictjson.Value) error {
		if member := schema.Properties[name]; member != nil {
			w.value(member, v, path+"."+name)
		} else if len(w.unknown) < maxFaults {
			w.unknown = append(w.unknown, &huma.ErrorDetail{Location: path + "." + cut(name), Message: whyUnknown(name)})
		}
		return nil
	})
}

func (w *nameWalk) value(schema *huma.Schema, v strictjson.Value, path string) {
	for schema.Ref != "" {
		schema = w.schemas.SchemaFromRef(schema.Ref)
	}
	switch {
	case string(v) == "null" && schema.Type != "" && !schema.Nullable && len(w.null) < maxFaults:
		w.null = append(w.null, &huma.ErrorDetail{Location: path, Message: "must not be null"})
	case schema.Properties != nil && v.IsObject():
		w.object(schema, v, path)
	case schema.Items != nil && v.IsArray():
		i := 0
		_ = v.Elements(maxDepth, func(element strictjson.Value) error {
			w.value(schema.Items, element, fmt.Sprintf("%s[%d]", path, i))
			i++
			return nil
		})
	}
}

// whyUnknown has more to say to who would match certificates by name (RFC 8705
// section 2.1.2).
func whyUnknown(name string) string {
	if strings.HasPrefix(name, "tls_client_auth_") {
		return "a name is not an identity: a certificate is matched by its key, by one alternative name (tls_client_auth_san_uri, _dns, _ip or _email) under a pinned CA, or by its thumbprint; a subject DN never is"
	}
	return "unknown member"
}

// cut keeps a stranger's name short.
func cut(name string) string {
	if len(name) > 64 {
		return name[:64]
	}
	return name
}
