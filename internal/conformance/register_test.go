package conformance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// registered is a client that registered itself.
type registered struct {
	*application
	token, path string
}

// initialToken is one that lets a client ask for the scope payments.
func (w *world) initialToken(t testing.TB, life int64) string {
	t.Helper()
	made, err := w.admin.CreateInitialToken(t.Context(), w.organisation, admin.NewInitialAccessToken{
		LifeSeconds: life, Limited: true, Grants: []admin.Grant{{Resource: w.payments, Scopes: []string{"payments"}}},
	})
	must(t, err)
	return made.Token
}

// register has a client register itself with a new key.
func (w *world) registerClient(t testing.TB) *registered {
	t.Helper()
	k := newKey(t, "ES256")
	body, err := json.Marshal(map[string]any{
		"client_name": "registered", "token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true, "scope": "payments",
		"jwks": map[string]any{"keys": []any{k.jwk.with(claims{"alg": k.alg, "use": "sig", "kid": "r-1"})}},
	})
	must(t, err)
	got := w.send(t, &request{client: w.plain, method: http.MethodPost, url: w.file.Issuer + "/register", body: string(body),
		header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + w.initialToken(t, 0)}}})
	if got.status != http.StatusCreated {
		t.Fatalf("%s (%s)", got, got.reason())
	}
	a := &application{world: w, variant: byKey, id: got.text("client_id"), key: k, kid: "r-1", http: w.plain}
	return &registered{a, got.text("registration_access_token"), "/register/" + got.text("client_id")}
}

// checkRegistration: the routes of RFC 7591 and RFC 7592, each with no token, wrong
// ones, an expired one and the right one.
func (k *walk) checkRegistration(t *testing.T, pattern, base string) {
	mine, other := k.registerClient(t), k.registerClient(t)
	right, expired := k.initialToken(t, 0), k.initialToken(t, 1)
	k.pass(t, 2*time.Second)
	method, path, _ := strings.Cut(pattern, " ")
	target := base + strings.Replace(path, "/register/{client_id}", mine.path, 1)
	send := func(header ...string) *answer {
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i < len(header); i += 2 {
			if header[i+1] != "" {
				h.Set(header[i], header[i+1])
			}
		}
		return k.send(t, &request{client: k.plain, method: method, url: target, body: "{", header: h})
	}
	before := k.sequence(t)
	if strings.HasSuffix(path, "/recover") {
		for name, assertion := range map[string]string{
			"none": "", "wrong": "sesame", "another's": other.assertion(t, nil, nil), "expired": mine.assertion(t, nil, claims{"exp": k.clock.Now().Unix() - 60}),
		} {
			if got := send("Client-Assertion", assertion, "Authorization", "Bearer "+mine.token); got.status != 401 || got.text("error") != "invalid_client" {
				t.Errorf("%s: %s (%s)", name, got, got.reason())
			}
		}
		k.same(t, before)
		if got := send("Client-Assertion", mine.assertion(t, nil, nil)); got.status != 200 {
			t.Errorf("the right one: %s (%s)", got, got.reason())
		}
		return
	}
	wrong := map[string]string{"no token": "", "wrong": "Bearer sesame", "another's": "Bearer " + other.token, "an access token": "DPoP " + k.fresh[k.payer]}
	if path == "/register" {
		wrong["another's"], wrong["expired"] = "Bearer "+mine.token, "Bearer "+expired
	} else {
		right = mine.token
	}
	for name, authorization := range wrong {
		got := send("Authorization", authorization)
		if got.status != 401 || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: %s (%s)", name, got, got.reason())
		}
		if code := got.text("error"); (code == "") != !strings.HasPrefix(authorization, "Bearer ") {
			t.Errorf("%s: error %q", name, code)
		}
	}
	k.same(t, before)
	want := map[string]int{"POST": 400, "GET": 200, "PUT": 403, "DELETE": 403}[method] // the token alone changes nothing
	if got := send("Authorization", "Bearer "+right); got.status != want {
		t.Errorf("the right one: %s (%s)", got, got.reason())
	}
	k.same(t, before)
}

func (k *walk) same(t *testing.T, before int64) {
	t.Helper()
	if after := k.sequence(t); after != before {
		t.Errorf("advisory 100: %d changes", after-before)
	}
}
