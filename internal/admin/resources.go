package admin

import (
	"context"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

type (
	resourceInput struct {
		URI string `path:"uri" doc:"Percent-encoded"`
	}
	createResourceInput struct{ Body NewResource }
	resourceOutput      struct{ Body Resource }
	resourcesOutput     struct{ Body Page[Resource] }
)

func (a *api) listResources(_ context.Context, _ Caller, in *ListQuery) (*resourcesOutput, error) {
	p := page(a.Directory.Current().Resources(), *in, func(r *directory.Resource) string { return r.URI }, showResource)
	return &resourcesOutput{p}, nil
}

func (a *api) createResource(ctx context.Context, caller Caller, in *createResourceInput) (*resourceOutput, error) {
	r, err := a.Directory.CreateResource(ctx, caller.actor(), directory.Resource{
		URI: in.Body.URI, Organisation: directory.OrganisationID(in.Body.Organisation), Name: in.Body.Name,
		Scopes: in.Body.Scopes, Servers: texts[string, directory.ClientID](in.Body.Servers),
	})
	if err != nil {
		return nil, err
	}
	return &resourceOutput{showResource(&r)}, nil
}

func (a *api) showResource(_ context.Context, _ Caller, in *resourceInput) (*resourceOutput, error) {
	r := a.Directory.Current().Resource(in.URI)
	if r == nil {
		return nil, directory.ErrNotFound
	}
	return &resourceOutput{showResource(r)}, nil
}
