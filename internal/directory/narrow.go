package directory

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/holdfast-auth/holdfast/internal/audit"
)

// updated is what the detail of an event says of a record that was changed.
type updated struct {
	AuthMethod   AuthMethod          `json:"auth_method"`
	JWKSURI      string              `json:"jwks_uri"`
	Binding      string              `json:"binding"`
	RequireNonce bool                `json:"require_nonce"`
	Grants       map[string][]string `json:"grants"`
	Roles        []RoleID            `json:"roles"`
	OperatorRole OperatorRole        `json:"operator_role"`
	Scopes       []string            `json:"scopes"`
	Servers      []ClientID          `json:"servers"`
	Retired      []struct {
		ID CredentialID `json:"credential_id"`
	} `json:"retired"`
}

// tlsNameMember is what the member of a TLSName begins with; its kind follows.
const tlsNameMember = "tls_client_auth_san_"

// signIn is by what an application was recognised when an event happened.
type signIn struct {
	method  AuthMethod
	binding string
	jwksURI string
	name    TLSName
	event   audit.Event
}

func (in signIn) sameAs(a *Application) bool {
	return in.method == a.AuthMethod && in.binding == string(a.Binding) && in.jwksURI == a.JWKSURI && in.name == a.TLSName
}

// narrow leaves a record no more than it had after an event: what both have. It is
// taken when the record is then what the event says.
func (r *recovery) narrow(e audit.Event) outcome {
	var to updated
	said := map[string]any{}
	if json.Unmarshal([]byte(e.Detail), &to) != nil || json.Unmarshal([]byte(e.Detail), &said) != nil {
		return stands
	}
	switch e.Action {
	case "organisation.updated":
		if o := r.organisations[OrganisationID(e.Subject)]; o != nil {
			roles := both(o.Roles, to.Roles)
			r.narrowed(o.ID, len(roles) < len(o.Roles))
			o.Roles = roles
			return takenIf(says(said, describeOrganisation(*o)))
		}
	case "role.updated":
		if one := r.roles[RoleID(e.Subject)]; one != nil {
			if to.Grants == nil {
				return stands
			}
			grants, fewer := bothGrants(one.Grants, to.Grants)
			r.narrowed(one.ID, fewer)
			one.Grants = grants
			return takenIf(says(said, facts{"name": one.Name, "grants": describeGrants(one.Grants)}))
		}
	case "resource.updated":
		if one := r.resources[e.Subject]; one != nil {
			servers := both(one.Servers, to.Servers)
			r.narrowed(resourceID(one.URI), len(servers) < len(one.Servers) || to.RequireNonce && !one.RequireNonce)
			one.Servers, one.RequireNonce = servers, one.RequireNonce || to.RequireNonce
			return takenIf(says(said, describeResource(*one)))
		}
	case "application.updated":
		if a := r.applications[ClientID(e.Subject)]; a != nil {
			return r.narrowApplication(a, e, to, said)
		}
	}
	return lost
}

func (r *recovery) narrowed(id any, fewer bool) {
	if fewer {
		r.touched[id] = true
	}
}

func (r *recovery) narrowApplication(a *Application, e audit.Event, to updated, said map[string]any) outcome {
	if to.Grants == nil || to.AuthMethod == "" {
		return stands
	}
	in := signIn{method: to.AuthMethod, binding: to.Binding, jwksURI: to.JWKSURI, event: e}
	for member, value := range said {
		if kind, ok := strings.CutPrefix(member, tlsNameMember); ok {
			text, _ := value.(string)
			in.name = TLSName{NameKind(kind), text}
		}
	}
	r.signIn[a.ClientID] = in
	grants, fewer := bothGrants(a.Grants, to.Grants)
	roles := both(a.Roles, to.Roles)
	role := lesser(a.OperatorRole, to.OperatorRole)
	r.narrowed(a.ClientID, fewer || len(roles) < len(a.Roles) || role != a.OperatorRole || to.RequireNonce && !a.RequireNonce)
	a.Grants, a.Roles, a.OperatorRole, a.RequireNonce = grants, roles, role, a.RequireNonce || to.RequireNonce
	for _, c := range to.Retired {
		r.credentialOf(a.ClientID, c.ID, Retired, e.At)
	}
	made, _ := said["credentials"].([]any)
	for _, member := range []string{"credentials", "retired", "software_statement"} {
		delete(said, member)
	}
	return takenIf(len(made) == 0 && says(said, describeApplication(*a)))
}

// both is what is in both lists, in the order of the first.
func both[T comparable](had, to []T) []T {
	var in []T
	for _, one := range had {
		if slices.Contains(to, one) {
			in = append(in, one)
		}
	}
	return in
}

// bothGrants is what both grant, and whether that is fewer than the first.
func bothGrants(had []Grant, to map[string][]string) (in []Grant, fewer bool) {
	for _, g := range had {
		scopes := both(g.Scopes, to[g.Resource])
		fewer = fewer || len(scopes) < len(g.Scopes)
		if len(scopes) > 0 {
			in = append(in, Grant{g.Resource, scopes})
		}
	}
	return in, fewer
}

// lesser is the role of an operator that has no right which one of the two has not.
func lesser(a, b OperatorRole) OperatorRole {
	order := []OperatorRole{Auditor, Security, Owner}
	i, j := slices.Index(order, a), slices.Index(order, b)
	switch {
	case a == b:
		return a
	case i < 0 || j < 0:
		return ""
	}
	return order[min(i, j)]
}

// says tells whether an event says what the record is.
func says(said map[string]any, record facts) bool {
	text, err := json.Marshal(record)
	if err != nil {
		return false
	}
	is := map[string]any{}
	return json.Unmarshal(text, &is) == nil && reflect.DeepEqual(said, is)
}
