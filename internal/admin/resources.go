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

// Resource as the API shows it.
type Resource struct {
	URI          string   `json:"uri"`
	Organisation string   `json:"organisation"`
	Name         string   `json:"name"`
	State        string   `json:"state"`
	Scopes       []string `json:"scopes"`
	Servers      []string `json:"servers"`
	RequireNonce bool     `json:"require_nonce"`
}

// ResourceChange is what became of one, and what that ends.
type ResourceChange struct {
	Resource
	Ends *Ends `json:"ends,omitempty"`
}

// NewResource is the body that makes one.
type NewResource struct {
	URI          string   `json:"uri" maxLength:"512" doc:"Audience: absolute, without fragment"`
	Organisation string   `json:"organisation" maxLength:"64"`
	Name         string   `json:"name" minLength:"1" maxLength:"200"`
	Scopes       []string `json:"scopes" nullable:"false" maxItems:"100"`
	Servers      []string `json:"servers,omitempty" nullable:"false" maxItems:"100" doc:"Applications that may introspect tokens for it"`
	RequireNonce bool     `json:"require_nonce,omitempty" doc:"Demand a DPoP nonce for its tokens at the token endpoint"`
}

// ResourcePatch changes what it has (RFC 7396).
type ResourcePatch struct {
	Name         *string   `json:"name,omitempty" nullable:"false" minLength:"1" maxLength:"200"`
	Scopes       *[]string `json:"scopes,omitempty" nullable:"false" maxItems:"100"`
	Servers      *[]string `json:"servers,omitempty" nullable:"false" maxItems:"100"`
	RequireNonce *bool     `json:"require_nonce,omitempty" nullable:"false"`
}

type (
	resourceInput    struct{ ResourcePath }
	endResourceInput struct {
		ResourcePath
		DryRunQuery
	}
	createResourceInput struct{ Body NewResource }
	patchResourceInput  struct {
		ResourcePath
		Body ResourcePatch `contentType:"application/merge-patch+json"`
	}
	listResourcesInput struct {
		ListQuery
		RecordQuery
		OwnerQuery
	}
	resourceOutput struct {
		Tag
		Body Resource
	}
	resourceChangeOutput struct {
		Tag
		Body ResourceChange
	}
	resourcesOutput struct{ Body Page[Resource] }
)

func showResource(r *directory.Resource) Resource {
	return Resource{
		URI: r.URI, Organisation: string(r.Organisation), Name: r.Name, State: string(r.State),
		Scopes: texts[string, string](r.Scopes), Servers: texts[directory.ClientID, string](r.Servers), RequireNonce: r.RequireNonce,
	}
}

func resourceNow(s *directory.Snapshot, uri string) (*resourceOutput, error) {
	r := s.Resource(uri)
	if r == nil {
		return nil, notThere("resource", uri)
	}
	return &resourceOutput{tagOf(r.Changed), showResource(r)}, nil
}

func resourceAfter(o directory.Outcome) (*resourceOutput, error) {
	return resourceNow(o.After, o.Subject)
}

func (a *api) listResources(_ context.Context, caller Caller, in *listResourcesInput) (*resourcesOutput, error) {
	all := only(a.Directory.Current().Resources(), func(r *directory.Resource) bool {
		return caller.sees(r.Organisation) && in.of(r.Organisation) && in.wants(r.State, r.Name)
	})
	p, err := page(a, "resources", all, in.ListQuery, func(r *directory.Resource) string { return r.URI }, showResource)
	return &resourcesOutput{p}, err
}

func (a *api) showResource(_ context.Context, _ Caller, in *resourceInput) (*resourceOutput, error) {
	return resourceNow(a.Directory.Current(), in.URI)
}

func (a *api) createResource(ctx context.Context, caller Caller, in *createResourceInput) (string, error) {
	r, err := a.Directory.CreateResource(ctx, caller.actor(), directory.Resource{
		URI: in.Body.URI, Organisation: directory.OrganisationID(in.Body.Organisation), Name: in.Body.Name,
		Scopes: in.Body.Scopes, Servers: texts[string, directory.ClientID](in.Body.Servers), RequireNonce: in.Body.RequireNonce,
	})
	return r.URI, err
}

func (a *api) patchResource(ctx context.Context, caller Caller, in *patchResourceInput) (string, error) {
	_, err := decided(a.Directory, func(guards ...directory.Guard) (directory.Resource, error) {
		return a.Directory.UpdateResource(ctx, caller.actor(), in.URI, func(r *directory.Resource) error {
			assign(&r.Name, in.Body.Name)
			assign(&r.Scopes, in.Body.Scopes)
			assign(&r.RequireNonce, in.Body.RequireNonce)
			if in.Body.Servers != nil {
				r.Servers = texts[string, directory.ClientID](*in.Body.Servers)
			}
			return nil
		}, guards...)
	}, unchanged(ctx, func(s *directory.Snapshot) Tag { return tagOf(s.Resource(in.URI).Changed) }))
	return in.URI, err
}

func (a *api) moveResource(to directory.State) func(context.Context, Caller, *endResourceInput) (string, error) {
	return func(ctx context.Context, caller Caller, in *endResourceInput) (string, error) {
		return in.URI, a.Directory.SetResourceState(ctx, caller.actor(), in.URI, to)
	}
}

// resourceEnd shows what became of a resource: who could ask for tokens for it
// cannot any more, and theirs end.
func resourceEnd(ends bool) func(directory.Outcome) (*resourceChangeOutput, error) {
	return func(o directory.Outcome) (*resourceChangeOutput, error) {
		now, err := resourceAfter(o)
		if err != nil {
			return nil, err
		}
		e := endsOf(o, ends)
		if ends {
			for c := range o.After.Clients() {
				if c.Live && grants(c.Allowed, o.Subject) {
					e.Applications = append(e.Applications, string(c.ClientID))
				}
			}
			e.ApplicationCount = len(e.Applications)
			e.cut()
		}
		return &resourceChangeOutput{now.Tag, ResourceChange{now.Body, e}}, nil
	}
}
