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

type (
	organisationInput       struct{ OrganisationPath }
	createOrganisationInput struct{ Body NewOrganisation }
	organisationOutput      struct{ Body Organisation }
	organisationsOutput     struct{ Body Page[Organisation] }
)

func (a *api) listOrganisations(_ context.Context, caller Caller, in *ListQuery) (*organisationsOutput, error) {
	all := only(a.Directory.Current().Organisations(), func(o *directory.Organisation) bool { return caller.sees(o.ID) })
	p := page(all, *in, func(o *directory.Organisation) string { return string(o.ID) }, showOrganisation)
	return &organisationsOutput{p}, nil
}

func (a *api) createOrganisation(ctx context.Context, caller Caller, in *createOrganisationInput) (*organisationOutput, error) {
	o, err := a.Directory.CreateOrganisation(ctx, caller.actor(), directory.Organisation{ID: directory.OrganisationID(in.Body.ID), Name: in.Body.Name})
	if err != nil {
		return nil, err
	}
	return &organisationOutput{showOrganisation(&o)}, nil
}

func (a *api) showOrganisation(_ context.Context, _ Caller, in *organisationInput) (*organisationOutput, error) {
	o := a.Directory.Current().Organisation(directory.OrganisationID(in.ID))
	if o == nil {
		return nil, directory.ErrNotFound
	}
	return &organisationOutput{showOrganisation(o)}, nil
}

// moveOrganisation leaves the operator's own alone: without it nobody could undo anything.
func (a *api) moveOrganisation(to directory.State) func(context.Context, Caller, *organisationInput) (*organisationOutput, error) {
	return func(ctx context.Context, caller Caller, in *organisationInput) (*organisationOutput, error) {
		id := directory.OrganisationID(in.ID)
		if id == a.OperatorOrganisation {
			return nil, directory.ErrState
		}
		if err := a.Directory.SetOrganisationState(ctx, caller.actor(), id, to); err != nil {
			return nil, err
		}
		return a.showOrganisation(ctx, caller, in)
	}
}
