package admin

import (
	"context"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// ResourcePath names the resource of an operation.
type ResourcePath struct {
	URI string `path:"uri" maxLength:"512" doc:"Percent-encoded"`
}

func (p *ResourcePath) seen(s *directory.Snapshot, by Caller) bool {
	r := s.Resource(p.URI)
	return r != nil && by.sees(r.Organisation)
}

func (p *ResourcePath) missing() error { return notThere("resource", p.URI) }

type (
	resourceInput       struct{ ResourcePath }
	createResourceInput struct{ Body NewResource }
	resourceOutput      struct{ Body Resource }
	resourcesOutput     struct{ Body Page[Resource] }
)

func (a *api) listResources(_ context.Context, caller Caller, in *ListQuery) (*resourcesOutput, error) {
	all := only(a.Directory.Current().Resources(), func(r *directory.Resource) bool { return caller.sees(r.Organisation) })
	p := page(all, *in, func(r *directory.Resource) string { return r.URI }, showResource)
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
