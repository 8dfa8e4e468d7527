package admin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// TestRegistrationAdmission: initial access tokens and software statements are made,
// shown once, listed and revoked, each organisation its own.
func TestRegistrationAdmission(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	for _, id := range []string{"acme", "rival"} {
		_, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{ID: id, Name: id})
		check(t, err)
		w.operator(directory.ClientID(id+"-operator"), directory.OrganisationID(id), directory.OrganisationOperator)
	}
	w.operator("security", w.owner.ID, directory.Security)
	w.operator("auditor", w.owner.ID, directory.Auditor)
	_, err := w.admin.CreateResource(ctx, admin.NewResource{URI: "https://api.example/p", Organisation: "acme", Name: "P", Scopes: []string{"pay"}})
	check(t, err)
	token, err := w.admin.CreateInitialToken(ctx, "acme", admin.NewInitialAccessToken{
		Uses: 2, LifeSeconds: 60, Limited: true, Grants: []admin.Grant{{Resource: "https://api.example/p", Scopes: []string{"pay"}}},
		Names: []admin.SubjectName{{Kind: "dns", Value: "a.example"}},
	})
	check(t, err)
	statement, err := w.admin.CreateStatement(ctx, "acme", admin.NewSoftwareStatement{Metadata: json.RawMessage(`{"software_id":"soft","scope":"pay"}`), OneTime: true})
	check(t, err)
	if !strings.HasPrefix(token.Token, "hfi_") || token.Uses != 2 || token.Used != 0 || strings.Count(statement.Statement, ".") != 2 || !statement.Standalone || statement.SoftwareID != "soft" {
		t.Fatalf("%+v, %+v", token, statement)
	}
	tokens := "/v1/organisations/acme/initial-access-tokens"
	statements := "/v1/organisations/acme/software-statements"
	right := w.token(nil)
	t.Run("advisory 113: neither is shown again", func(t *testing.T) {
		for _, path := range []string{tokens, statements, "/v1/audit?limit=1000"} {
			got := w.ask(http.MethodGet, path, right, "")
			if got.status != 200 || strings.Contains(got.body, token.Token) || strings.Contains(got.body, statement.Statement) || strings.Contains(got.body, "hfi_") {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
		}
	})
	t.Run("pages", func(t *testing.T) {
		second, err := w.admin.CreateInitialToken(ctx, "acme", admin.NewInitialAccessToken{})
		check(t, err)
		seen := map[string]bool{}
		p, err := w.admin.InitialTokens(ctx, "acme", adminclient.Page{Limit: 1})
		for check(t, err); ; {
			for _, item := range p.Items {
				seen[item.ID] = true
			}
			if p.Next == "" {
				break
			}
			p, err = w.admin.InitialTokens(ctx, "acme", adminclient.Page{Limit: 1, Cursor: p.Next})
			check(t, err)
		}
		if len(seen) != 2 || !seen[token.ID] || !seen[second.ID] {
			t.Errorf("%v", seen)
		}
	})
	for _, c := range []struct {
		name, by string
		of       directory.OrganisationID
		method   string
		path     string
		body     string
		status   int
	}{
		{"its own operator lists", "acme-operator", "acme", "GET", tokens, "", 200},
		{"its own operator makes one", "acme-operator", "acme", "POST", tokens, "{}", 201},
		{"its own operator has one signed", "acme-operator", "acme", "POST", statements, `{"metadata":{"software_id":"s"}}`, 201},
		{"advisory 89: its own operator gives no more than its roles hold", "acme-operator", "acme", "POST", tokens,
			`{"limited":true,"grants":[{"resource":"https://api.example/p","scopes":["pay"]}]}`, 422},
		{"advisory 89: nor by a statement", "acme-operator", "acme", "POST", statements, `{"metadata":{"software_id":"s","scope":"pay"}}`, 422},
		{"nor a name that it does not own", "acme-operator", "acme", "POST", tokens, `{"names":[{"kind":"dns","value":"rival.example"}]}`, 422},
		{"an auditor lists", "auditor", w.owner.ID, "GET", statements, "", 200},
		{"an auditor makes none", "auditor", w.owner.ID, "POST", tokens, "{}", 403},
		{"security makes none", "security", w.owner.ID, "POST", statements, `{"metadata":{"software_id":"s"}}`, 403},
		{"advisory 98: another organisation's operator lists", "rival-operator", "rival", "GET", tokens, "", 404},
		{"advisory 98: another organisation's operator makes one", "rival-operator", "rival", "POST", tokens, "{}", 404},
		{"advisory 98: another organisation's operator revokes", "rival-operator", "rival", "POST", tokens + "/" + token.ID + "/revoke", "", 404},
		{"advisory 98: another organisation's operator revokes under its own name", "rival-operator", "rival", "POST",
			"/v1/organisations/rival/initial-access-tokens/" + token.ID + "/revoke", "", 404},
		{"advisory 98: another organisation's statement", "rival-operator", "rival", "POST", "/v1/organisations/rival/software-statements/" + statement.ID + "/revoke", "", 404},
		{"a member that is not known", operator, w.owner.ID, "POST", tokens, `{"token":"mine"}`, 400},
		{"a life that is too long", operator, w.owner.ID, "POST", tokens, `{"life_seconds":2592001}`, 422},
		{"a scope of this API", operator, w.owner.ID, "POST", statements, `{"metadata":{"software_id":"s","scope":"admin"}}`, 422},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.ask(c.method, c.path, w.as(c.by, c.of), c.body)
			if got.status != c.status {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	ended, err := w.admin.RevokeInitialToken(ctx, "acme", token.ID)
	check(t, err)
	_, err = w.admin.RevokeStatement(ctx, "acme", statement.ID)
	check(t, err)
	if ended.ID != token.ID || ended.Revoked == nil {
		t.Errorf("%+v", ended)
	}
	list, err := w.admin.Statements(ctx, "acme", adminclient.Page{})
	check(t, err)
	revoked := 0
	for _, item := range list.Items {
		if item.Revoked != nil {
			revoked++
		}
	}
	if revoked != 1 {
		t.Errorf("%d are revoked", revoked)
	}
	if got := w.ask(http.MethodPost, tokens+"/"+token.ID+"/revoke", right, ""); got.status != 409 {
		t.Errorf("revoked twice: %d %s", got.status, got.body)
	}
}
