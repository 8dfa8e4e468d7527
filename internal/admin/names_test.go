package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// FuzzNames: in a body that is let through, every name is a member's to the
// letter and stands once; a body that is refused for its names has another.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"name":"x","grants":[{"resource":"r","scopes":["s"]}]}`, `{"Name":"x"}`, `{"grants":[{"Scopes":[]}]}`, `{"grants":{"resource":1}}`,
		`{"name":"x","name":"y"}`, `{"grants":[[{"x":1}],null,{"resource":{"x":1}}]}`, `{"n\u0061me":1}`, `[]`, `{"grants":[{}]}x`,
	} {
		f.Add(seed)
	}
	d := newDoor(Config{Require: func(next http.Handler) http.Handler { return next }})
	describe(d, &api{})
	schema := d.huma.OpenAPI().Paths["/v1/applications"].Post.RequestBody.Content["application/json"].Schema
	members := []string{"client_id", "organisation", "name", "auth_method", "binding", "require_nonce", "grants", "operator_role", "roles", "jwks_uri", "tls_client_auth_san_uri", "tls_client_auth_san_dns", "tls_client_auth_san_ip", "tls_client_auth_san_email"}
	f.Fuzz(func(t *testing.T, body string) {
		refused := d.checkNames([]byte(body), schema)
		var plain map[string]any
		err := json.Unmarshal([]byte(body), &plain)
		if refused != nil && (refused.reason == "malformed_json" || refused.reason == "not_valid" && strings.Contains(body, "null")) {
			return
		}
		if err != nil || plain == nil {
			t.Fatalf("let through what is no object: %v", err)
		}
		stranger := !known(plain, members)
		grants, _ := plain["grants"].([]any)
		for _, g := range grants {
			if grant, ok := g.(map[string]any); ok && !known(grant, []string{"resource", "scopes"}) {
				stranger = true
			}
		}
		if stranger != (refused != nil) {
			t.Fatalf("a stranger's name: %t; refused: %v", stranger, refused)
		}
		if refused == nil {
			return
		}
		for _, e := range refused.Errors {
			if !strings.HasPrefix(e.Location, "body.") || e.Value != nil {
				t.Fatalf("%+v", e)
			}
		}
	})
}

func known(object map[string]any, members []string) bool {
	for name := range object {
		if !slices.Contains(members, name) {
			return false
		}
	}
	return true
}
