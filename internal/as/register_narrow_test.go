package as_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/registration"
)

// TestRegistrationNarrowed: what an operator took away from a client, the client does
// not take back by RFC 7592 section 2.2.
func TestRegistrationNarrowed(t *testing.T) {
	s := newRegStack(t)
	grants := func(id directory.ClientID) string {
		var all []string
		for _, g := range s.dir.Current().Client(id).Grants {
			all = append(all, g.Scopes...)
		}
		return strings.Join(all, " ")
	}
	take := func(id directory.ClientID) {
		_, err := s.dir.UpdateApplication(t.Context(), "operator", id, func(a *directory.Application) error { a.Grants, a.Roles = nil, nil; return nil })
		s.must(err)
	}
	put := func(s *regStack, c *registered, k *jose.Signer, edit metadata) *reply {
		s.t.Helper()
		got := s.ask(http.MethodPut, s.issuer+"/register/"+string(c.id), c.token, with(with(wanted(k), metadata{"client_id": c.id}), edit), s.assertion(c.id, k, nil))
		if got.status == 200 {
			c.token = got.text("registration_access_token")
		}
		return got
	}
	unscoped := metadata{"scope": nil}
	t.Run("a grant within the limits of its initial access token", func(t *testing.T) {
		s, k := s.in(t), s.signer("k")
		c := s.register(wanted(k))
		take(c.id)
		s.unchanged(func() { s.refused(put(s, c, k, nil), 400, wrongMetadata) })
		if got := put(s, c, k, unscoped); got.status != 200 || grants(c.id) != "" {
			t.Errorf("%d %s: %q", got.status, got.raw, grants(c.id))
		}
	})
	t.Run("what it has it keeps, and gets what its organisation's roles hold", func(t *testing.T) {
		s, k := s.in(t), s.signer("k")
		token := s.initial(func(r *registration.InitialTokenRequest) { r.Limits = registration.Limits{} })
		got := s.ask(http.MethodPost, s.issuer+"/register", token, with(wanted(k), unscoped), nil)
		if got.status != 201 {
			t.Fatalf("%d %s", got.status, got.raw)
		}
		c := s.of(got)
		if got := put(s, c, k, metadata{"scope": "reports"}); got.status != 200 || grants(c.id) != "reports" {
			t.Errorf("%d %s: %q", got.status, got.raw, grants(c.id))
		}
	})
	bySoftware := func(s *regStack, k *jose.Signer) (*registered, string, string) {
		s.t.Helper()
		st := s.statement(metadata{"software_id": "soft", "scope": "payments"}, oneTime)
		got := s.ask(http.MethodPost, s.issuer+"/register", "", with(wanted(k), metadata{"scope": nil, "software_statement": st}), nil)
		if got.status != 201 {
			s.t.Fatalf("%d %s", got.status, got.raw)
		}
		c := s.of(got)
		r, err := s.db.Registration(s.t.Context(), c.id)
		s.must(err)
		return c, r.Statement, st
	}
	t.Run("what its software statement fixes, which is in force", func(t *testing.T) {
		s, k := s.in(t), s.signer("k")
		c, _, st := bySoftware(s, k)
		take(c.id)
		for _, edit := range []metadata{unscoped, nil, {"scope": nil, "software_statement": st}} {
			if got := put(s, c, k, edit); got.status != 200 || grants(c.id) != "" {
				t.Errorf("%v: %d %s: %q", edit, got.status, got.raw, grants(c.id))
			}
		}
		another := s.statement(metadata{"software_id": "soft", "scope": "payments"})
		if got := put(s, c, k, metadata{"scope": nil, "software_statement": another}); got.status != 200 || grants(c.id) != "payments" {
			t.Errorf("another statement gives anew: %d %s: %q", got.status, got.raw, grants(c.id))
		}
	})
	t.Run("a software statement that was revoked fixes nothing and gives nothing", func(t *testing.T) {
		s, k := s.in(t), s.signer("k")
		c, id, _ := bySoftware(s, k)
		if got := put(s, c, k, metadata{"software_id": "other"}); got.status != 200 || got.text("software_id") != "soft" {
			t.Fatalf("in force: %d %s", got.status, got.raw)
		}
		_, err := s.reg.RevokeStatement(t.Context(), "operator", s.org, id)
		s.must(err)
		if got := put(s, c, k, metadata{"scope": nil, "software_id": "soft", "software_version": "9"}); got.status != 200 || grants(c.id) != "" {
			t.Errorf("it fixes the scope still: %d %s: %q", got.status, got.raw, grants(c.id))
		}
		s.unchanged(func() { s.refused(put(s, c, k, nil), 400, wrongMetadata) })
	})
}

// TestWithinTellsNothing: whoever gives within one organisation's rights learns
// nothing of what others have: it is refused like what does not exist.
func TestWithinTellsNothing(t *testing.T) {
	s := newRegStack(t)
	statement := func(m string) string {
		_, _, err := s.reg.CreateStatement(t.Context(), "operator", registration.StatementRequest{Organisation: s.org, Metadata: []byte(m), Within: true})
		if err == nil {
			return ""
		}
		return err.Error()
	}
	token := func(l registration.Limits) string {
		l.Limited = true
		_, _, err := s.reg.CreateInitialToken(t.Context(), "operator", registration.InitialTokenRequest{Organisation: s.org, Limits: l, Within: true})
		if err == nil {
			return ""
		}
		return err.Error()
	}
	grant := func(uri, scope string) registration.Limits {
		return registration.Limits{Grants: []directory.Grant{{Resource: uri, Scopes: []string{scope}}}}
	}
	role := func(id directory.RoleID) registration.Limits {
		return registration.Limits{Roles: []directory.RoleID{id}}
	}
	for name, answers := range map[string][]string{
		"scopes of a statement": {statement(`{"software_id":"s","scope":"drafts"}`), statement(`{"software_id":"s","scope":"none"}`), statement(`{"software_id":"s","scope":"admin"}`)},
		"roles of a statement":  {statement(`{"software_id":"s","roles":["editor"]}`), statement(`{"software_id":"s","roles":["none"]}`)},
		"grants of a token": {
			token(grant(apiURI, "payments")), token(grant(apiURI, "none")), token(grant("https://none.example/", "none")), token(grant(reservedURI, "admin")),
			token(grant("https://api.example/reports", "drafts")),
		},
		"roles of a token": {token(role("editor")), token(role("none"))},
	} {
		for _, a := range answers {
			if a == "" || a != answers[0] {
				t.Errorf("%s: %q, %q", name, answers[0], a)
			}
		}
	}
	for name, got := range map[string]string{
		"a scope that it holds": token(grant("https://api.example/reports", "reports")), "a role that it holds": token(role("reporter")),
		"both, in a statement": statement(`{"software_id":"s","scope":"reports","roles":["reporter"]}`),
	} {
		if got != "" {
			t.Errorf("%s is refused: %s", name, got)
		}
	}
}
