package admin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// schema is the part of a JSON schema that this test reads.
type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Properties map[string]schema
	Required   []string
	Items      *schema
	MaxLength  *int
	Enum       []any
}

// TestBadInput: each operation x each member of its body that is missing, null, of
// another type, too long, unknown, twice or too deep is a problem of RFC 9457 that
// names the member, and stores nothing.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	x, token := w.tenant("acme"), w.token(nil)
	var d struct {
		Paths map[string]map[string]struct {
			RequestBody *struct {
				Content map[string]struct{ Schema schema }
			} `json:"requestBody"`
		}
		Components struct{ Schemas map[string]schema }
	}
	check(t, json.Unmarshal([]byte(w.ask(http.MethodGet, "/openapi.json", "", "").body), &d))
	tried := 0
	for path, methods := range d.Paths {
		for method, op := range methods {
			if op.RequestBody == nil {
				continue
			}
			name := strings.ToUpper(method) + " " + path
			t.Run(name, func(t *testing.T) {
				var media string
				var s schema
				for m, c := range op.RequestBody.Content {
					media, s = m, c.Schema
				}
				for s.Ref != "" {
					s = d.Components.Schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
				}
				var good map[string]json.RawMessage
				check(t, json.Unmarshal([]byte(x.body(t, w, name)), &good))
				ask := func(what, body string, statuses string, location string) {
					t.Helper()
					tried++
					before := w.directory.Current().Sequence()
					got := w.ask(strings.ToUpper(method), x.path(t, path), token, body, "Content-Type", media, "If-Match", "*")
					p := got.problem(t)
					named := location == ""
					for _, e := range p.Errors {
						named = named || e.Location == location || strings.HasPrefix(e.Location, location+".") || strings.HasPrefix(e.Location, location+"[") ||
							e.Location == "body" && strings.Contains(e.Message, strings.TrimPrefix(location, "body."))
					}
					if !strings.Contains(statuses, http.StatusText(got.status)) || !named {
						t.Errorf("%s: %.200s\n%d %.300s", what, body, got.status, got.body)
					}
					if w.directory.Current().Sequence() != before {
						t.Errorf("%s: something was stored", what)
					}
				}
				with := func(member, value string) string {
					all := map[string]json.RawMessage{}
					for k, v := range good {
						all[k] = v
					}
					delete(all, member)
					if value != "" {
						all[member] = json.RawMessage(value)
					}
					b, err := json.Marshal(all)
					check(t, err)
					return string(b)
				}
				const invalid, broken = "Unprocessable Entity", "Bad Request"
				ask("unknown member", with("sesame", "1"), broken, "body.sesame")
				ask("an array", "[]", broken, "")
				ask("nothing", " ", broken, "")
				ask("too deep", `{"sesame":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+"}", broken, "")
				for _, member := range s.Required {
					ask("missing "+member, with(member, ""), invalid, "body."+member)
				}
				for member, m := range s.Properties {
					kinds, nullable := kindsOf(m.Type)
					if kinds == "" && m.Ref == "" { // any JSON: the domain says what is wrong
						ask("null for "+member, with(member, "null"), invalid, "body."+member)
						ask("a number for "+member, with(member, "5"), invalid, "body."+member)
						continue
					}
					if !nullable {
						ask("null for "+member, with(member, "null"), invalid, "body."+member)
					}
					wrong := `{"sesame":1}`
					if kinds == "object" {
						wrong = "5"
					}
					ask("another type for "+member, with(member, wrong), invalid+broken, "body."+member)
					if kinds == "string" {
						ask("a number for "+member, with(member, "5"), invalid, "body."+member)
						ask("too long a "+member, with(member, `"`+strings.Repeat("s", 70_000)+`"`), invalid, "body."+member)
					}
					value := with(member, `"twice"`)
					ask("twice "+member, strings.TrimSuffix(value, "}")+`,"`+member+`":1}`, broken, "")
				}
			})
		}
	}
	t.Logf("%d requests", tried)
	if tried < 300 {
		t.Errorf("%d requests", tried)
	}
}

// kindsOf is the type of a schema, and whether null is one.
func kindsOf(t any) (kind string, nullable bool) {
	switch v := t.(type) {
	case string:
		return v, false
	case []any:
		for _, one := range v {
			if s, _ := one.(string); s == "null" {
				nullable = true
			} else {
				kind = s
			}
		}
	}
	return kind, nullable
}
