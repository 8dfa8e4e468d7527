package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func goodServeValue(t *testing.T) *Serve {
	t.Helper()
	s, err := LoadServe(write(t, goodServe), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func goodGatewayValue(t *testing.T) *Gateway {
	t.Helper()
	g, err := LoadGateway(write(t, goodGateway), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestURLs(t *testing.T) {
	tests := []struct{ url, want string }{
		{"https://auth.example.com", ""},
		{"https://auth.example.com:9443/tenant/a", ""},
		{"https://127.0.0.1:9443", ""},
		{"https://[::1]:9443", ""},
		{"", "is missing"},
		{"auth.example.com", `must begin with https://, not be "auth.example.com"`},
		{"http://auth.example.com", `must begin with https://, not be "http://auth.example.com"`},
		{"HTTPS://auth.example.com", `must begin with https://, not be "HTTPS://auth.example.com"`},
		{"https:auth.example.com", `"https:auth.example.com" is not a URL`},
		{"https://", `"https://" is not a URL`},
		{"https://a b", `"https://a b" is not a URL`},
		{"https://user@auth.example.com", "must not have a user in it"},
		{"https://auth.example.com?", "must not have a query or a fragment"},
		{"https://auth.example.com?a=b", "must not have a query or a fragment"},
		{"https://auth.example.com#", "must not have a query or a fragment"},
		{"https://auth.example.com/", "must not end with a slash"},
		{"https://auth.example.com/a/", "must not end with a slash"},
		{"https://Auth.example.com", "must have its host in lower case"},
		{"https://auth.example.com:", `"auth.example.com:" is not a host with a port of 1 to 65535`},
		{"https://auth.example.com:0", `"auth.example.com:0" is not a host with a port of 1 to 65535`},
		{"https://auth.example.com:65536", `"auth.example.com:65536" is not a host with a port of 1 to 65535`},
		{"https://auth.example.com:0443", `"auth.example.com:0443" is not a host with a port of 1 to 65535`},
		{"https://:8443", `":8443" is not a host with a port of 1 to 65535`},
		{"https://auth.example.com/a/../b", `must have a plain path (no "%", "\", "//", "." or "..")`},
		{"https://auth.example.com//a", `must have a plain path (no "%", "\", "//", "." or "..")`},
		{"https://auth.example.com/%61", `must have a plain path (no "%", "\", "//", "." or "..")`},
		{`https://auth.example.com/a\b`, `must have a plain path (no "%", "\", "//", "." or "..")`},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			f := new(faults)
			f.serverURL("issuer", tt.url)
			expect(t, f.err(), "issuer: ", tt.want)
		})
	}
}

// expect compares the one fault of err, or none, with its message after prefix.
func expect(t *testing.T, err error, prefix, want string) {
	t.Helper()
	var wanted []string
	if want != "" {
		wanted = []string{prefix + want}
	}
	if got := messages(t, err); !slices.Equal(got, wanted) {
		t.Errorf("got  %q\nwant %q", got, wanted)
	}
}

func TestServeFaults(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Serve)
		want   string
	}{
		{"nothing", func(s *Serve) {}, ""},
		{"mTLS on the issuer's origin", func(s *Serve) { s.MTLSURL = "https://auth.example.com:443/mtls" }, "mtls_url: must differ from issuer in host or port"},
		{"admin on the issuer's origin", func(s *Serve) { s.AdminURL = s.Issuer + "/admin" }, "admin_url: must differ from issuer in host or port"},
		{"admin on the mTLS origin", func(s *Serve) { s.AdminURL = s.MTLSURL }, "admin_url: must differ from mtls_url in host or port"},
		{"bad mtls_url", func(s *Serve) { s.MTLSURL = "" }, "mtls_url: is missing"},
		{"bad admin_url", func(s *Serve) { s.AdminURL = "" }, "admin_url: is missing"},
		{"no public address", func(s *Serve) { s.Listen.Public = "" }, "listen.public: is missing"},
		{"port too high", func(s *Serve) { s.Listen.MTLS = ":65536" }, `listen.mtls: "65536" is not a port of 0 to 65535`},
		{"port by name", func(s *Serve) { s.Listen.Admin = "127.0.0.1:https" }, `listen.admin: "https" is not a port of 0 to 65535`},
		{"host with a path", func(s *Serve) { s.Listen.Admin = "unix/x:1" }, `listen.admin: "unix/x" is not a host`},
		{"mTLS where public is", func(s *Serve) { s.Listen.MTLS = s.Listen.Public }, "listen.mtls: must differ from listen.public"},
		{"admin where public is", func(s *Serve) { s.Listen.Admin = s.Listen.Public }, "listen.admin: must differ from listen.public"},
		{"admin where mTLS is", func(s *Serve) { s.Listen.Admin = s.Listen.MTLS }, "listen.admin: must differ from listen.mtls"},
		{"free ports", func(s *Serve) { s.Listen = ServeListen{"localhost:0", "localhost:0", "localhost:0"} }, ""},
		{"database in memory", func(s *Serve) { s.Database = ":memory:" }, "database: must be a file: what is kept in memory is lost at the first restart"},
		{"another database", func(s *Serve) { s.Database = "mysql://localhost/x" }, "database: must be the path of a SQLite file or the URL of a PostgreSQL database"},
		{"PostgreSQL", func(s *Serve) { s.Database = "postgres://u@localhost/x?sslmode=verify-full" }, ""},
		{"PostgreSQL by its longer name", func(s *Serve) { s.Database = "postgresql://u:p@a,b/x" }, ""},
		{"PostgreSQL without a database", func(s *Serve) { s.Database = "postgres://u@localhost/" }, "database: must name the database, as in postgres://holdfast@db.example.com/holdfast"},
		{"PostgreSQL with a fragment", func(s *Serve) { s.Database = "postgres://u:p#w@localhost/x" }, "database: is not the URL of a PostgreSQL database"},
		{"PostgreSQL with a password that is not escaped", func(s *Serve) { s.Database = "postgres://u:p%ss@localhost/x" }, "database: is not the URL of a PostgreSQL database"},
		{"database with options", func(s *Serve) { s.Database = "/x?mode=memory" }, `database: must not hold "?" or "#"`},
		{"no key-encryption key", func(s *Serve) { s.KeyEncryptionKeyFile = "" }, "key_encryption_key_file: is missing"},
		{"certificate without key", func(s *Serve) { s.TLS.CertificateFile = "a" }, "tls.key_file: is missing (tls.certificate_file is set, and they go together)"},
		{"key without certificate", func(s *Serve) { s.TLS.KeyFile = "a" }, "tls.certificate_file: is missing (tls.key_file is set, and they go together)"},
		{"life too short", func(s *Serve) { s.Token.Life = time.Second - 1 }, "token.life: must be 1s to 1h, not 999.999999ms"},
		{"a network that is none", func(s *Serve) { s.JWKSURI.AllowNetworks = []string{"10.0.0.0/8", "localhost"} }, `jwks_uri.allow_networks[1]: "localhost" is not a network (write an address and its length, as in 10.20.0.0/16)`},
		{"a network with bits beyond its length", func(s *Serve) { s.JWKSURI.AllowNetworks = []string{"10.1.0.0/8"} }, `jwks_uri.allow_networks[0]: "10.1.0.0/8" has bits beyond its length: write 10.0.0.0/8`},
		{"a network of IPv4 as IPv6", func(s *Serve) { s.JWKSURI.AllowNetworks = []string{"::ffff:10.0.0.0/104"} }, `jwks_uri.allow_networks[0]: "::ffff:10.0.0.0/104" is a network of IPv4: write it so`},
		{"life too long", func(s *Serve) { s.Token.Life = time.Hour + time.Minute }, "token.life: must be 1s to 1h, not 1h1m"},
		{"log format", func(s *Serve) { s.Log.Format = "xml" }, `log.format: must be json or text, not "xml"`},
		{"log level", func(s *Serve) { s.Log.Level = "" }, "log.level: is missing: debug, info, warn or error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := goodServeValue(t)
			tt.change(s)
			expect(t, s.Validate(), "", tt.want)
		})
	}
}

func TestDatabaseSpellings(t *testing.T) {
	for value, want := range map[string]string{
		"sqlite:/var/lib/x.db":      "/var/lib/x.db",
		"/var/lib/x.db":             "/var/lib/x.db",
		"/var/lib/../x.db":          "/var/x.db",
		"sqlite::memory:":           "",
		"sqlite:":                   "",
		"sqlite://localhost/x":      "",
		"postgres://localhost/hold": "postgres://localhost/hold",
		"mysql://localhost/hold":    "",
	} {
		s, err := LoadServe(write(t, goodServe), nil, map[string]string{"database": value})
		if want == "" {
			if err == nil {
				t.Errorf("%s: accepted as %s", value, s.Database)
			}
			continue
		}
		if err != nil || s.Database != want {
			t.Errorf("%s: got %+v, %v", value, s, err)
		}
	}
}

func TestGatewayFaults(t *testing.T) {
	route := func(change func(*Route)) func(*Gateway) {
		return func(g *Gateway) { change(&g.Routes[0]) }
	}
	another := func(path string, mine, others []string) func(*Gateway) {
		return func(g *Gateway) {
			g.Routes[0].Methods = mine
			r := g.Routes[0]
			r.Path, r.Methods = path, others
			g.Routes = append(g.Routes, r)
		}
	}
	const plain = `must be a plain path (no "%", "?", "#", "\", "//", "." or "..")`
	tests := []struct {
		name   string
		change func(*Gateway)
		want   string
	}{
		{"nothing", func(g *Gateway) {}, ""},
		{"no gateway_url", func(g *Gateway) { g.GatewayURL = "" }, "gateway_url: is missing"},
		{"no address", func(g *Gateway) { g.Listen = "" }, "listen: is missing"},
		{"no issuer", func(g *Gateway) { g.Issuer = "" }, "issuer: is missing"},
		{"gateway on the issuer's origin", func(g *Gateway) { g.GatewayURL = g.Issuer }, "gateway_url: must differ from issuer in host or port"},
		{"bad feed_url", func(g *Gateway) { g.FeedURL = "http://x" }, `feed_url: must begin with https://, not be "http://x"`},
		{"no certificate", func(g *Gateway) { g.TLS.CertificateFile = "" }, "tls.certificate_file: is missing"},
		{"no key", func(g *Gateway) { g.TLS.KeyFile = "" }, "tls.key_file: is missing"},
		{"no client_id", func(g *Gateway) { g.Client.ClientID = "" }, "client.client_id: is missing"},
		{"client_id with a space", func(g *Gateway) { g.Client.ClientID = "a b" }, "client.client_id: must be 1 to 64 letters, digits, dots, underscores or hyphens"},
		{"client_id of two dots", func(g *Gateway) { g.Client.ClientID = ".." }, "client.client_id: must be 1 to 64 letters, digits, dots, underscores or hyphens"},
		{"client_id too long", func(g *Gateway) { g.Client.ClientID = strings.Repeat("a", 65) }, "client.client_id: must be 1 to 64 letters, digits, dots, underscores or hyphens"},
		{"no client key", func(g *Gateway) { g.Client.KeyFile = "" }, "client.key_file: is missing"},
		{"no kid", func(g *Gateway) { g.Client.KID = "" }, "client.kid: is missing"},
		{"log", func(g *Gateway) { g.Log.Level = "x" }, `log.level: must be debug, info, warn or error, not "x"`},
		{"no routes", func(g *Gateway) { g.Routes = nil }, "routes: needs at least one route"},
		{"no path", route(func(r *Route) { r.Path = "" }), "routes[0].path: is missing"},
		{"path without slash", route(func(r *Route) { r.Path = "payments/" }), "routes[0].path: must begin with a slash"},
		{"path of everything", route(func(r *Route) { r.Path = "/" }), ""},
		{"path with dots", route(func(r *Route) { r.Path = "/a/../b" }), "routes[0].path: " + plain},
		{"path with two slashes", route(func(r *Route) { r.Path = "/a//" }), "routes[0].path: " + plain},
		{"path encoded", route(func(r *Route) { r.Path = "/a%2f" }), "routes[0].path: " + plain},
		{"path with a pattern", route(func(r *Route) { r.Path = "/a/*" }), "routes[0].path: " + plain},
		{"path beyond ASCII", route(func(r *Route) { r.Path = "/ä" }), "routes[0].path: " + plain},
		{"method in small letters", route(func(r *Route) { r.Methods = []string{"get"} }), `routes[0].methods: "get" is not a method (they are written in capitals)`},
		{"method twice", route(func(r *Route) { r.Methods = []string{"GET", "GET"} }), "routes[0].methods: GET is there twice"},
		{"CONNECT", route(func(r *Route) { r.Methods = []string{"CONNECT"} }), "routes[0].methods: CONNECT is never forwarded"},
		{"no resource", route(func(r *Route) { r.Resource = "" }), "routes[0].resource: is missing"},
		{"RFC 8707 §2: a relative resource", route(func(r *Route) { r.Resource = "/payments" }), `routes[0].resource: must be an absolute URI without a fragment, not "/payments"`},
		{"RFC 8707 §2: a resource with a fragment", route(func(r *Route) { r.Resource = "https://a#" }), `routes[0].resource: must be an absolute URI without a fragment, not "https://a#"`},
		{"a URN is a resource", route(func(r *Route) { r.Resource = "urn:example:api" }), ""},
		{"no scope", route(func(r *Route) { r.Scopes = nil }), "routes[0].scopes: needs at least one scope"},
		{"RFC 6749 §3.3: two scopes in one", route(func(r *Route) { r.Scopes = []string{"a b"} }), `routes[0].scopes: "a b" is not a scope (no spaces, quotes or backslashes; one entry for each)`},
		{"scope twice", route(func(r *Route) { r.Scopes = []string{"a", "a"} }), `routes[0].scopes: "a" is there twice`},
		{"no binding", route(func(r *Route) { r.Binding = "" }), "routes[0].binding: is missing: mtls, dpop or either"},
		{"binding none", route(func(r *Route) { r.Binding = "none" }), `routes[0].binding: must be mtls, dpop or either, not "none"`},
		{"nonce", route(func(r *Route) { r.Nonce = "never" }), `routes[0].nonce: must be on_doubt or always, not "never"`},
		{"nonce off, which needs a memory of proofs that outlives the process", route(func(r *Route) { r.Nonce = "off" }), `routes[0].nonce: must be on_doubt or always, not "off"`},
		{"lag too short", route(func(r *Route) { r.MaxRevocationLag = 0 }), "routes[0].max_revocation_lag: must be 10s to 24h, not 0s"},
		{"lag too long", route(func(r *Route) { r.MaxRevocationLag = 25 * time.Hour }), "routes[0].max_revocation_lag: must be 10s to 24h, not 25h"},
		{"no upstream", route(func(r *Route) { r.Upstream = "" }), "routes[0].upstream: is missing"},
		{"upstream of another scheme", route(func(r *Route) { r.Upstream = "ftp://a" }), `routes[0].upstream: must be an http or https URL, not "ftp://a"`},
		{"upstream with a path", route(func(r *Route) { r.Upstream = "http://a/" }), "routes[0].upstream: must be scheme, host and port and nothing more"},
		{"upstream without host", route(func(r *Route) { r.Upstream = "http://:80" }), `routes[0].upstream: ":80" is not a host with a port of 1 to 65535`},
		{"CA for a plain upstream", route(func(r *Route) { r.UpstreamCAFile = "a" }), "routes[0].upstream_ca_file: has no use: the upstream is not https"},
		{"prefix", route(func(r *Route) { r.StripPrefix = "/payments" }), ""},
		{"prefix with a slash", route(func(r *Route) { r.StripPrefix = "/payments/" }), "routes[0].strip_prefix: must begin with a slash and not end with one"},
		{"half a segment", route(func(r *Route) { r.StripPrefix = "/pay" }), `routes[0].strip_prefix: must be the first segments of the route's path "/payments/"`},
		{"another path", another("/reports/", nil, nil), ""},
		{"the same path", another("/payments/", nil, nil), "routes[1].path: is the path of routes[0], for the same methods"},
		{"the same path and every method", another("/payments/", nil, []string{"GET"}), "routes[1].path: is the path of routes[0], for the same methods"},
		{"the same path and a common method", another("/payments/", []string{"GET", "PUT"}, []string{"POST", "GET"}), "routes[1].path: is the path of routes[0], for the same methods"},
		{"the same path and other methods", another("/payments/", []string{"GET"}, []string{"POST"}), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := goodGatewayValue(t)
			tt.change(g)
			expect(t, g.Validate(), "", tt.want)
		})
	}
}

func TestGatewayPlacesInRoutes(t *testing.T) {
	text := goodGateway + `- path: /reports/
  resource: https://api.example.com/reports
  scope: [reports]
  binding: mtls
  upstream: http://127.0.0.1:9000
  methods: GET
  max_revocation_lag: 5
  allow_encoded_paths: yes
- 7
`
	_, err := LoadGateway(write(t, text), nil, nil)
	want := []string{
		`holdfast.yaml:13:3: unknown key "scope" (did you mean "scopes"?)`,
		`holdfast.yaml:16:12: routes[1].methods: must be a list`,
		`holdfast.yaml:17:23: routes[1].max_revocation_lag: must be a duration with its unit, as in 90s, 5m or 1h`,
		`holdfast.yaml:18:24: routes[1].allow_encoded_paths: must be true or false`,
		`holdfast.yaml:19:3: routes[2]: must be a section of keys`,
		`holdfast.yaml:11:3: routes[1].scopes: needs at least one scope`,
	}
	if got := messages(t, err); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
