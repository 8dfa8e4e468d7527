package admin

import (
	"context"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// ApplicationPath names the application of an operation. It is exported because
// the framework does not look into embedded structs that are not.
type ApplicationPath struct {
	ClientID string `path:"client_id" maxLength:"64"`
}

type (
	listApplicationsInput struct {
		ListQuery
		Organisation string `query:"organisation" maxLength:"64" doc:"Only of this organisation"`
	}
	createApplicationInput struct{ Body NewApplication }
	applicationOutput      struct{ Body Application }
	applicationsOutput     struct{ Body Page[Application] }
)

func (a *api) listApplications(_ context.Context, _ Caller, in *listApplicationsInput) (*applicationsOutput, error) {
	of := func(yield func(*directory.Client) bool) {
		for c := range a.Directory.Current().Clients() {
			if (in.Organisation == "" || string(c.Organisation) == in.Organisation) && !yield(c) {
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
	app, err := a.Directory.CreateApplication(ctx, caller.actor(), directory.Application{
		ClientID: directory.ClientID(in.Body.ClientID), Organisation: directory.OrganisationID(in.Body.Organisation), Name: in.Body.Name,
		AuthMethod: directory.AuthMethod(in.Body.AuthMethod), Binding: cnf.Method(in.Body.Binding),
		RequireNonce: in.Body.RequireNonce, Grants: grants,
	})
	if err != nil {
		return nil, err
	}
	return &applicationOutput{showApplication(&app)}, nil
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
		if err := a.Directory.SetApplicationState(ctx, caller.actor(), id, to, a.keepOwner(caller, to, id, "")); err != nil {
			return nil, err
		}
		return a.showApplication(ctx, caller, in)
	}
}
