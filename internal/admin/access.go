package admin

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// access is the operator roles that may call an operation. Every operation says
// which; the zero access is refused when the API is built.
type access uint8

const (
	owners access = 1 << iota
	securityOfficers
	auditors
	// organisationOperators may call it for what is of their own organisation: for
	// the rest, the answer is that it does not exist. The input tells whose it is.
	organisationOperators
)

const (
	// operators is for reading what belongs to one organisation.
	operators = owners | securityOfficers | auditors | organisationOperators
	// installation is for reading what belongs to none.
	installation = owners | securityOfficers | auditors
	// keepers is for what ends or replaces credentials, and for what security needs.
	keepers = owners | securityOfficers | organisationOperators
	// officers is the same where it is not one organisation's matter.
	officers = owners | securityOfficers
	// tenants is for what an organisation arranges for itself.
	tenants = owners | organisationOperators
)

// rolesByAccess has the names, in the order in which they are documented.
var rolesByAccess = []struct {
	access
	role directory.OperatorRole
}{
	{owners, directory.Owner}, {securityOfficers, directory.Security}, {auditors, directory.Auditor},
	{organisationOperators, directory.OrganisationOperator},
}

// accessOf is the bit of a role; 0 for none.
func accessOf(role directory.OperatorRole) access {
	for _, r := range rolesByAccess {
		if r.role == role {
			return r.access
		}
	}
	return 0
}

// roles are the names of those who may call.
func (who access) roles() []string {
	var names []string
	for _, r := range rolesByAccess {
		if who&r.access != 0 {
			names = append(names, string(r.role))
		}
	}
	return names
}

// addressed is input that names something of one organisation.
type addressed interface {
	// seen tells whether it is there and the caller may see it.
	seen(s *directory.Snapshot, by Caller) bool
	// missing is the answer for what is not there, which is also the one for what
	// is another organisation's.
	missing() error
}

// selective is input of an operation that shows to each caller only what the
// caller may see.
type selective interface{ selective() }

// ofApplication is addressed input that names an application, or something of one.
type ofApplication interface {
	application(s *directory.Snapshot) *directory.Client
}

// checkAccess is for the mistakes that would open an operation to strangers.
func checkAccess(name string, who access, in any) error {
	_, a := in.(addressed)
	_, s := in.(selective)
	switch {
	case who&owners == 0:
		return fmt.Errorf("admin: %s lets nobody in", name)
	case who&organisationOperators != 0 && !a && !s:
		return fmt.Errorf("admin: %s lets operators of one organisation in and does not tell whose its subject is", name)
	}
	return nil
}

// admits tells whether the caller may do what op does to what in names.
func (d *door) admits(s *directory.Snapshot, method string, caller Caller, in any) error {
	if a, ok := in.(addressed); ok && !a.seen(s, caller) {
		return a.missing()
	}
	of, ok := in.(ofApplication)
	if !ok || method == http.MethodGet || caller.Role == directory.Owner {
		return nil
	}
	if c := of.application(s); c != nil && !changeable(c, caller) {
		return newFault(http.StatusForbidden, "operator_application", "only an owner may change an operator")
	}
	return nil
}

// changeable tells whether the caller, who is no owner, may change the application:
// it is no operator, or both are operators of one organisation.
func changeable(c *directory.Client, caller Caller) bool {
	return c.OperatorRole == "" || c.OperatorRole == directory.OrganisationOperator && caller.Role == directory.OrganisationOperator
}

// sees tells whether the caller may see what is this organisation's.
func (c Caller) sees(o directory.OrganisationID) bool {
	return c.Role != directory.OrganisationOperator || c.Organisation == o
}

// still is the guard of every change that is made through the door: on the snapshot
// that the change is stored on, the caller's token is good, its role is the one that
// it was let in with, and what it changes is what it may change.
func (d *door) still(method string, caller Caller, who access, in any) directory.Guard {
	return func(s *directory.Snapshot, _ time.Time) error {
		if reason := caller.Ended(s); reason != "" {
			return newFault(http.StatusForbidden, reason, "the access token was ended meanwhile")
		}
		now, f := d.identify(s, caller, who)
		switch {
		case f != nil:
			return f
		case now.Role != caller.Role:
			return newFault(http.StatusForbidden, "role", "the caller's role was changed meanwhile")
		}
		return d.admits(s, method, caller, in)
	}
}

// identify finds out who calls, as the snapshot knows the application.
func (d *door) identify(s *directory.Snapshot, caller Caller, who access) (Caller, *fault) {
	c := s.Client(caller.ClientID)
	if c == nil || c.Organisation != caller.Organisation || c.OperatorRole == "" {
		return caller, newFault(http.StatusForbidden, "not_operator", "the application has no operator role")
	}
	caller.Role = c.OperatorRole
	if caller.Role != directory.OrganisationOperator && caller.Organisation != d.OperatorOrganisation {
		return caller, newFault(http.StatusForbidden, "not_operator", "only an application of the operator's organisation may have this role")
	}
	if who&accessOf(caller.Role) == 0 {
		return caller, newFault(http.StatusForbidden, "role", "the role "+string(caller.Role)+" may not do this")
	}
	return caller, nil
}

// notThere is the error for a thing that is not there.
func notThere(noun, id string) error {
	return fmt.Errorf("%s %q: %w", noun, id, directory.ErrNotFound)
}

// within tells whether a holds every scope of b; a may name a resource more than once.
func within(b, a []directory.Grant) bool {
	holds := func(resource, scope string) bool {
		return slices.ContainsFunc(a, func(g directory.Grant) bool { return g.Resource == resource && slices.Contains(g.Scopes, scope) })
	}
	for _, g := range b {
		if slices.ContainsFunc(g.Scopes, func(scope string) bool { return !holds(g.Resource, scope) }) {
			return false
		}
	}
	return true
}
