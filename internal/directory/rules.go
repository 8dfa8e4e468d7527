package directory

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/holdfast-auth/holdfast/cnf"
)

const (
	maxName    = 200 // characters
	maxID      = 64
	maxURI     = 512
	maxScope   = 64
	maxEntries = 100 // scopes, servers and grants of one record
	maxTokenID = 128

	maxInstances = 1000 // of one application
	maxAnchors   = 16   // of one organisation, of whatever state
)

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// checkID is [A-Za-z0-9._-]{1,64} without "." and "..", which paths would lose.
func checkID(field, id string) error {
	if len(id) < 1 || len(id) > maxID {
		return invalid(field, "must have 1 to %d characters", maxID)
	}
	for i := range len(id) {
		c := id[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return invalid(field, "may have letters, digits, '.', '_' and '-' only")
		}
	}
	if id == "." || id == ".." {
		return invalid(field, "must not be a dot segment")
	}
	return nil
}

// CheckClientID refuses what no application can have as its id.
func CheckClientID(id ClientID) error { return checkID("client_id", string(id)) }

func checkName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return invalid("name", "must be UTF-8")
	case utf8.RuneCountInString(name) > maxName || name == "":
		return invalid("name", "must have 1 to %d characters", maxName)
	case strings.TrimSpace(name) != name:
		return invalid("name", "must not begin or end with a space")
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return invalid("name", "must be printable")
	}
	return nil
}

// checkURI is for audiences, which are compared byte for byte (RFC 8707 section
// 2, RFC 9728 section 1.2): the host has one spelling.
func checkURI(uri string) error {
	if len(uri) > maxURI {
		return invalid("uri", "must have at most %d characters", maxURI)
	}
	if strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"<>\^{|}`+"`", r) }) {
		return invalid("uri", "has a character that a URI cannot have")
	}
	if strings.Contains(uri, "#") {
		return invalid("uri", "must not have a fragment")
	}
	u, err := url.Parse(uri)
	if err != nil {
		return invalid("uri", "is not a URI")
	}
	if u.User != nil {
		return invalid("uri", "must not have user information")
	}
	if u.Hostname() == "" || strings.HasSuffix(u.Host, ":") || u.Host != strings.ToLower(u.Host) {
		return invalid("uri", "must be absolute, with a host in lower case")
	}
	if !strings.HasPrefix(uri, "https://") && (!strings.HasPrefix(uri, "http://") || !loopback(u.Hostname())) {
		return invalid("uri", "must be https (http only for a loopback host)")
	}
	return nil
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// checkScopes is for scope-tokens of RFC 6749 section 3.3, each once.
func checkScopes(field string, scopes []string) error {
	if len(scopes) < 1 || len(scopes) > maxEntries {
		return invalid(field, "must have 1 to %d scopes", maxEntries)
	}
	for i, scope := range scopes {
		if len(scope) < 1 || len(scope) > maxScope {
			return invalid(field, "a scope must have 1 to %d characters", maxScope)
		}
		if strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }) {
			return invalid(field, "a scope has a character that RFC 6749 section 3.3 does not allow")
		}
		if slices.Contains(scopes[:i], scope) {
			return invalid(field, "scope %s occurs twice", scope)
		}
	}
	return nil
}

// checkOwner finds an organisation that may have something new.
func checkOwner(s *Snapshot, id OrganisationID) error {
	o := s.Organisation(id)
	if o == nil {
		return invalid("organisation", "does not exist")
	}
	if o.State == Revoked {
		return fmt.Errorf("organisation %s is revoked: %w", id, ErrState)
	}
	return nil
}

func checkOrganisation(s *Snapshot, o Organisation) error {
	if err := checkName(o.Name); err != nil {
		return err
	}
	return checkRoles(s, o.Roles, nil)
}

// checkRoles is for roles that exist and, where there is a holder, that it holds.
func checkRoles(s *Snapshot, roles []RoleID, holder *Organisation) error {
	if len(roles) > maxEntries {
		return invalid("roles", "must have at most %d", maxEntries)
	}
	for i, id := range roles {
		switch r := s.Role(id); {
		case r == nil || r.State == Revoked:
			return invalid("roles", "role %q does not exist", id)
		case slices.Contains(roles[:i], id):
			return invalid("roles", "role %s occurs twice", id)
		case holder != nil && !slices.Contains(holder.Roles, id):
			return invalid("roles", "the organisation does not hold role %s", id)
		}
	}
	return nil
}

func checkResource(s *Snapshot, r Resource) error {
	if err := checkURI(r.URI); err != nil {
		return err
	}
	if err := checkName(r.Name); err != nil {
		return err
	}
	if err := checkScopes("scopes", r.Scopes); err != nil {
		return err
	}
	if err := checkOwner(s, r.Organisation); err != nil {
		return err
	}
	if len(r.Servers) > maxEntries {
		return invalid("servers", "must have at most %d", maxEntries)
	}
	for i, server := range r.Servers {
		if s.Client(server) == nil {
			return invalid("servers", "application %q does not exist", server)
		}
		if slices.Contains(r.Servers[:i], server) {
			return invalid("servers", "application %s occurs twice", server)
		}
	}
	return nil
}

func checkApplication(s *Snapshot, a Application) error {
	if err := checkID("client_id", string(a.ClientID)); err != nil {
		return err
	}
	if err := checkName(a.Name); err != nil {
		return err
	}
	switch a.AuthMethod {
	case PrivateKeyJWT, TLSClientAuth, SelfSignedTLSClientAuth:
	default:
		return invalid("auth_method", "must be private_key_jwt, tls_client_auth or self_signed_tls_client_auth")
	}
	if a.Binding != cnf.MTLS && a.Binding != cnf.DPoP {
		return invalid("binding", "must be mtls or dpop")
	}
	if err := checkOwner(s, a.Organisation); err != nil {
		return err
	}
	if err := checkTLSName(s, a); err != nil {
		return err
	}
	if err := checkJWKSURI(a); err != nil {
		return err
	}
	switch a.OperatorRole {
	case "", Owner, Security, Auditor, OrganisationOperator:
	default:
		return invalid("operator_role", "must be owner, security, auditor or organisation_operator")
	}
	if err := checkOperator(a); err != nil {
		return err
	}
	if err := checkRoles(s, a.Roles, s.Organisation(a.Organisation)); err != nil {
		return err
	}
	return checkGrants(s, a.Grants)
}

// checkOperator: who may change more than one organisation authenticates by what is
// registered here or issued by our own CA, so that nobody who keeps an
// organisation's trust anchors, or a place of keys, becomes one.
func checkOperator(a Application) error {
	switch a.OperatorRole {
	case Owner, Security, Auditor:
	default:
		return nil
	}
	if a.TLSName != (TLSName{}) {
		return invalid("tls_client_auth_san_"+string(a.TLSName.Kind), "is not for an application with the operator role %s", a.OperatorRole)
	}
	if a.JWKSURI != "" {
		return invalid("jwks_uri", "is not for an application with the operator role %s", a.OperatorRole)
	}
	return nil
}

func checkGrants(s *Snapshot, grants []Grant) error {
	if len(grants) > maxEntries {
		return invalid("grants", "must have at most %d", maxEntries)
	}
	for i, g := range grants {
		r := s.Resource(g.Resource)
		if r == nil {
			return invalid("grants", "resource %q does not exist", g.Resource)
		}
		if slices.ContainsFunc(grants[:i], func(other Grant) bool { return other.Resource == g.Resource }) {
			return invalid("grants", "resource %s occurs twice", g.Resource)
		}
		if err := checkScopes("grants", g.Scopes); err != nil {
			return err
		}
		for _, scope := range g.Scopes {
			if !slices.Contains(r.Scopes, scope) {
				return invalid("grants", "resource %s has no scope %s", g.Resource, scope)
			}
		}
	}
	return nil
}
