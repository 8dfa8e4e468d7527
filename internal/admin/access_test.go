package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/verifytest"
)

// as is the token of an operator.
func (w *world) as(client string, organisation directory.OrganisationID) string {
	return w.token(verifytest.Claims{"client_id": client, "sub": client, "organisation": string(organisation)})
}

func TestOperatorRoles(t *testing.T) {
	w := newWorld(t)
	acme, err := w.admin.CreateOrganisation(t.Context(), admin.NewOrganisation{ID: "acme", Name: "Acme"})
	check(t, err)
	w.operator("nobody", w.owner.ID, "")
	w.operator("stray", directory.OrganisationID(acme.ID), directory.Owner)
	w.operator("security", w.owner.ID, directory.Security)
	for _, c := range []struct {
		name, client, organisation, reason string
	}{
		{"an application that is not in the directory", "stranger", string(w.owner.ID), "not_operator"},
		{"an application of the operator's organisation without a role", "nobody", string(w.owner.ID), "not_operator"},
		{"advisory 45: an owner's role in another organisation", "stray", acme.ID, "not_operator"},
		{"advisory 45: a token that names another organisation", operator, acme.ID, "not_operator"},
		{"a role that may not do this", "security", string(w.owner.ID), "role"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.ask(http.MethodPost, "/v1/organisations", w.as(c.client, directory.OrganisationID(c.organisation)), `{"name":"x"}`)
			got.problem(t)
			if e := w.lastEvent(got); got.status != 403 || e.Reason != c.reason || e.ClientID != c.client {
				t.Errorf("%d %s, %+v", got.status, got.body, e)
			}
		})
	}
	t.Run("operator roles are given by owners only, the wide ones in the operator's organisation only", func(t *testing.T) {
		w.operator("acme-operator", "acme", directory.OrganisationOperator)
		body := func(organisation, role string) string {
			return `{"organisation":"` + organisation + `","name":"x","auth_method":"private_key_jwt","binding":"dpop","operator_role":"` + role + `"}`
		}
		for _, c := range []struct {
			by, organisation, role string
			status                 int
		}{
			{operator, "acme", "organisation_operator", 201}, {operator, string(w.owner.ID), "auditor", 201}, {operator, string(w.owner.ID), "organisation_operator", 201},
			{operator, "acme", "owner", 422}, {operator, "acme", "security", 422}, {operator, "acme", "auditor", 422}, {operator, "acme", "king", 422},
			{"acme-operator", "acme", "organisation_operator", 403}, {"acme-operator", "acme", "owner", 403},
		} {
			of := w.owner.ID
			if c.by != operator {
				of = "acme"
			}
			got := w.ask(http.MethodPost, "/v1/applications", w.as(c.by, of), body(c.organisation, c.role))
			if got.status != c.status {
				t.Errorf("%s gives %s in %s: %d %s", c.by, c.role, c.organisation, got.status, got.body)
			}
		}
	})
	t.Run("an operator is changed by owners only", func(t *testing.T) {
		w.operator("acme-second", "acme", directory.OrganisationOperator)
		w.operator("auditor-2", w.owner.ID, directory.Auditor)
		w.operator("tenant", w.owner.ID, directory.OrganisationOperator)
		for _, c := range []struct {
			by, target string
			of         directory.OrganisationID
			status     int
		}{
			{"security", "auditor-2", w.owner.ID, 403}, {"security", "acme-second", w.owner.ID, 403}, {"tenant", operator, w.owner.ID, 403},
			{"tenant", "auditor-2", w.owner.ID, 403}, {"acme-operator", "acme-second", "acme", 200}, {operator, "auditor-2", w.owner.ID, 200},
		} {
			got := w.ask(http.MethodPost, "/v1/applications/"+c.target+"/suspend", w.as(c.by, c.of), "")
			if got.status != c.status || c.status == 403 && !strings.Contains(got.body, "only an owner") {
				t.Errorf("%s suspends %s: %d %s", c.by, c.target, got.status, got.body)
			}
		}
	})
}
