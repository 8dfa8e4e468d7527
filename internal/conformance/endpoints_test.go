package conformance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// TestTokenErrors is the error table of the token endpoint: RFC 6749 section 5.2,
// RFC 7523 section 3.2, RFC 8705 section 2, RFC 8707 section 2, RFC 9449 sections 5 and 8.
func TestTokenErrors(t *testing.T) {
	refused := func(name, code string, change func(*testing.T, *application, *request)) row {
		return row{name: name, change: change, status: 400, code: code}
	}
	proof := func(header, payload claims) func(*testing.T, *application, *request) {
		return func(t *testing.T, a *application, r *request) {
			_, good := parts(t, r.header.Get("DPoP"))
			a.reprove(t, r, "", header, claims{"jti": good["jti"]}.and(payload))
		}
	}
	rows := append(formRows(), clientRows(t)...)
	rows = append(rows,
		refused("missing grant_type", "invalid_request", del("grant_type")),
		refused("empty grant_type", "invalid_request", set("grant_type", "")),
		refused("duplicated grant_type", "invalid_request", raw("&grant_type=client_credentials")),
		refused("duplicated scope", "invalid_request", raw("&scope=payments")),
		row{name: "certificate-bound client without certificate", of: byKeyBound, status: 400, code: "invalid_request",
			change: func(_ *testing.T, a *application, r *request) { r.client = a.plain }},
		row{name: "certificate-bound client with another's certificate", of: byKeyBound, status: 400, code: "invalid_request",
			change: func(t *testing.T, a *application, r *request) { r.client = a.world.application(t, byKeyBound).http }},
		row{name: "certificate-bound client with a proof", of: byKeyBound, status: 400, code: "invalid_request",
			change: func(t *testing.T, a *application, r *request) { r.header.Set("DPoP", "x") }},
		refused("DPoP-bound client without proof", "invalid_dpop_proof", header("DPoP")),
		refused("DPoP proof twice", "invalid_dpop_proof", header("DPoP", "x", "y")),
		refused("DPoP proof invalid", "invalid_dpop_proof", proof(nil, claims{"htm": "GET"})),
		refused("DPoP proof for the other listener", "invalid_dpop_proof", func(t *testing.T, a *application, r *request) {
			proof(nil, claims{"htu": a.file.MTLSTokenEndpoint})(t, a, r)
		}),
		row{name: "DPoP proof replayed", status: 400, code: "invalid_dpop_proof", over: "used", change: func(t *testing.T, a *application, r *request) {
			first := a.tokenRequest(t)
			first.header.Set("DPoP", r.header.Get("DPoP"))
			if got := a.send(t, first); got.status != http.StatusOK {
				t.Fatal(got)
			}
		}},
		row{name: "DPoP nonce unknown", status: 400, code: "use_dpop_nonce", nonce: true, change: proof(nil, claims{"nonce": "sesame"})},
		refused("grant unknown", "unsupported_grant_type", set("grant_type", "authorization_code")),
		refused("scope unknown", "invalid_scope", set("scope", "sesame")),
		refused("scope malformed: a tab", "invalid_request", set("scope", "payments\t")), // a control character in a form
		refused("scope malformed: two blanks", "invalid_scope", set("scope", "payments  payments")),
		refused("scope malformed: a quote", "invalid_scope", set("scope", `pay"ments`)),
		refused("scope malformed: not ASCII", "invalid_scope", set("scope", "paymènts")),
		refused("advisory 37: scope beyond the registration", "invalid_scope", set("scope", "reports")),
		refused("advisory 37: one scope of two beyond it", "invalid_scope", set("scope", "payments reports")),
		refused("scope in another case", "invalid_scope", set("scope", "Payments")),
		refused("resource unknown", "invalid_target", set("resource", "https://sesame.example")),
		refused("resource not a URI", "invalid_target", set("resource", "sesame")),
		refused("resource with a fragment", "invalid_target", func(t *testing.T, a *application, r *request) { r.form.Set("resource", a.payments+"#x") }),
		refused("resource with a slash more", "invalid_target", func(t *testing.T, a *application, r *request) { r.form.Set("resource", a.payments+"/") }),
		refused("resource not permitted", "invalid_target", func(t *testing.T, a *application, r *request) {
			r.form.Set("resource", a.file.GatewayURL+"/reports")
		}),
		refused("resource twice", "invalid_target", func(t *testing.T, a *application, r *request) {
			r.form["resource"] = []string{a.payments, a.file.GatewayURL + "/reports"}
		}),
		refused("scope of another resource than asked for", "invalid_scope", func(t *testing.T, a *application, r *request) {
			r.form.Set("resource", a.payments)
			r.form.Set("scope", "reports")
		}),
	)
	runTable(t, rows, func(t testing.TB, a *application) *request { return a.tokenRequest(t) })
	t.Run("RFC 6749 §3.2: parameters that nobody knows are ignored", func(t *testing.T) {
		w := start(t)
		a := w.application(t, byKey)
		r := a.tokenRequest(t)
		for _, name := range []string{"authorization_details", "audience", "request_uri", "sesame"} {
			r.form.Set(name, `[{"type":"payment"}]`)
		}
		got := w.send(t, r)
		if got.status != http.StatusOK || len(got.json) != 4 { // access_token, token_type, expires_in, scope
			t.Fatal(got)
		}
		if _, payload := parts(t, got.text("access_token")); payload["authorization_details"] != nil || payload["sesame"] != nil || payload["aud"] != a.payments {
			t.Errorf("%v", payload)
		}
	})
	t.Run("nonce missing", func(t *testing.T) {
		w := start(t)
		a := w.application(t, byKey, func(n *admin.NewApplication) { n.RequireNonce = true })
		got := w.send(t, a.tokenRequest(t))
		got.refused(400, "use_dpop_nonce")
		if got.header.Get("DPoP-Nonce") == "" {
			t.Error(got)
		}
	})
	t.Run("the store is out of reach", func(t *testing.T) {
		checkOutage(t, func(t testing.TB, a *application) *request { return a.tokenRequest(t) })
	})
	t.Run("method and path", func(t *testing.T) { checkMethods(t, "/token") })
}

// TestIntrospectionErrors is RFC 7662 section 2.3, and section 2.2 for tokens that
// are none.
func TestIntrospectionErrors(t *testing.T) {
	w := start(t)
	server := w.server(t)
	good := func(t testing.TB, a *application) *request {
		return &request{client: a.http, method: http.MethodPost, url: a.base() + "/introspect", header: http.Header{}, form: a.authenticated(t, "token", "x")}
	}
	rows := append(formRows(), clientRows(t)...)
	rows = append(rows,
		row{name: "missing token", change: del("token"), status: 400, code: "invalid_request"},
		row{name: "empty token", change: set("token", ""), status: 400, code: "invalid_request"},
		row{name: "token twice", change: raw("&token=x"), status: 400, code: "invalid_request"},
	)
	runTable(t, rows, good)
	t.Run("the store is out of reach", func(t *testing.T) { checkOutage(t, good) })
	t.Run("method and path", func(t *testing.T) { checkMethods(t, "/introspect") })
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { checkIntrospection(t, w, server, w.application(t, v, withLedger)) })
	}
}

// checkIntrospection: a live token's answer, and who gets it.
func checkIntrospection(t *testing.T, w *world, server *resourceServer, a *application) {
	token := a.ledgerToken(t)
	_, payload := parts(t, token)
	r := server.introspection(t, token)
	r.header.Set("DPoP", "sesame") // the proof is the resource's affair, not ours (RFC 9449 section 6.2)
	r.form.Set("token_type_hint", "refresh_token")
	r.header.Set("Accept", "application/token-introspection+jwt") // RFC 9701, which is not built
	got := w.send(t, r)
	if got.status != 200 || got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" {
		t.Error(got)
	}
	want := claims{"active": true, "token_type": a.scheme()}
	for _, name := range []string{"iss", "aud", "sub", "client_id", "scope", "jti", "iat", "exp"} {
		want[name] = payload[name]
	}
	for name, value := range want {
		if got.json[name] != value {
			t.Errorf("%s is %v, want %v", name, got.json[name], value)
		}
	}
	confirmation, _ := got.json["cnf"].(map[string]any)
	bound, _ := payload["cnf"].(map[string]any)
	if len(got.json) != len(want)+1 || len(confirmation) != 1 || confirmation["jkt"] != bound["jkt"] || confirmation["x5t#S256"] != bound["x5t#S256"] {
		t.Errorf("%v", got.json)
	}
	unsigned := "eyJhbGciOiJub25lIn0." + strings.Split(token, ".")[1] + "."
	for _, wrong := range []string{"x", token[:len(token)-1], token + "A", flip(token, len(token)/2), unsigned} {
		server.inactive(t, wrong, "token_foreign")
	}
	server.inactive(t, a.token(t), "token_of_another_resource")
	got = w.send(t, &request{client: a.http, method: http.MethodPost, url: a.base() + "/introspect", form: a.authenticated(t, "token", token)})
	if got.body != `{"active":false}` || got.reason() != "token_of_another_resource" {
		t.Errorf("advisory 40: the client itself: %s", got)
	}
	if got = w.revoke(t, a, token); got.status != 200 || got.body != "" {
		t.Error(got)
	}
	server.inactive(t, token, "token_revoked")
}

func (w *world) revoke(t testing.TB, a *application, token string) *answer {
	t.Helper()
	return w.send(t, &request{client: a.http, method: http.MethodPost, url: a.base() + "/revoke", form: a.authenticated(t, "token", token)})
}

// TestRevocationErrors is RFC 7009 section 2.2.
func TestRevocationErrors(t *testing.T) {
	good := func(t testing.TB, a *application) *request {
		return &request{client: a.http, method: http.MethodPost, url: a.base() + "/revoke", header: http.Header{}, form: a.authenticated(t, "token", "x")}
	}
	rows := append(formRows(), clientRows(t)...)
	rows = append(rows,
		row{name: "missing token", change: del("token"), status: 400, code: "invalid_request"},
		row{name: "empty token", change: set("token", ""), status: 400, code: "invalid_request"},
		row{name: "another client's token", over: "authenticated, and so used", status: 400, code: "invalid_grant",
			change: func(t *testing.T, a *application, r *request) {
				r.form.Set("token", a.world.application(t, byKey).token(t))
			}},
	)
	runTable(t, rows, good)
	t.Run("the store is out of reach", func(t *testing.T) { checkOutage(t, good) })
	t.Run("method and path", func(t *testing.T) { checkMethods(t, "/revoke") })
	eachVariant(t, func(t *testing.T, w *world, a *application) {
		token, other := a.token(t), a.token(t)
		w.send(t, a.resourceRequest(t, token)).served()
		before := w.sequence(t)
		for _, unknown := range []string{"x", token + "A", flip(token, len(token)-10)} { // a stranger's, a forged one
			if got := w.revoke(t, a, unknown); got.status != 200 || got.body != "" || got.header.Get("Cache-Control") != "no-store" {
				t.Error(got)
			}
		}
		if after := w.sequence(t); after != before {
			t.Error("a token that is none was stored")
		}
		for range 2 { // and again: it is revoked already
			if got := w.revoke(t, a, token); got.status != 200 || got.body != "" {
				t.Error(got)
			}
		}
		if after := w.sequence(t); after != before+1 {
			t.Errorf("%d changes", after-before)
		}
		w.waitFor(t, "the gateway refuses the revoked token", func() bool {
			got := w.send(t, a.resourceRequest(t, token))
			return got.status == 401 && got.reason() == "token_revoked"
		})
		w.send(t, a.resourceRequest(t, other)).served()
	})
}
