package registration

import (
	"net/url"
	"slices"
	"strings"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// Limits bound what a client may register for. Where Limited is false it may have
// what its organisation has: the roles that it holds, and their scopes.
type Limits struct {
	Limited bool               `json:"limited"`
	Grants  []directory.Grant  `json:"grants,omitempty"`
	Roles   []directory.RoleID `json:"roles,omitempty"`
	// Names may be registered as tls_client_auth_san_ values though the
	// organisation is not on record as their owner.
	Names []directory.TLSName `json:"names,omitempty"`
}

// rules are what a registration, new or changed, is decided by, besides the
// directory's own.
type rules struct {
	snapshot *directory.Snapshot
	limits   Limits
	// fixed is what the software statement says, nil when there is none.
	fixed *Metadata
	// owned are the DNS names and IP addresses of the organisation.
	owned []string
	// reserved are resources whose scopes no registration gives.
	reserved  []string
	directory *directory.Directory
	// held: the client exists. What an operator took away from it stays away: beyond
	// what it has it gets what its organisation's roles hold now, within the limits.
	held bool
	// fresh: the statement is another than the registration had, and gives anew.
	fresh bool
}

// application is base with what m asks for in place of what it had. Every rule of
// creation holds for a change (advisory 89): both come here.
func (r *rules) application(base directory.Application, m *Metadata) (directory.Application, error) {
	a := base
	var err error
	if a.Name = m.Name; a.Name == "" {
		a.Name = string(a.ClientID)
	}
	if a.AuthMethod, err = authMethod(m); err != nil {
		return a, err
	}
	if a.Binding, err = binding(m); err != nil {
		return a, err
	}
	if a.TLSName, err = r.tlsName(base, a.AuthMethod, m); err != nil {
		return a, err
	}
	a.JWKSURI = m.JWKSURI
	if err := r.checkKeys(a.AuthMethod, m); err != nil {
		return a, err
	}
	if a.Grants, err = r.grants(base, m); err != nil {
		return a, err
	}
	if a.Roles, err = r.roles(base, m); err != nil {
		return a, err
	}
	return a, inMetadata(r.directory.CheckApplication(r.snapshot, a))
}

func authMethod(m *Metadata) (directory.AuthMethod, error) {
	switch method := directory.AuthMethod(m.AuthMethod); method {
	case directory.PrivateKeyJWT, directory.TLSClientAuth, directory.SelfSignedTLSClientAuth:
		return method, nil
	case "":
		return "", invalid(memberMethod, "is missing, and client_secret_basic, which that means, is not supported")
	}
	return "", invalid(memberMethod, "must be private_key_jwt, tls_client_auth or self_signed_tls_client_auth")
}

// binding is what tokens are bound to (RFC 8705 section 3.4, RFC 9449 section 5.2).
func binding(m *Metadata) (cnf.Method, error) {
	certificate := m.CertificateBound != nil && *m.CertificateBound
	key := m.DPoPBound != nil && *m.DPoPBound
	switch {
	case certificate == key:
		return "", invalid(memberBinding, "or dpop_bound_access_tokens must be true, and not both: no token is given unbound")
	case key:
		return cnf.DPoP, nil
	}
	return cnf.MTLS, nil
}

// tlsName is the one name of tls_client_auth (RFC 8705 section 2.1.2), which the
// organisation must own.
func (r *rules) tlsName(base directory.Application, method directory.AuthMethod, m *Metadata) (directory.TLSName, error) {
	if len(m.TLSNames) == 0 {
		if method == directory.TLSClientAuth {
			return directory.TLSName{}, invalid(memberMethod, "tls_client_auth needs exactly one of tls_client_auth_san_uri, _dns, _ip and _email")
		}
		return directory.TLSName{}, nil
	}
	n := m.TLSNames[0]
	member := "tls_client_auth_san_" + string(n.Kind)
	if method != directory.TLSClientAuth {
		return n, invalid(member, "is for tls_client_auth")
	}
	if r.held && n == base.TLSName || slices.Contains(r.limits.Names, n) || r.fixed != nil && slices.Contains(r.fixed.TLSNames, n) {
		return n, nil
	}
	return n, checkOwned(r.owned, n)
}

// owns tells whether one of the names is the host of n or a domain above it.
func owns(names []string, n directory.TLSName) bool {
	host := n.Value
	switch n.Kind {
	case directory.NameURI:
		u, err := url.Parse(n.Value)
		if err != nil {
			return false
		}
		host = u.Hostname()
	case directory.NameEmail:
		_, host, _ = strings.Cut(n.Value, "@")
	case directory.NameIP:
		return slices.Contains(names, host)
	}
	return host != "" && slices.ContainsFunc(names, func(name string) bool {
		return name != "" && (host == name || strings.HasSuffix(host, "."+name))
	})
}

// checkKeys is for how the client's keys are known: registered one by one, or
// published by itself.
func (r *rules) checkKeys(method directory.AuthMethod, m *Metadata) error {
	switch {
	case method == directory.TLSClientAuth && m.HasKeys:
		return invalid(memberJWKS, "a %s application has no keys", method)
	case method != directory.TLSClientAuth && !m.HasKeys && m.JWKSURI == "":
		return invalid(memberJWKS, "or jwks_uri is missing")
	case m.SigningAlg != "" && !isAlgorithm(m.SigningAlg):
		return invalid(memberAlg, "must be one of %s", strings.Join(algorithms(), ", "))
	case m.SigningAlg != "" && method != directory.PrivateKeyJWT:
		return invalid(memberAlg, "is for private_key_jwt")
	}
	for i, k := range m.Keys {
		if alg := k.Public.Algorithm(); m.SigningAlg != "" && string(alg) != m.SigningAlg && !(isEdDSA(string(alg)) && isEdDSA(m.SigningAlg)) {
			return invalid(memberJWKS, "key %d is not for %s", i+1, m.SigningAlg)
		}
	}
	return nil
}

func isEdDSA(alg string) bool { return alg == string(jose.EdDSA) || alg == string(jose.Ed25519) }

// grants are the scopes asked for, each with its resource. None asked for means
// those that the limits name. Of what the client did not ask for itself, one that
// exists gets what it may still have.
func (r *rules) grants(base directory.Application, m *Metadata) ([]directory.Grant, error) {
	scopes := strings.Fields(m.Scope)
	if len(scopes) == 0 && r.limits.Limited {
		for _, g := range r.limits.Grants {
			scopes = append(scopes, g.Scopes...)
		}
	}
	left := r.held && !r.fresh && (strings.TrimSpace(m.Scope) == "" || r.fixed != nil && r.fixed.Scope != "")
	var grants []directory.Grant
	for i, scope := range scopes {
		resource := r.snapshot.ResourceOfScope(scope)
		switch {
		case slices.Contains(scopes[:i], scope):
			return nil, invalid(memberScope, "has one scope twice")
		case left && (resource == nil || resource.State == directory.Revoked || !r.allowsScope(base, resource, scope)):
			continue
		case resource == nil || resource.State == directory.Revoked || slices.Contains(r.reserved, resource.URI):
			return nil, invalid(memberScope, "has a scope that this client cannot have")
		case !r.allowsScope(base, resource, scope):
			return nil, invalid(memberScope, "has a scope that this client cannot have")
		}
		place := slices.IndexFunc(grants, func(g directory.Grant) bool { return g.Resource == resource.URI })
		if place < 0 {
			place = len(grants)
			grants = append(grants, directory.Grant{Resource: resource.URI})
		}
		grants[place].Scopes = append(grants[place].Scopes, scope)
	}
	return grants, nil
}

// allowsScope: what it has already it keeps; else the limits decide, and where
// there are none, the statement and what the organisation has.
func (r *rules) allowsScope(base directory.Application, of *directory.Resource, scope string) bool {
	if has(base.Grants, of.URI, scope) {
		return true
	}
	if r.limits.Limited && !has(r.limits.Grants, of.URI, scope) {
		return false
	}
	gives := r.fixed != nil && slices.Contains(strings.Fields(r.fixed.Scope), scope)
	switch {
	case r.held:
		return r.fresh && gives || r.organisationHolds(base.Organisation, of.URI, scope)
	case r.limits.Limited:
		return true
	}
	return gives || r.organisationHolds(base.Organisation, of.URI, scope)
}

// organisationHolds tells whether an active role of the organisation has the scope.
func (r *rules) organisationHolds(id directory.OrganisationID, resource, scope string) bool {
	o := r.snapshot.Organisation(id)
	return o != nil && slices.ContainsFunc(o.Roles, func(id directory.RoleID) bool {
		role := r.snapshot.Role(id)
		return role != nil && role.State == directory.Active && has(role.Grants, resource, scope)
	})
}

func has(grants []directory.Grant, resource, scope string) bool {
	return slices.ContainsFunc(grants, func(g directory.Grant) bool { return g.Resource == resource && slices.Contains(g.Scopes, scope) })
}

// roles are those asked for; the directory's rules see to it that the
// organisation holds them.
func (r *rules) roles(base directory.Application, m *Metadata) ([]directory.RoleID, error) {
	var roles []directory.RoleID
	left := r.held && !r.fresh && r.fixed != nil && r.fixed.Roles != nil
	for _, text := range m.Roles {
		id := directory.RoleID(text)
		if o := r.snapshot.Organisation(base.Organisation); left && (o == nil || !slices.Contains(o.Roles, id)) {
			continue
		}
		if r.limits.Limited && !slices.Contains(r.limits.Roles, id) && !slices.Contains(base.Roles, id) {
			return nil, invalid("roles", "has a role that this client cannot have")
		}
		if role := r.snapshot.Role(id); role != nil && slices.ContainsFunc(role.Grants, func(g directory.Grant) bool { return slices.Contains(r.reserved, g.Resource) }) {
			return nil, invalid("roles", "has a role that this client cannot have")
		}
		roles = append(roles, id)
	}
	return roles, nil
}

// inMetadata names the member of the metadata that a rule of the directory is about.
func inMetadata(err error) error {
	fault, ok := err.(*directory.InvalidError)
	if !ok {
		return err
	}
	member := map[string]string{
		"name": memberName, "auth_method": memberMethod, "binding": memberBinding, "grants": memberScope, "key": memberJWKS, "certificate": memberJWKS,
	}[fault.Field]
	if member == "" {
		member = fault.Field
	}
	return &directory.InvalidError{Field: member, Reason: fault.Reason}
}
