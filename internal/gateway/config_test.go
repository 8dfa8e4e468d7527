package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/gateway"
	"github.com/holdfast-auth/holdfast/verify"
)

func TestConfigFaults(t *testing.T) {
	first := func(change func(*gateway.Route)) func(*stand) {
		return func(s *stand) { change(&s.config.Routes[0]) }
	}
	for _, tt := range []struct {
		name   string
		change func(*stand)
		want   string
	}{
		{"a URL with a path", func(s *stand) { s.config.URL += "/x" }, "public_url: must be https"},
		{"no signer", func(s *stand) { s.config.Signer = nil }, "signer: is required"},
		{"no clock", func(s *stand) { s.config.Now = nil }, "now: is required"},
		{"no log", func(s *stand) { s.config.Log = nil }, "log: is required"},
		{"no routes", func(s *stand) { s.config.Routes = nil }, "routes: is required"},
		{"no path", first(func(r *gateway.Route) { r.Path = "" }), "routes[0].path: must be a plain"},
		{"a path without slash", first(func(r *gateway.Route) { r.Path = "payments/" }), "routes[0].path: must be a plain"},
		{"a path with an escape", first(func(r *gateway.Route) { r.Path = "/%61/" }), "routes[0].path: must be a plain"},
		{"a path with parameters", first(func(r *gateway.Route) { r.Path = "/a;b/" }), "routes[0].path: must be a plain"},
		{"a path with a query", first(func(r *gateway.Route) { r.Path = "/a?b" }), "routes[0].path: must be a plain"},
		{"a path with dots", first(func(r *gateway.Route) { r.Path = "/a/../b/" }), "routes[0].path: must be a plain"},
		{"a path with two slashes", first(func(r *gateway.Route) { r.Path = "/a//" }), "routes[0].path: must be a plain"},
		{"a method in small letters", first(func(r *gateway.Route) { r.Methods = []string{"get"} }), "routes[0].methods: must be methods"},
		{"an empty method", first(func(r *gateway.Route) { r.Methods = []string{""} }), "routes[0].methods: must be methods"},
		{"CONNECT", first(func(r *gateway.Route) { r.Methods = []string{"CONNECT"} }), "routes[0].methods: must be methods"},
		{"TRACE", first(func(r *gateway.Route) { r.Methods = []string{"GET", "TRACE"} }), "routes[0].methods: must be methods"},
		{"advisory 20: no audience", first(func(r *gateway.Route) { r.Resource = "" }), "routes[0].resource: must be an absolute URI"},
		{"no scope", first(func(r *gateway.Route) { r.Scopes = nil }), "routes[0].scopes: needs at least one scope"},
		{"no binding", first(func(r *gateway.Route) { r.Binding = "" }), "routes[0].binding: must be mtls, dpop or either"},
		{"nonces off in memory", first(func(r *gateway.Route) { r.Nonce = verify.NonceOff }), "routes[0].nonce: off needs a shared replay store"},
		{"no upstream", first(func(r *gateway.Route) { r.Upstream = "" }), "routes[0].upstream: must be http or https"},
		{"an upstream without host", first(func(r *gateway.Route) { r.Upstream = "http://" }), "routes[0].upstream: must be http or https"},
		{"an upstream that is no URL", first(func(r *gateway.Route) { r.Upstream = "http://a b" }), "routes[0].upstream: must be http or https"},
		{"an upstream of another scheme", first(func(r *gateway.Route) { r.Upstream = "ftp://a" }), "routes[0].upstream: must be http or https"},
		{"an upstream with a path", first(func(r *gateway.Route) { r.Upstream += "/" }), "routes[0].upstream: must be http or https"},
		{"advisory 30: https without CA", first(func(r *gateway.Route) { r.Upstream = "https://a" }), "routes[0].upstream_tls: must name the CA"},
		{"advisory 30: https with the system's CAs unnamed", first(func(r *gateway.Route) { r.Upstream, r.UpstreamTLS = "https://a", new(tls.Config) }), "routes[0].upstream_tls: must name"},
		{"advisory 66: https without verification", first(func(r *gateway.Route) {
			r.Upstream, r.UpstreamTLS = "https://a", &tls.Config{RootCAs: x509.NewCertPool(), InsecureSkipVerify: true}
		}), "routes[0].upstream_tls: must name"},
		{"a prefix that is not the path's", first(func(r *gateway.Route) { r.StripPrefix = "/reports" }), "routes[0].strip_prefix: must be"},
		{"a prefix of half a segment", first(func(r *gateway.Route) { r.StripPrefix = "/pay" }), "routes[0].strip_prefix: must be"},
		{"a prefix with a slash at its end", first(func(r *gateway.Route) { r.StripPrefix = "/payments/" }), "routes[0].strip_prefix: must be"},
		{"a prefix without slash", first(func(r *gateway.Route) { r.StripPrefix = "payments" }), "routes[0].strip_prefix: must be"},
		{"a route twice", func(s *stand) { s.config.Routes[1].Path = "/payments/" }, "routes[1].path: is another route's"},
		{"a route twice for one method", func(s *stand) {
			s.config.Routes[1].Path, s.config.Routes[0].Methods, s.config.Routes[1].Methods = "/payments/", []string{"GET"}, []string{"POST", "GET"}
		}, "routes[1].path: is another route's"},
		{"a route for all methods beside one for some", func(s *stand) {
			s.config.Routes[1].Path, s.config.Routes[0].Methods = "/payments/", []string{"GET"}
		}, "routes[1].path: is another route's"},
		{"a route for some methods beside one for all", func(s *stand) {
			s.config.Routes[1].Path, s.config.Routes[1].Methods = "/payments/", []string{"GET"}
		}, "routes[1].path: is another route's"},
		{"advisory 78: two routes that differ in case", func(s *stand) { s.config.Routes[1].Path = "/Payments/" }, "routes[1].path: differs from another"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := prepare(t, tt.change)
			g, err := s.build()
			if g != nil || err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %v; want %s", err, tt.want)
			}
		})
	}
	t.Run("no verifier", func(t *testing.T) {
		c := prepare(t).config
		if _, err := gateway.New(c); err == nil || err.Error() != "verifier: is required" {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("every fault of every route is reported, with its place", func(t *testing.T) {
		s := prepare(t, func(s *stand) {
			s.config.Routes[0].Resource, s.config.Routes[0].Binding = "", ""
			s.config.Routes[1].Path = ""
		})
		_, err := s.build()
		if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.Contains(err.Error(), "routes[0].resource") ||
			!strings.Contains(err.Error(), "routes[0].binding") || !strings.Contains(err.Error(), "routes[1].path") {
			t.Errorf("error is %v", err)
		}
	})
}
