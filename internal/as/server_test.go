package as_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/as"
	"github.com/holdfast-auth/holdfast/internal/clientauth"
	"github.com/holdfast-auth/holdfast/internal/clientauth/authtest"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/web"
)

func TestMetadata(t *testing.T) {
	w := newWorld(t)
	algorithms := []any{"ES256", "PS256", "EdDSA", "Ed25519"}
	methods := []any{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}
	want := map[string]any{
		"issuer":                   authtest.Issuer,
		"token_endpoint":           tokenURL,
		"jwks_uri":                 authtest.Issuer + "/.well-known/jwks.json",
		"introspection_endpoint":   authtest.Issuer + "/introspect",
		"revocation_endpoint":      authtest.Issuer + "/revoke",
		"response_types_supported": []any{},
		"grant_types_supported":    []any{"client_credentials"},

		"token_endpoint_auth_methods_supported":                    methods,
		"token_endpoint_auth_signing_alg_values_supported":         algorithms,
		"introspection_endpoint_auth_methods_supported":            methods,
		"introspection_endpoint_auth_signing_alg_values_supported": algorithms,
		"revocation_endpoint_auth_methods_supported":               methods,
		"revocation_endpoint_auth_signing_alg_values_supported":    algorithms,

		"dpop_signing_alg_values_supported":          algorithms,
		"tls_client_certificate_bound_access_tokens": true,
		"mtls_endpoint_aliases": map[string]any{
			"token_endpoint": mtlsTokenURL, "introspection_endpoint": mtlsBase + "/introspect", "revocation_endpoint": mtlsBase + "/revoke",
		},
	}
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		t.Run(path, func(t *testing.T) {
			a := w.do(call{method: http.MethodGet, path: path})
			if a.Code != 200 || !reflect.DeepEqual(a.JSON, want) {
				t.Errorf("%d %s", a.Code, a.Body)
			}
			if a.Header().Get("Content-Type") != "application/json" || a.Header().Get("Cache-Control") != "max-age=300" {
				t.Errorf("header %v", a.Header())
			}
		})
	}
	t.Run("the mTLS listener has no metadata", func(t *testing.T) {
		if a := w.do(call{mtls: true, method: http.MethodGet, path: "/.well-known/oauth-authorization-server"}); a.Code != 404 {
			t.Errorf("%d", a.Code)
		}
	})
}

func TestIssuerWithPath(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.Issuer = "https://as.example/tenant/one"
	c.Auth = &clientauth.Authenticator{Issuer: c.Issuer, TrustDomain: authtest.TrustDomain, Pool: w.Auth.Pool}
	s, err := as.New(c)
	if err != nil {
		t.Fatal(err)
	}
	w.serve(s)
	for _, path := range []string{"/.well-known/oauth-authorization-server/tenant/one", "/.well-known/openid-configuration/tenant/one", "/tenant/one/.well-known/openid-configuration"} {
		a := w.do(call{method: http.MethodGet, path: path})
		aliases, _ := a.JSON["mtls_endpoint_aliases"].(map[string]any)
		if a.Code != 200 || a.text("issuer") != c.Issuer || a.text("token_endpoint") != c.Issuer+"/token" || aliases["token_endpoint"] != mtlsBase+"/tenant/one/token" {
			t.Errorf("%s: %d %s", path, a.Code, a.Body)
		}
	}
	for _, mtls := range []bool{false, true} {
		if a := w.do(call{mtls: mtls, path: "/tenant/one/token"}); a.Code != 400 || w.event.Reason != "grant_type_missing" {
			t.Errorf("%d %s", a.Code, a.Body)
		}
	}
	if a := w.do(call{method: http.MethodGet, path: "/tenant/one/.well-known/jwks.json"}); a.Code != 200 {
		t.Errorf("%d", a.Code)
	}
}

func TestJWKS(t *testing.T) {
	w := newWorld(t)
	a := w.do(call{method: http.MethodGet, path: "/.well-known/jwks.json"})
	if a.Code != 200 || a.Header().Get("Cache-Control") != "max-age=300" || a.Header().Get("Content-Type") != "application/jwk-set+json" {
		t.Fatalf("%d %v", a.Code, a.Header())
	}
	keys, err := jose.ParseJWKSet(a.Body.Bytes(), 10)
	if err != nil || len(keys) != 1 || keys[0].KeyID() != "as" {
		t.Errorf("%v, %v", keys, err)
	}
	if strings.Contains(a.Body.String(), `"d"`) {
		t.Error("a private member")
	}
}

func TestWithoutMTLS(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.MTLSBase = ""
	s, err := as.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if s.MTLSRoutes() != nil {
		t.Error("routes of a listener that is not there")
	}
	w.serve(s)
	a := w.do(call{method: http.MethodGet, path: "/.well-known/oauth-authorization-server"})
	for _, name := range []string{"mtls_endpoint_aliases", "tls_client_certificate_bound_access_tokens"} {
		if _, ok := a.JSON[name]; ok {
			t.Errorf("metadata has %s", name)
		}
	}
	if got := a.JSON["token_endpoint_auth_methods_supported"]; !reflect.DeepEqual(got, []any{"private_key_jwt"}) {
		t.Errorf("methods %v", got)
	}
}

func TestNewRefuses(t *testing.T) {
	w := newWorld(t)
	for name, edit := range map[string]func(*as.Config){
		"issuer http":                     func(c *as.Config) { c.Issuer = "http://as.example" },
		"issuer without host":             func(c *as.Config) { c.Issuer = "https:///x" },
		"issuer opaque":                   func(c *as.Config) { c.Issuer = "https:as.example" },
		"issuer not a URL":                func(c *as.Config) { c.Issuer = "https://as.example:x" },
		"issuer with user":                func(c *as.Config) { c.Issuer = "https://u@as.example" },
		"issuer with query":               func(c *as.Config) { c.Issuer = "https://as.example?x" },
		"issuer with fragment":            func(c *as.Config) { c.Issuer = "https://as.example#x" },
		"issuer with trailing slash":      func(c *as.Config) { c.Issuer = "https://as.example/" },
		"issuer with a pattern":           func(c *as.Config) { c.Issuer = "https://as.example/{x}" },
		"mTLS URL http":                   func(c *as.Config) { c.MTLSBase = "http://as.example" },
		"mTLS URL with path":              func(c *as.Config) { c.MTLSBase = "https://as.example/mtls" },
		"token life 0":                    func(c *as.Config) { c.TokenLife = 0 },
		"token life beyond 1 h":           func(c *as.Config) { c.TokenLife = time.Hour + time.Second },
		"no directory":                    func(c *as.Config) { c.Directory = nil },
		"no client authentication":        func(c *as.Config) { c.Auth = nil },
		"client authentication elsewhere": func(c *as.Config) { c.Auth = &clientauth.Authenticator{Issuer: "https://other.example"} },
		"no keys":                         func(c *as.Config) { c.Keys = nil },
		"no store of uses":                func(c *as.Config) { c.Uses = nil },
		"no nonces":                       func(c *as.Config) { c.Nonces = nil },
		"no randomness":                   func(c *as.Config) { c.Random = nil },
		"no clock":                        func(c *as.Config) { c.Now = nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := w.config()
			edit(&c)
			if name != "no client authentication" && c.Issuer != authtest.Issuer {
				c.Auth = &clientauth.Authenticator{Issuer: c.Issuer}
			}
			if s, err := as.New(c); err == nil || s != nil {
				t.Errorf("got %v, %v", s, err)
			}
		})
	}
}

func TestNoSuchEndpoint(t *testing.T) {
	w := newWorld(t)
	a := w.do(call{path: "/authorize"})
	w.refusal(a, 404, "invalid_request", "no_such_path")
	a = w.do(call{method: http.MethodGet, path: "/token"})
	w.refusal(a, 405, "invalid_request", "wrong_method")
	if a.Header().Get("Allow") != "POST" {
		t.Errorf("Allow %q", a.Header().Get("Allow"))
	}
}

func TestRender(t *testing.T) {
	render := func(err error) (*httptest.ResponseRecorder, *web.Event) {
		w := httptest.NewRecorder()
		r := &web.Request{Request: httptest.NewRequest(http.MethodPost, "/token", nil), Event: &web.Event{}}
		as.Render(w, r, err)
		return w, r.Event
	}
	t.Run("a bug tells the client nothing", func(t *testing.T) {
		w, e := render(errors.New("disk /dev/sda1 is on fire"))
		if w.Code != 500 || w.Body.String() != `{"error":"server_error","error_description":"internal error"}` || e.Reason != "internal" || e.Cause == "" {
			t.Errorf("%d %s %+v", w.Code, w.Body, e)
		}
	})
	t.Run("a cause stays inside", func(t *testing.T) {
		w, e := render(oauth.Refuse(oauth.InvalidGrant, "why", "what", errors.New("cause")))
		if w.Code != 400 || strings.Contains(w.Body.String(), "cause") || e.Cause != "cause" || e.Reason != "why" || e.Error != "invalid_grant" {
			t.Errorf("%d %s %+v", w.Code, w.Body, e)
		}
	})
	t.Run("Retry-After is whole seconds, rounded up", func(t *testing.T) {
		w, _ := render(&oauth.Error{Code: oauth.TemporarilyUnavailable, Status: 429, RetryAfter: 1500 * time.Millisecond})
		if w.Code != 429 || w.Header().Get("Retry-After") != "2" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body) != 1 {
			t.Errorf("%s", w.Body)
		}
	})
}
