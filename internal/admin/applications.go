package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// ApplicationPath names the application of an operation. It is exported because
// the framework does not look into embedded structs that are not.
type ApplicationPath struct {
	ClientID string `path:"client_id" maxLength:"64"`
}

func (p *ApplicationPath) application(s *directory.Snapshot) *directory.Client {
	return s.Client(directory.ClientID(p.ClientID))
}

func (p *ApplicationPath) seen(s *directory.Snapshot, by Caller) bool {
	c := p.application(s)
	return c != nil && by.sees(c.Organisation)
}

func (p *ApplicationPath) missing() error { return notThere("application", p.ClientID) }

type (
	listApplicationsInput struct {
		ListQuery
		Organisation string `query:"organisation" maxLength:"64" doc:"Only of this organisation"`
	}
	createApplicationInput struct{ Body NewApplication }
	applicationOutput      struct{ Body Application }
	applicationsOutput     struct{ Body Page[Application] }
)

func (in *createApplicationInput) seen(s *directory.Snapshot, by Caller) bool {
	id := directory.OrganisationID(in.Body.Organisation)
	return s.Organisation(id) != nil && by.sees(id)
}

func (in *createApplicationInput) missing() error {
	return &directory.InvalidError{Field: "organisation", Reason: "does not exist"}
}

func (a *api) listApplications(_ context.Context, caller Caller, in *listApplicationsInput) (*applicationsOutput, error) {
	of := func(yield func(*directory.Client) bool) {
		for c := range a.Directory.Current().Clients() {
			if caller.sees(c.Organisation) && (in.Organisation == "" || string(c.Organisation) == in.Organisation) && !yield(c) {
				return
			}
		}
	}
	p := page(of, in.ListQuery, func(c *directory.Client) string { return string(c.ClientID) },
		func(c *directory.Client) Application { return showApplication(&c.Application) })
	return &applicationsOutput{p}, nil
}

func (a *api) createApplication(ctx context.Context, caller Caller, in *createApplicationInput) (*applicationOutput, error) {
	grants := make([]directory.Grant, len(in.Body.Grants))
	for i, g := range in.Body.Grants {
		grants[i] = directory.Grant{Resource: g.Resource, Scopes: g.Scopes}
	}
	asked := directory.Application{
		ClientID: directory.ClientID(in.Body.ClientID), Organisation: directory.OrganisationID(in.Body.Organisation), Name: in.Body.Name,
		AuthMethod: directory.AuthMethod(in.Body.AuthMethod), Binding: cnf.Method(in.Body.Binding),
		RequireNonce: in.Body.RequireNonce, Grants: grants, OperatorRole: directory.OperatorRole(in.Body.OperatorRole),
	}
	if asked.ClientID != "" && caller.Role == directory.OrganisationOperator {
		return nil, &directory.InvalidError{Field: "client_id", Reason: "is made by the server"}
	}
	app, err := decided(a.Directory, a.mayHave(caller, nil, &asked), func(g directory.Guard) (directory.Application, error) {
		return a.Directory.CreateApplication(ctx, caller.actor(), asked, g)
	})
	if err != nil {
		return nil, err
	}
	return &applicationOutput{showApplication(&app)}, nil
}

// decided makes a change under a guard, which looks first: what it refuses is
// refused before anything is said of what else is wrong.
func decided[T any](d *directory.Directory, g directory.Guard, change func(directory.Guard) (T, error)) (T, error) {
	if err := g(d.Current(), time.Time{}); err != nil {
		var none T
		return none, err
	}
	return change(g)
}

// mayHave is the rules for what an application is given by this caller: operator
// roles by owners only and the wide ones in the operator's organisation only; and
// by an operator of its organisation, no scope beyond what the application had and
// what the organisation's roles hold.
func (a *api) mayHave(caller Caller, before, asked *directory.Application) directory.Guard {
	return func(s *directory.Snapshot, _ time.Time) error {
		var had directory.Application
		if before != nil {
			if c := s.Client(before.ClientID); c != nil {
				had = c.Application
			}
		}
		switch {
		case asked.OperatorRole == had.OperatorRole:
		case caller.Role != directory.Owner:
			return newFault(http.StatusForbidden, "operator_role", "only an owner gives operator roles")
		case asked.OperatorRole != "" && asked.OperatorRole != directory.OrganisationOperator && asked.Organisation != a.OperatorOrganisation:
			return &directory.InvalidError{Field: "operator_role", Reason: "is for applications of the operator's organisation; elsewhere it is organisation_operator"}
		}
		if caller.Role != directory.OrganisationOperator || within(asked.Grants, had.Grants) || within(asked.Grants, held(s, asked.Organisation)) {
			return nil
		}
		return &directory.InvalidError{Field: "grants", Reason: "go beyond what the roles of the organisation hold"}
	}
}

// held is what the active roles of an organisation grant.
func held(s *directory.Snapshot, id directory.OrganisationID) (all []directory.Grant) {
	o := s.Organisation(id)
	if o == nil {
		return nil
	}
	for _, r := range o.Roles {
		if role := s.Role(r); role != nil && role.State == directory.Active {
			all = append(all, role.Grants...)
		}
	}
	return all
}

// client finds an application in the snapshot in force.
func (a *api) client(id string) (*directory.Client, error) {
	c := a.Directory.Current().Client(directory.ClientID(id))
	if c == nil {
		return nil, directory.ErrNotFound
	}
	return c, nil
}

func (a *api) showApplication(_ context.Context, _ Caller, in *ApplicationPath) (*applicationOutput, error) {
	c, err := a.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	return &applicationOutput{showApplication(&c.Application)}, nil
}

func (a *api) moveApplication(to directory.State) func(context.Context, Caller, *ApplicationPath) (*applicationOutput, error) {
	return func(ctx context.Context, caller Caller, in *ApplicationPath) (*applicationOutput, error) {
		id := directory.ClientID(in.ClientID)
		if err := a.Directory.SetApplicationState(ctx, caller.actor(), id, to); err != nil {
			return nil, err
		}
		return a.showApplication(ctx, caller, in)
	}
}
