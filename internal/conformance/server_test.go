package conformance_test

import (
	"net/http"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// ledger is a resource that has a server: an application that the directory lets
// introspect its tokens. Nothing stands behind it; its scope is its name.
const (
	ledger      = "https://ledger.example/api"
	ledgerScope = "ledger"
)

// resourceServer is the one server of ledger.
type resourceServer struct{ *application }

// server gives the server of ledger, and makes both when they are first needed.
func (w *world) server(t testing.TB) *resourceServer {
	t.Helper()
	if w.ledgerServer == nil {
		s := &resourceServer{w.application(t, variants[0])}
		s.http = w.plain // of no one test
		_, err := w.admin.CreateResource(t.Context(), admin.NewResource{
			URI: ledger, Organisation: w.organisation, Name: "Ledger", Scopes: []string{ledgerScope}, Servers: []string{s.id},
		})
		must(t, err)
		w.ledgerServer = s
	}
	return w.ledgerServer
}

// withLedger lets an application ask for the scope of ledger, too.
func withLedger(a *admin.NewApplication) {
	a.Grants = append(a.Grants, admin.Grant{Resource: ledger, Scopes: []string{ledgerScope}})
}

// ledgerToken is a token for ledger.
func (a *application) ledgerToken(t testing.TB) string {
	t.Helper()
	r := a.tokenRequest(t)
	r.form.Set("scope", ledgerScope)
	got := a.send(t, r)
	if got.status != http.StatusOK {
		t.Fatal(got)
	}
	return got.text("access_token")
}

// introspection is a good request about a token.
func (s *resourceServer) introspection(t testing.TB, token string) *request {
	t.Helper()
	return &request{client: s.http, method: http.MethodPost, url: s.base() + "/introspect", header: http.Header{}, form: s.authenticated(t, "token", token)}
}

func (s *resourceServer) introspect(t testing.TB, token string) *answer {
	t.Helper()
	return s.send(t, s.introspection(t, token))
}

// inactive wants RFC 7662 section 2.2's answer for a token that is none: that and
// nothing more.
func (s *resourceServer) inactive(t testing.TB, token, reason string) {
	t.Helper()
	got := s.introspect(t, token)
	if got.status != http.StatusOK || got.body != `{"active":false}` || got.reason() != reason {
		t.Errorf("want inactive (%s), got %s (%s)", reason, got, got.reason())
	}
}
