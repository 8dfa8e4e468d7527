package check

// Holdfast is the import table of this repository: the tree of packages, from
// what knows nothing to what knows everything. Tests may import what they like.
func Holdfast() Table {
	return Table{
		Public:    []string{"cnf", "dpop", "mtls", "verify", "verify/jwks", "verify/httpmw", "client"},
		Beneath:   []string{"internal/strictjson", "internal/jose", "internal/bounded"},
		Endpoints: []string{"internal/as", "internal/admin", "internal/feed", "internal/gateway"},
		Store:     "internal/store",
		Composers: []string{"internal/server", "cmd/holdfast"},
		Rows: []Row{
			// Values and formats: no I/O, no clock.
			{Package: "internal/strictjson"},
			{Package: "internal/bounded"},
			{Package: "internal/oauth"},
			{Package: "internal/idempotency"},
			{Package: "internal/outbound", Clock: true},
			{Package: "internal/audit", Inside: []string{"internal/jose", "internal/strictjson"}},
			{Package: "internal/envelope"},
			{Package: "internal/web", Inside: []string{"internal/oauth"}},
			{Package: "internal/metrics", Inside: []string{"internal/web"}, Outside: []string{"github.com/prometheus/client_golang"}},
			{Package: "internal/config", Outside: []string{"github.com/goccy/go-yaml"}},
			{Package: "internal/jose", Inside: []string{"internal/strictjson"}},

			// Public: what a resource server or a consumer compiles in.
			{Package: "cnf", Inside: []string{"internal/strictjson"}},
			{Package: "dpop", Inside: []string{"cnf", "internal/jose", "internal/strictjson"}},
			{Package: "mtls", Inside: []string{"cnf"}},
			{Package: "verify", Inside: []string{"cnf", "dpop", "mtls", "internal/bounded", "internal/jose", "internal/strictjson"}},
			{Package: "verify/jwks", Inside: []string{"verify", "internal/jose", "internal/strictjson"}, Clock: true, Jitter: true},
			{Package: "verify/httpmw", Inside: []string{"verify", "cnf", "dpop", "mtls"}},
			{Package: "client", Inside: []string{"cnf", "dpop", "mtls", "internal/jose", "internal/strictjson"}, Clock: true},

			// The domain: rules, and the store that each needs.
			{Package: "internal/directory", Inside: []string{"cnf", "internal/audit", "internal/jose", "internal/outbound"}},
			{Package: "internal/keyring", Inside: []string{"internal/audit", "internal/envelope", "internal/jose"}},
			{Package: "internal/checkpoint", Inside: []string{"internal/audit", "internal/directory", "internal/jose", "internal/keyring"}},
			{Package: "internal/ca", Inside: []string{"cnf", "mtls", "internal/audit", "internal/directory", "internal/jose", "internal/keyring"}},
			{Package: "internal/enrol", Inside: []string{"internal/audit", "internal/ca", "internal/directory"}},
			{Package: "internal/token", Inside: []string{"cnf", "internal/audit", "internal/directory", "internal/jose", "internal/keyring", "internal/strictjson"}},
			{Package: "internal/jwksuri", Inside: []string{"cnf", "mtls", "internal/jose", "internal/outbound"}, Jitter: true},
			{Package: "internal/clientauth", Inside: []string{"cnf", "mtls", "internal/directory", "internal/jose", "internal/jwksuri", "internal/oauth", "internal/strictjson", "internal/token"}},
			{Package: "internal/registration", Inside: []string{"cnf", "internal/audit", "internal/directory", "internal/jose", "internal/keyring", "internal/oauth", "internal/strictjson", "internal/token"}},

			// Endpoints: protocol only.
			{Package: "internal/as", Inside: []string{"cnf", "dpop", "mtls", "internal/ca", "internal/clientauth", "internal/directory", "internal/enrol", "internal/jose", "internal/oauth", "internal/registration", "internal/strictjson", "internal/token", "internal/web"}},
			{Package: "internal/admin", Inside: []string{"cnf", "mtls", "verify", "verify/httpmw", "internal/audit", "internal/ca", "internal/directory", "internal/enrol", "internal/idempotency", "internal/jose", "internal/oauth", "internal/registration", "internal/strictjson", "internal/web"}, Outside: []string{"github.com/danielgtaylor/huma"}},
			{Package: "internal/feed", Inside: []string{"cnf", "verify", "internal/audit", "internal/directory", "internal/jose", "internal/oauth", "internal/strictjson", "internal/token", "internal/web"}, Jitter: true},
			{Package: "internal/gateway", Inside: []string{"cnf", "dpop", "mtls", "verify", "verify/jwks", "verify/httpmw", "client", "internal/bounded", "internal/jose", "internal/strictjson", "internal/web"}},

			// Edges: the database, the wire to the admin API, and who puts all together.
			{Package: "internal/store", Inside: []string{"cnf", "internal/audit", "internal/ca", "internal/directory", "internal/enrol", "internal/idempotency", "internal/jose", "internal/keyring", "internal/registration", "internal/token"}, Outside: []string{"modernc.org/sqlite", "github.com/jackc/pgx/v5", "github.com/pressly/goose/v3"}, Clock: true},
			{Package: "internal/adminclient", Inside: []string{"client", "internal/admin", "internal/audit", "internal/strictjson"}},
			{Package: "internal/server", Inside: []string{
				"cnf", "dpop", "mtls", "verify", "verify/jwks", "verify/httpmw", "client", "internal/admin", "internal/as",
				"internal/audit", "internal/ca", "internal/checkpoint", "internal/clientauth", "internal/config", "internal/directory", "internal/enrol", "internal/envelope",
				"internal/feed", "internal/gateway", "internal/jose", "internal/jwksuri", "internal/keyring", "internal/metrics", "internal/oauth", "internal/outbound",
				"internal/registration", "internal/store", "internal/strictjson", "internal/token", "internal/web",
			}, Outside: []string{"golang.org/x/sync"}, Clock: true},
			{Package: "internal/dev", Inside: []string{"cnf", "dpop", "mtls", "client", "internal/admin", "internal/adminclient", "internal/config", "internal/jose", "internal/server", "internal/web"}, Outside: []string{"golang.org/x/sync"}, Clock: true},
			{Package: "internal/demo", Inside: []string{"cnf", "dpop", "client", "internal/admin", "internal/adminclient", "internal/dev", "internal/jose", "internal/strictjson"}, Clock: true},
			{Package: "cmd/holdfast", Inside: []string{
				"dpop", "client", "internal/admin", "internal/adminclient", "internal/audit", "internal/config", "internal/demo", "internal/dev", "internal/envelope", "internal/gateway", "internal/jose", "internal/server", "internal/store",
			}, Outside: []string{"github.com/spf13/cobra"}, Clock: true},

			// Tools of this repository.
			{Package: "internal/check"},
			{Package: "internal/conformance"},
			{Package: "internal/testrun"},
			{Package: "bench/compare", Outside: []string{"modernc.org/sqlite", "github.com/jackc/pgx/v5"}, Clock: true},
			{Package: "internal/mutate", Clock: true},
		},
	}
}
