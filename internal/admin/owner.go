package admin

import (
	"fmt"

	"github.com/holdfast-auth/holdfast/internal/directory"
)

// errLastOwner is a change after which nobody could administer this installation.
var errLastOwner = fmt.Errorf("the last owner cannot be removed: %w", directory.ErrState)

// keepOwner refuses a move, to a state in which it is not accepted, of the
// application or, when credential is not "", of that credential of it, if it is
// the last one that opens this API.
func (a *api) keepOwner(caller Caller, to directory.State, application directory.ClientID, credential directory.CredentialID) error {
	s := a.Directory.Current()
	c := s.Client(application)
	if to.Accepted() || c == nil || c.Organisation != a.OperatorOrganisation {
		return nil
	}
	now := a.Table.Now()
	for other := range s.Clients() {
		if other.Organisation != a.OperatorOrganisation || !other.Live || !opens(other, caller.Resource) {
			continue
		}
		if credential == "" && other.ClientID == application {
			continue
		}
		for _, k := range other.Credentials {
			if k.ID != credential && k.Kind != directory.DPoPKey && k.UsableAt(now) {
				return nil
			}
		}
	}
	return errLastOwner
}

// opens tells whether the application may ask for tokens for the resource.
func opens(c *directory.Client, resource string) bool {
	for _, g := range c.Grants {
		if g.Resource == resource {
			return true
		}
	}
	return false
}
