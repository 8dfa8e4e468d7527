package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
	"github.com/holdfast-auth/holdfast/internal/web"
)

// document is the part of the OpenAPI description that tests read.
type document struct {
	OpenAPI string
	Info    struct{ Version string }
	Servers []struct{ URL string }
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Security    []map[string][]string
		Roles       []string `json:"x-operator-roles"`
		RequestBody *struct {
			Required bool
			Content  map[string]any
		} `json:"requestBody"`
	}
	Components struct {
		SecuritySchemes map[string]any
	}
}

func (w *world) document(t *testing.T) document {
	t.Helper()
	got := w.ask(http.MethodGet, "/openapi.json", "", "")
	if got.status != 200 || got.header.Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("%d %v", got.status, got.header)
	}
	var d document
	check(t, json.Unmarshal([]byte(got.body), &d))
	return d
}

func TestDescription(t *testing.T) {
	w := newWorld(t)
	d := w.document(t)
	if d.OpenAPI != "3.1.0" || d.Info.Version != "1.2.3" || len(d.Servers) != 1 || d.Servers[0].URL != w.URL {
		t.Errorf("%+v", d)
	}
	ids := map[string]bool{}
	for path, methods := range d.Paths {
		if !strings.HasPrefix(path, "/v1/") {
			t.Errorf("path %s", path)
		}
		for method, op := range methods {
			if len(op.Security) != 1 || op.Security[0]["bound_token"] == nil || d.Components.SecuritySchemes["bound_token"] == nil {
				t.Errorf("%s %s has no security", method, path)
			}
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s: operation id %q", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
}

// TestRouteWalk: advisory 33: every operation that exists, found in the
// description that is made from the routes, asks for a token before anything else.
func TestRouteWalk(t *testing.T) {
	w := newWorld(t)
	right := w.token(nil)
	wrong := map[string]string{
		"garbage":               "sesame",
		"another audience":      w.token(verifytest.Claims{"aud": "https://api.example"}),
		"an expired token":      w.token(verifytest.Claims{"exp": w.clock.Now().Unix() - 1}),
		"an unbound token":      w.token(verifytest.Claims{"cnf": nil}),
		"a stranger's key":      w.issuer.Token(t, w.issuer.Claims(resource, "admin", verifytest.NewClient(t, w.clock).ToCertificate())),
		"another issuer's sign": verifytest.NewIssuer(t, w.clock, w.issuer.URL, jose.ES256).Token(t, w.issuer.Claims(resource, "admin", w.client.ToCertificate())),
	}
	operations := 0
	for path, methods := range w.document(t).Paths {
		target := path
		for _, name := range []string{"organisation", "uri", "client_id", "credential_id", "jkt", "role", "instance", "x5t", "kid", "id"} {
			target = strings.ReplaceAll(target, "{"+name+"}", "nobody")
		}
		for method, op := range methods {
			operations++
			method, body, media := strings.ToUpper(method), "", "application/json"
			if op.RequestBody != nil {
				body = "{"
				for media = range op.RequestBody.Content {
				}
			}
			t.Run(method+" "+path, func(t *testing.T) {
				if got := w.ask(method, target, "", body, "Content-Type", media); got.status != 401 || got.header.Get("WWW-Authenticate") == "" {
					t.Errorf("no token: %d %s", got.status, got.body)
				}
				for name, token := range wrong {
					if got := w.ask(method, target, token, body, "Content-Type", media); got.status != 401 || !strings.Contains(got.body, "invalid_token") {
						t.Errorf("%s: %d %s", name, got.status, got.body)
					}
				}
				got := w.ask(method, target, right, body, "Content-Type", media)
				if got.status == 401 || got.status == 403 || got.status >= 500 || op.RequestBody != nil && got.status != 400 {
					t.Errorf("the right token: %d %s", got.status, got.body)
				}
				if got.header.Get("Cache-Control") != "no-store" {
					t.Errorf("Cache-Control %q", got.header.Get("Cache-Control"))
				}
				e := w.lastEvent(got)
				if e.Route != method+" "+path || e.ClientID != operator || e.Organisation != string(w.owner.ID) || e.CredentialID != "cred-1" ||
					e.Binding != "mtls" || e.Resource != resource || e.TokenID == "" || e.Listener != "admin" || (e.Status >= 400) != (e.Reason != "") {
					t.Errorf("event %+v", e)
				}
			})
		}
	}
	if operations < 60 {
		t.Errorf("%d operations", operations)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	right := w.token(nil)
	t.Run("advisory 45: an application of another organisation", func(t *testing.T) {
		got := w.ask(http.MethodGet, "/v1/organisations", w.token(verifytest.Claims{"organisation": "acme"}), "")
		got.problem(t)
		if e := w.lastEvent(got); got.status != 403 || e.Reason != "not_operator" || e.ClientID != operator || e.Organisation != "acme" {
			t.Errorf("%d, %+v", got.status, e)
		}
	})
	t.Run("a token without organisation", func(t *testing.T) {
		if got := w.ask(http.MethodGet, "/v1/organisations", w.token(verifytest.Claims{"organisation": nil}), ""); got.status != 403 {
			t.Errorf("%d", got.status)
		}
	})
	t.Run("another scope", func(t *testing.T) {
		if got := w.ask(http.MethodGet, "/v1/organisations", w.token(verifytest.Claims{"scope": "administer"}), ""); got.status != 403 {
			t.Errorf("%d", got.status)
		}
	})
	t.Run("advisory 99: a browser's request from another origin", func(t *testing.T) {
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
			got := w.ask(http.MethodPost, "/v1/organisations", right, `{"name":"x"}`, header...)
			got.problem(t)
			if e := w.lastEvent(got); got.status != 403 || e.Reason != "cross_origin" || e.ClientID != "" {
				t.Errorf("%v: %d, %+v", header, got.status, e)
			}
		}
	})
	t.Run("no such path", func(t *testing.T) {
		for _, path := range []string{"/", "/v1", "/v1/", "/v1/organisations/", "/v2/organisations", "/V1/organisations", "/docs", "/schemas/Organisation.json", "/openapi.yaml"} {
			got := w.ask(http.MethodGet, path, right, "")
			got.problem(t)
			if e := w.lastEvent(got); got.status != 404 || e.Reason != "no_such_path" {
				t.Errorf("%s: %d, %+v", path, got.status, e)
			}
		}
	})
	t.Run("a wrong method", func(t *testing.T) {
		got := w.ask(http.MethodDelete, "/v1/organisations", right, "")
		got.problem(t)
		if e := w.lastEvent(got); got.status != 405 || got.header.Get("Allow") != "GET, HEAD, POST" || e.Reason != "wrong_method" {
			t.Errorf("%d %q, %+v", got.status, got.header.Get("Allow"), e)
		}
	})
	t.Run("bad queries name the parameter", func(t *testing.T) {
		for query, location := range map[string]string{
			"limit=0": "query.limit", "limit=1001": "query.limit", "limit=x": "query.limit", "sesame=1": "query.sesame", "after=" + strings.Repeat("x", 600): "query.after",
		} {
			got := w.ask(http.MethodGet, "/v1/organisations?"+query, right, "")
			p := got.problem(t)
			if got.status != 422 || len(p.Errors) != 1 || p.Errors[0].Location != location {
				t.Errorf("%s: %d %s", query, got.status, got.body)
			}
			if e := w.lastEvent(got); e.Reason != "not_valid" {
				t.Errorf("%s: %+v", query, e)
			}
		}
	})
}

func TestGuardThatNamesNobody(t *testing.T) {
	w := newWorld(t)
	for name, who := range map[string]func(context.Context) (admin.Caller, bool){
		"no caller": func(context.Context) (admin.Caller, bool) { return admin.Caller{}, false },
		"a caller without name": func(context.Context) (admin.Caller, bool) {
			return admin.Caller{Organisation: w.owner.ID, Ended: func(*directory.Snapshot) string { return "" }}, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.config(w.URL, nil)
			c.Require = func(next http.Handler) http.Handler { return next }
			c.Caller = who
			var seen web.Event
			c.Table.Observe = func(e *web.Event) { seen = *e }
			h, err := admin.New(c)
			check(t, err)
			status := serve(h, http.MethodGet, "/v1/organisations")
			if want := map[bool]int{true: 500, false: 403}[name == "no caller"]; status != want || seen.Reason == "" {
				t.Errorf("%d, %+v", status, seen)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	w := newWorld(t)
	for i, remove := range []func(*admin.Config){
		func(c *admin.Config) { c.Directory = nil }, func(c *admin.Config) { c.Authority = nil }, func(c *admin.Config) { c.Events = nil },
		func(c *admin.Config) { c.Require = nil }, func(c *admin.Config) { c.Caller = nil }, func(c *admin.Config) { c.OperatorOrganisation = "" }, func(c *admin.Config) { c.Resource = "" },
		func(c *admin.Config) { c.Table.Now = nil }, func(c *admin.Config) { c.Table.Log = nil },
	} {
		t.Run(fmt.Sprint("missing field ", i), func(t *testing.T) {
			c := w.config(w.URL, w.noEvents)
			remove(&c)
			if _, err := admin.New(c); err == nil {
				t.Error("accepted")
			}
		})
	}
}
