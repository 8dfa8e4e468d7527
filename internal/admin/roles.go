package admin

import (
	"context"
	"slices"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// RolePath names the role of an operation. An operator of one organisation sees
// the roles that it holds.
type RolePath struct {
	Role string `path:"role" maxLength:"64"`
}

func (p *RolePath) seen(s *directory.Snapshot, by Caller) bool {
	id := directory.RoleID(p.Role)
	return s.Role(id) != nil && by.holds(s, id)
}

func (p *RolePath) missing() error { return notThere("role", p.Role) }

// holds tells whether the caller may see the role.
func (c Caller) holds(s *directory.Snapshot, id directory.RoleID) bool {
	if c.Role != directory.OrganisationOperator {
		return true
	}
	o := s.Organisation(c.Organisation)
	return o != nil && slices.Contains(o.Roles, id)
}

// Role as the API shows it.
type Role struct {
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	State  string  `json:"state"`
	Grants []Grant `json:"grants"`
}

// RoleChange is what became of one, and what that ends.
type RoleChange struct {
	Role
	Ends *Ends `json:"ends,omitempty"`
}

// NewRole is the body that makes one.
type NewRole struct {
	ID     string  `json:"id" minLength:"1" maxLength:"64"`
	Name   string  `json:"name" minLength:"1" maxLength:"200"`
	Grants []Grant `json:"grants" nullable:"false" maxItems:"100"`
}

// RolePatch changes what it has (RFC 7396).
type RolePatch struct {
	Name   *string  `json:"name,omitempty" nullable:"false" minLength:"1" maxLength:"200"`
	Grants *[]Grant `json:"grants,omitempty" nullable:"false" maxItems:"100"`
}

type (
	roleInput    struct{ RolePath }
	endRoleInput struct {
		RolePath
		DryRunQuery
	}
	createRoleInput struct{ Body NewRole }
	patchRoleInput  struct {
		RolePath
		Body RolePatch `contentType:"application/merge-patch+json"`
	}
	listRolesInput struct {
		ListQuery
		RecordQuery
	}
	roleOutput struct {
		Tag
		Body Role
	}
	roleChangeOutput struct {
		Tag
		Body RoleChange
	}
	rolesOutput struct{ Body Page[Role] }
)

func showRole(r *directory.Role) Role {
	return Role{ID: string(r.ID), Name: r.Name, State: string(r.State), Grants: showGrants(r.Grants)}
}

func roleNow(s *directory.Snapshot, id string) (*roleOutput, error) {
	r := s.Role(directory.RoleID(id))
	if r == nil {
		return nil, notThere("role", id)
	}
	return &roleOutput{tagOf(r.Changed), showRole(r)}, nil
}

func roleAfter(o directory.Outcome) (*roleOutput, error) { return roleNow(o.After, o.Subject) }

func (a *api) listRoles(_ context.Context, caller Caller, in *listRolesInput) (*rolesOutput, error) {
	s := a.Directory.Current()
	all := only(s.Roles(), func(r *directory.Role) bool { return caller.holds(s, r.ID) && in.wants(r.State, r.Name) })
	p, err := page(a, "roles", all, in.ListQuery, func(r *directory.Role) string { return string(r.ID) }, showRole)
	return &rolesOutput{p}, err
}

func (a *api) showRole(_ context.Context, _ Caller, in *roleInput) (*roleOutput, error) {
	return roleNow(a.Directory.Current(), in.Role)
}

func (a *api) createRole(ctx context.Context, caller Caller, in *createRoleInput) (string, error) {
	r, err := a.Directory.PutRole(ctx, caller.actor(), directory.Role{
		ID: directory.RoleID(in.Body.ID), Name: in.Body.Name, Grants: readGrants(in.Body.Grants),
	}, true)
	return string(r.ID), err
}

func (a *api) patchRole(ctx context.Context, caller Caller, in *patchRoleInput) (string, error) {
	id := directory.RoleID(in.Role)
	_, err := decided(a.Directory, func(guards ...directory.Guard) (directory.Role, error) {
		return a.Directory.UpdateRole(ctx, caller.actor(), id, func(r *directory.Role) error {
			assign(&r.Name, in.Body.Name)
			if in.Body.Grants != nil {
				r.Grants = readGrants(*in.Body.Grants)
			}
			return nil
		}, guards...)
	}, unchanged(ctx, func(s *directory.Snapshot) Tag { return tagOf(s.Role(id).Changed) }))
	return in.Role, err
}

func (a *api) moveRole(to directory.State) func(context.Context, Caller, *endRoleInput) (string, error) {
	return func(ctx context.Context, caller Caller, in *endRoleInput) (string, error) {
		return in.Role, a.Directory.SetRoleState(ctx, caller.actor(), directory.RoleID(in.Role), to)
	}
}

// roleEnd shows what became of a role: its scopes are gone from the next token on.
func roleEnd(o directory.Outcome) (*roleChangeOutput, error) {
	now, err := roleAfter(o)
	if err != nil {
		return nil, err
	}
	return &roleChangeOutput{now.Tag, RoleChange{now.Body, endsOf(o, false)}}, nil
}
