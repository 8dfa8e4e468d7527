package admin

import (
	"context"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// OrganisationPath names the organisation of an operation.
type OrganisationPath struct {
	ID string `path:"organisation" maxLength:"64"`
}

func (p *OrganisationPath) seen(s *directory.Snapshot, by Caller) bool {
	id := directory.OrganisationID(p.ID)
	return s.Organisation(id) != nil && by.sees(id)
}

func (p *OrganisationPath) missing() error { return notThere("organisation", p.ID) }

// Organisation as the API shows it.
type Organisation struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	State string   `json:"state"`
	Roles []string `json:"roles" doc:"Roles that it holds: its applications may have them"`
}

// OrganisationChange is what became of one, and what that ends.
type OrganisationChange struct {
	Organisation
	Ends *Ends `json:"ends,omitempty"`
}

// NewOrganisation is the body that makes one.
type NewOrganisation struct {
	ID    string   `json:"id,omitempty" maxLength:"64" doc:"Made by the server when omitted"`
	Name  string   `json:"name" minLength:"1" maxLength:"200"`
	Roles []string `json:"roles,omitempty" nullable:"false" maxItems:"100"`
}

// OrganisationPatch changes what it has (RFC 7396).
type OrganisationPatch struct {
	Name  *string   `json:"name,omitempty" nullable:"false" minLength:"1" maxLength:"200"`
	Roles *[]string `json:"roles,omitempty" nullable:"false" maxItems:"100"`
}

type (
	organisationInput    struct{ OrganisationPath }
	endOrganisationInput struct {
		OrganisationPath
		DryRunQuery
	}
	createOrganisationInput struct{ Body NewOrganisation }
	patchOrganisationInput  struct {
		OrganisationPath
		Body OrganisationPatch `contentType:"application/merge-patch+json"`
	}
	organisationOutput struct {
		Tag
		Body Organisation
	}
	organisationChangeOutput struct {
		Tag
		Body OrganisationChange
	}
	listOrganisationsInput struct {
		ListQuery
		RecordQuery
	}
	organisationsOutput struct{ Body Page[Organisation] }
)

func showOrganisation(o *directory.Organisation) Organisation {
	return Organisation{ID: string(o.ID), Name: o.Name, State: string(o.State), Roles: texts[directory.RoleID, string](o.Roles)}
}

func organisationNow(s *directory.Snapshot, id string) (*organisationOutput, error) {
	o := s.Organisation(directory.OrganisationID(id))
	if o == nil {
		return nil, notThere("organisation", id)
	}
	return &organisationOutput{tagOf(o.Changed), showOrganisation(o)}, nil
}

func organisationAfter(o directory.Outcome) (*organisationOutput, error) {
	return organisationNow(o.After, o.Subject)
}

func (a *api) listOrganisations(_ context.Context, caller Caller, in *listOrganisationsInput) (*organisationsOutput, error) {
	all := only(a.Directory.Current().Organisations(), func(o *directory.Organisation) bool {
		return caller.sees(o.ID) && in.wants(o.State, o.Name)
	})
	p, err := page(a, "organisations", all, in.ListQuery, func(o *directory.Organisation) string { return string(o.ID) }, showOrganisation)
	return &organisationsOutput{p}, err
}

func (a *api) showOrganisation(_ context.Context, _ Caller, in *organisationInput) (*organisationOutput, error) {
	return organisationNow(a.Directory.Current(), in.ID)
}

func (a *api) createOrganisation(ctx context.Context, caller Caller, in *createOrganisationInput) (string, error) {
	o, err := a.Directory.CreateOrganisation(ctx, caller.actor(), directory.Organisation{
		ID: directory.OrganisationID(in.Body.ID), Name: in.Body.Name, Roles: texts[string, directory.RoleID](in.Body.Roles),
	})
	return string(o.ID), err
}

func (a *api) patchOrganisation(ctx context.Context, caller Caller, in *patchOrganisationInput) (string, error) {
	id := directory.OrganisationID(in.ID)
	_, err := decided(a.Directory, func(guards ...directory.Guard) (directory.Organisation, error) {
		return a.Directory.UpdateOrganisation(ctx, caller.actor(), id, func(o *directory.Organisation) error {
			assign(&o.Name, in.Body.Name)
			if in.Body.Roles != nil {
				o.Roles = texts[string, directory.RoleID](*in.Body.Roles)
			}
			return nil
		}, guards...)
	}, unchanged(ctx, func(s *directory.Snapshot) Tag { return tagOf(s.Organisation(id).Changed) }))
	return in.ID, err
}

// assign sets what a patch gives.
func assign[T any](to, given *T) {
	if given != nil {
		*to = *given
	}
}

// moveOrganisation leaves the operator's own alone: without it nobody could undo anything.
func (a *api) moveOrganisation(to directory.State) func(context.Context, Caller, *endOrganisationInput) (string, error) {
	return func(ctx context.Context, caller Caller, in *endOrganisationInput) (string, error) {
		id := directory.OrganisationID(in.ID)
		if id == a.OperatorOrganisation {
			return "", directory.ErrState
		}
		return in.ID, a.Directory.SetOrganisationState(ctx, caller.actor(), id, to)
	}
}

func (a *api) revokeOrganisationTokens(ctx context.Context, caller Caller, in *endOrganisationInput) (string, error) {
	return in.ID, a.Directory.RevokeOrganisationTokens(ctx, caller.actor(), directory.OrganisationID(in.ID))
}

// organisationEnd shows what became of an organisation; tokens tells that its tokens end.
func organisationEnd(tokens bool) func(directory.Outcome) (*organisationChangeOutput, error) {
	return func(o directory.Outcome) (*organisationChangeOutput, error) {
		now, err := organisationAfter(o)
		if err != nil {
			return nil, err
		}
		return &organisationChangeOutput{now.Tag, OrganisationChange{now.Body, endsOf(o, tokens)}}, nil
	}
}
