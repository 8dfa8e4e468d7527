package as

import (
	"slices"
	"strings"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/oauth"
)

// grantedScope decides what the token is for: one resource (its audience) and
// scopes of it, as asked, each once. Nothing is granted silently less or more
// than asked; who asks for no scope gets all that is granted of the resource.
func grantedScope(d *directory.Snapshot, client *directory.Client, resource, scope string) (audience, granted string, err error) {
	asked, err := parseScope(scope)
	if err != nil {
		return "", "", err
	}
	grant, err := grantFor(d, client, resource, asked)
	if err != nil {
		return "", "", err
	}
	if r := d.Resource(grant.Resource); r == nil || r.State != directory.Active {
		return "", "", oauth.Refuse(oauth.InvalidTarget, "resource_not_active", "the resource is not to be had now", nil)
	}
	for _, a := range asked {
		if !slices.Contains(grant.Scopes, a) {
			return "", "", oauth.Refuse(oauth.InvalidScope, "scope_not_granted", "a scope is not granted to this client", nil)
		}
	}
	if len(asked) == 0 {
		asked = grant.Scopes
	}
	if len(asked) == 0 {
		return "", "", oauth.Refuse(oauth.InvalidScope, "scope_missing", "no scope is granted to this client", nil)
	}
	return grant.Resource, strings.Join(asked, " "), nil
}

// grantFor finds the client's grant that the request is about (RFC 8707
// section 2; without a resource, the owner of the scopes).
func grantFor(d *directory.Snapshot, client *directory.Client, resource string, asked []string) (*directory.Grant, error) {
	switch {
	case resource != "":
		if d.Resource(resource) == nil {
			return nil, oauth.Refuse(oauth.InvalidTarget, "resource_unknown", "the resource is not known", nil)
		}
		if g := grantOf(client, resource); g != nil {
			return g, nil
		}
		return nil, oauth.Refuse(oauth.InvalidTarget, "resource_not_granted", "the resource is not granted to this client", nil)
	case len(asked) > 0:
		owner, err := ownerOf(d, asked)
		if err != nil {
			return nil, err
		}
		if g := grantOf(client, owner.URI); g != nil {
			return g, nil
		}
		return nil, oauth.Refuse(oauth.InvalidScope, "scope_not_granted", "a scope is not granted to this client", nil)
	case len(client.Allowed) == 1:
		return &client.Allowed[0], nil
	}
	return nil, oauth.Refuse(oauth.InvalidScope, "scope_missing", "name a scope or a resource", nil)
}

// ownerOf is the one resource that owns all the scopes.
func ownerOf(d *directory.Snapshot, scopes []string) (*directory.Resource, error) {
	var owner *directory.Resource
	for _, scope := range scopes {
		r := d.ResourceOfScope(scope)
		switch {
		case r == nil:
			return nil, oauth.Refuse(oauth.InvalidScope, "scope_unknown", "a scope is not known", nil)
		case owner != nil && owner.URI != r.URI:
			return nil, oauth.Refuse(oauth.InvalidScope, "scope_two_resources", "scopes of two resources", nil)
		}
		owner = r
	}
	return owner, nil
}

func grantOf(client *directory.Client, resource string) *directory.Grant {
	for i := range client.Allowed {
		if client.Allowed[i].Resource == resource {
			return &client.Allowed[i]
		}
	}
	return nil
}

// parseScope splits by RFC 6749 section 3.3, keeping the first of doubles.
func parseScope(scope string) ([]string, error) {
	if scope == "" {
		return nil, nil
	}
	asked := make([]string, 0, 1+strings.Count(scope, " "))
	for s := range strings.SplitSeq(scope, " ") {
		if !scopeToken(s) {
			return nil, oauth.Refuse(oauth.InvalidScope, "scope_malformed", "the scope is not well formed", nil)
		}
		if !slices.Contains(asked, s) {
			asked = append(asked, s)
		}
	}
	return asked, nil
}

// scopeToken is 1*( %x21 / %x23-5B / %x5D-7E ).
func scopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
